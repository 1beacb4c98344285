"""The scorer without learned weights: ``model="projection"``.

A pixel is seen through a veil (cloud, cirrus, haze) or in a shadow, or it isn't. How much of either there is, is
estimated as an amplitude: a veil of amplitude ``f`` is a cover of opaque cloud with share ``f``, or haze that hides as
much; a shade of amplitude ``k`` takes away the share ``k`` of the direct light.

Pass one sees each frame alone and bounds both amplitudes by spectral rules. Pass two compares with the clear reference
of the place: the difference is projected (generalised least squares) onto the directions in which veils and shadows
move a spectrum, with the usual changes of the *surface* (greening, harvest, soil moisture, brightness) as nuisance in
the covariance, so that they explain their part of the difference. What the amplitudes of the clear frames of a place
scatter around zero is taken off. Then the scores are better ones, and the reference is made once more, from them.

    cs = (1 − f) ** 5 · (1 − k) ** 2

The powers make 0.6 mean "worth using for most work": one tenth of cloud, or a fifth of the direct light, is lost.

B09 takes part only in validity: its ratio to B8A says how much vapour lies above what's seen, but over clear ground
that differs more from day to day (0.24 to 0.6 in one real series) than between ground and low cloud.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from clearsight._rules import Spectra, cirrus, first_look, snow, spectra_of, veil_limit, water
from clearsight.bands import Level
from clearsight.reference import Dates, FloatArray, leave_one_out, others, trust

BoolArray = NDArray[np.bool_]
Window = tuple[slice, slice]

HALO: Final = 3
"""Pixels around a block that its scores depend on."""

_ROUNDS: Final = 2
_PRIOR_AMPLITUDE: Final = 0.7
"""Standard deviation of amplitudes before anything is seen; it only matters where a direction has no length."""
_CLOSE_CALL: Final = 0.2
"""Cloud and haze are mixed where the lead of one is less than half of this, relative to what both explain."""
_NOISE_AMPLITUDE: Final = 0.03
_NOISE_FRAMES: Final = 2.0
"""Scatter of the amplitudes of clear frames before anything is seen, and how many frames that is worth."""
_NOISE_CEILING: Final = 0.2
_LIMIT_SLACK: Final = (1.3, 0.02)
"""With a reference, a veil may exceed `veil_limit` by this factor, and this amplitude."""
_ENOUGH: Final = 0.5
"""Evidence (`reference.Reference.count`) from which on a pixel has a clear reference."""
_MOST_TRUST: Final = 0.95
"""Share of pass two in the amplitudes where there's enough evidence; pass one has the rest."""
_VEIL_BLUR: Final = 0.6
_SHADE_BLUR: Final = 1.2
"""Standard deviation in pixels of the smoothing of amplitudes; shade is noisier, and its edges are soft."""
_BLOCK_VALUES: Final = 4_000_000
_FILL: Final = np.float32(0.1)
"""Reflectance put in place of nodata; it takes part in nothing."""


def score_frames(
    bands: Mapping[str, FloatArray], *, level: Level, dates: Dates, context: bool = True
) -> tuple[FloatArray, BoolArray]:
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
        Scores in [0, 1]; NaN = nodata. A pixel depends on the `HALO` pixels around it.
    alone : bool array (time, y, x)
        ``True`` for valid pixels that had no clear reference.

    Examples
    --------
    >>> import numpy as np
    >>> forest = {"B02": 0.075, "B03": 0.065, "B04": 0.04, "B08": 0.25}
    >>> frame = {band: np.full((1, 1, 1), value, dtype="float32") for band, value in forest.items()}
    >>> cs, alone = score_frames(frame, level="L1C", dates=np.array(["2023-07-01"], dtype="datetime64[ns]"))
    >>> cs.item(), alone.item()
    (1.0, True)
    """
    shape = bands["B02"].shape
    cs = np.empty(shape, dtype=np.float32)
    alone = np.empty(shape, dtype=np.bool_)
    for inner, outer, crop in _blocks(shape, len(bands)):
        block = {name: band[:, *outer] for name, band in bands.items()}
        block_cs, block_alone = _score_block(block, level=level, dates=dates, context=context)
        cs[:, *inner] = block_cs[:, *crop]
        alone[:, *inner] = block_alone[:, *crop]
    return cs, alone


def _blocks(shape: tuple[int, ...], bands: int) -> Iterator[tuple[Window, Window, Window]]:
    """Windows that bound memory: of the block, of the block with its halo, and of the first within the second."""
    frames, *sizes = shape
    side = max(64, int((_BLOCK_VALUES / (frames * bands)) ** 0.5))
    parts = [[(start, min(start + side, size)) for start in range(0, size, side)] for size in sizes]
    for rows in parts[0]:
        for columns in parts[1]:
            begins = tuple(max(start - HALO, 0) for start, _ in (rows, columns))
            ends = tuple(min(stop + HALO, size) for (_, stop), size in zip((rows, columns), sizes, strict=True))
            yield (
                (slice(*rows), slice(*columns)),
                (slice(begins[0], ends[0]), slice(begins[1], ends[1])),
                (
                    slice(rows[0] - begins[0], rows[1] - begins[0]),
                    slice(columns[0] - begins[1], columns[1] - begins[1]),
                ),
            )


@dataclass(frozen=True)
class _Block:
    """Frames of one block, ready for both passes."""

    values: FloatArray
    """(time, band, y, x) bands that are projected; finite."""
    bands: Mapping[str, FloatArray]
    """Views of ``values`` by name, and B10 at L1C."""
    valid: BoolArray
    """(time, y, x)"""
    spectra: Spectra


def _score_block(
    bands: Mapping[str, FloatArray], *, level: Level, dates: Dates, context: bool
) -> tuple[FloatArray, BoolArray]:
    block = _block(bands, level=level)
    veil, shade = first_look(block.bands, block.spectra)
    alone = block.valid
    if context and len(block.valid) > 1:
        veil, shade, count = _compare(block, veil, shade, others(dates))
        alone = block.valid & (count < np.float32(_ENOUGH))
    cs = _score(_smooth(veil, block.valid, _VEIL_BLUR), _smooth(shade, block.valid, _SHADE_BLUR))
    cs[~block.valid] = np.nan
    return cs, alone


def _block(bands: Mapping[str, FloatArray], *, level: Level) -> _Block:
    valid = np.ones(bands["B02"].shape, dtype=np.bool_)
    for band in bands.values():
        valid &= np.isfinite(band)
    missing = ~valid
    spectra = spectra_of(bands, level=level)
    values = np.empty((len(valid), len(spectra.bands), *valid.shape[1:]), dtype=np.float32)
    for i, name in enumerate(spectra.bands):
        values[:, i] = bands[name]
        values[:, i][missing] = _FILL
    named = {name: values[:, i] for i, name in enumerate(spectra.bands)}
    if level == "L1C" and "B10" in bands:
        named["B10"] = np.where(valid, bands["B10"], np.float32(0.0))
    return _Block(values=values, bands=named, valid=valid, spectra=spectra)


def _compare(
    block: _Block, first_veil: FloatArray, first_shade: FloatArray, close: NDArray[np.float64]
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Veil and shade by both passes, and the evidence behind pass two, (time, y, x), from those of pass one.

    Nothing is smoothed in here: each round would widen the surroundings that a pixel depends on.
    """
    factor, extra = (np.float32(slack) for slack in _LIMIT_SLACK)
    limit = (factor * veil_limit(block.bands, block.spectra) + extra) * (1.0 - snow(block.bands))
    floor = cirrus(block.bands["B10"]) if "B10" in block.bands else np.float32(0.0)
    land = 1.0 - water(block.bands)
    veil, shade = first_veil, first_shade
    for _ in range(_ROUNDS):
        weight = trust(block.bands["B02"], _score(veil, shade), block.valid)
        centre, count = leave_one_out(block.values, weight, close)
        veil, shade = _amplitudes(block, centre)
        veil -= _scatter(veil, weight)
        shade -= _scatter(shade, weight)
        veil = np.maximum(np.clip(veil, 0.0, limit), floor)
        shade = np.maximum(shade, 0.0) * land
        known = np.float32(_MOST_TRUST) * np.minimum(count * np.float32(1.0 / _ENOUGH), 1.0)
        veil = first_veil + known * (veil - first_veil)
        shade = first_shade + known * (shade - first_shade)
    return veil, shade, count


def _amplitudes(block: _Block, centre: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Amplitudes (time, y, x) of veil and shade, frame by frame to stay within the processor's cache."""
    veil, shade = np.empty(block.valid.shape, dtype=np.float32), np.empty(block.valid.shape, dtype=np.float32)
    bands = len(block.spectra.bands)
    for frame, ground, veil_out, shade_out in zip(block.values, centre, veil, shade, strict=True):
        fitted = second_look(frame.reshape(bands, -1), ground.reshape(bands, -1), block.spectra)
        veil_out[...], shade_out[...] = (amplitude.reshape(veil_out.shape) for amplitude in fitted)
    return veil, shade


def second_look(values: FloatArray, centre: FloatArray, spectra: Spectra) -> tuple[FloatArray, FloatArray]:
    """Amplitudes of veil and shade from the difference to the clear reference.

    Parameters
    ----------
    values, centre : float32 arrays (band, pixel)
        Observed reflectance, and the reference's.
    spectra : Spectra
        Facts of these bands.

    Returns
    -------
    veil, shade : float32 arrays (pixel,)
        Amplitudes; negative = less than in the reference. The veil is the one, cloud or haze, that explains more;
        a mixture where they explain almost the same.
    """
    difference = values - centre
    pull = spectra.veil_metric @ difference
    cloud, by_cloud = _fit(spectra.cloud[:, None] - centre, pull, spectra.veil_metric)
    thinning = (spectra.haze / spectra.cloud)[:, None]
    haze, by_haze = _fit(spectra.haze[:, None] - thinning * centre, pull, spectra.veil_metric)
    dimming = spectra.direct[:, None] * np.minimum(spectra.path[:, None] - centre, 0.0)
    shade, _ = _fit(dimming, spectra.shade_metric @ difference, spectra.shade_metric)
    # A hard choice would jump where both explain the same, and a score would hang on a rounding error.
    lead = (by_cloud - by_haze) / (np.float32(_CLOSE_CALL) * (by_cloud + by_haze) + np.float32(1e-6))
    veil: FloatArray = haze + np.clip(np.float32(0.5) + lead, 0.0, 1.0) * (cloud - haze)
    return veil, shade


def _fit(direction: FloatArray, pull: FloatArray, metric: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Amplitude along ``direction`` by generalised least squares, and how much of the difference it explains."""
    along = np.einsum("bp,bp->p", direction, pull)
    square = np.einsum("bp,bp->p", direction, metric @ direction)
    amplitude = along / (square + np.float32(1.0 / _PRIOR_AMPLITUDE**2))
    return amplitude, amplitude * along


def _scatter(amplitude: FloatArray, weight: FloatArray) -> FloatArray:
    """Root mean square of the amplitudes of the other frames of a place, as far as they're trusted to be clear."""
    squares = np.minimum(np.square(amplitude), np.float32(_NOISE_CEILING**2)) * weight
    total = squares.sum(axis=0) - squares + np.float32(_NOISE_FRAMES * _NOISE_AMPLITUDE**2)
    frames = weight.sum(axis=0) - weight + np.float32(_NOISE_FRAMES)
    # A sum without one of its terms can fall below zero by a rounding.
    scatter: FloatArray = np.sqrt(np.maximum(total, 0.0) / frames)
    return scatter


def _score(veil: FloatArray, shade: FloatArray) -> FloatArray:
    """``(1 − f)^5 · (1 − k)^2`` of two amplitudes ≥ 0."""
    clear = 1.0 - np.minimum(veil, np.float32(1.0))
    lit = 1.0 - np.minimum(shade, np.float32(1.0))
    score: FloatArray = np.multiply(np.square(np.square(clear)) * clear, np.square(lit), dtype=np.float32)
    return score


def _smooth(field: FloatArray, valid: BoolArray, sigma: float) -> FloatArray:
    """Gaussian mean over y and x of the valid pixels of (time, y, x), `HALO` pixels wide."""
    half = np.arange(-HALO, HALO + 1)
    taps = np.exp(-0.5 * np.square(half / sigma))
    taps /= taps.sum()
    smooth: FloatArray = np.where(valid, field, np.float32(0.0))
    weight: FloatArray = valid.astype(np.float32)
    for axis in (1, 2):
        smooth = ndimage.correlate1d(smooth, taps, axis=axis, mode="constant")
        weight = ndimage.correlate1d(weight, taps, axis=axis, mode="constant")
    mean: FloatArray = np.divide(smooth, np.maximum(weight, np.float32(1e-6)), dtype=np.float32)
    return mean
