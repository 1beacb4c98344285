"""What clouds do to light, for `render`: dim the ground and lower clouds, reflect, and hide what lies beneath."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from clearsight.bands import BANDS
from clearsight.simulate import atmosphere
from clearsight.simulate.atmosphere import Air, Geometry, Platform
from clearsight.simulate.clouds import CloudLayer
from clearsight.simulate.optics import cloud_optics
from clearsight.simulate.orbit import ALONG_TRACK, HEADING
from clearsight.simulate.shadows import STRAIGHT, displacement, seen_from, slant_depth

Array = NDArray[np.float32]

_NODES: Final = 192
_LARGEST: Final = 250.0
_FINEST: Final = 6.0
"""Optical depths of the table are spaced by ``log1p(tau * _FINEST)``."""

_TEN_METRE: Final = float(np.mean([ALONG_TRACK[1], ALONG_TRACK[2], ALONG_TRACK[3], ALONG_TRACK[7]]))
"""Degrees along the track at which the 10 m bands look, on average: the truth is defined there."""

_COARSE: Final = 4
"""Light that clouds scatter is smooth: it's blurred on a grid this many times coarser."""

GROUPS: Final = np.array([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2])
"""Bands whose light clouds transmit alike: B01 … B10 (clouds absorb next to nothing there), B11, B12."""
_GROUP_BANDS: Final = (2, 11, 12)


@dataclass(frozen=True)
class Optics:
    """A plane cloud layer at the table's optical depths; each (13, n), 0 … about 1.3."""

    reflect: Array
    """Sun to satellite."""
    down: Array
    """Sunlight transmitted, straight and scattered."""
    up: Array
    """Light of the ground transmitted towards the satellite."""
    inner: Array
    """Reflectance of the layer for the diffuse light of the ground, from below."""


@dataclass(frozen=True)
class Illumination:
    """What the clouds leave of the light, relative to a clear sky; float32."""

    sharp: Array
    """(y, x) share of direct sunlight that reaches the ground straight: 1 in the open, 0 in deep shadow."""
    soft: Array
    """(3, y, x) light that clouds scatter down, as a share of the direct sunlight, for each of ``GROUPS``."""
    sky: Array
    """(y, x) share of the skylight."""
    sun_depth: Array
    """(y, x) optical depth along the sunbeams."""
    on_layer: tuple[Array | None, ...]
    """For each layer, lowest first, light (Y, X) on its canvas; None = all of it."""


@dataclass(frozen=True)
class View:
    """How the instrument looks at clouds."""

    geometry: Geometry
    platform: Platform
    ahead: bool
    """The detector looks ahead (odd numbers), not back."""
    ground: float
    """Mean height of the ground, metres above the sea."""
    pixel: float
    """Metres."""

    def shift(self, band: int | None) -> tuple[float, float]:
        """Move of a point per metre of height (rows, columns) as a band sees it; None = as the 10 m bands see it."""
        base = displacement(self.geometry.view_zenith, self.geometry.view_azimuth, pixel=self.pixel)
        if band is None:
            return base
        along = np.tan(np.radians(ALONG_TRACK[band])) - np.tan(np.radians(_TEN_METRE))
        step = (along if self.ahead else -along) / self.pixel
        heading = np.radians(HEADING)
        return float(base[0] + step * np.cos(heading)), float(base[1] - step * np.sin(heading))


def optics(layer: CloudLayer, geometry: Geometry) -> Optics:
    """Reflectance and transmittance of a layer's droplets or crystals, tabulated over optical depth."""
    tau = (np.expm1(np.linspace(0.0, np.log1p(_LARGEST * _FINEST), _NODES)) / _FINEST).astype(np.float32)
    light = cloud_optics(tau, phase=layer.phase, effective_radius=layer.effective_radius, geometry=geometry)
    down = light.transmittance + light.transmittance_diffuse
    return Optics(reflect=light.reflectance, down=down, up=light.up, inner=light.spherical_albedo)


def look_up(table: Array, depth: Array) -> Array:
    """Interpolate one band's row of an `Optics` table at optical depths of any shape."""
    position = np.log1p(depth * np.float32(_FINEST)) * np.float32((_NODES - 1) / np.log1p(_LARGEST * _FINEST))
    index = np.minimum(position.astype(np.int32), _NODES - 2)
    position -= index
    low = table[index]
    return np.asarray(low + position * (table[index + 1] - low), dtype=np.float32)


def illuminate(
    layers: list[CloudLayer],
    tables: list[Optics],
    *,
    geometry: Geometry,
    ground: Array | np.float32,
    shape: tuple[int, int],
    pixel: float,
) -> Illumination:
    """Follow the sunlight through all layers, lowest first, to the ground and onto each of them."""
    sharp = np.ones(shape, dtype=np.float32)
    total = np.ones((3, *shape), dtype=np.float32)
    sky = np.ones(shape, dtype=np.float32)
    depth = np.zeros(shape, dtype=np.float32)
    level = float(np.mean(ground))
    for layer, table in zip(layers, tables, strict=True):
        slant = slant_depth(
            layer, zenith=geometry.sun_zenith, azimuth=geometry.sun_azimuth, shape=shape, pixel=pixel, ground=ground
        )
        straight = np.exp(np.float32(-STRAIGHT) * slant)
        scattered, open_sky = _scattered(layer, table, geometry=geometry, level=level, shape=shape, pixel=pixel)
        depth += slant
        sharp *= straight
        total *= straight + scattered
        sky *= open_sky
    on_layer = tuple(
        _light_on(layer, layers[place + 1 :], tables[place + 1 :], geometry=geometry, pixel=pixel)
        for place, layer in enumerate(layers)
    )
    return Illumination(sharp, np.maximum(total - sharp, 0.0), sky, depth, on_layer)


def _scattered(
    layer: CloudLayer, table: Optics, *, geometry: Geometry, level: float, shape: tuple[int, int], pixel: float
) -> tuple[Array, Array]:
    """Light that a layer scatters down to the ground (3, y, x), and the share of the sky it leaves open (y, x).

    Scattered light spreads sideways over about the height of the cloud: a small cloud's shadow stays dark, the light
    under a wide one is what a plane layer lets through. Cloud sides add some of what the top reflects.
    """
    height = max(layer.base_height - level, 20.0)
    shift = displacement(geometry.sun_zenith, geometry.sun_azimuth, pixel=pixel)
    coarse = _shrink(layer.optical_depth)
    straight = np.exp(np.float32(-STRAIGHT / np.cos(np.radians(geometry.sun_zenith))) * coarse)
    sigma = float(np.clip(0.45 * height / pixel / _COARSE, 0.5, min(coarse.shape) / 3))
    leak = np.float32(0.10) * look_up(table.reflect[2], coarse)
    out = []
    for band in _GROUP_BANDS:
        rest = look_up(table.down[band], coarse) - straight + leak
        out.append(_enlarge(ndimage.gaussian_filter(rest, sigma, mode="wrap"), layer.optical_depth.shape))
    covered = 1.0 - look_up(table.up[2], coarse)
    dome = _enlarge(ndimage.gaussian_filter(covered, 1.6 * sigma, mode="wrap"), layer.optical_depth.shape)
    # Forward scattering carries most of the light along the beam, but not all the way.
    along = (0.6 * shift[0], 0.6 * shift[1])
    soft = np.stack([seen_from(field, layer=layer, height=height, shift=along, shape=shape) for field in out])
    sky = 1.0 - np.float32(0.8) * seen_from(dome, layer=layer, height=0.0, shift=shift, shape=shape)
    return soft, np.asarray(sky, dtype=np.float32)


def _light_on(
    layer: CloudLayer, above: list[CloudLayer], tables: list[Optics], *, geometry: Geometry, pixel: float
) -> Array | None:
    """Light on a layer's canvas relative to a clear sky: shadows of higher clouds, and the slopes of its own top."""
    light: Array | None = None
    canvas = layer.optical_depth.shape
    for other, table in zip(above, tables, strict=True):
        slant = slant_depth(
            replace(other, margin=other.margin - layer.margin), zenith=geometry.sun_zenith,
            azimuth=geometry.sun_azimuth, shape=(canvas[0], canvas[1]), pixel=pixel, ground=layer.base_height,
        )  # fmt: skip
        through = look_up(table.down[2], other.optical_depth)
        straight = np.exp(np.float32(-STRAIGHT) * slant)
        passed = straight + (1.0 - straight) * np.float32(0.6 * float(through.mean()))
        light = passed if light is None else light * passed
    slopes = _slopes(layer, geometry=geometry, pixel=pixel)
    if slopes is None:
        return light
    return slopes if light is None else light * slopes


def _slopes(layer: CloudLayer, *, geometry: Geometry, pixel: float) -> Array | None:
    """Slopes of a thick cloud's top: bright towards the sun, dim away from it, evened out by light that diffuses within."""
    extent = float(np.ptp(layer.top_height))
    if layer.phase == "ice" and extent < 3000.0:
        return None
    smooth = ndimage.gaussian_filter(layer.top_height, 20.0 / pixel, mode="wrap", truncate=3)
    north = (np.roll(smooth, 1, 0) - np.roll(smooth, -1, 0)) / np.float32(2 * pixel)
    east = (np.roll(smooth, -1, 1) - np.roll(smooth, 1, 1)) / np.float32(2 * pixel)
    azimuth = np.radians(geometry.sun_azimuth)
    away = -(np.float32(np.sin(azimuth)) * east + np.float32(np.cos(azimuth)) * north)
    tilt = np.tanh(np.float32(0.6 * np.tan(np.radians(geometry.sun_zenith))) * away)
    thick = 1.0 - np.exp(np.float32(-0.15) * layer.optical_depth)
    return np.asarray(1.0 + np.float32(0.30) * tilt * thick, dtype=np.float32)


def add_layer(
    toa: Array, layer: CloudLayer, table: Optics, *, light: Array | None, air: Air, geometry: Geometry, view: View
) -> Array:
    """Lay a cloud layer over a scene in place; gives back its optical depth along the line of sight (y, x).

    What lies beneath is taken down to the cloud's height (`to_surface` with the air above it), seen through the cloud,
    and taken back up (`to_toa`), so that an empty layer changes nothing.
    """
    shape = (int(toa.shape[1]), int(toa.shape[2]))
    middle, nodes, gas = _gas_above(layer, air=air, geometry=geometry, platform=view.platform)
    above = atmosphere.above(air, geometry, height=middle, platform=view.platform)
    height = 0.5 * (layer.base_height + float(np.percentile(layer.top_height[::4, ::4], 80))) - view.ground
    cut: dict[tuple[float, float], tuple[Array, Array | None]] = {}

    def cut_out(shift: tuple[float, float]) -> tuple[Array, Array | None]:
        key = (round(height * shift[0] * 4), round(height * shift[1] * 4))
        if key not in cut:
            fields = [
                None if f is None else seen_from(f, layer=layer, height=height, shift=shift, shape=shape)
                for f in (layer.optical_depth, light)
            ]
            assert fields[0] is not None
            cut[key] = (fields[0], fields[1])
        return cut[key]

    tops = seen_from(layer.top_height, layer=layer, height=height, shift=view.shift(None), shape=shape) / 1000
    for band in range(len(BANDS)):
        depth, bright = cut_out(view.shift(band))
        scatter = (above.down[band] + above.down_diffuse[band]) * above.up[band]
        column = (
            gas[0, band] if np.ptp(gas[:, band]) < 0.01 else np.interp(tops, nodes, gas[:, band]).astype(np.float32)
        )
        beneath = np.maximum(toa[band] - above.path[band], 0.0) / (scatter * above.gas[band])
        seen = look_up(table.reflect[band], depth)
        if bright is not None:
            seen *= bright
        seen *= column / above.gas[band]
        through = look_up(table.up[band], depth) * beneath
        through /= 1.0 - look_up(table.inner[band], depth) * np.minimum(beneath, 0.95)
        covered = depth > 0
        value = above.path[band] + scatter * above.gas[band] * (seen + through)
        toa[band] = np.where(covered, value, toa[band])
    return cut_out(view.shift(None))[0]


def _gas_above(
    layer: CloudLayer, *, air: Air, geometry: Geometry, platform: Platform
) -> tuple[float, NDArray[np.float64], Array]:
    """Middle height (km), and gas transmittance (n, 13) at heights (n,) from the lowest top to the highest."""
    low, high = float(layer.top_height.min()) / 1000, float(layer.top_height.max()) / 1000
    low, high = max(low, air.elevation), max(high, air.elevation + 0.01)
    nodes = np.linspace(low, high, 5 if high - low > 0.3 else 2)
    gas = np.stack([atmosphere.gas_above(float(z), air=air, geometry=geometry, platform=platform) for z in nodes])
    return 0.5 * (low + high), nodes, gas


def _shrink(field: Array) -> Array:
    """Means of blocks, as good as the canvas divides; its last rows and columns may be left out."""
    rows, columns = (size // _COARSE for size in field.shape)
    return field[: rows * _COARSE, : columns * _COARSE].reshape(rows, _COARSE, columns, _COARSE).mean(axis=(1, 3))


def _enlarge(coarse: Array, shape: tuple[int, ...]) -> Array:
    zoom = (shape[0] / coarse.shape[0], shape[1] / coarse.shape[1])
    return np.asarray(ndimage.zoom(coarse, zoom, order=1, mode="grid-wrap", grid_mode=True), dtype=np.float32)
