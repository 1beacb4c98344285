"""Forms of cloud, kind by kind: random fields on a periodic canvas; used by ``fields`` only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from clearsight.simulate.cloud.noise import noise

Array = NDArray[np.float32]

Canvas = tuple[int, int]


@dataclass(frozen=True)
class Body:
    """Form of a layer."""

    depth: Array
    """Optical depth relative to the recipe's, about 1 in the body, 0 outside."""
    tower: Array
    """Height of the top above the base relative to the recipe's depth, 0 … about 1."""


_Field = Callable[[np.random.Generator, Canvas, float, float, float], Body]


def _threshold(field: Array, cover: float) -> float:
    """Level that ``cover`` of the field lies above."""
    if cover <= 0.0:
        return float(field.max())
    if cover >= 1.0:
        return float(field.min()) - 3.0 * float(field.std())
    flat = field.ravel()
    place = round((1.0 - cover) * (flat.size - 1))
    return float(np.partition(flat, place)[place])


def _inward(field: Array, cover: float) -> Array:
    """About how many pixels inside the cloud's rim a pixel lies, 0 outside.

    That is the field's excess over the rim's level, in units of its usual change from one pixel to the next.
    """
    lag = 4
    change = float(np.sqrt(2.0) * np.abs(field[:, lag:] - field[:, :-lag]).mean()) / lag
    return np.asarray(np.maximum(field - _threshold(field, cover), 0.0) / (change or 1.0), dtype=np.float32)


def _rim(inward: Array, edge: float) -> Array:
    """Rise of the optical depth from the rim into the body, 0 … 1."""
    return np.asarray(-np.expm1(inward * np.float32(-1.0 / edge)), dtype=np.float32)


def _deck(depth: Array, inward: Array, edge: float, rough: Array) -> Body:
    """A layer with a flat top that sinks at its rim; ``rough`` has zero mean and unit spread."""
    level = np.float32(0.8) + np.float32(0.06) * rough
    return Body(np.asarray(depth, dtype=np.float32), np.asarray(level * _rim(inward, edge) ** 0.5, dtype=np.float32))


def _heap(
    rng: np.random.Generator, canvas: Canvas, cover: float, edge: float, largest: float, *, streets: float = 0.0
) -> Body:
    """Heaps with flat bases and cauliflower tops: many sizes, steep rims, creases between the turrets; ``streets`` of
    the skies line them up along the wind."""
    outline = noise(rng, canvas, slope=2.0, largest=largest, smallest=2.0)
    if rng.random() < streets:
        outline = outline + np.float32(rng.uniform(0.8, 1.6)) * _rolls(rng, canvas, largest)
    bulges = np.abs(noise(rng, canvas, slope=1.7, largest=largest / 4, smallest=1.0))
    ragged = noise(rng, canvas, slope=1.3, largest=10, smallest=3.0)
    inward = _inward(outline - np.float32(0.15) * bulges + np.float32(0.03) * ragged, cover)
    # Turrets: a dome that grows inwards, with creases where two of them meet (the zeros of a noise's absolute value).
    dome = 1.0 - np.exp(-inward / np.float32(max(3 * edge, largest / 6)))
    small = np.abs(noise(rng, canvas, slope=1.7, largest=largest / 12, smallest=1.0))
    tower = dome * (0.55 + 0.28 * bulges + 0.10 * small)
    depth = _rim(inward, edge) * (0.25 + 0.95 * dome) * (0.55 + 0.40 * bulges + 0.20 * small)
    return Body(np.asarray(depth, dtype=np.float32), np.asarray(tower, dtype=np.float32))


def _rolls(rng: np.random.Generator, canvas: Canvas, largest: float) -> Array:
    """Stripes of rising and sinking air along the wind, some two clouds apart, wandering and broken."""
    apart, angle = rng.uniform(1.2, 3.0) * largest, rng.uniform(0, np.pi)
    # Whole periods of the canvas down and across keep it seamless.
    down, across = round(canvas[0] / apart * np.sin(angle)), round(canvas[1] / apart * np.cos(angle))
    y, x = np.ogrid[: canvas[0], : canvas[1]]
    bend = noise(rng, canvas, slope=2.2, largest=8 * largest)
    return np.asarray(
        np.cos(2 * np.pi * (down * y / canvas[0] + across * x / canvas[1]).astype(np.float32) + 0.8 * bend),
        dtype=np.float32,
    )


def _cumulus(rng: np.random.Generator, canvas: Canvas, cover: float, edge: float, pixel: float) -> Body:
    """From fair-weather puffs of 30 m, which stay flat and let light through, to heaps of more than a kilometre."""
    largest = float(np.exp(rng.uniform(np.log(80 + 600 * cover**2), np.log(1500))))
    body = _heap(rng, canvas, cover, min(edge, 0.15 * largest / pixel), largest / pixel, streets=0.25)
    flat = np.float32(min(1.0, largest / 600))
    return Body(body.depth * (np.float32(0.15) + np.float32(0.85) * flat), body.tower * (0.1 + 0.9 * flat))


def _congestus(rng: np.random.Generator, canvas: Canvas, cover: float, edge: float, pixel: float) -> Body:
    return _heap(rng, canvas, cover, edge, float(rng.uniform(1200, 3500)) / pixel)


def _deep(rng: np.random.Generator, canvas: Canvas, cover: float, edge: float, pixel: float) -> Body:
    """Thunderclouds: a broad anvil of ice, rough where towers break through it."""
    largest = float(rng.uniform(2500, 6000)) / pixel
    inward = _inward(noise(rng, canvas, slope=2.2, largest=largest), cover)
    towers = noise(rng, canvas, slope=1.8, largest=largest / 5, smallest=1.5)
    depth = _rim(inward, edge) * np.exp(np.float32(0.35) * towers)
    return _deck(depth, inward, edge, np.float32(0.8) * np.maximum(towers, -0.5))


def _cells(rng: np.random.Generator, canvas: Canvas, size: float) -> Array:
    """Closed cells about ``size`` pixels wide, full in the middle: difference of the distances to the two nearest of
    random centres, found on a coarse grid, because it's smooth between the seams."""
    step = int(np.clip(size // 8, 2, 8)) // 2 * 2
    step = 8 if step == 6 else step
    rows, columns = canvas[0] // step, canvas[1] // step
    count = max(4, int(canvas[0] * canvas[1] / size**2))
    tree = cKDTree(rng.random((count, 2)) * (rows, columns) * (1 - 1e-9), boxsize=(rows, columns))
    # Random centres alone make polygons; bending the plane first makes them cells.
    warp = [noise(rng, (rows, columns), slope=1.8, largest=size / step) for _ in range(2)]
    at = np.indices((rows, columns)) + 0.25 * size / step * np.stack(warp)
    near, _ = tree.query(at.reshape(2, -1).T % (rows, columns), k=2)
    seam = (near[:, 1] - near[:, 0]).reshape(rows, columns).astype(np.float32)
    fine = ndimage.zoom(seam, step, order=1, mode="grid-wrap", grid_mode=True)
    return np.asarray((fine - fine.mean()) / fine.std(), dtype=np.float32)


def _billows(rng: np.random.Generator, canvas: Canvas, pixel: float, *, chance: float) -> Array | float:
    """Ripples of the air, in patches: a factor about 1 on the optical depth; most layers (1 - ``chance``) have none."""
    if rng.random() > chance:
        return 1.0
    length, angle = rng.uniform(80, 400) / pixel, rng.uniform(0, np.pi)
    # Whole periods of the canvas down and across keep it seamless.
    down, across = round(canvas[0] / length * np.sin(angle)), round(canvas[1] / length * np.cos(angle))
    y, x = np.ogrid[: canvas[0], : canvas[1]]
    bend = noise(rng, canvas, slope=2.2, largest=20 * length)
    wave = np.sin(2 * np.pi * (down * y / canvas[0] + across * x / canvas[1]).astype(np.float32) + 1.5 * bend)
    patches = np.clip(noise(rng, canvas, slope=2.2, largest=10 * length), 0.0, 1.5)
    return np.asarray(np.exp(np.float32(rng.uniform(0.1, 0.35)) * patches * wave), dtype=np.float32)


def _cellular(
    rng: np.random.Generator, canvas: Canvas, cover: float, edge: float, pixel: float, *, size: float, regular: float
) -> Body:
    """Cells of about ``size`` pixels; ``regular`` from 0 (ragged patches) to 1 (cells only)."""
    rough = noise(rng, canvas, slope=1.9, largest=3 * size)
    ragged = noise(rng, canvas, slope=1.2, largest=15, smallest=0.8)
    # Open cells: walls of cloud around clear middles.
    closed = np.float32(regular if rng.random() < 0.8 else -regular)
    field = closed * _cells(rng, canvas, size) + np.float32(1 - regular) * rough
    inward = _inward(field + np.float32(0.03) * ragged, cover)
    swell = noise(rng, canvas, slope=1.8, largest=size, smallest=1.0)
    full = 1.0 - np.exp(-inward / np.float32(size / 4))
    depth = _rim(inward, edge) * (0.3 + 0.8 * full) * np.exp(np.float32(0.25) * swell)
    depth = depth * _billows(rng, canvas, pixel, chance=0.3)
    return _deck(depth, inward, edge, 2.0 * full - 1.0 + 0.5 * swell)


def _broken_stratus(rng: np.random.Generator, canvas: Canvas, cover: float, edge: float, pixel: float) -> Body:
    return _cellular(
        rng, canvas, cover, edge, pixel, size=rng.uniform(300, 1800) / pixel, regular=rng.uniform(0.2, 0.6)
    )


def _altocumulus(rng: np.random.Generator, canvas: Canvas, cover: float, edge: float, pixel: float) -> Body:
    return _cellular(
        rng, canvas, cover, edge, pixel, size=rng.uniform(180, 500) / pixel, regular=rng.uniform(0.3, 0.65)
    )


def _overcast(rng: np.random.Generator, canvas: Canvas, cover: float, edge: float, pixel: float) -> Body:
    """A closed deck that thins here and there; gaps only if the cover asks for them, one sky in three as holes."""
    largest = rng.uniform(800, 4000) / pixel
    outline = noise(rng, canvas, slope=2.1, largest=largest)
    if rng.random() < 1 / 3:
        bumps = noise(rng, canvas, slope=2.4, largest=rng.uniform(0.08, 0.3) * largest, smallest=2.0)
        outline = np.float32(0.4) * outline - np.maximum(bumps, np.float32(0.0)) ** 2
    inward = _inward(outline, cover)
    waves = noise(rng, canvas, slope=1.9, largest=largest / 2, smallest=1.5)
    depth = _rim(inward, edge) * np.exp(np.float32(rng.uniform(0.2, 0.6)) * waves)
    depth = depth * _billows(rng, canvas, pixel, chance=0.25)
    return _deck(depth, inward, edge, waves)


def _filaments(rng: np.random.Generator, canvas: Canvas, cover: float, edge: float, pixel: float) -> Body:
    """Ice falling in streaks: stretched along the wind, combed out by its shear."""
    direction = rng.uniform(0, np.pi)
    largest = rng.uniform(600, 2500) / pixel
    sheet = noise(rng, canvas, slope=2.1, largest=2 * largest, stretch=rng.uniform(1.2, 2.5), direction=direction)
    comb = noise(
        rng,
        canvas,
        slope=rng.uniform(1.5, 1.9),
        largest=largest / 2,
        stretch=rng.uniform(3, 8),
        direction=direction + rng.normal(0, 0.2),
        smallest=1.2,
    )
    inward = _inward(sheet + np.float32(0.12) * comb, cover)
    depth = _rim(inward, edge) * np.exp(np.float32(rng.uniform(0.25, 0.6)) * comb)
    depth = depth * _billows(rng, canvas, pixel, chance=0.25)
    return _deck(depth, inward, edge, comb)


def _contrails(rng: np.random.Generator, canvas: Canvas, cover: float, edge: float, pixel: float) -> Body:
    """Straight lines, mostly of one airway: the older, the wider, thinner and more frayed."""
    y, x = np.ogrid[: canvas[0], : canvas[1]]
    fray = noise(rng, canvas, slope=1.7, largest=60, smallest=2.0)
    total = np.zeros(canvas, dtype=np.float32)
    airway = _AIRWAYS[rng.integers(len(_AIRWAYS))]
    for _ in range(max(1, round(6 * cover)) if cover > 0 else 0):
        along = airway if rng.random() < 0.7 else _AIRWAYS[rng.integers(len(_AIRWAYS))]
        # How far through its period the canvas is, across the line: whole periods keep the canvas seamless.
        phase = (along[0] * y / canvas[0] + along[1] * x / canvas[1] + rng.random()) % 1.0 - 0.5
        across = (phase / np.hypot(along[0] / canvas[0], along[1] / canvas[1])).astype(np.float32)
        age = float(rng.uniform(0, 1)) ** 1.5
        width = np.float32(edge * (0.5 + 4.0 * age))
        ragged = across + np.float32(0.5 * width * age) * fray
        line = np.exp(np.float32(-0.5) * (ragged / width) ** 2) * np.exp(np.float32(0.5 * age) * fray)
        total += np.float32(1.0 - 0.6 * age) * line
    depth = np.maximum(total - np.float32(0.03), 0.0)
    return Body(depth, np.full(canvas, 0.8, dtype=np.float32))


def _sheet(rng: np.random.Generator, canvas: Canvas, cover: float, edge: float, rough: tuple[float, float]) -> Body:
    """A smooth sheet: grey in grey over a frame, its edge fading over ``edge`` pixels; ``rough`` is the spread of the
    logarithm of its optical depth."""
    inward = _inward(noise(rng, canvas, slope=3.2, largest=max(canvas), smallest=3.0), cover)
    wide = noise(rng, canvas, slope=2.4, largest=max(canvas) / 2, smallest=2.0)
    fine = noise(rng, canvas, slope=1.7, largest=40, smallest=1.5)
    amount = rng.uniform(*rough)
    # Where the canvas is too small for the whole slope, the sheet still gets thick somewhere on it.
    width = np.float32(min(edge, 0.45 * float(inward.max()) or edge))
    rise = -np.expm1(np.float32(-0.5) * (inward / width) ** 2)
    depth = rise * np.exp(np.float32(amount) * (wide + np.float32(0.25) * fine))
    return _deck(depth, inward, edge, wide)


def _thin_stratus(rng: np.random.Generator, canvas: Canvas, cover: float, edge: float, pixel: float) -> Body:
    body = _sheet(rng, canvas, cover, edge, (0.03, 0.25))
    return Body(np.asarray(body.depth * _billows(rng, canvas, pixel, chance=0.25), dtype=np.float32), body.tower)


def _frontal(rng: np.random.Generator, canvas: Canvas, cover: float, edge: float, pixel: float) -> Body:
    body = _sheet(rng, canvas, cover, edge, (0.1, 0.45))
    return Body(np.asarray(body.depth * _billows(rng, canvas, pixel, chance=0.2), dtype=np.float32), body.tower)


def _even_veil(rng: np.random.Generator, canvas: Canvas, cover: float, edge: float, pixel: float) -> Body:
    return _sheet(rng, canvas, cover, edge, (0.01, 0.15))


def _haze_veil(rng: np.random.Generator, canvas: Canvas, cover: float, edge: float, pixel: float) -> Body:
    largest = rng.uniform(1500, 5000) / pixel
    inward = _inward(noise(rng, canvas, slope=2.2, largest=largest), cover)
    soft = noise(rng, canvas, slope=2.0, largest=largest / 2, smallest=2.0)
    depth = _rim(inward, edge) * np.exp(np.float32(0.3) * soft) * _billows(rng, canvas, pixel, chance=0.3)
    return _deck(depth, inward, edge, soft)


def _flat_fog(rng: np.random.Generator, canvas: Canvas, cover: float, edge: float, pixel: float) -> Body:
    return valley_fog(rng, canvas, cover, edge, np.zeros(canvas, dtype=np.float32))


def valley_fog(rng: np.random.Generator, canvas: Canvas, cover: float, edge: float, ground: Array) -> Body:
    """Fog lies where the ground is low; on a plain, in banks."""
    banks = noise(rng, canvas, slope=2.1, largest=150)
    relief = ground - ground.mean()
    low = -relief / np.float32(max(float(relief.std()), 15.0))
    ragged = noise(rng, canvas, slope=1.3, largest=20, smallest=0.8)
    inward = _inward(low + np.float32(0.35) * banks + np.float32(0.02) * ragged, cover)
    texture = noise(rng, canvas, slope=1.8, largest=80, smallest=1.5)
    # Radiation fog is as even as paper; fog that wind stirs is not.
    amount = np.float32(rng.uniform(0.01, 0.25))
    return _deck(_rim(inward, edge) * np.exp(amount * texture), inward, edge, amount / np.float32(0.15) * texture)


_AIRWAYS: Final = ((1, 0), (0, 1), (1, 1), (1, -1), (2, 1), (2, -1), (1, 2), (1, -2), (3, 1), (3, -2), (2, 3), (-1, 3))
"""Directions of contrails: whole periods of the canvas down and across."""

FIELDS: Final[dict[str, _Field]] = {
    "cumulus": _cumulus,
    "congestus": _congestus,
    "deep": _deep,
    "broken_stratus": _broken_stratus,
    "altocumulus": _altocumulus,
    "overcast": _overcast,
    "thick_cirrus": _filaments,
    "thin_cirrus": _filaments,
    "contrails": _contrails,
    "fog": _flat_fog,
    "haze_veil": _haze_veil,
    "thin_stratus": _thin_stratus,
    "altostratus": _frontal,
    "cirrostratus": _even_veil,
    "even_veil": _even_veil,
}
