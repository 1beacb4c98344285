"""Pass one of `projection`: what the spectrum of a pixel alone says about veils and shade."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from clearsight.bands import BANDS, Level
from clearsight.reference import FloatArray

_NOT_PROJECTED: Final = ("B09", "B10")
"""Bands that depend on the height of a cloud and on water vapour far more than on how much cloud there is."""


def _table(**values: tuple[float, ...]) -> dict[str, FloatArray]:
    return {name: np.array(row, dtype=np.float32) for name, row in values.items()}


# Reflectance per band, in the order of `BANDS`. Round figures, from physics and from the general shape of spectra, not
# fitted to any scene: opaque cloud; haze as thick (blue, fading beyond 1 µm); path radiance of clear air at the top of
# the atmosphere; share of direct light; what differs from frame to frame anyway (more where bands say nearly the
# same). Then how a surface changes, per standard deviation: vigour of vegetation, soil brightness, canopy, moisture.
_SPECTRA: Final = _table(
    #       B01    B02    B03    B04    B05    B06    B07    B08    B8A    B09   B10  B11    B12
    cloud=(0.70, 0.68, 0.65, 0.66, 0.67, 0.68, 0.69, 0.69, 0.70, 0.35, 0.0, 0.52, 0.40),
    haze=(0.80, 0.68, 0.57, 0.46, 0.43, 0.40, 0.37, 0.33, 0.31, 0.10, 0.0, 0.13, 0.08),
    path=(0.095, 0.065, 0.037, 0.022, 0.018, 0.014, 0.011, 0.009, 0.008, 0.0, 0.0, 0.001, 0.0),
    direct=(0.70, 0.75, 0.82, 0.88, 0.90, 0.91, 0.92, 0.93, 0.94, 0.95, 1.0, 0.98, 0.99),
    noise=(0.030, 0.010, 0.010, 0.012, 0.030, 0.040, 0.040, 0.025, 0.040, 1.0, 1.0, 0.020, 0.020),
    vigour=(-0.005, -0.010, -0.010, -0.035, -0.020, 0.05, 0.08, 0.09, 0.09, 0.05, 0.0, -0.040, -0.050),
    soil=(0.010, 0.018, 0.028, 0.045, 0.050, 0.055, 0.06, 0.065, 0.07, 0.03, 0.0, 0.090, 0.080),
    canopy=(0.0, 0.001, 0.004, 0.003, 0.012, 0.05, 0.06, 0.065, 0.065, 0.03, 0.0, 0.020, 0.008),
    water=(0.0, 0.0, 0.002, -0.003, -0.010, -0.04, -0.05, -0.055, -0.055, -0.02, 0.0, -0.070, -0.050),
)
_NUISANCE: Final = ("vigour", "soil", "canopy", "water")
_PATH_LEFT_IN_L2A: Final = 0.1
_HAZE_LEFT_IN_REFERENCE: Final = 0.1

_VEIL_MARGIN: Final = 0.015
"""Haze-optimised transform of clear ground, at most, in reflectance."""
_DARKER_CLOUDS: Final[Mapping[str, float]] = {"B11": 0.6, "B12": 0.5}
_DARKER_CLOUD: Final = 0.85
"""How dark an opaque cloud may be in a band, relative to the table: ice clouds are dark beyond 1.5 µm."""


@dataclass(frozen=True)
class Spectra:
    """What the projection knows about the bands at hand; arrays are float32, (band,) unless said."""

    bands: tuple[str, ...]
    """Bands that take part, in the order of `BANDS`."""
    cloud: FloatArray
    """Reflectance of opaque cloud."""
    haze: FloatArray
    """Reflectance of a haze that hides as much."""
    path: FloatArray
    """Reflectance of clear air."""
    direct: FloatArray
    """Share of direct light in all light."""
    veil_metric: FloatArray
    """(band, band) inverse covariance of what isn't a veil: noise and changes of the surface."""
    shade_metric: FloatArray
    """(band, band) inverse covariance of what isn't a shadow: haze left in the reference, too."""


def spectra_of(names: Iterable[str], *, level: Level) -> Spectra:
    """Facts of those of ``names`` that take part in a projection."""
    given = set(names)
    bands = tuple(name for name in BANDS if name in given and name not in _NOT_PROJECTED)
    rows = {name: row[[BANDS[band].index for band in bands]] for name, row in _SPECTRA.items()}
    covariance = np.diag(np.square(rows["noise"].astype(np.float64)))
    for name in _NUISANCE:
        covariance += np.outer(rows[name], rows[name])
    haze_left = _HAZE_LEFT_IN_REFERENCE * rows["haze"].astype(np.float64)
    return Spectra(
        bands=bands,
        cloud=rows["cloud"],
        haze=rows["haze"],
        path=rows["path"] * np.float32(1.0 if level == "L1C" else _PATH_LEFT_IN_L2A),
        direct=rows["direct"],
        veil_metric=np.linalg.inv(covariance).astype(np.float32),
        shade_metric=np.linalg.inv(covariance + np.outer(haze_left, haze_left)).astype(np.float32),
    )


def first_look(bands: Mapping[str, FloatArray], spectra: Spectra) -> tuple[FloatArray, FloatArray]:
    """Amplitudes of veil and shade in each frame alone.

    Parameters
    ----------
    bands : mapping of band name to float32 array, any shape
        Reflectance, finite; at least B02, B03, B04; with ``B10`` only if it's to be used.
    spectra : Spectra
        Facts of the bands.

    Returns
    -------
    veil, shade : float32 arrays
        Amplitudes in [0, 1].
    """
    veil = np.clip(_haze(bands, spectra), 0.0, veil_limit(bands, spectra))
    veil *= 1.0 - snow(bands)
    if "B10" in bands:
        veil = np.maximum(veil, cirrus(bands["B10"]))
    return veil, _shade(bands)


def _step(value: FloatArray, low: float, high: float) -> FloatArray:
    """0 at ``low``, 1 at ``high``, straight between."""
    result: FloatArray = np.clip((value - np.float32(low)) * np.float32(1.0 / (high - low)), 0.0, 1.0)
    return result


def _haze(bands: Mapping[str, FloatArray], spectra: Spectra) -> FloatArray:
    """Veil by the haze-optimised transform, blue − red / 2: 1 for opaque cloud.

    Soils, rocks and vegetation rise so much faster in the red than in the blue that it stays near 0 (Zhang, Guindon
    and Cihlar 2002; the factor for Sentinel-2 and Landsat as in Zhu and Woodcock 2012).
    """
    half = np.float32(0.5)
    blue, red = spectra.bands.index("B02"), spectra.bands.index("B04")
    clear_air = spectra.path[blue] - half * spectra.path[red] + np.float32(_VEIL_MARGIN)
    opaque = spectra.cloud[blue] - half * spectra.cloud[red]
    veil: FloatArray = (bands["B02"] - half * bands["B04"] - clear_air) / (opaque - clear_air)
    return veil


def veil_limit(bands: Mapping[str, FloatArray], spectra: Spectra) -> FloatArray:
    """Share of cloud that a pixel can't exceed: a cloud of share f sends f times its own light in every band.

    It's what excludes water (dark in the infrared), snow (dark beyond 1.5 µm), and soil and vegetation (dark in the
    visible). Beyond 1.5 µm it doesn't bind what looks like an ice cloud. B01 is left out: at 60 m it would blur edges.
    """
    limit = np.ones_like(bands["B02"])
    ice = _ice_cloud(bands) if "B11" in bands else np.float32(0.0)
    for name, cloud, path in zip(spectra.bands, spectra.cloud, spectra.path, strict=True):
        if name != "B01":
            full = (cloud - path) * np.float32(_DARKER_CLOUDS.get(name, _DARKER_CLOUD))
            share = (bands[name] - path) / full
            np.minimum(limit, np.maximum(share, ice) if name in _DARKER_CLOUDS else share, out=limit)
    return np.maximum(limit, 0.0, out=limit)


def snow(bands: Mapping[str, FloatArray]) -> FloatArray | np.float32:
    """Snow-likeness in [0, 1]: the normalised difference snow index, and dark beyond 1.5 µm; 0 without B11."""
    if "B11" not in bands:
        return np.float32(0.0)
    return _snow_index(bands) * _step(bands["B03"], 0.10, 0.20) * _dark_as_snow(bands)


def _ice_cloud(bands: Mapping[str, FloatArray]) -> FloatArray:
    """Likeness to an ice cloud in [0, 1]: bright, with the index of snow, and yet not snow."""
    return _snow_index(bands) * _step(bands["B03"], 0.25, 0.45) * (1.0 - _dark_as_snow(bands))


def _snow_index(bands: Mapping[str, FloatArray]) -> FloatArray:
    green: FloatArray = np.maximum(bands["B03"], np.float32(1e-3))
    swir: FloatArray = np.maximum(bands["B11"], np.float32(1e-3))
    return _step((green - swir) / (green + swir), 0.40, 0.60)


def _dark_as_snow(bands: Mapping[str, FloatArray]) -> FloatArray:
    """1 where something with the index of snow is snow, 0 where it's an ice cloud.

    Most ice clouds are brighter than snow beyond 1.5 µm; their small crystals make the others brighter at 2.2 µm than
    at 1.6, which snow isn't; and what's high shows in the cirrus band.
    """
    swir: FloatArray = np.maximum(bands["B11"], np.float32(1e-3))
    dark = 1.0 - _step(swir, 0.13, 0.20)
    if "B12" in bands:
        dark *= 1.0 - _step(bands["B12"] / swir, 1.08, 1.20) * _step(swir, 0.03, 0.06)
    if "B10" in bands:
        dark *= 1.0 - _step(bands["B10"], 0.015, 0.04)
    return dark


def water(bands: Mapping[str, FloatArray]) -> FloatArray | np.float32:
    """Water-likeness in [0, 1]: darker in the near infrared than in the green, black beyond 1.5 µm; 0 without them.

    Shaded land is neither, so that a flood isn't taken for a shadow.
    """
    near = _near_infrared(bands)
    if near is None:
        return np.float32(0.0)
    green: FloatArray = np.maximum(bands["B03"], np.float32(1e-3))
    near = np.maximum(near, np.float32(1e-3))
    likeness = _step((green - near) / (green + near), 0.05, 0.30)
    swir = _short_wave(bands)
    if swir is not None:
        likeness *= 1.0 - _step(swir, 0.02, 0.04)
    return likeness


def _near_infrared(bands: Mapping[str, FloatArray]) -> FloatArray | None:
    return next((bands[name] for name in ("B8A", "B08") if name in bands), None)


def _short_wave(bands: Mapping[str, FloatArray]) -> FloatArray | None:
    return next((bands[name] for name in ("B12", "B11") if name in bands), None)


def cirrus(b10: FloatArray) -> FloatArray:
    """Veil seen in the cirrus band.

    Vapour above low ground blackens it, so that it shows what's high up; dry high ground shines through a little.
    """
    veil: FloatArray = np.clip((b10 - np.float32(0.006)) * np.float32(6.0), 0.0, 1.0)
    return veil


def _shade(bands: Mapping[str, FloatArray]) -> FloatArray:
    """Shade seen in one frame: ground dark beyond the visible, bluish, and yet not water; 0 without a near infrared.

    Without a reference, dark ground, low sun and shadow are hard to tell apart. So the amplitude stays at most at one
    half, which makes a score of 0.25, and is reached only where everything fits.
    """
    near = _near_infrared(bands)
    if near is None:
        return np.zeros_like(bands["B02"])
    blue, green, red = bands["B02"], bands["B03"], bands["B04"]
    shade = np.float32(0.5) * (1.0 - _step(near, 0.07, 0.14))
    # Water is darker in the near infrared than in the green, shaded land isn't.
    shade *= _step(near - green, -0.03, 0.0)
    shade *= _step((blue - red) / np.maximum(blue + red, np.float32(1e-3)), 0.0, 0.2)
    swir = _short_wave(bands)
    if swir is None:
        return shade * np.float32(0.5)
    shade *= _step(swir, 0.006, 0.012) * (1.0 - _step(swir, 0.020, 0.045))
    return shade
