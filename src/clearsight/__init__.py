"""How well can the ground be seen? Scores for every pixel of every Sentinel-2 image.

This module is the table of contents; each name is loaded from its module when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clearsight.archive import produce as produce
    from clearsight.compositing import composite as composite
    from clearsight.compositing import keep_clear as keep_clear
    from clearsight.linking import Linked as Linked
    from clearsight.linking import link as link
    from clearsight.mosaic import Recipe as Recipe
    from clearsight.mosaic import write_mosaic as write_mosaic
    from clearsight.scoring import score as score
    from clearsight.sources import search as search
    from clearsight.sources import search_scores as search_scores
    from clearsight.stack import load as load
    from clearsight.viewer import view as view

__version__ = "0.1.0.dev0"

# No module may bear the name of a public function: importing it would put the module in the function's place.
_HOME = {
    "Linked": "linking",
    "Recipe": "mosaic",
    "composite": "compositing",
    "keep_clear": "compositing",
    "link": "linking",
    "load": "stack",
    "produce": "archive",
    "score": "scoring",
    "search": "sources",
    "search_scores": "sources",
    "view": "viewer",
    "write_mosaic": "mosaic",
}

__all__ = [
    "Linked",
    "Recipe",
    "__version__",
    "composite",
    "keep_clear",
    "link",
    "load",
    "produce",
    "score",
    "search",
    "search_scores",
    "view",
    "write_mosaic",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'clearsight' has no attribute {name!r}")
    value = getattr(import_module(f"clearsight.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
