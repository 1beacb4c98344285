"""Resampling between grids of one reference system: exact, and the same whatever the window (GDAL does the rest).

``values`` are (y, x) float32 with NaN = nodata throughout; ``transform`` places their upper left corner.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

Float = NDArray[np.float32]

_STRIP: Final = 64
"""Rows that are interpolated at once: few enough to stay in the processor's cache."""


def is_whole(values: Float, transform: Affine, grid: GeoBox) -> bool:
    """Say whether every pixel of a grid is made of whole pixels of an image."""
    factor = grid.transform.a / transform.a
    places = (factor, *_offset(transform, grid))
    square = abs(grid.transform.e / transform.e - factor) < 1e-6
    return square and values.size > 0 and all(abs(place - round(place)) < 1e-6 for place in places) and factor > 0.5


def block_mean(values: Float, transform: Affine, grid: GeoBox) -> Float:
    """Average an image over the pixels of a grid that :func:`is_whole` says yes to; over valid pixels only."""
    factor = round(grid.transform.a / transform.a)
    left, top = (round(place) for place in _offset(transform, grid))
    rows, columns = (size * factor for size in grid.shape)
    wanted = np.full((rows, columns), np.nan, np.float32)
    # The part of the image that the grid covers, in pixels of the image and of the grid.
    first = max(top, 0), max(left, 0)
    last = min(top + rows, values.shape[0]), min(left + columns, values.shape[1])
    if first[0] < last[0] and first[1] < last[1]:
        inner = slice(first[0] - top, last[0] - top), slice(first[1] - left, last[1] - left)
        wanted[inner] = values[first[0] : last[0], first[1] : last[1]]
    return group_mean(wanted, factor)


def group_mean(values: Float, factor: int) -> Float:
    """Average groups of ``factor`` × ``factor`` pixels over the valid ones; NaN where there is none."""
    padding = [(0, -size % factor) for size in values.shape]
    padded = np.pad(values, padding, constant_values=np.nan) if any(after for _, after in padding) else values
    groups = padded.reshape(padded.shape[0] // factor, factor, padded.shape[1] // factor, factor)
    total = np.nansum(groups, (1, 3), dtype=np.float64)
    count = np.isfinite(groups).sum((1, 3))
    with np.errstate(invalid="ignore"):
        mean: Float = (total / count).astype(np.float32)
    return mean


def interpolate(values: Float, transform: Affine, grid: GeoBox) -> Float:
    """Interpolate an image bilinearly at the pixel centres of a grid.

    A pixel is nodata where the source pixel under its centre is. Elsewhere the weights of neighbours that are nodata,
    or beyond the image's edge, go to the others.
    """
    rows = _Axis.along(grid.shape.y, grid.transform.f, grid.transform.e, transform.f, transform.e, values.shape[0])
    columns = _Axis.along(grid.shape.x, grid.transform.c, grid.transform.a, transform.c, transform.a, values.shape[1])
    missing = np.isnan(values)
    if not missing.any():
        result = _weighted(values, rows, columns)
    else:
        result = _weighted(np.where(missing, np.float32(0), values), rows, columns)
        weight = _weighted((~missing).astype(np.float32), rows, columns)
        # Where all neighbours are valid nothing is divided, so that a hole elsewhere never changes a value.
        partly = (weight < 0.99999) & (weight > 0)
        result[partly] /= weight[partly]
        result[missing[np.ix_(rows.nearest, columns.nearest)]] = np.nan
    result[~rows.inside] = np.nan
    result[:, ~columns.inside] = np.nan
    return result


class _Axis:
    """Neighbours and weights of the pixel centres along one axis."""

    def __init__(self, places: NDArray[Any], size: int) -> None:
        first = np.floor(places)
        # Rounded, so that the weight of a place doesn't depend on where the window begins.
        self.share = np.round(places - first, 6).astype(np.float32)
        self.first = np.clip(first, 0, size - 1).astype(np.intp)
        self.second = np.clip(first + 1, 0, size - 1).astype(np.intp)
        self.nearest = np.clip(np.floor(places + 0.5 + 1e-9), 0, size - 1).astype(np.intp)
        self.inside = (places >= -0.5 - 1e-9) & (places <= size - 0.5 + 1e-9)

    @classmethod
    def along(cls, count: int, start: float, step: float, origin: float, pixel: float, size: int) -> _Axis:
        """Axis of ``count`` pixels, in pixels of an image that starts at ``origin``."""
        return cls((start + (np.arange(count) + 0.5) * step - origin) / pixel - 0.5, size)


def _weighted(values: Float, rows: _Axis, columns: _Axis) -> Float:
    # Columns first, on the small image: gathering along the last axis is what costs.
    left, right = values.take(columns.first, axis=1), values.take(columns.second, axis=1)
    wide = _between(left, right, columns.share)
    result = np.empty((rows.first.size, columns.first.size), np.float32)
    for top in range(0, rows.first.size, _STRIP):
        strip = slice(top, top + _STRIP)
        result[strip] = _between(wide[rows.first[strip]], wide[rows.second[strip]], rows.share[strip, None])
    return result


def _between(first: Float, second: Float, share: Float) -> Float:
    second -= first
    second *= share
    second += first
    return second


def _offset(transform: Affine, grid: GeoBox) -> tuple[float, float]:
    """Columns and rows from an image's corner to a grid's."""
    return (grid.transform.c - transform.c) / transform.a, (grid.transform.f - transform.f) / transform.e
