"""Angle grids and mask polygons from the XML of a granule."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final
from xml.etree.ElementTree import Element

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from clearsight.bands import BANDS
from clearsight.errors import ProductError
from clearsight.sources._metadata import elements, text_of

Float = NDArray[np.float64]

_DETECTOR: Final = re.compile(r"detector_footprint-B\w\w-(\d\d)", re.IGNORECASE)


def angle_grids(root: Element, where: str) -> xr.Dataset:
    """Return the angles of a granule's metadata; the layout is that of :func:`clearsight.scene.angles`.

    Raises
    ------
    ProductError
        There are no angles, or a grid is broken.
    """
    sun = next(elements(root, "Sun_Angles_Grid"), None)
    if sun is None:
        raise ProductError(f"{where} has no angles (Sun_Angles_Grid); fetch the product again.")
    try:
        return _dataset(root, sun)
    except ValueError as error:
        raise ProductError(f"{where} holds a broken grid of angles: {error}. Fetch the product again.") from error


def mask_polygons(root: Element, where: str) -> list[tuple[dict[str, Any], int]]:
    """Return the polygons of a GML mask as GeoJSON, each with its detector's number (0: none is named).

    Raises
    ------
    ProductError
        A ring is broken.
    """
    shapes = []
    for feature in elements(root, "MaskFeature"):
        named = _DETECTOR.search(" ".join(feature.attrib.values()))
        for ring in elements(feature, "posList"):
            try:
                numbers = [float(number) for number in (ring.text or "").split()]
                step = int(ring.get("srsDimension", "2"))
                corners = list(zip(numbers[0::step], numbers[1::step], strict=True))
            except ValueError as error:
                raise ProductError(f"{where} holds a broken polygon: {error}. Fetch the product again.") from error
            shapes.append(({"type": "Polygon", "coordinates": [corners]}, int(named[1]) if named else 0))
    return shapes


def _dataset(root: Element, sun: Element) -> xr.Dataset:
    per_band: dict[str, list[Float]] = {}
    for grids in elements(root, "Viewing_Incidence_Angles_Grids"):
        per_band.setdefault(_band(grids), []).append(np.stack([_grid(grids, "Zenith"), _grid(grids, "Azimuth")]))
    names = [name for name in BANDS if name in per_band]
    sun_zenith = _grid(sun, "Zenith")
    view = np.array([_merge_detectors(per_band[name]) for name in names]).reshape(-1, 2, *sun_zenith.shape)
    means = {_band(node): node for node in elements(root, "Mean_Viewing_Incidence_Angle")}
    mean_sun = next(elements(root, "Mean_Sun_Angle"), None)
    variables = {
        "sun_zenith": (("y", "x"), sun_zenith),
        "sun_azimuth": (("y", "x"), _grid(sun, "Azimuth")),
        "view_zenith": (("band", "y", "x"), view[:, 0]),
        "view_azimuth": (("band", "y", "x"), view[:, 1]),
        "mean_view_zenith": (("band",), [_angle(means.get(name), "ZENITH_ANGLE") for name in names]),
        "mean_view_azimuth": (("band",), [_angle(means.get(name), "AZIMUTH_ANGLE") for name in names]),
    }
    return xr.Dataset(
        {
            name: (dims, np.asarray(values, np.float32), {"units": "degree"})
            for name, (dims, values) in variables.items()
        },
        coords={"band": names, **_nodes(root, sun, shape=sun_zenith.shape)},
        attrs={
            "mean_sun_zenith": _angle(mean_sun, "ZENITH_ANGLE"),
            "mean_sun_azimuth": _angle(mean_sun, "AZIMUTH_ANGLE"),
        },
    )


def _band(node: Element) -> str:
    return tuple(BANDS)[int(node.get("bandId", "0"))]


def _angle(parent: Element | None, name: str) -> float:
    text = None if parent is None else text_of(parent, name)
    return np.nan if text is None else float(text)


def _grid(parent: Element, name: str) -> Float:
    """Rows of numbers (``VALUES``) of a grid of angles."""
    element = next(elements(parent, name), None)
    rows = [] if element is None else [(row.text or "").split() for row in elements(element, "VALUES")]
    return np.array([[float(value) for value in row] for row in rows], np.float64).reshape(len(rows), -1)


def _merge_detectors(grids: Sequence[Float]) -> Float:
    """Mean zenith and azimuth of the detectors that see a node; directions are averaged as directions."""
    zenith, azimuth = np.moveaxis(np.array(grids), 1, 0)
    seen = np.isfinite(zenith) & np.isfinite(azimuth)
    count = seen.sum(0)
    radians = np.deg2rad(np.where(seen, azimuth, 0))
    east, north = ((part * seen).sum(0) for part in (np.sin(radians), np.cos(radians)))
    with np.errstate(invalid="ignore"):
        mean_zenith = np.where(seen, zenith, 0).sum(0) / count
    mean_azimuth = np.where(count > 0, np.rad2deg(np.arctan2(east, north)) % 360, np.nan)
    return np.stack([mean_zenith, mean_azimuth])


def _nodes(root: Element, sun: Element, *, shape: tuple[int, ...]) -> dict[str, NDArray[Any]]:
    """Coordinates of the nodes; ``COL_STEP`` and ``ROW_STEP`` are metres."""
    corner = next(elements(root, "Geoposition"), None)
    return {
        "x": _angle(corner, "ULX") + np.arange(shape[1]) * _angle(sun, "COL_STEP"),
        "y": _angle(corner, "ULY") - np.arange(shape[0]) * _angle(sun, "ROW_STEP"),
    }
