"""Where clouds appear and where their shadows fall: a point at a height, seen or lit at an angle, moved over ground."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from clearsight.simulate.cloud.fields import CloudLayer

Array = NDArray[np.float32]

STRAIGHT: Final = 0.5
"""Share of the extinction by droplets and crystals that is diffraction. It bends light by a degree or two only: for
shadows and for images it goes on as if nothing had happened, so half the optical depth blocks."""

_SUN_BLUR: Final = 0.009
"""Standard deviation of a shadow's edge per metre of cloud height: the sun's disc (0.53°), and diffraction's cone."""

_SLICE_STEP: Final = 4.0
"""Pixels that the shadows of two neighbouring slices of a cloud lie apart, at most."""

_MAX_SLICES: Final = 6


def displacement(zenith: float, azimuth: float, *, pixel: float = 10.0) -> tuple[float, float]:
    """How far (rows down, columns right), per metre of height, a point moves over ground away from a sun or a viewer.

    Parameters
    ----------
    zenith, azimuth : float
        Of the sun or the satellite, seen from the ground; degrees, azimuth clockwise from north.
    pixel : float
        Metres.

    Examples
    --------
    >>> down, right = displacement(45.0, 180.0)
    >>> round(1000 * down), round(1000 * right)
    (-100, 0)
    """
    reach = np.tan(np.radians(zenith)) / pixel
    return float(reach * np.cos(np.radians(azimuth))), float(-reach * np.sin(np.radians(azimuth)))


def window(field: Array, *, origin: tuple[float, float], shape: tuple[int, int], step: float = 1.0) -> Array:
    """Cut a window out of a periodic field, between its pixels where ``origin`` and ``step`` lead there (bilinear).

    Examples
    --------
    >>> field = np.arange(6, dtype="float32").reshape(2, 3)
    >>> window(field, origin=(0.0, 1.5), shape=(1, 3))
    array([[1.5, 1. , 0.5]], dtype=float32)
    """
    if step == 1.0:
        down = _moved(field, start=origin[0], count=shape[0])
        return np.ascontiguousarray(_moved(down.T, start=origin[1], count=shape[1]).T)
    out = field
    for axis in (0, 1):
        at = origin[axis] + step * np.arange(shape[axis])
        low = np.floor(at).astype(np.intp)
        weight = (at - low).astype(np.float32)
        if weight.max() < 1e-3:
            out = np.take(out, low, axis=axis, mode="wrap")
            continue
        first = np.take(out, low, axis=axis, mode="wrap")
        out = np.take(out, low + 1, axis=axis, mode="wrap")
        out -= first
        out *= weight[:, None] if axis == 0 else weight
        out += first
    return np.asarray(out, dtype=np.float32)


def _moved(field: Array, *, start: float, count: int) -> Array:
    """Rows of a periodic field from ``start`` on, a new array: all lie between two rows alike, so none is looked up."""
    low = int(np.floor(start))
    weight, low, size = np.float32(start - low), low % field.shape[0], field.shape[0]
    between = bool(weight >= 1e-3)
    if low + count + between <= size:
        rows = field[low : low + count + between]
    else:
        rows = np.take(field, np.arange(low, low + count + between), axis=0, mode="wrap")
    if not between:
        return np.array(rows, dtype=np.float32)
    out = rows[1:] - rows[:-1]
    out *= weight
    out += rows[:-1]
    return np.asarray(out, dtype=np.float32)


def seen_from(
    field: Array,
    *,
    layer: CloudLayer,
    height: float,
    shift: tuple[float, float],
    shape: tuple[int, int],
    coarse: int = 1,
) -> Array:
    """The part of a canvas field at ``height`` above the ground that appears in the frame.

    Parameters
    ----------
    field : (Y, X) array
        On the layer's canvas, or on one ``coarse`` times coarser.
    layer : CloudLayer
        Says where the frame lies on the canvas.
    height : float
        Metres above the ground.
    shift : (float, float)
        Pixels per metre, from `displacement`.
    shape : (int, int)
        Of the frame.
    coarse : int
        Pixels of the canvas per pixel of the field.
    """
    corner = [layer.margin - height * along for along in shift]
    origin = [(at - 0.5 * (coarse - 1)) / coarse for at in corner]
    return window(field, origin=(origin[0], origin[1]), shape=shape, step=1.0 / coarse)


def slices(layer: CloudLayer, *, reach: float) -> list[tuple[float, Array]]:
    """Cut a layer into level slices, so that high towers throw long shadows.

    Parameters
    ----------
    layer : CloudLayer
        What to cut.
    reach : float
        Pixels that a shadow moves per metre of height.

    Returns
    -------
    list of (height, (Y, X) optical depth)
        Heights in metres above the sea; the optical depths add up to the layer's.
    """
    thickness = np.maximum(layer.top_height - np.float32(layer.base_height), np.float32(1e-3))
    cloudy = layer.optical_depth > 0
    deepest = float(thickness[cloudy].max()) if cloudy.any() else 0.0
    count = int(np.clip(np.ceil(deepest * reach / _SLICE_STEP), 1, _MAX_SLICES))
    if count == 1:
        middle = layer.base_height + 0.5 * (float(thickness[cloudy].mean()) if cloudy.any() else 0.0)
        return [(middle, layer.optical_depth)]
    step = np.float32(deepest / count)
    density = layer.optical_depth / thickness
    return [
        (layer.base_height + (i + 0.5) * float(step), density * np.clip(thickness - i * step, 0.0, step))
        for i in range(count)
    ]


def slant_depth(
    layer: CloudLayer,
    *,
    zenith: float,
    azimuth: float,
    shape: tuple[int, int],
    pixel: float = 10.0,
    ground: Array | float = 0.0,
) -> Array:
    """Optical depth of a layer along the sunbeams that reach the ground.

    Parameters
    ----------
    layer : CloudLayer
        What throws the shadow.
    zenith, azimuth : float
        Of the sun; degrees.
    shape : (int, int)
        Of the frame.
    pixel : float
        Metres.
    ground : float or (y, x) array
        Height above the sea where the shadow falls, metres.

    Returns
    -------
    float32 array (y, x)
        0 = nothing between the sun and the ground. Edges are as soft as sun and cloud height make them.
    """
    shift = displacement(zenith, azimuth, pixel=pixel)
    reach = float(np.hypot(*shift))
    level = float(np.mean(ground))
    rough = not np.isscalar(ground) and float(np.ptp(np.asarray(ground))) * reach > 2.0
    parts = slices(layer, reach=reach)
    if rough:
        total = _over_relief(parts, layer, shift=shift, ground=np.asarray(ground, dtype=np.float32))
    else:
        total = np.zeros(shape, dtype=np.float32)
        for height, depth in parts:
            total += seen_from(depth, layer=layer, height=height - level, shift=shift, shape=shape)
    blur = _SUN_BLUR * max(layer.base_height - level, 0.0) / pixel
    cosine = np.float32(np.cos(np.radians(zenith)))
    if blur > 0.3:
        # What blurs is light, not optical depth: a thin gap in a thick cloud lets light through.
        light = ndimage.gaussian_filter(np.exp(-STRAIGHT * total / cosine), min(blur, 12.0), mode="nearest", truncate=3)
        return np.asarray(-np.log(np.clip(light, 1e-30, 1.0)) / np.float32(STRAIGHT), dtype=np.float32)
    return total / cosine


def _over_relief(
    parts: list[tuple[float, Array]], layer: CloudLayer, *, shift: tuple[float, float], ground: Array
) -> Array:
    """Shadows of all slices on level ground, around the frame as well; then relief moves them.

    On level ground they're moved by whole pixels, relative to the lowest slice, so that only relief interpolates.
    """
    lowest = parts[0][0]
    moves = [(ground - np.float32(lowest)) * np.float32(along) for along in shift]
    first = [int(np.floor(move.min())) for move in moves]
    size = [ground.shape[axis] + int(np.ceil(moves[axis].max())) - first[axis] + 2 for axis in (0, 1)]
    flat = np.zeros(size, dtype=np.float32)
    for height, depth in parts:
        corner = [layer.margin + at - round((height - lowest) * along) for at, along in zip(first, shift, strict=True)]
        flat += window(depth, origin=(corner[0], corner[1]), shape=(size[0], size[1]))
    y, x = np.ogrid[: ground.shape[0], : ground.shape[1]]
    return _sampled(flat, moves[0] + (y - first[0]).astype(np.float32), moves[1] + (x - first[1]).astype(np.float32))


def _sampled(field: Array, rows: Array, columns: Array) -> Array:
    """Values between the pixels of a field (bilinear) at positions within it."""
    row, column = rows.astype(np.int32), columns.astype(np.int32)
    down, right = rows - row, columns - column
    place = row * np.int32(field.shape[1]) + column
    flat = field.ravel()

    def along(start: NDArray[np.int32]) -> Array:
        left = np.take(flat, start)
        return np.asarray(left + right * (np.take(flat, start + np.int32(1)) - left), dtype=np.float32)

    upper = along(place)
    return np.asarray(upper + down * (along(place + np.int32(field.shape[1])) - upper), dtype=np.float32)
