"""Recipes: read strictly, or refused with a way out."""

from __future__ import annotations

from pathlib import Path

import pytest

from clearsight.errors import ArgumentError
from clearsight.training.recipe import described, read_recipe

RECIPES = Path(__file__).parents[1] / "recipes"


@pytest.mark.parametrize("name", ["small", "shipped", "large"])
def test_the_recipes_of_the_project_are_recipes(name):
    recipe = read_recipe(RECIPES / f"{name}.toml")
    bench = 10_000_000
    assert max(plan.first + plan.clips for plan in (recipe.bank, recipe.held_out)) <= bench
    assert described(recipe)["out"] == str(recipe.out)


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("[alone]\nminutes", "[alone]\nminuets", "alone.minuets"),
        ('version = "small"\n', "", "version is missing"),
        ("clips = 64", 'clips = "64"', "bank.clips"),
        ("clips = 64", "clips = true", "bank.clips"),
        ("widths = [8, 12, 16, 24, 32]", "widths = [8, 12]", "widths"),
        ("first = 5_000_000", "first = 32", "held_out.first"),
        ("[alone]\nminutes = 1", "[alone]\nminutes = 0", "alone"),
        ("mined = 2\nlast_rate", "mined = -1\nlast_rate", "context"),
        ("mined = 2\nlast_rate", "clear = 2\nlast_rate", "context.clear"),
        ("[alone]\n", "[alone]\nmined = 1\n", "alone.mined"),
        ("[machine]", '[machine]\ndevice = "tpu"', "machine.device"),
        (
            "[similarity]\nminutes = 0.5\nseed = 1\nsize = 64",
            "[similarity]\nminutes = 0.5\nseed = 1\nsize = 70",
            "size",
        ),
        ("out = ", "out ", "isn't TOML"),
    ],
)
def test_a_recipe_with_a_mistake_is_refused_by_name(tmp_path, old, new, named):
    text = (RECIPES / "small.toml").read_text()
    assert old in text
    (tmp_path / "wrong.toml").write_text(text.replace(old, new, 1))
    with pytest.raises(ArgumentError, match=named):
        read_recipe(tmp_path / "wrong.toml")


def test_a_recipe_that_isnt_there(tmp_path):
    with pytest.raises(ArgumentError, match="can't be read"):
        read_recipe(tmp_path / "none.toml")
