"""Numbers in the README and the model card are those that the benches have stored: nobody has typed them."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCS = sorted((ROOT / "docs").glob("*.md"))


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "bench"))


def test_the_readme_tells_what_was_measured(bench):
    import readme_numbers

    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert readme_numbers.written(text) == text


def test_the_readme_tells_what_make_bench_has_found(bench):
    import evaluation_page
    import readme_evaluation

    if not evaluation_page.RESULTS.exists():
        pytest.skip("bench/results/evaluation.json isn't there; run: make bench")
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert readme_evaluation.written(text, evaluation_page.load()) == text


def test_the_evaluation_page_tells_what_make_bench_has_found(bench):
    """Every paragraph and table of docs/evaluation.md follows from the stored numbers; only pictures come on top."""
    import evaluation_page
    from clearsight.evaluation.document import Picture, to_markdown

    if not evaluation_page.RESULTS.exists():
        pytest.skip("bench/results/evaluation.json isn't there; run: make bench")
    text = evaluation_page.RESULTS.parents[2].joinpath("docs", "evaluation.md").read_text(encoding="utf-8")
    parts = evaluation_page.page(evaluation_page.load())
    said = [to_markdown([part], images="images").strip() for part in parts if not isinstance(part, Picture)]
    assert [each for each in said if f"{each}\n" not in text] == []
    assert len(text) < 1.1 * sum(len(each) + 2 for each in said) + 1000


def test_the_model_card_tells_what_was_measured(bench):
    import model_card

    assert model_card.CARD.read_text(encoding="utf-8") == model_card.render()


def test_links_between_pages_lead_somewhere():
    for page in (ROOT / "README.md", ROOT / "src" / "clearsight" / "models" / "clearsight-1.md", *DOCS):
        for link in re.findall(r"\]\(((?!https?:)[^)#]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), f"{page.name}: {link}"
