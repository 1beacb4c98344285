"""The bank of simulated clips: rendered once by many processes, read again and again by the training.

A clip is one place on several dates. Its number is its seed: whatever the number of workers, clip 17 is clip 17. Clips
lie in shards, folders of plain ``.npy`` files which training maps into memory; a shard that exists is whole.

Stored are digital numbers of reflectance as in products of today (``10 000 ρ + 1000``, 0 = nodata), 10 m bands on the
10 m grid, all others on the 20 m grid. Surface reflectance isn't stored: it follows from the top of the atmosphere and
the air that an L2A processor would have guessed, five numbers a band.
"""

from __future__ import annotations

import datetime
import json
import multiprocessing
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from clearsight.bands import BANDS
from clearsight.errors import ArgumentError
from clearsight.progress import Progress, silent
from clearsight.simulate.air import atmosphere
from clearsight.simulate.air.state import Air, Geometry
from clearsight.simulate.cloud.sky import draw_sky
from clearsight.simulate.draws import draw_air, draw_date, draw_setting, draw_sun
from clearsight.simulate.imaging.render import render
from clearsight.simulate.imaging.sensor import observe, swath
from clearsight.simulate.places.real import real_surfaces
from clearsight.simulate.places.surfaces import KINDS, Surface, make_surface, surface_reflectance, terrain_light
from clearsight.training.target import clear_score

Array = NDArray[np.float32]

TEN: Final = ("B02", "B03", "B04", "B08")
TWENTY: Final = ("B05", "B06", "B07", "B8A", "B11", "B12")
SIXTY: Final = ("B01", "B09", "B10")
ORDER: Final = (*TEN, *TWENTY, *SIXTY)
"""Order of bands in clips and in the network."""

FACTS: Final = ("day", "sun_zenith", "sun_azimuth", "view_zenith", "view_azimuth", "pixel", "latitude")
"""What ``facts.npy`` holds of each frame; days since 1970, degrees, metres."""

SHARD: Final = 16
_OFFSET: Final = 1000.0
_PIXEL_SHARE: Final = (0.62, 0.28, 0.05, 0.05)
_REAL_SHARE: Final = 0.12


@dataclass(frozen=True)
class Plan:
    """What a bank holds."""

    folder: Path
    """Of the bank; made if needed."""
    clips: int
    """How many."""
    first: int = 0
    """Number of the first clip."""
    frames: int = 6
    """Of each clip."""
    size: int = 192
    """Pixels of a side; a multiple of 6."""
    real: Path | None = None
    """Folder of real clear chips that serve as ground in some clips."""
    kinds: tuple[str, ...] = KINDS
    """Of the places."""
    pixels: tuple[float, ...] = (10.0, 20.0, 40.0, 60.0)
    """Sizes in metres; the first is drawn most often."""

    def __post_init__(self) -> None:
        if self.size % 6:
            raise ArgumentError(f"size={self.size}: expected a multiple of 6, so that the 60 m grid fits.")
        if self.clips < 1 or self.frames < 2:
            raise ArgumentError(f"clips={self.clips}, frames={self.frames}: expected at least 1 clip of 2 frames.")


def fill_bank(plan: Plan, *, workers: int = 1, progress: Progress = silent) -> list[Path]:
    """Render the shards that aren't there yet.

    Parameters
    ----------
    plan : Plan
        What to render.
    workers : int
        Processes.
    progress : callable
        Told of every shard.

    Returns
    -------
    list of Path
        All shards of the plan.
    """
    plan.folder.mkdir(parents=True, exist_ok=True)
    starts = range(plan.first, plan.first + plan.clips, SHARD)
    shards = [plan.folder / f"{start:08d}" for start in starts]
    missing = [(path, start) for path, start in zip(shards, starts, strict=True) if not path.exists()]
    done = len(shards) - len(missing)
    progress(done, len(shards), "rendering clips")
    # Not a pool executor: with a limit of tasks for each of its processes, that of Python 3.11 comes to a halt.
    # A fresh process now and then lets whoever improves the simulated world meanwhile see it at work.
    with multiprocessing.get_context("spawn").Pool(workers, maxtasksperchild=4) as pool:
        for _ in pool.imap_unordered(_write_shard, ((path, start, plan) for path, start in missing)):
            done += 1
            progress(done, len(shards), "rendering clips")
    return shards


def _write_shard(task: tuple[Path, int, Plan]) -> None:
    path, start, plan = task
    part = path.with_name(f".{path.name}.{os.getpid()}")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    clips = [make_clip(number, plan=plan) for number in range(start, min(start + SHARD, plan.first + plan.clips))]
    for name in clips[0]:
        np.save(part / f"{name}.npy", np.stack([clip[name] for clip in clips]))
    (part / "clips.json").write_text(json.dumps({"first": start, "clips": len(clips)}))
    part.rename(path)


def make_clip(number: int, *, plan: Plan) -> dict[str, NDArray[Any]]:
    """One place on several dates, as the satellite sees it, with the truth.

    Returns
    -------
    dict
        ``ten`` (frame, 4, y, x), ``twenty`` (frame, 6, y/2, x/2), ``sixty`` (frame, 3, y/2, x/2): uint16. ``cs`` and
        ``q`` (frame, y, x): uint8, 0 … 200, 255 = nodata. ``cause`` (frame, y, x): uint8. ``facts`` (frame, 7) and
        ``guess`` (frame, 13, 3), float64 and float32: what `surface_of` needs, bands in the order of ``ORDER``.

    Examples
    --------
    >>> clip = make_clip(3, plan=Plan(Path("."), clips=1, frames=2, size=48))
    >>> clip["ten"].shape, clip["cs"].dtype
    ((2, 4, 48, 48), dtype('uint8'))
    """
    rng = np.random.default_rng([4241, number])
    shares = np.array(_PIXEL_SHARE[: len(plan.pixels)])
    pixel = float(rng.choice(plan.pixels, p=shares / shares.sum()))
    surface, lift = _place(number, rng, pixel=pixel, plan=plan)
    elevation = (surface.elevation + np.float32(lift)).clip(-400, 6000)
    platforms = rng.choice(["S2A", "S2B", "S2C"], size=plan.frames, p=[0.45, 0.45, 0.1])
    # Some places are dry, some are under cloud for months.
    clear = [None, 0.6, 0.0, 0.3][int(rng.choice(4, p=[0.5, 0.15, 0.1, 0.25]))]
    frames: list[dict[str, NDArray[Any]]] = []
    for day, platform in zip(_days(rng, latitude=surface.latitude, count=plan.frames), platforms, strict=True):
        sun = draw_sun(rng, latitude=surface.latitude, date=day)
        air = draw_air(rng, latitude=surface.latitude, date=day, elevation=float(elevation.mean()) / 1000)
        seed = int(rng.integers(2**31))
        chance = clear if clear is None else float(rng.random() < clear)
        sky = draw_sky(seed, shape=elevation.shape, pixel=pixel, elevation=elevation, air=air, clear=chance)
        light = terrain_light(surface, sun_zenith=sun.sun_zenith, sun_azimuth=sun.sun_azimuth)
        seen = render(
            surface_reflectance(surface, date=day), sky=sky, geometry=sun, platform=platform, light=light,
            elevation=elevation, pixel=pixel, seed=seed,
        )  # fmt: skip
        edge = float(rng.uniform(0.05, 0.6)) if rng.random() < 0.08 else None
        boundary = float(rng.uniform(0.1, 0.9)) if rng.random() < 0.15 else None
        detector = swath(elevation.shape, seed=seed, edge=edge, boundary=boundary)
        instrument = observe(seen.toa, seed=seed, sun_zenith=sun.sun_zenith, detector=detector)
        bands = {name: _decoded(instrument.dn[name], offset=instrument.offset) for name in BANDS}
        valid = instrument.valid
        guess = _guess(sky.air, sun, platform=str(platform), rng=rng)
        frames.append({
            "ten": np.stack([bands[name] for name in TEN]),
            "twenty": np.stack([bands[name] for name in TWENTY]),
            "sixty": np.stack([_onto_20m(bands[name]) for name in SIXTY]),
            "cs": _encoded(clear_score(seen), valid),
            "q": _encoded(seen.q, valid),
            "cause": np.where(valid, seen.cause, np.uint8(5)),
            "facts": np.array([
                day.toordinal() - datetime.date(1970, 1, 1).toordinal(), sun.sun_zenith, sun.sun_azimuth,
                sun.view_zenith, sun.view_azimuth, pixel, surface.latitude,
            ]),
            "guess": guess,
        })  # fmt: skip
    return {name: np.stack([frame[name] for frame in frames]) for name in frames[0]}


def _place(number: int, rng: np.random.Generator, *, pixel: float, plan: Plan) -> tuple[Surface, float]:
    """Ground of a clip, and metres to lift it by."""
    shape = (plan.size, plan.size)
    if plan.real is not None and pixel == 10.0 and rng.random() < _REAL_SHARE:
        return real_surfaces(plan.real, shape=shape, seed=number), float(rng.exponential(200.0))
    kind = str(rng.choice(plan.kinds))
    setting = draw_setting(rng, kind=kind)
    return make_surface(kind, shape=shape, seed=number, latitude=setting.latitude, pixel=pixel), setting.lift


def _days(rng: np.random.Generator, *, latitude: float, count: int) -> list[datetime.date]:
    """Dates in order, days to months apart, some of them a year or more earlier; the sun is up on all."""
    first = draw_date(rng, latitude=latitude)
    reach = float(np.exp(rng.uniform(np.log(15.0), np.log(400.0))))
    days = [first]
    while len(days) < count:
        day = first + datetime.timedelta(
            days=round(float(rng.uniform(0, reach)) / 2.5) * 2 + 365 * int(rng.random() < 0.1)
        )
        if draw_sun(np.random.default_rng(0), latitude=latitude, date=day).sun_zenith < 80:
            days.append(day)
        else:
            days.append(draw_date(rng, latitude=latitude, first=first, days=365))
    return sorted(days)


def _guess(air: Air, sun: Geometry, *, platform: str, rng: np.random.Generator) -> Array:
    """(13, 3) path, scale and albedo, bands as in ``ORDER``, of the air that an L2A processor believes in."""
    aot = np.mean(np.asarray(air.aot)) * np.exp(0.3 * rng.standard_normal()) + 0.03 * rng.standard_normal()
    vapour = np.clip(air.water_vapour * np.exp(0.1 * rng.standard_normal()), 0.05, 7.5)
    believed = replace(air, aerosol="continental", aot=float(np.clip(aot, 0.02, 1.0)), water_vapour=float(vapour))
    c = atmosphere.coefficients(believed, sun, platform=platform)  # type: ignore[arg-type]
    table = np.stack([c.path, c.gas * (c.down + c.down_diffuse) * c.up, c.albedo], axis=-1)
    return np.asarray(table[[tuple(BANDS).index(name) for name in ORDER]], dtype=np.float32)


def surface_of(toa: Array, guess: Array, *, around: float | None = None) -> Array:
    """Surface reflectance of (…, band, y, x) reflectance under the guessed air (…, band, 3); B10 comes out as noise.

    ``around`` is what a processor takes the surroundings to reflect, whose light the air throws back onto a pixel (0.15
    is usual: Richter, ATCOR user guide); None = as much as the pixel itself. Where it is bright the difference counts:
    clouds and snow come out too bright, and too blue.
    """
    path, scale, albedo = (guess[..., i, None, None] for i in range(3))
    y = (toa - path) / scale
    return np.asarray(y / (1.0 + albedo * y) if around is None else y * (1.0 - albedo * around), dtype=np.float32)


def decode(dn: NDArray[np.uint16]) -> Array:
    """Reflectance of stored digital numbers, NaN = nodata."""
    values = (dn.astype(np.float32) - np.float32(_OFFSET)) * np.float32(1e-4)
    values[dn == 0] = np.nan
    return values


def _decoded(dn: NDArray[np.uint16], *, offset: int) -> NDArray[np.uint16]:
    """Digital numbers with the offset of today's products, whatever they had."""
    moved = np.where(dn > 0, dn.astype(np.int32) + offset + int(_OFFSET), 0)
    return np.asarray(np.clip(moved, 0, 65535), dtype=np.uint16)


def _onto_20m(dn: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """A 60 m band on the 20 m grid, as loading gives it: bilinear, and nothing next to nodata gets lost."""
    bad = dn == 0
    values = dn.astype(np.float32)
    if bad.any() and not bad.all():
        values = values[tuple(ndimage.distance_transform_edt(bad, return_distances=False, return_indices=True))]
    fine = ndimage.zoom(values, 3, order=1, mode="nearest", grid_mode=True)
    fine[np.repeat(np.repeat(bad, 3, 0), 3, 1)] = 0
    return np.asarray(np.rint(fine), dtype=np.uint16)


def _encoded(share: Array, valid: NDArray[np.bool_]) -> NDArray[np.uint8]:
    return np.where(valid, np.rint(np.clip(share, 0, 1) * 200), 255).astype(np.uint8)


def shards_of(folder: Path) -> Iterator[Path]:
    """Whole shards of a bank, in order."""
    yield from sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
