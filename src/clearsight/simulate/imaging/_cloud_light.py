"""What clouds do to light, for `render`: dim the ground and lower clouds, reflect, and hide what lies beneath."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from clearsight.bands import BANDS
from clearsight.simulate.air import atmosphere
from clearsight.simulate.air.atmosphere import Air, Coefficients, Geometry, Platform
from clearsight.simulate.cloud.fields import CloudLayer
from clearsight.simulate.cloud.optics import cloud_optics
from clearsight.simulate.imaging.orbit import ALONG_TRACK, HEADING
from clearsight.simulate.imaging.shadows import STRAIGHT, displacement, seen_from, slant_depth, window

Array = NDArray[np.float32]

_NODES: Final = 2048
_BEND: Final = 6.0
_LARGEST: Final = 250.0
"""Tables run over ``log1p(tau * _BEND)`` up to this optical depth, so finely that the nearest node will do."""

_TEN_METRE: Final = float(np.mean([ALONG_TRACK[1], ALONG_TRACK[2], ALONG_TRACK[3], ALONG_TRACK[7]]))
"""Degrees along the track at which the 10 m bands look, on average: the truth is defined there."""

COARSE: Final = 4
"""Light that clouds scatter is smooth: it's blurred on a grid this many times coarser."""

GROUPS: Final = np.array([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2])
"""Bands whose light clouds transmit alike: B01 … B10 (clouds absorb next to nothing there), B11, B12."""
_GROUP_BANDS: Final = (2, 11, 12)
_VAPOUR_BANDS: Final = (9, 10)
"""B09 and B10: what they show of a cloud hangs on the height of each of its pixels."""
_B03: Final = 2

_SIDE_LEAK: Final = 0.10
"""Share of the light that a cloud reflects which its sides throw down to the ground around it."""


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
class View:
    """How the instrument looks at clouds."""

    geometry: Geometry
    platform: Platform
    ahead: bool | NDArray[np.bool_]
    """Where the detector looks ahead (odd numbers), not back."""
    ground: float
    """Mean height of the ground, metres above the sea."""
    pixel: float
    """Metres."""
    shape: tuple[int, int]
    """Of the frame."""

    def shift(self, band: int | None = None, *, ahead: bool = True) -> tuple[float, float]:
        """Move of a point per metre of height (rows, columns) as a band sees it; None = as the 10 m bands see it."""
        base = displacement(self.geometry.view_zenith, self.geometry.view_azimuth, pixel=self.pixel)
        if band is None:
            return base
        along = np.tan(np.radians(ALONG_TRACK[band])) - np.tan(np.radians(_TEN_METRE))
        step = (along if ahead else -along) / self.pixel
        heading = np.radians(HEADING)
        return float(base[0] + step * np.cos(heading)), float(base[1] - step * np.sin(heading))


@dataclass(frozen=True)
class Illumination:
    """What the clouds leave of the light, relative to a clear sky; float32."""

    sharp: Array
    """(y, x) share of direct sunlight that reaches the ground straight: 1 in the open, 0 in deep shadow."""
    soft: Array
    """(3, y, x) light that clouds scatter down, as a share of the direct sunlight, for each of ``GROUPS``."""
    sky: Array
    """(y, x) share of the skylight."""
    aside: Array
    """(y, x) light that sunlit cloud sides throw onto the ground, a share of the direct sunlight; part of ``soft``."""
    sun_depth: Array
    """(y, x) optical depth along the sunbeams."""
    on_layer: tuple[Array | None, ...]
    """For each layer, lowest first, light (Y, X) on its canvas; None = all of it."""


@dataclass(frozen=True)
class AirAbove:
    """The air between a layer and the satellite."""

    height: float
    """Of the layer above the ground, metres."""
    air: Coefficients
    """Above the layer's middle, (13,)."""
    column: Array
    """(2, y, x) transmittance of the gases in ``_VAPOUR_BANDS`` above each pixel's top."""


def optics(layer: CloudLayer, *, air: Air, view: View) -> Optics:
    """Reflectance and transmittance of a layer's droplets or crystals, tabulated over optical depth."""
    tau = (np.expm1(np.linspace(0.0, np.log1p(_LARGEST * _BEND), _NODES)) / _BEND).astype(np.float32)
    light = cloud_optics(
        tau,
        phase=layer.phase,
        effective_radius=layer.effective_radius,
        geometry=view.geometry,
        vapour=_vapour_within(layer, air=air, view=view),
    )
    down = light.transmittance + light.transmittance_diffuse
    return Optics(reflect=light.reflectance, down=down, up=light.up, inner=light.spherical_albedo)


def _vapour_within(layer: CloudLayer, *, air: Air, view: View) -> Array:
    """Optical depth (13,) of the vapour between the droplets, per optical depth of the cloud."""
    thin = layer.optical_depth[::COARSE, ::COARSE]
    cloudy = thin > 0.5 * float(thin.mean())
    if not cloudy.any():
        return np.zeros(len(BANDS), dtype=np.float32)
    top = float(layer.top_height[::COARSE, ::COARSE][cloudy].mean())
    per_km = float(thin[cloudy].mean()) / max((top - layer.base_height) / 1000, 0.05)
    height = max(0.0005 * (top + layer.base_height), air.elevation)
    vapour = atmosphere.vapour_depth(height, air=air, geometry=view.geometry, platform=view.platform)
    return np.asarray(np.clip(vapour / per_km, 0.0, 3.0), dtype=np.float32)


def node_of(depth: Array) -> NDArray[np.intp]:
    """Place of optical depths in the tables of `Optics`."""
    # `log` in single precision is several times faster than `log1p`.
    position = np.log(np.float32(1.0) + depth * np.float32(_BEND))
    position *= np.float32((_NODES - 1) / np.log1p(_LARGEST * _BEND))
    position += np.float32(0.5)
    return np.asarray(np.minimum(position, _NODES - 1), dtype=np.intp)


def illuminate(layers: list[CloudLayer], tables: list[Optics], *, ground: Array | float, view: View) -> Illumination:
    """Follow the sunlight through all layers, lowest first, to the ground and onto each of them."""
    sharp = np.ones(view.shape, dtype=np.float32)
    total = np.ones((3, *view.shape), dtype=np.float32)
    sky = np.ones(view.shape, dtype=np.float32)
    aside = np.zeros(view.shape, dtype=np.float32)
    depth = np.zeros(view.shape, dtype=np.float32)
    zenith, azimuth = view.geometry.sun_zenith, view.geometry.sun_azimuth
    for layer, table in zip(layers, tables, strict=True):
        slant = slant_depth(layer, zenith=zenith, azimuth=azimuth, shape=view.shape, pixel=view.pixel, ground=ground)
        straight = np.exp(np.float32(-STRAIGHT) * slant)
        scattered, from_sides, open_sky = _scattered(layer, table, view=view)
        depth += slant
        sharp *= straight
        # Scattered light fills shadows; beyond that only cloud sides make sunlit ground brighter.
        total *= np.minimum(straight + scattered, 1.0) + from_sides
        aside += from_sides
        sky *= open_sky
    on_layer = tuple(
        _light_on(layer, layers[place + 1 :], tables[place + 1 :], view=view) for place, layer in enumerate(layers)
    )
    return Illumination(sharp, np.maximum(total - sharp, 0.0), sky, aside, depth, on_layer)


def _scattered(layer: CloudLayer, table: Optics, *, view: View) -> tuple[Array, Array, Array]:
    """Light that a layer scatters down to the ground: through it (3, y, x) and off its sides; the sky it leaves open.

    Scattered light spreads sideways over about the height of the cloud: a small cloud's shadow stays dark, the light
    under a wide one is what a plane layer lets through.
    """
    height = max(layer.base_height - view.ground, 20.0)
    shift = displacement(view.geometry.sun_zenith, view.geometry.sun_azimuth, pixel=view.pixel)
    depth = shrink(layer.optical_depth, COARSE)
    node = node_of(depth)
    straight = np.exp(np.float32(-STRAIGHT / np.cos(np.radians(view.geometry.sun_zenith))) * depth)
    sigma = float(np.clip(0.45 * height / view.pixel / COARSE, 0.5, min(depth.shape) / 4))
    # Forward scattering carries most of the light along the beam, but not all the way.
    along = (0.6 * shift[0], 0.6 * shift[1])

    def spread(field: Array, width: float, shift: tuple[float, float]) -> Array:
        blurred = np.asarray(ndimage.gaussian_filter(field, width, mode="wrap", truncate=3), dtype=np.float32)
        return seen_from(blurred, layer=layer, height=height, shift=shift, shape=view.shape, coarse=COARSE)

    soft = np.stack([spread(table.down[band][node] - straight, sigma, along) for band in _GROUP_BANDS])
    aside = np.float32(_SIDE_LEAK) * spread(table.reflect[_B03][node], sigma, along)
    covered = spread(1.0 - table.up[_B03][node], 1.6 * sigma, (0.0, 0.0))
    return soft, aside, np.asarray(1.0 - np.float32(0.8) * covered, dtype=np.float32)


def _light_on(layer: CloudLayer, above: list[CloudLayer], tables: list[Optics], *, view: View) -> Array | None:
    """Light on a layer's canvas relative to a clear sky: shadows of higher clouds, and the slopes of its own top."""
    light = _slopes(layer, view=view)
    canvas = (int(layer.optical_depth.shape[0]), int(layer.optical_depth.shape[1]))
    zenith, azimuth = view.geometry.sun_zenith, view.geometry.sun_azimuth
    for other, table in zip(above, tables, strict=True):
        on_canvas = replace(other, margin=other.margin - layer.margin)
        slant = slant_depth(
            on_canvas, zenith=zenith, azimuth=azimuth, shape=canvas, pixel=view.pixel, ground=layer.base_height
        )
        straight = np.exp(np.float32(-STRAIGHT) * slant)
        through = float(table.down[_B03][node_of(other.optical_depth[::COARSE, ::COARSE])].mean())
        passed = straight + (1.0 - straight) * np.float32(0.8 * through)
        light = passed if light is None else light * passed
    return light


def _slopes(layer: CloudLayer, *, view: View) -> Array | None:
    """Slopes of a thick cloud's top: bright towards the sun, dim away from it; light that diffuses evens it out."""
    if float(layer.optical_depth.max()) < 4.0 or layer.kind in ("fog", "haze_veil"):
        return None
    azimuth, lean = np.radians(view.geometry.sun_azimuth), np.tan(np.radians(view.geometry.sun_zenith))

    def towards_sun(smooth: Array) -> Array:
        north = np.roll(smooth, 1, 0) - np.roll(smooth, -1, 0)
        east = np.roll(smooth, -1, 1) - np.roll(smooth, 1, 1)
        slope = np.float32(np.sin(azimuth)) * east + np.float32(np.cos(azimuth)) * north
        return np.asarray(slope / np.float32(-2 * view.pixel), dtype=np.float32)

    # Light diffuses the further the taller the cloud, and evens out both turrets and whole sides.
    extent = float(np.percentile(layer.top_height[::COARSE, ::COARSE], 95)) - layer.base_height
    fine, wide = (max(least, share * extent) / view.pixel for least, share in ((15.0, 0.02), (40.0, 0.06)))
    turrets = ndimage.gaussian_filter(layer.top_height, fine, mode="wrap", truncate=3)
    sides = ndimage.gaussian_filter(shrink(layer.top_height, COARSE), wide / COARSE, mode="wrap", truncate=3)
    tilt = np.zeros_like(layer.top_height)
    for smooth in (turrets, enlarge(sides, COARSE)):
        slope = towards_sun(smooth)
        slope *= np.float32(0.35 * lean)
        tilt += slope / (1.0 + np.abs(slope))
    thick = 1.0 - np.exp(np.float32(-0.12) * layer.optical_depth)
    return np.asarray(1.0 + np.float32(0.22) * tilt * thick, dtype=np.float32)


def add_layer(
    toa: Array, layer: CloudLayer, table: Optics, *, light: Array | None, above: AirAbove, view: View
) -> Array:
    """Lay a cloud layer over a scene in place; gives back its optical depth along the line of sight (y, x).

    What lies beneath is taken down to the cloud's height with the air above it, seen through the cloud, and taken back
    up, so that an empty layer changes nothing.
    """
    height, air, column = above.height, above.air, above.column
    cuts: dict[tuple[int, int], _Cut] = {}

    def cut(shift: tuple[float, float]) -> _Cut:
        """The layer as it appears with one shift; bands that see it within half a pixel share it."""
        key = (round(2 * height * shift[0]), round(2 * height * shift[1]))
        if key not in cuts:
            cuts[key] = _cut(layer, light, height=height, moved=(key[0] / 2, key[1] / 2), shape=view.shape)
        return cuts[key]

    for band in range(len(BANDS)):
        if isinstance(view.ahead, bool):
            depth, node, bright = cut(view.shift(band, ahead=view.ahead))
        else:
            depth, node, bright = _joined(
                cut(view.shift(band, ahead=True)), cut(view.shift(band, ahead=False)), first=view.ahead
            )
        scatter = (air.down[band] + air.down_diffuse[band]) * air.up[band]
        beneath = np.maximum(toa[band] - air.path[band], 0.0)
        beneath *= np.float32(1.0 / (scatter * air.gas[band]))
        seen = table.reflect[band][node]
        if bright is not None:
            seen *= bright
        if band in _VAPOUR_BANDS:
            seen *= column[_VAPOUR_BANDS.index(band)] / air.gas[band]
        bounce = 1.0 - table.inner[band][node] * np.minimum(beneath, 0.95)
        seen += table.up[band][node] * beneath / bounce
        seen *= scatter * air.gas[band]
        seen += air.path[band]
        np.copyto(toa[band], seen, where=depth > 0)
    return cut(view.shift())[0]


_Cut = tuple[Array, NDArray[np.intp], Array | None]
"""Optical depth, its place in the tables, and the light on it: each (y, x)."""


def _cut(
    layer: CloudLayer, light: Array | None, *, height: float, moved: tuple[float, float], shape: tuple[int, int]
) -> _Cut:
    """What of a layer appears in the frame when it's moved by so many pixels."""
    shift = (moved[0] / height, moved[1] / height) if height else (0.0, 0.0)
    depth = seen_from(layer.optical_depth, layer=layer, height=height, shift=shift, shape=shape)
    bright = None if light is None else seen_from(light, layer=layer, height=height, shift=shift, shape=shape)
    return depth, node_of(depth), bright


def _joined(one: _Cut, other: _Cut, *, first: NDArray[np.bool_]) -> _Cut:
    """Two views of a layer side by side: ``one`` where ``first``."""
    bright = None if one[2] is None or other[2] is None else np.where(first, one[2], other[2])
    return np.where(first, one[0], other[0]), np.where(first, one[1], other[1]), bright


def air_above(layer: CloudLayer, *, air: Air, view: View) -> AirAbove:
    """The air between a layer and the satellite."""
    height = 0.5 * (layer.base_height + float(np.percentile(layer.top_height[::COARSE, ::COARSE], 80))) - view.ground
    cloudy = layer.top_height[layer.optical_depth > 0]
    low, high = (float(cloudy.min()), float(cloudy.max())) if cloudy.size else (layer.base_height, layer.base_height)
    nodes = np.maximum(np.linspace(low, high, 4 if high - low > 200 else 2) / 1000, air.elevation)
    gas = np.stack(
        [atmosphere.gas_above(float(z), air=air, geometry=view.geometry, platform=view.platform) for z in nodes]
    )
    tops = seen_from(layer.top_height, layer=layer, height=height, shift=view.shift(), shape=view.shape)
    tops *= np.float32(0.001)
    column = np.stack([np.interp(tops, nodes, gas[:, band]) for band in _VAPOUR_BANDS]).astype(np.float32)
    middle = max(0.0005 * (low + high), air.elevation)
    return AirAbove(height, atmosphere.above(air, view.geometry, height=middle, platform=view.platform), column)


def shrink(field: Array, step: int) -> Array:
    """Means of blocks of ``step`` pixels; a canvas divides by 8."""
    rows, columns = (size // step for size in field.shape)
    return np.asarray(field.reshape(rows, step, columns, step).mean(axis=(1, 3)), dtype=np.float32)


def enlarge(field: Array, step: int) -> Array:
    """The periodic field `shrink` came from, without its details."""
    rows, columns = field.shape
    corner = -0.5 * (step - 1) / step
    return window(field, origin=(corner, corner), shape=(rows * step, columns * step), step=1.0 / step)
