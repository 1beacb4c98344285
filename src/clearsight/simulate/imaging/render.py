"""From ground, air, clouds and sun to what the satellite measures, with the exact truth of every pixel.

Light comes down from the sun through the cloud layers: part straight (sharp shadows, cast by sun angle and height),
part scattered (spread sideways), and through the air as skylight. It leaves the ground, and each layer is laid over the
scene, lowest first. What ``q`` means is written in `clearsight.simulate.imaging.truth`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from clearsight.bands import BANDS
from clearsight.errors import ArgumentError
from clearsight.simulate.air import atmosphere
from clearsight.simulate.air.atmosphere import Air, Coefficients, Geometry, Platform
from clearsight.simulate.cloud.fields import CloudLayer
from clearsight.simulate.cloud.sky import Sky
from clearsight.simulate.imaging._cloud_light import (
    GROUPS,
    AirAbove,
    Illumination,
    Optics,
    View,
    add_layer,
    air_above,
    illuminate,
    node_of,
    optics,
    shrink,
)
from clearsight.simulate.imaging.shadows import STRAIGHT, seen_from
from clearsight.simulate.imaging.truth import REFERENCE_AOT, cause_of, quality

Array = NDArray[np.float32]

_B03: Final = tuple(BANDS).index("B03")
_B10: Final = tuple(BANDS).index("B10")
_B11: Final = tuple(BANDS).index("B11")

_STRAY_REACH: Final = (300.0, 1000.0)
"""Metres over which the air carries light of bright cloud to its surroundings: a near and a far part."""
_STRAY_SHARE: Final = 0.6
"""Share of the diffusely transmitted light that comes from that near; the rest is from further away."""
_STRAY_STEP: Final = 8
"""Stray light is smooth: it's spread on a grid this many times coarser."""

_SHADED_AIR: Final = 0.6
"""Share of the path light below a cloud that comes from single scattering of direct sun, and goes out in its shadow."""


@dataclass(frozen=True)
class Rendered:
    """One frame, and the truth about it. Float32 unless said."""

    toa: Array
    """(13, y, x) top-of-atmosphere reflectance: what an L1C product shows, before the sensor."""
    boa: Array
    """(13, y, x) what an L2A processor makes of it: it knows the air only roughly, clouds not at all. B10 is NaN."""
    clear_toa: Array
    """(13, y, x) the place at that time under clear air: no cloud or its shadow, aerosol at most the reference."""
    clear_boa: Array
    """(13, y, x) surface reflectance of that clear scene, as lit by its terrain. B10 is NaN."""
    q: Array
    """(y, x) 0 … 1; defined in `clearsight.simulate.imaging.truth`."""
    cause: NDArray[np.uint8]
    """(y, x) code of ``truth.CAUSES``."""
    optical_depth: Array
    """(y, x) of cloud along the line of sight, at 550 nm."""
    shadow: Array
    """(y, x) share of the direct sunlight that clouds leave to the ground, 0 … 1."""
    light: Array
    """(y, x) sunlight that reaches the ground past clouds, straight or scattered by them, in the visible: 1 in the
    open, a little more beside sunlit cloud; skylight not counted."""


def render(
    reflectance: Array,
    *,
    sky: Sky,
    geometry: Geometry,
    platform: Platform = "S2A",
    light: Array | None = None,
    elevation: Array | None = None,
    pixel: float = 10.0,
    seed: int = 0,
) -> Rendered:
    """Render a frame.

    Parameters
    ----------
    reflectance : (13, y, x) float32 array
        Of the evenly lit ground, 0 … about 1.
    sky : Sky
        Air and cloud layers, made for this shape.
    geometry : Geometry
        Sun and view.
    platform : "S2A", "S2B" or "S2C"
        Whose spectral responses.
    light : (y, x) array, optional
        Direct sun on the terrain relative to flat ground, from `surfaces.terrain_light`; default flat.
    elevation : (y, x) array, optional
        Height of the ground above the sea in metres: shadows fall on it. Default: ``sky.air.elevation``.
    pixel : float
        Metres.
    seed : int
        Draws how wrong the L2A processor is about the air.

    Returns
    -------
    Rendered

    Raises
    ------
    ArgumentError
        ``reflectance`` isn't (13, y, x).

    Examples
    --------
    >>> from clearsight.simulate.cloud.sky import Sky
    >>> ground = np.full((13, 32, 32), 0.2, dtype="float32")
    >>> frame = render(ground, sky=Sky(), geometry=Geometry(sun_zenith=40))
    >>> float(frame.q.min()), frame.toa.shape
    (1.0, (13, 32, 32))
    """
    shape = _checked_shape(reflectance)
    ground = 1000.0 * sky.air.elevation if elevation is None else elevation
    view = View(geometry, platform, sky.ahead, float(np.mean(ground)), pixel, shape)
    mean_aot = float(np.mean(np.asarray(sky.air.aot)))
    thin_air = replace(sky.air, aot=min(mean_aot, REFERENCE_AOT))
    clear = atmosphere.coefficients(thin_air, geometry, platform=platform)
    clear_toa = atmosphere.to_toa(reflectance, clear, lit=light)
    usual = np.ndim(sky.air.aot) == 0 and mean_aot <= REFERENCE_AOT
    air = clear if usual else atmosphere.coefficients(sky.air, geometry, platform=platform)

    layers = sorted(sky.layers, key=lambda layer: layer.base_height)
    tables = [optics(layer, air=thin_air, view=view) for layer in layers]
    sun = illuminate(layers, tables, ground=ground, view=view)
    stray_light, stray = _stray(layers, tables, view=view, up_diffuse=clear.up_diffuse)
    airs = [air_above(layer, air=thin_air, view=view) for layer in layers]
    depth = np.zeros(shape, dtype=np.float32)
    if layers:
        toa = _shaded_ground(reflectance, air, sun=sun, light=light, below=_path_below(clear, airs[0]))
        for layer, table, on_it, above in zip(layers, tables, sun.on_layer, airs, strict=True):
            depth += add_layer(toa, layer, table, light=on_it, above=above, view=view)
        toa += (clear.gas * clear.up_diffuse)[:, None, None] * (stray_light * np.exp(-depth))
    else:
        toa = clear_toa.copy() if usual else atmosphere.to_toa(reflectance, air, lit=light)

    stray = np.minimum(stray + sun.aside, 1.0)
    q, cause = _truth(sky.air, sun=sun, depth=depth, stray=stray, geometry=geometry, snowlike=_snowlike(reflectance))
    return Rendered(
        toa=toa,
        boa=_l2a(toa, sky.air, geometry=geometry, platform=platform, seed=seed),
        clear_toa=clear_toa,
        clear_boa=_without_b10(reflectance.copy() if light is None else atmosphere.to_surface(clear_toa, clear)),
        q=q,
        cause=cause,
        optical_depth=depth,
        shadow=sun.sharp,
        light=np.asarray(sun.sharp + sun.soft[0], dtype=np.float32),
    )


def _checked_shape(reflectance: Array) -> tuple[int, int]:
    if reflectance.ndim != 3 or reflectance.shape[0] != len(BANDS):
        raise ArgumentError(f"reflectance has shape {reflectance.shape}; expected (13, y, x), bands as in bands.BANDS.")
    return int(reflectance.shape[1]), int(reflectance.shape[2])


def _shaded_ground(
    reflectance: Array, air: Coefficients, *, sun: Illumination, light: Array | None, below: Array
) -> Array:
    """The scene beneath all cloud: ground in sun, shadow and scattered light, seen through the air."""
    straight = sun.sharp if light is None else sun.sharp * light
    toa = atmosphere.to_toa(reflectance, air, lit=(straight + sun.soft)[GROUPS], sky=sun.sky)
    # The air between cloud and ground lies in shadow too.
    shade = 1.0 - np.minimum(sun.sharp + sun.soft[0], 1.0)
    for band, path in enumerate(below):
        toa[band] -= path * shade
    return toa


def _path_below(whole: Coefficients, lowest: AirAbove) -> Array:
    """Path light (13,) of the direct sun from below the lowest layer."""
    return np.asarray(_SHADED_AIR * np.maximum(whole.path - lowest.air.path, 0.0), dtype=np.float32)


def _stray(layers: list[CloudLayer], tables: list[Optics], *, view: View, up_diffuse: Array) -> tuple[Array, Array]:
    """Light of cloud nearby that the air scatters into the view: its reflectance (y, x), and its share in ``q``."""
    totals = [np.zeros(view.shape, dtype=np.float32) for _ in range(2)]
    for layer, table in zip(layers, tables, strict=True):
        coarse = shrink(layer.optical_depth, _STRAY_STEP)
        shining = table.reflect[_B03][node_of(coarse)]
        hiding = 1.0 - np.exp(np.float32(-STRAIGHT) * coarse)
        for field, total in zip((shining, hiding), totals, strict=True):
            spread = np.zeros_like(coarse)
            for reach in _STRAY_REACH:
                sigma = min(reach / view.pixel / _STRAY_STEP, min(coarse.shape) / 4)
                spread += ndimage.gaussian_filter(field, sigma, mode="wrap", truncate=3)
            total += np.float32(_STRAY_SHARE / len(_STRAY_REACH)) * seen_from(
                spread, layer=layer, height=0.0, shift=(0.0, 0.0), shape=view.shape, coarse=_STRAY_STEP
            )
    return totals[0], np.minimum(up_diffuse[_B03] * totals[1], 1.0)


def _truth(
    air: Air, *, sun: Illumination, depth: Array, stray: Array, geometry: Geometry, snowlike: NDArray[np.bool_]
) -> tuple[Array, NDArray[np.uint8]]:
    airmass = float(np.sum(1 / np.cos(np.radians([geometry.sun_zenith, geometry.view_zenith]))))
    q = quality(sun_depth=sun.sun_depth, view_depth=depth, haze=air.aot, airmass=airmass, stray=stray)
    excess = np.maximum(np.asarray(air.aot, dtype=np.float32) - np.float32(REFERENCE_AOT), 0.0)
    haze = np.broadcast_to(excess, depth.shape)
    return q, cause_of(q, sun_depth=sun.sun_depth, view_depth=depth, haze=haze, snowlike=snowlike)


def _snowlike(reflectance: Array) -> NDArray[np.bool_]:
    """Bright in the visible, dark in the SWIR: a snow index above 0.4 (Hall et al. 1995, 0034-4257(95)00137-P)."""
    green, swir = reflectance[_B03], reflectance[_B11]
    return np.asarray((green > 0.25) & (green - swir > 0.4 * (green + swir)))


def _l2a(toa: Array, air: Air, *, geometry: Geometry, platform: Platform, seed: int) -> Array:
    """Correct a scene with the air that a processor would guess: one aerosol optical depth for all of it, and rural."""
    rng = np.random.default_rng([abs(seed), int(seed < 0), 5003])
    aot = float(
        np.clip(np.mean(air.aot) * np.exp(0.25 * rng.standard_normal()) + 0.03 * rng.standard_normal(), 0.02, 1)
    )
    vapour = float(np.clip(air.water_vapour * np.exp(0.1 * rng.standard_normal()), 0.05, 7.5))
    guessed = replace(air, aerosol="continental", aot=aot, water_vapour=vapour, veil=0.0)
    return _without_b10(atmosphere.to_surface(toa, atmosphere.coefficients(guessed, geometry, platform=platform)))


def _without_b10(surface: Array) -> Array:
    surface[_B10] = np.nan
    return surface
