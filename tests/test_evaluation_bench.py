"""`make bench`: runs to its end, keeps what is done, and writes a page and a README that follow from its numbers."""

from __future__ import annotations

import re
import subprocess
import sys
from functools import partial
from pathlib import Path
from types import ModuleType

import pytest

from clearsight.evaluation.document import Picture, to_markdown

BENCH = Path(__file__).parents[1] / "bench"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The whole on next to nothing, without peers and without real images."""
    out = tmp_path_factory.mktemp("bench")
    command = [sys.executable, str(BENCH / "evaluate.py"), "--quick", "--no-peers", "--out", str(out)]
    told = subprocess.run(
        [*command, "--data", str(out / "none")], capture_output=True, text=True, timeout=600, check=False
    )
    assert told.returncode == 0, told.stderr
    assert "4/4" in told.stdout
    assert not (out / "build" / "bench").exists()
    return out


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCH))
    import evaluation_page

    return evaluation_page


def test_the_page_follows_from_the_numbers(written: Path, page: ModuleType) -> None:
    numbers = page.load(written / "bench" / "results" / "evaluation.json")
    text = (written / "docs" / "evaluation.md").read_text(encoding="utf-8")
    parts = [part for part in page.page(numbers) if not isinstance(part, Picture)]
    assert all(to_markdown([part], images="images").strip() in text for part in parts)
    assert (written / "docs" / "evaluation.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    pictures = re.findall(r"\]\((images/[^)]+)\)", text)
    assert any("worst" in name for name in pictures)
    for name in pictures:
        assert (written / "docs" / name).read_bytes().startswith(b"\x89PNG")


def test_the_readme_follows_from_the_numbers(written: Path, page: ModuleType) -> None:
    import readme_evaluation

    numbers = page.load(written / "bench" / "results" / "evaluation.json")
    text = f"before\n{readme_evaluation.BEGIN}\nNUMBERS OF ONCE\n{readme_evaluation.END}\nafter\n"
    new = readme_evaluation.written(text, numbers)
    assert new.startswith("before\n")
    assert new.endswith("\nafter\n")
    assert "NUMBERS OF ONCE" not in new
    assert readme_evaluation.written(new, numbers) == new
    own = numbers["l1c"]["scores"]["clearsight cs"]["at"]["0.60"]["balanced_accuracy"]["value"]
    assert f"| clearsight cs | {own:.3f}" in new
    numbers["l1c"]["scores"]["clearsight cs"]["at"]["0.60"]["balanced_accuracy"]["value"] += 0.1
    assert readme_evaluation.written(new, numbers) != new


def test_what_is_done_is_kept_when_something_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCH))
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.setenv(name, "1")
    import evaluate

    good, bad = evaluate.Task("good", partial(int, "3")), evaluate.Task("bad", partial(int, "not a number"))
    assert evaluate.done([good], tmp_path) == {"good": 3}
    with pytest.raises(ValueError, match="not a number"):
        evaluate.done([good, bad], tmp_path)
    again = [evaluate.Task("good", partial(int, "4")), evaluate.Task("bad", partial(int, "5"))]
    assert evaluate.done(again, tmp_path) == {"good": 3, "bad": 5}


def test_nothing_is_kept_over_a_change_of_what_it_depends_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCH))
    import evaluate

    same = evaluate.state(evaluate.QUICK, tmp_path, ["scl"])
    assert same == evaluate.state(evaluate.QUICK, tmp_path, ["scl"])
    assert same != evaluate.state(evaluate.QUICK, tmp_path, ["scl", "s2cloudless"])
    assert same != evaluate.state(evaluate.Size(), tmp_path, ["scl"])
