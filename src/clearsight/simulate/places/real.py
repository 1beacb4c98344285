"""Real clear images as ground: chips of Sentinel-2 L1C, freed from a plausible air, that green and fade with the year.

What a generator of places leaves out, real ground has: borders, roads, villages, swell, spits, in the mixture and the
arrangement that people and rivers made. Its weather isn't known, so only mild changes over the year are laid over it.
"""

from __future__ import annotations

import datetime
import json
import re
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from clearsight.bands import BANDS
from clearsight.errors import ArgumentError, EmptySourceError
from clearsight.simulate.air.atmosphere import Air, Geometry, coefficients, to_surface
from clearsight.simulate.draws import draw_air, draw_date, draw_sun
from clearsight.simulate.ground.spectra import mixtures
from clearsight.simulate.places.surfaces import Surface, surface_from_reflectance

__all__ = ["Chip", "clear_chips", "ground_of", "real_surfaces"]

Array = NDArray[np.float32]

_CLOUDY: Final = re.compile(r"cloud|cirrus|cumul|haze|shadow|snow", re.IGNORECASE)
_PIXEL: Final = 10
"""Metres; chips of other pixels are left out."""
_SMALLEST: Final = 96
"""Pixels of a chip's side: mirrors of less would look like a kaleidoscope."""
_UNKNOWN_LATITUDE: Final = 20.0
_DARKEST: Final = 0.004
"""Least surface reflectance in the visible of a chip's darkest half per cent: with more haze than that allows, ground
would be darker than any water is."""
_KNOTS: Final = 5
"""Images within a year."""

_B03, _B04, _B08, _B8A, _B09, _B10, _B11 = (
    tuple(BANDS).index(name) for name in ("B03", "B04", "B08", "B8A", "B09", "B10", "B11")
)


@dataclass(frozen=True, eq=False)
class Chip:
    """A clear real image."""

    name: str
    toa: Array
    """(13, y, x) reflectance at the top of the atmosphere, without nodata."""
    latitude: float
    """Degrees, north positive."""


@lru_cache(maxsize=4)
def clear_chips(folder: Path) -> tuple[Chip, ...]:
    """The chips of a folder that are clear all over, in the order of their names; read once.

    Parameters
    ----------
    folder : Path
        With ``manifest.json`` (a list of ``name``, ``state``, ``pixel_m`` …) and ``NAME.npz`` with ``toa`` (13, y, x).
        Left out are chips whose state tells of clouds, haze or snow, of other pixels than 10 m, smaller than 96 pixels,
        or with nodata.

    Returns
    -------
    tuple of Chip

    Raises
    ------
    EmptySourceError
        Nothing is left, or there is no manifest.
    """
    manifest = folder / "manifest.json"
    if not manifest.is_file():
        raise EmptySourceError(f"folder={folder} holds no manifest.json; expected a folder of L1C chips with one.")
    chips = []
    for entry in sorted(json.loads(manifest.read_text(encoding="utf-8")), key=lambda entry: str(entry["name"])):
        if entry["pixel_m"] != _PIXEL or min(entry["shape"][1:]) < _SMALLEST or not _is_clear(entry):
            continue
        with np.load(folder / f"{entry['name']}.npz") as file:
            toa = file["toa"].astype(np.float32)
        if np.isfinite(toa).all():
            chips.append(Chip(str(entry["name"]), toa, _latitude(entry)))
    if not chips:
        raise EmptySourceError(f"folder={folder} holds no clear chip of 10 m without nodata; add one to its manifest.")
    return tuple(chips)


def _is_clear(entry: dict[str, Any]) -> bool:
    """Whether nothing of the state that concerns this chip's date speaks of clouds."""
    date = str(entry.get("date") or "").replace("-", "")
    for part in str(entry["state"]).split(";"):
        named = re.findall(r"\d{4,8}", part)
        concerns = not named or not date or any(date.startswith(number) for number in named)
        if concerns and _CLOUDY.search(part):
            return False
    return True


def _latitude(entry: dict[str, Any]) -> float:
    """Of a chip, from its bounds or the name of its place."""
    numbers = [float(number) for number in re.findall(r"-?\d+\.\d+", str(entry.get("bounds") or ""))]
    crs = str(entry.get("crs") or "")
    if len(numbers) == 4:
        if crs == "EPSG:4326":
            return numbers[1]
        south = crs.startswith("EPSG:327")
        return (numbers[1] - (1e7 if south else 0.0)) / 110_900
    words = re.search(r"(\d+\.?\d*)([NS])\b", str(entry.get("place") or ""))
    return float(words[1]) * (1 if words[2] == "N" else -1) if words else _UNKNOWN_LATITUDE


def real_surfaces(folder: Path, *, shape: tuple[int, int], seed: int) -> Surface:
    """Make a place of real ground: one random crop of a random clear chip, turned, under an air that could have been.

    Parameters
    ----------
    folder : Path
        See ``clear_chips``.
    shape : (int, int)
        Rows and columns, at least 2; where the chip is smaller, it goes on as in a mirror.
    seed : int
        What chip, crop, turn, air and change over the year are drawn from.

    Returns
    -------
    Surface
        Of ``kind`` "image", flat, with five images a year that come back every year.

    Raises
    ------
    ArgumentError
        ``shape`` is too small.
    EmptySourceError
        The folder holds no clear chip.

    Notes
    -----
    Slopes keep the shading that the sun of the real image gave them, and the turn moves it about: such ground tells
    nothing of the sun. B10 sees next to nothing of the ground, so its reflectance there is made of B8A and B11.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     entry = {"name": "field", "state": "clear", "pixel_m": 10, "shape": [13, 96, 96]}
    ...     _ = Path(folder, "manifest.json").write_text(json.dumps([entry]))
    ...     np.savez(Path(folder, "field.npz"), toa=np.full((13, 96, 96), 0.2, dtype="float32"))
    ...     real_surfaces(Path(folder), shape=(128, 64), seed=1).classes.shape
    (128, 64)
    """
    if len(shape) != 2 or min(shape) < 2:
        raise ArgumentError(f"shape={shape}: expected two numbers of at least 2, rows and columns.")
    rng = np.random.default_rng([abs(seed), int(seed < 0), 61])
    chips = clear_chips(Path(folder))
    chip = chips[int(rng.integers(len(chips)))]
    boa = ground_of(_crop(chip.toa, shape=shape, rng=rng), latitude=chip.latitude, rng=rng)
    # The same days of every year; where the image itself belongs isn't known.
    start = datetime.date(2001, 1, 1) + datetime.timedelta(days=int(rng.integers(365 // _KNOTS)))
    dates = [start + datetime.timedelta(days=number * 365 // _KNOTS) for number in range(_KNOTS)]
    images = _through_the_year(boa, rng=rng)
    surface = surface_from_reflectance(images, dates=dates, latitude=chip.latitude, pixel=float(_PIXEL), seed=seed)
    return replace(surface, yearly=True)


def _crop(toa: Array, *, shape: tuple[int, int], rng: np.random.Generator) -> Array:
    """A random part, flipped and transposed at random, with mirrors around a chip that is too small."""
    if rng.random() < 0.5:
        toa = toa.transpose(0, 2, 1)
    toa = toa[:, :: int(rng.choice([1, -1])), :: int(rng.choice([1, -1]))]
    lack = [max(wanted - have, 0) for wanted, have in zip(shape, toa.shape[1:], strict=True)]
    toa = np.pad(toa, [(0, 0), *((part // 2, part - part // 2) for part in lack)], mode="symmetric")
    top, left = (int(rng.integers(have - wanted + 1)) for wanted, have in zip(shape, toa.shape[1:], strict=True))
    return np.ascontiguousarray(toa[:, top : top + shape[0], left : left + shape[1]])


def ground_of(toa: Array, *, latitude: float, rng: np.random.Generator) -> Array:
    """Surface reflectance of a clear image under an air that could have been.

    Sun and air are drawn for the latitude. Haze and the sun's slant are then taken back until the darkest ground is no
    darker than water (after the dark-object method, Chavez 1988, Remote Sensing of Environment 24, 459), and the vapour
    is the one that makes land as bright in B09 as in B8A.

    Parameters
    ----------
    toa : float32 array (13, y, x)
        Clear reflectance at the top of the atmosphere.
    latitude : float
        Degrees, north positive.
    rng : numpy Generator
        Source of chance.

    Returns
    -------
    float32 array (13, y, x)
        0 … 1.

    Examples
    --------
    >>> grey = np.full((13, 8, 8), 0.2, dtype="float32")
    >>> ground = ground_of(grey, latitude=40.0, rng=np.random.default_rng(1))
    >>> bool(ground[1].mean() < 0.2 < ground[9].mean())
    True
    """
    date = draw_date(rng, latitude=latitude)
    sun = draw_sun(rng, latitude=latitude, date=date)
    air = draw_air(rng, latitude=latitude, date=date, elevation=0.2)
    dark = np.percentile(toa, 0.5, axis=(1, 2)).astype(np.float32)[:, None, None]
    for less in 0.7 ** np.arange(12):
        clean = replace(air, aot=float(np.asarray(air.aot) * less))
        high = Geometry(
            20 + (sun.sun_zenith - 20) * less if sun.sun_zenith > 20 else sun.sun_zenith,
            sun.sun_azimuth, sun.view_zenith, sun.view_azimuth,
        )  # fmt: skip
        if to_surface(dark, coefficients(clean, high))[: _B04 + 1].min() >= _DARKEST:
            break
    clean = replace(clean, water_vapour=_vapour(toa, air=clean, sun=high))
    boa = to_surface(toa, coefficients(clean, high))
    green = _green(boa)
    near, far = boa[_B8A], boa[_B11]
    boa[_B09] = np.clip(boa[_B09], 0.6 * near, 1.2 * near + 0.005)
    boa[_B10] = (1 - 0.35 * green) * (0.32 * near + 0.68 * far)
    return np.clip(boa, 0.001, 1.0, out=boa)


def _vapour(toa: Array, *, air: Air, sun: Geometry) -> float:
    """Vapour in g/cm² that makes bright land alike in B8A and B09; as drawn where there's no land."""
    land = toa[_B8A] > 0.12
    if land.mean() < 0.05:
        return air.water_vapour
    mean = toa[:, land].mean(axis=1)[:, None, None]
    guesses = np.geomspace(0.1, 7.5, 24)
    ratio = []
    for guess in guesses:
        ground = to_surface(mean.copy(), coefficients(replace(air, water_vapour=float(guess)), sun))
        ratio.append(float(ground[_B09, 0, 0] / max(float(ground[_B8A, 0, 0]), 1e-3)))
    return float(guesses[int(np.abs(np.array(ratio) - 0.97).argmin())])


def _green(boa: Array) -> Array:
    """Share of green leaves, 0 … 1, from the normalised difference of near infrared and red."""
    index = (boa[_B08] - boa[_B04]) / np.maximum(boa[_B08] + boa[_B04], 0.01)
    return np.asarray(np.clip((index - 0.2) / 0.6, 0.0, 1.0), dtype=np.float32)


def _through_the_year(boa: Array, *, rng: np.random.Generator) -> Array:
    """Images (knots, 13, y, x): the real one first, then with more or fewer leaves, wetter soil and other water.

    Ground that looks alike changes alike: how far leaves fade is a smooth random function of the pixel's own spectrum,
    taken over three pixels, so that the borders of fields stay where they are.
    """
    green = _green(boa)
    water = (boa[_B03] > boa[_B08]) & (boa[_B11] < 0.06)
    traits = np.stack([green, uniform_filter(boa[_B11], 3) * 3, uniform_filter(boa[_B04], 3) * 8])
    litter = mixtures(rng, material="litter", count=1)[0][:, None, None]
    soil = mixtures(rng, material="soil", count=1)[0][:, None, None]
    # Evergreen places hardly fade, others lose most leaves; what stands there keeps its texture of crowns and rows.
    most = 0.8 * float(rng.beta(1.0, 1.8))
    texture = np.clip(boa[_B08] / np.maximum(uniform_filter(boa[_B08], 9), 0.01), 0.5, 1.6)
    images = [boa]
    for _ in range(_KNOTS - 1):
        angles, phase = rng.normal(0.0, 2.0, 3).astype(np.float32), float(rng.uniform(0, 2 * np.pi))
        fade = most * green * (0.5 + 0.5 * np.sin(np.tensordot(angles, traits, 1) + phase))
        bare = (0.6 * litter + 0.4 * soil) * np.float32(rng.uniform(0.5, 1.0)) * texture
        damp = 1 - rng.uniform(0.0, 0.18) * (1 - green)
        land = (boa + fade * (np.minimum(bare, 0.5) - boa)) * damp
        # More or less silt: brighter the longer the wavelength, until water itself takes it.
        silt = np.exp(rng.normal(0.0, 0.18) * np.linspace(0.5, 1.5, 13))[:, None, None]
        images.append(np.where(water, boa * silt, land).astype(np.float32))
    return np.clip(np.stack(images), 0.0, 1.0)
