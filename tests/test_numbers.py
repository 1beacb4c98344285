"""Numbers in the README and the model card are those that the benches have stored: nobody has typed them."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "bench"))


def test_the_readme_tells_what_was_measured(bench):
    import readme_numbers

    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert readme_numbers.written(text) == text


def test_the_model_card_tells_what_was_measured(bench):
    import model_card

    assert model_card.CARD.read_text(encoding="utf-8") == model_card.render()


def test_pictures_that_the_readme_shows_are_there():
    for page in (ROOT / "README.md", ROOT / "src" / "clearsight" / "models" / "clearsight-1.md"):
        for link in re.findall(r"\]\(((?!https?:)[^)#]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), f"{page.name}: {link}"
