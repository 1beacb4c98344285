"""Do the pixels agree with what their provider says of the radiometric offset? Dark objects tell.

Water, shadow and dense forest are nearly black in some band: with the offset still in the numbers, the darkest are a
little above 1000; without it, near 0. Catalogues were wrong about this before, and a wrong offset shifts every value
by 0.1, so the first read of an item looks at the darkest pixels of two bands, in a small overview.
"""

from __future__ import annotations

import logging
import threading
import warnings
from dataclasses import dataclass
from typing import Final

import numpy as np
import rasterio
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion

from clearsight.bands import NODATA_DN
from clearsight.errors import HarmonisationWarning, ProductError
from clearsight.sources._remote import reading

WITNESSES: Final = {"L1C": (("B10",), ("B12", "B11")), "L2A": (("B01", "B05", "B04"), ("B12", "B11", "B8A"))}
"""Level -> bands that are looked at: the first that an item has of each group. Hardly any sunlight at 1.37 µm comes
back from below a few kilometres, so that in L1C's B10 all but high clouds is dark."""

_SIDE: Final = 512
"""Pixels along a side of the overview."""
_LEAST: Final = 500
"""Pixels below which nothing is concluded."""
_DARK: Final = 0.5
"""Percentile of the pixels that counts as the darkest."""

_IMPOSSIBLE: Final = -0.03
"""Reflectance that the darkest pixels can't have: an atmospheric correction may end a little below 0, not so far."""
_OFFSET: Final = 1000
_UNSHIFTED: Final = 950
"""DN: with the offset in them, all numbers lie above (−0.005 in reflectance is noise)."""
_DARKEST: Final = 1250
"""DN: with the offset in them, the darker of two bands has pixels below 0.025."""
_DARK_TOO: Final = 1400
"""DN: and the other one below 0.04."""

_log: Final = logging.getLogger(__name__)
_seen: Final[set[tuple[str, str]]] = set()
_looking: Final = threading.Lock()


@dataclass(frozen=True)
class Witness:
    """A band whose darkest pixels are looked at."""

    band: str
    href: str
    index: int
    """Band within the file, from 1."""
    offset: float
    """In DN: what is going to be added."""


def check(item: str, witnesses: tuple[Witness, ...]) -> None:
    """Warn, once per item, if its darkest pixels contradict the offset that is going to be applied.

    Warns
    -----
    HarmonisationWarning
        The offset seems to be applied already, or still to be in pixels that nothing is subtracted from.
    """
    if not witnesses or not _is_first(item, witnesses[0].href):
        return
    try:
        floors = {witness: _floor(item, witness) for witness in witnesses}
    except ProductError as error:
        _log.debug("the offset of %s can't be checked: %s", item, error)
        return  # who asks for that band will be told
    found = _contradiction({witness: floor for witness, floor in floors.items() if np.isfinite(floor)})
    if found is not None:
        warnings.warn(
            f"item {item!r}: {found} Every reflectance of it may be wrong by 0.1. Leave the item out, take it from "
            "another provider, or correct 'offset' in 'raster:bands' of its assets.",
            HarmonisationWarning,
            stacklevel=2,
        )


def _is_first(item: str, href: str) -> bool:
    with _looking:
        new = (item, href) not in _seen
        _seen.add((item, href))
    return new


def _floor(item: str, witness: Witness) -> float:
    """DN of the darkest pixels; NaN where there are too few."""

    def read(address: str) -> NDArray[np.integer]:
        with rasterio.open(address, sharing=False) as dataset:
            shape = tuple(min(side, _SIDE) for side in dataset.shape)
            numbers: NDArray[np.integer] = dataset.read(witness.index, out_shape=shape)
            return numbers

    return darkest(reading(read, href=witness.href, item=item, asset=witness.band))


def darkest(numbers: NDArray[np.integer]) -> float:
    """DN of the darkest 0.5 % of an image (y, x); NaN where there are too few pixels.

    Pixels beside nodata don't count: a reduced image mixes nodata (0) into them.
    """
    inner = binary_erosion(numbers != NODATA_DN, np.ones((3, 3)), border_value=1)
    return float(np.percentile(numbers[inner], _DARK)) if inner.sum() >= _LEAST else np.nan


def _contradiction(floors: dict[Witness, float]) -> str | None:
    for witness, floor in floors.items():
        reflectance = (floor + witness.offset) / 10_000
        if witness.offset < 0 and reflectance < _IMPOSSIBLE:
            return (
                f"its offset of {witness.offset:.0f} seems to be applied already: the darkest pixels of "
                f"{witness.band} are at DN {floor:.0f}, which would be a reflectance of {reflectance:.3f}."
            )
    unshifted = [witness for witness in floors if witness.offset == 0]
    values = sorted(floors[witness] for witness in unshifted)
    if len(values) >= 2 and values[0] >= _UNSHIFTED and values[0] <= _DARKEST and values[1] <= _DARK_TOO:
        told = " and ".join(f"{witness.band} at DN {floors[witness]:.0f}" for witness in unshifted)
        return (
            f"its pixels seem to hold an offset of {_OFFSET} that nobody subtracts: the darkest are in {told}, "
            "and none is darker."
        )
    return None
