"""The command ``train``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from clearsight.cli._console import progress_bars, say
from clearsight.errors import OptionalDependencyError


def train(
    recipe: Annotated[Path, Parameter(help="TOML file that says what to train on, how long, and where to.")],
    /,
) -> None:
    """Train the network after a recipe, from simulated clips to the exported model; asked again, it goes on.

    Example: clearsight train recipes/small.toml
    """
    from clearsight.training.recipe import read_recipe

    told = read_recipe(recipe)
    try:
        from clearsight.training.stages import follow
    except ModuleNotFoundError as error:
        if str(error.name).startswith("clearsight"):
            raise  # nothing that could be installed
        raise OptionalDependencyError(f"training needs {error.name}; pip install 'clearsight[train,plots]'") from error
    with progress_bars() as step:
        model = follow(told, progress=step)
    say.print(f"model -> {model} ({model.stat().st_size / 1e6:.1f} MB)", soft_wrap=True)
    say.print(f"use it: clearsight score … --model {model}", soft_wrap=True)
