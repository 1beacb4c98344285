"""The simulated world: surfaces, atmosphere, clouds and shadows, sensor; exact truth; real SAFE products.

This module is the table of contents; its names are loaded when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clearsight.simulate.product.site import Frame as Frame
    from clearsight.simulate.product.site import Simulated as Simulated
    from clearsight.simulate.product.site import simulate as simulate

__all__ = ["Frame", "Simulated", "simulate"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'clearsight.simulate' has no attribute {name!r}")
    from clearsight.simulate.product import site

    value: object = getattr(site, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
