"""The scorer without learned weights: ``model="projection"``.

A pixel is seen through a veil (cloud, cirrus, haze) or in a shadow, or it isn't. How much of either there is, is
estimated as an amplitude: a veil of amplitude ``f`` is a cover of opaque cloud with share ``f``, or haze that hides as
much; a shade of amplitude ``k`` takes away the share ``k`` of the direct light.

Pass one sees each frame alone and bounds both amplitudes by spectral rules. Pass two compares with the clear reference
of the place: the difference is projected (generalised least squares) onto the directions in which veils and shadows
move a spectrum, with the usual changes of the *surface* (greening, harvest, soil moisture, brightness) as nuisance in
the covariance, so that they explain their part of the difference.

    cs = (1 − f) ** 5 · (1 − k) ** 2

The powers make 0.6 mean "worth using for most work": one tenth of cloud, or a fifth of the direct light, is lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from clearsight.bands import BANDS, Level
from clearsight.reference import Dates, FloatArray, leave_one_out, others, trust

HALO: Final = 4
"""Pixels around a block that its scores depend on."""

_VEIL_POWER: Final = 5
_SHADE_POWER: Final = 2
_ENOUGH: Final = 0.5
"""Evidence (`reference.Reference.count`) below which a pixel counts as having no clear reference."""


def _table(**values: tuple[float, ...]) -> dict[str, FloatArray]:
    return {name: np.array(row, dtype=np.float32) for name, row in values.items()}


# Reflectances per band, in the order of `BANDS`. Clouds: medians of thick cloud in Sentinel-2 scenes, rounded; B09 and
# B10 depend on the height of the cloud far more than on its share, so they take no part in a projection.
_SPECTRA: Final = _table(
    #        B01    B02    B03    B04    B05    B06    B07    B08    B8A    B09  B10  B11    B12
    cloud=(0.70, 0.68, 0.65, 0.66, 0.67, 0.68, 0.69, 0.69, 0.70, 0.35, 0.0, 0.52, 0.40),
    haze=(0.80, 0.68, 0.57, 0.46, 0.43, 0.40, 0.37, 0.33, 0.31, 0.10, 0.0, 0.13, 0.08),
    path=(0.095, 0.065, 0.037, 0.022, 0.018, 0.014, 0.011, 0.009, 0.008, 0.0, 0.0, 0.001, 0.0),
    direct=(0.70, 0.75, 0.82, 0.88, 0.90, 0.91, 0.92, 0.93, 0.94, 0.95, 1.0, 0.98, 0.99),
    noise=(0.030, 0.010, 0.010, 0.012, 0.015, 0.018, 0.020, 0.022, 0.022, 1.0, 1.0, 0.020, 0.020),
    vigour=(-0.005, -0.010, -0.010, -0.035, -0.020, 0.05, 0.08, 0.09, 0.09, 0.05, 0.0, -0.040, -0.050),
    soil=(0.010, 0.018, 0.028, 0.045, 0.050, 0.055, 0.06, 0.065, 0.07, 0.03, 0.0, 0.090, 0.080),
    canopy=(0.0, 0.001, 0.004, 0.003, 0.012, 0.05, 0.06, 0.065, 0.065, 0.03, 0.0, 0.020, 0.008),
    water=(0.0, 0.0, 0.002, -0.003, -0.010, -0.04, -0.05, -0.055, -0.055, -0.02, 0.0, -0.070, -0.050),
)
_NUISANCE: Final = ("vigour", "soil", "canopy", "water")
_NOT_PROJECTED: Final = ("B09", "B10")


@dataclass(frozen=True)
class _Spectra:
    """What the projection knows about the bands at hand."""

    bands: tuple[str, ...]
    """Bands that are projected, in the order of `BANDS`."""
    cloud: FloatArray
    haze: FloatArray
    path: FloatArray
    direct: FloatArray
    veil_metric: FloatArray
    """(band, band) inverse covariance of what isn't a veil."""
    shade_metric: FloatArray
    """(band, band) inverse covariance of what isn't a shadow: a hazy reference too."""


def _spectra(names: Mapping[str, object], level: Level) -> _Spectra:
    bands = tuple(name for name in BANDS if name in names and name not in _NOT_PROJECTED)
    at = [BANDS[name].index for name in bands]
    rows = {name: row[at] for name, row in _SPECTRA.items()}
    path = rows["path"] if level == "L1C" else np.float32(0.1) * rows["path"]
    covariance = np.diag(np.square(rows["noise"].astype(np.float64)))
    for name in _NUISANCE:
        covariance += np.outer(rows[name], rows[name])
    hazy = 0.10 * rows["haze"].astype(np.float64)
    return _Spectra(
        bands=bands,
        cloud=rows["cloud"],
        haze=rows["haze"],
        path=path,
        direct=rows["direct"],
        veil_metric=np.linalg.inv(covariance).astype(np.float32),
        shade_metric=np.linalg.inv(covariance + np.outer(hazy, hazy)).astype(np.float32),
    )


def _step(value: FloatArray, low: float, high: float) -> FloatArray:
    """0 at ``low``, 1 at ``high``, straight between."""
    result: FloatArray = np.clip((value - np.float32(low)) / np.float32(high - low), 0.0, 1.0)
    return result


def first_look(bands: Mapping[str, FloatArray], *, level: Level) -> tuple[FloatArray, FloatArray]:
    """Pass one: amplitudes of veil and shade in each frame alone.

    Parameters
    ----------
    bands : mapping of band name to float32 array, any shape
        Reflectance; at least B02, B03, B04.
    level : "L1C" or "L2A"

    Returns
    -------
    veil, shade : float32 arrays
        Amplitudes in [0, 1].
    """
    spectra = _spectra(bands, level)
    limit = _veil_limit(bands, spectra)
    at = {name: i for i, name in enumerate(spectra.bands)}
    blue = bands["B02"] - spectra.path[at["B02"]]
    red = bands["B04"] - spectra.path[at["B04"]]
    # Haze-optimised transform (Zhang et al. 2002): soils and rocks rise at least twice as fast in the red as what's
    # subtracted, a veil doesn't. Scaled so that opaque cloud has 1.
    full = (spectra.cloud[at["B02"]] - spectra.path[at["B02"]]) - 0.5 * (spectra.cloud[at["B04"]] - spectra.path[at["B04"]])
    haze = (blue - np.float32(0.5) * red - np.float32(0.015)) / np.float32(full)
    veil = np.clip(np.minimum(haze, limit), 0.0, 1.0)
    veil *= 1.0 - _snow(bands)
    if level == "L1C" and "B10" in bands:
        veil = np.maximum(veil, _cirrus(bands["B10"]))
    return veil, _dark(bands, spectra)


def _veil_limit(bands: Mapping[str, FloatArray], spectra: _Spectra) -> FloatArray:
    """Share of cloud that a pixel can't exceed: a cloud of share f sends f times its own light in every band.

    It's what excludes water (dark in the infrared), snow (dark beyond 1.5 µm), and soil and vegetation (dark in the
    visible). The slack is for clouds darker than the median.
    """
    slack = {"B11": 0.6, "B12": 0.5}
    limit: FloatArray | None = None
    for i, name in enumerate(spectra.bands):
        if name == "B01":
            continue
        full = (spectra.cloud[i] - spectra.path[i]) * np.float32(slack.get(name, 0.85))
        share = (bands[name] - spectra.path[i]) / full
        limit = share if limit is None else np.minimum(limit, share, out=limit)
    assert limit is not None
    return np.clip(limit, 0.0, 1.0, out=limit)


def _snow(bands: Mapping[str, FloatArray]) -> FloatArray | np.float32:
    """Snow-likeness in [0, 1]: normalised difference snow index, and bright enough; 0 without B11."""
    if "B11" not in bands:
        return np.float32(0.0)
    green, swir = np.maximum(bands["B03"], 1e-3), np.maximum(bands["B11"], 1e-3)
    snow = _step((green - swir) / (green + swir), 0.35, 0.55) * _step(green, 0.10, 0.20)
    if "B10" in bands:
        snow *= 1.0 - _step(bands["B10"], 0.015, 0.04)
    return snow


def _cirrus(b10: FloatArray) -> FloatArray:
    """Veil seen in the cirrus band. Water vapour above low ground blackens it; high dry ground shines through a little."""
    veil: FloatArray = np.clip((b10 - np.float32(0.006)) * np.float32(6.0), 0.0, 1.0)
    return veil


def _dark(bands: Mapping[str, FloatArray], spectra: _Spectra) -> FloatArray:
    """Shade seen in one frame: ground that's dark beyond the visible, yet neither water nor merely dark.

    Without a reference dark ground and shadow are hard to tell apart, so the amplitude stays small.
    """
    infrared = next((name for name in ("B8A", "B08") if name in bands), None)
    if infrared is None:
        return np.zeros_like(bands["B02"])
    near = bands[infrared]
    blue, green, red = bands["B02"], bands["B03"], bands["B04"]
    dark = 1.0 - _step(near, 0.07, 0.14)
    # Water is darker in the near infrared than in the green, shaded land isn't.
    land = _step(near - green, -0.03, 0.0)
    bluish = _step((blue - red) / np.maximum(blue + red, 1e-3), 0.0, 0.2)
    shade = np.float32(0.5) * dark * land * bluish
    swir = next((name for name in ("B12", "B11") if name in bands), None)
    if swir is not None:
        shade *= _step(bands[swir], 0.006, 0.012) * (1.0 - _step(bands[swir], 0.05, 0.10))
    return shade


def second_look(
    values: FloatArray, centre: FloatArray, spectra: _Spectra
) -> tuple[FloatArray, FloatArray]:
    """Pass two: amplitudes of veil and shade from the difference to the clear reference.

    Parameters
    ----------
    values, centre : float32 arrays (band, pixel)
        Observed reflectance, and the reference's.
    spectra : facts of these bands

    Returns
    -------
    veil, shade : float32 arrays (pixel,)
        Amplitudes; negative = less than in the reference.
    """
    difference = values - centre
    pull = spectra.veil_metric @ difference
    cloud = _fit(spectra.cloud[:, None] - centre, pull, spectra.veil_metric)
    haze = _fit(spectra.haze[:, None] * (1.0 - centre / spectra.cloud[:, None]), pull, spectra.veil_metric)
    veil = np.where(cloud[1] >= haze[1], cloud[0], haze[0])
    dimming = spectra.direct[:, None] * np.minimum(spectra.path[:, None] - centre, 0.0)
    shade = _fit(dimming, spectra.shade_metric @ difference, spectra.shade_metric)[0]
    return veil, shade


def _fit(direction: FloatArray, pull: FloatArray, metric: FloatArray, prior: float = 0.7) -> tuple[FloatArray, FloatArray]:
    """Amplitude along ``direction`` by generalised least squares, and how much of the difference it explains."""
    along = np.einsum("bp,bp->p", direction, pull)
    square = np.einsum("bp,bp->p", direction, metric @ direction) + np.float32(1.0 / prior**2)
    amplitude = along / square
    return amplitude, amplitude * np.maximum(along, 0.0)


def _smooth(field: FloatArray, valid: NDArray[np.bool_], sigma: float) -> FloatArray:
    """Normalised Gaussian mean over y, x of the valid pixels of (time, y, x); at most `HALO` pixels wide."""
    blur = {"sigma": (0.0, sigma, sigma), "mode": "constant", "radius": (0, HALO, HALO)}
    weight = ndimage.gaussian_filter(valid.astype(np.float32), **blur)
    mean = ndimage.gaussian_filter(np.where(valid, field, np.float32(0.0)), **blur)
    result: FloatArray = mean / np.maximum(weight, np.float32(1e-6))
    return result


def quality(veil: FloatArray, shade: FloatArray) -> FloatArray:
    """Score of two amplitudes: ``(1 − f)^5 · (1 − k)^2``, amplitudes clipped to [0, 1]."""
    light = (1.0 - np.clip(veil, 0.0, 1.0)) ** _VEIL_POWER * (1.0 - np.clip(shade, 0.0, 1.0)) ** _SHADE_POWER
    result: FloatArray = light.astype(np.float32, copy=False)
    return result


def score_frames(
    bands: Mapping[str, FloatArray], *, level: Level, dates: Dates, context: bool = True
) -> tuple[FloatArray, FloatArray]:
    """Score the frames of one place.

    Parameters
    ----------
    bands : mapping of band name to float32 array (time, y, x)
        Reflectance, NaN = nodata; at least B02, B03, B04. A pixel is nodata where any band is.
    level : "L1C" or "L2A"
    dates : datetime64 array (time,)
    context : bool
        Compare with the clear reference of the place; without it, or with a single frame, spectral rules only.

    Returns
    -------
    cs : float32 array (time, y, x)
        Scores in [0, 1]; NaN = nodata.
    alone : bool array (time, y, x)
        ``True`` for valid pixels that had no clear reference.
    """
    shape = bands["B02"].shape
    cs = np.empty(shape, dtype=np.float32)
    alone = np.empty(shape, dtype=bool)
    for inner, outer, crop in _blocks(shape, len(bands)):
        part = {name: band[:, *outer] for name, band in bands.items()}
        block, no_reference = _score_block(part, level=level, dates=dates, context=context)
        cs[:, *inner] = block[:, *crop]
        alone[:, *inner] = no_reference[:, *crop]
    return cs, alone


Window = tuple[slice, slice]


def _blocks(shape, bands, budget=32e6):
    frames, height, width = shape
    side = max(64, int((budget / (frames * bands)) ** 0.5))
    for y in range(0, height, side):
        for x in range(0, width, side):
            y1, x1 = min(y + side, height), min(x + side, width)
            ya, xa = max(y - HALO, 0), max(x - HALO, 0)
            yb, xb = min(y1 + HALO, height), min(x1 + HALO, width)
            yield (slice(y, y1), slice(x, x1)), (slice(ya, yb), slice(xa, xb)), (slice(y - ya, y1 - ya), slice(x - xa, x1 - xa))


def _score_block(bands, *, level, dates, context):
    valid = np.logical_and.reduce([np.isfinite(b) for b in bands.values()])
    filled = {name: np.where(valid, b, np.float32(0.1)) for name, b in bands.items()}
    veil, shade = first_look(filled, level=level)
    first = quality(_smooth(veil, valid, .6), _smooth(shade, valid, 1.2))
    if not context or len(valid) == 1:
        return np.where(valid, first, np.float32(np.nan)), valid
    spectra = _spectra(bands, level)
    values = np.stack([filled[name] for name in spectra.bands])
    nb, T = values.shape[:2]
    close = others(dates)
    q = first
    limit = np.minimum(1.0, 1.3 * _veil_limit(filled, spectra) + 0.02) * (1 - _snow(filled))
    cirrus = _cirrus(filled["B10"]) if level == "L1C" and "B10" in filled else np.float32(0)
    for _ in range(ROUNDS):
        w = trust(filled["B02"], q, valid)
        centre, count = leave_one_out(values, w, close)
        v, k = second_look(values.reshape(nb, -1), centre.reshape(nb, -1), spectra)
        v = v.reshape(valid.shape); k = k.reshape(valid.shape)
        nv = _noise(v, w); nk = _noise(k, w)
        v = np.clip(v - nv, 0, 1); k = np.clip(k - nk, 0, 1)
        v = np.maximum(np.minimum(v, limit), cirrus)
        q2 = quality(_smooth(v, valid, .6), _smooth(k, valid, 1.2))
        known = np.clip(count / ENOUGH, 0, 1) * MAXK
        q = q2 * known + first * (1 - known)
    return np.where(valid, q, np.float32(np.nan)), valid & (count < _ENOUGH)

ROUNDS = 2
MAXK = 0.95
ENOUGH = 0.5

def _noise(a, w, prior=(2.0, 0.03)):
    sq = np.minimum(np.square(a), np.float32(.04)) * w
    n0, s0 = prior
    return np.sqrt((sq.sum(0) - sq + n0 * s0 * s0) / (w.sum(0) - w + n0))
