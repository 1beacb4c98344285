"""How well can the ground be seen? Scores for every pixel of every Sentinel-2 image.

This module is the table of contents; each name is loaded from its module when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clearsight.archive import produce as produce
    from clearsight.composite import composite as composite
    from clearsight.composite import keep_clear as keep_clear
    from clearsight.link import Linked as Linked
    from clearsight.link import link as link
    from clearsight.score import score as score
    from clearsight.sources import search as search
    from clearsight.stack import load as load

__version__ = "0.1.0.dev0"

_HOME = {
    "Linked": "link",
    "composite": "composite",
    "keep_clear": "composite",
    "link": "link",
    "load": "stack",
    "produce": "archive",
    "score": "score",
    "search": "sources",
}

__all__ = ["Linked", "__version__", "composite", "keep_clear", "link", "load", "produce", "score", "search"]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'clearsight' has no attribute {name!r}")
    value = getattr(import_module(f"clearsight.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
