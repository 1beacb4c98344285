"""Sentinel-2's bands, and the harmonisation rule, once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

Level = Literal["L1C", "L2A"]

LEVELS: Final[tuple[Level, ...]] = get_args(Level)

NODATA_DN: Final = 0
"""Digital number of a pixel that was never measured."""

SATURATED_DN: Final = 65535
"""Digital number of a saturated pixel (``Special_Values`` in a product's metadata)."""


@dataclass(frozen=True)
class Band:
    """Facts of one band of the MultiSpectral Instrument (Sentinel-2A's centres and widths)."""

    name: str
    """Name as in ESA's products: ``B01`` … ``B12``, ``B8A``."""
    index: int
    """``bandId`` in the product metadata, and the place in ``BANDS``: 0 … 12."""
    gsd: int
    """Native ground sampling distance in metres: 10, 20 or 60."""
    wavelength: float
    """Centre in micrometres."""
    width: float
    """Full width at half maximum in micrometres."""
    common_name: str
    """``common_name`` of STAC's eo extension."""


BANDS: Final[dict[str, Band]] = {
    band.name: band
    for band in (
        Band("B01", 0, 60, 0.4427, 0.020, "coastal"),
        Band("B02", 1, 10, 0.4924, 0.065, "blue"),
        Band("B03", 2, 10, 0.5598, 0.035, "green"),
        Band("B04", 3, 10, 0.6646, 0.030, "red"),
        Band("B05", 4, 20, 0.7041, 0.014, "rededge071"),
        Band("B06", 5, 20, 0.7405, 0.014, "rededge075"),
        Band("B07", 6, 20, 0.7828, 0.019, "rededge078"),
        Band("B08", 7, 10, 0.8328, 0.105, "nir"),
        Band("B8A", 8, 20, 0.8647, 0.021, "nir08"),
        Band("B09", 9, 60, 0.9451, 0.019, "nir09"),
        Band("B10", 10, 60, 1.3735, 0.029, "cirrus"),
        Band("B11", 11, 20, 1.6137, 0.090, "swir16"),
        Band("B12", 12, 20, 2.2024, 0.174, "swir22"),
    )
}
"""The 13 bands in the order of ESA's ``bandId``; every band axis in this package has this order."""

LEVEL_BANDS: Final[dict[Level, tuple[str, ...]]] = {
    "L1C": tuple(BANDS),
    "L2A": tuple(name for name in BANDS if name != "B10"),
}
"""Bands a product of each level holds: an L2A product has no B10."""

REQUIRED_BANDS: Final = ("B02", "B03", "B04")
"""The least a score needs."""


def harmonise(dn: NDArray[np.integer], *, offset: float, quantification: float = 10_000.0) -> NDArray[np.float32]:
    """Turn digital numbers into harmonised reflectance: ``(DN + offset) / quantification``.

    Parameters
    ----------
    dn : integer array, any shape
        Digital numbers as stored; 0 is nodata.
    offset : float
        ``RADIO_ADD_OFFSET`` (L1C) or ``BOA_ADD_OFFSET`` (L2A) of this band: 0 or −1000 in every product so far.
    quantification : float
        ``QUANTIFICATION_VALUE`` of the product, 10 000 in every product so far.

    Returns
    -------
    float32 array of the same shape
        Reflectance, dimensionless; NaN = nodata. Slightly below 0 is possible and kept.

    Examples
    --------
    >>> import numpy as np
    >>> harmonise(np.array([0, 1000, 3500], dtype="uint16"), offset=-1000)
    array([ nan, 0.  , 0.25], dtype=float32)

    Notes
    -----
    Copernicus, *Sentinel-2 Products Specification Document*: offsets come with processing baseline 04.00, and with
    reprocessed products of earlier scenes; so they are read from each product, never derived from a date.
    """
    reflectance = (dn.astype(np.float32) + np.float32(offset)) / np.float32(quantification)
    reflectance[dn == NODATA_DN] = np.nan
    return reflectance
