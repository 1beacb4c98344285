"""What a provider's numbers mean: reflectance = DN * scale + offset, with the offset applied exactly once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from clearsight.sources.presets import OffsetRule

OFFSETS_SINCE: Final = "04.00"
"""First processing baseline with a radiometric offset."""

_SCALE: Final = 1e-4
_OFFSET: Final = -0.1
"""``RADIO_ADD_OFFSET`` and ``BOA_ADD_OFFSET`` of every genuine product from 04.00 on, in reflectance."""


def scale_and_offset(
    properties: Mapping[str, Any], fields: Mapping[str, Any], *, rule: OffsetRule
) -> tuple[float, float] | None:
    """Return scale and offset of one asset's pixels; None where nothing tells the offset.

    Parameters
    ----------
    properties : mapping
        Properties of the item, in the contract's names (``processing:version``).
    fields : mapping
        Fields of the asset: ``raster:bands``, or ``raster:scale`` and ``raster:offset``.
    rule : str
        The provider's rule.

    Returns
    -------
    tuple of float
        ``(1e-4, -0.1)``: reflectance = DN * 1e-4 − 0.1.

    Examples
    --------
    >>> shifted = {"processing:version": "05.09", "earthsearch:boa_offset_applied": True}
    >>> scale_and_offset(shifted, {"raster:bands": [{"scale": 1e-4, "offset": -0.1}]}, rule="flag")
    (0.0001, 0.0)
    """
    scale, declared = _declared(fields)
    baseline = properties.get("processing:version")
    offset: float | None
    # Whoever copies Earth Search's items copies its flag, and the pixels that it speaks of.
    if properties.get("earthsearch:boa_offset_applied") is True:
        offset = 0.0
    elif rule == "declared" and declared is not None:
        offset = declared
    elif baseline is not None:
        offset = _OFFSET if baseline >= OFFSETS_SINCE else 0.0
    else:
        offset = declared
    return None if offset is None else (scale, offset)


def _declared(fields: Mapping[str, Any]) -> tuple[float, float | None]:
    """Scale and offset in the spelling of STAC 1.0, and of 1.1."""
    raster = fields.get("raster:bands") or fields.get("bands") or [{}]
    known = {key: value for key, value in fields.items() if key in ("raster:scale", "raster:offset")} | raster[0]
    scale = known.get("scale", known.get("raster:scale"))
    offset = known.get("offset", known.get("raster:offset"))
    return _SCALE if scale is None else float(scale), None if offset is None else float(offset)
