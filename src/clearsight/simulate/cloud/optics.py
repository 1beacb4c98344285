"""How clouds reflect and transmit light in the 13 bands: plane-parallel water and ice clouds, by table.

The tables come from Mie theory and adding-doubling, once, by ``scripts/make_cloud_lut.py``. Liquid water and ice absorb
in B11 and B12, which tells ice from water and cloud from snow; elsewhere a thick cloud is white. Gases are not in here:
what lies above a cloud's top is ``atmosphere.above``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from clearsight.bands import BANDS
from clearsight.errors import ArgumentError
from clearsight.simulate.air.state import Geometry
from clearsight.simulate.cloud._tables import MAX_OPTICAL_DEPTH, TAU, curves, particle, position, scattered_back

__all__ = [
    "MAX_OPTICAL_DEPTH",
    "PHASES",
    "RADIUS_RANGE",
    "CloudOptics",
    "Phase",
    "cloud_optics",
    "extinction",
    "over_surface",
]

Array = NDArray[np.float32]
Floats = NDArray[np.float64]
Phase = Literal["water", "ice"]

PHASES: Final[tuple[Phase, ...]] = get_args(Phase)

RADIUS_RANGE: Final[dict[Phase, tuple[float, float]]] = {"water": (4.0, 25.0), "ice": (10.0, 60.0)}
"""Effective radii in micrometres that the tables hold."""

_WET_BANDS: Final = (tuple(BANDS).index("B09"), tuple(BANDS).index("B10"))


@dataclass(frozen=True)
class CloudOptics:
    """What a cloud does to light. Arrays (13, y, x) float32, 0 … 1 (reflectance may pass 1 in a glory)."""

    reflectance: Array
    """Of sunlight towards the satellite (bidirectional reflectance factor)."""
    transmittance: Array
    """Share of sunlight that crosses the cloud unscattered: exp(−τ / cos θ)."""
    transmittance_diffuse: Array
    """Share of sunlight that leaves the cloud's base scattered."""
    albedo: Array
    """Share of sunlight that the cloud sends back (plane albedo); 1 − albedo − both transmittances is absorbed."""
    up: Array
    """Share of diffuse light from below that reaches the satellite's direction, straight or scattered."""
    up_direct: Array
    """The straight part of ``up``: it carries a sharp picture of the ground."""
    spherical_albedo: Array
    """Share of diffuse light from below that the cloud sends back down."""


def cloud_optics(
    optical_depth: Array,
    *,
    phase: Phase,
    effective_radius: float,
    geometry: Geometry,
    vapour: Array | None = None,
) -> CloudOptics:
    """Reflectance and transmittance of a cloud in the 13 bands.

    Parameters
    ----------
    optical_depth : (y, x) array or (n,) array
        At 550 nm, 0 … 256; thicker counts as 256.
    phase : "water" or "ice"
        Droplets, or roughened crystals.
    effective_radius : float
        Micrometres: 4 … 25 for water, 10 … 60 for ice. Bigger absorbs more in B11 and B12.
    geometry : Geometry
        Sun and view.
    vapour : (13,) array, optional
        Optical depth of the vapour inside the cloud per optical depth of the cloud, 0 … 3:
        ``atmosphere.vapour_depth`` (per km) over the cloud's own optical depth per km. It dims the reflectance in B09
        and B10, the more so the deeper light gets; the light that crosses the whole cloud is left to ``atmosphere``.

    Returns
    -------
    CloudOptics
        Arrays (13, y, x), or (13, n).

    Raises
    ------
    ArgumentError
        Negative optical depth, unknown phase, radius out of range.

    Examples
    --------
    >>> import numpy as np
    >>> depth = np.array([[0.0, 3.0, 30.0]], dtype="float32")
    >>> sun = Geometry(sun_zenith=45)
    >>> drops = cloud_optics(depth, phase="water", effective_radius=10, geometry=sun)
    >>> crystals = cloud_optics(depth, phase="ice", effective_radius=30, geometry=sun)
    >>> float(drops.reflectance[2, 0, 0]), bool(drops.reflectance[2, 0, 2] > 0.6)
    (0.0, True)
    >>> bool(crystals.reflectance[11, 0, 2] < drops.reflectance[11, 0, 2])
    True

    Notes
    -----
    Adding-doubling for a view from the zenith; a tilted view changes the first order of scattering, which is added from
    the phase function (glory and cloud bow included). Clouds here are flat: sides, holes and horizontal transport of
    light are the business of the cloud field.
    """
    depth = np.asarray(optical_depth, dtype=np.float32)
    _check(depth, phase=phase, effective_radius=effective_radius)
    fields = _curves(phase, effective_radius, geometry=geometry, vapour=vapour)
    place = position(depth)
    index = np.minimum(place.astype(np.int32), TAU.size - 2)
    weight = place - index
    return CloudOptics(**{name: _lookup(curve, index, weight) for name, curve in fields.items()})


def over_surface(cloud: CloudOptics, surface: Array) -> Array:
    """Reflectance at the cloud's top of a cloud over a surface, with every bounce of light between the two.

    Parameters
    ----------
    cloud : CloudOptics
        Same shape.
    surface : (13, y, x) array
        Reflectance of what lies below (ground, with the air in between if that matters).

    Returns
    -------
    (13, y, x) float32 array

    Examples
    --------
    >>> import numpy as np
    >>> cirrus = cloud_optics(np.full((1, 1), 0.3), phase="ice", effective_radius=30, geometry=Geometry(sun_zenith=40))
    >>> lake = over_surface(cirrus, np.full((13, 1, 1), 0.02, dtype="float32"))
    >>> bool(0.02 < lake[2, 0, 0] < 0.1)
    True

    Notes
    -----
    ``reflectance + (transmittance + transmittance_diffuse) · up · ρ / (1 − spherical_albedo · ρ)``.
    """
    through = (cloud.transmittance + cloud.transmittance_diffuse) * cloud.up
    return (cloud.reflectance + through * surface / (1 - cloud.spherical_albedo * surface)).astype(
        np.float32, copy=False
    )


def extinction(phase: Phase, effective_radius: float) -> Array:
    """Optical depth (13,) of a cloud per optical depth at 550 nm.

    Examples
    --------
    >>> bool(extinction("water", 10.0)[12] > 1.0)
    True
    """
    _check(np.zeros(1, dtype=np.float32), phase=phase, effective_radius=effective_radius)
    return particle(phase, effective_radius, "extinction").astype(np.float32)


def _curves(phase: Phase, effective_radius: float, *, geometry: Geometry, vapour: Array | None) -> dict[str, Array]:
    """Every field of ``CloudOptics`` as (13, n) over the optical depths ``TAU``."""
    sun, view = (float(cosine) for cosine in np.cos(np.radians([geometry.sun_zenith, geometry.view_zenith])))
    inside = None if vapour is None else (float(vapour[_WET_BANDS[0]]), float(vapour[_WET_BANDS[1]]))
    cloud = curves(phase, effective_radius, cosines=(sun, view), vapour=inside)
    optical = particle(phase, effective_radius, "extinction")[:, None] * TAU
    straight, straight_up = np.exp(-optical / sun), np.exp(-optical / view)
    tilt = _tilt(phase, effective_radius, geometry=geometry, optical=optical)
    fields = {
        "reflectance": np.maximum(cloud.nadir + tilt, 0.0),
        "transmittance": straight,
        "transmittance_diffuse": np.maximum(cloud.down - straight, 0.0),
        "albedo": cloud.albedo,
        "up": np.maximum(cloud.up, straight_up),
        "up_direct": straight_up,
        "spherical_albedo": cloud.spherical_albedo,
    }
    return {name: np.ascontiguousarray(curve, dtype=np.float32) for name, curve in fields.items()}


def _tilt(phase: Phase, effective_radius: float, *, geometry: Geometry, optical: Floats) -> Floats:
    """First-order scattering towards the view minus that towards the zenith, (13, n)."""
    azimuth = np.radians(geometry.sun_azimuth - geometry.view_azimuth)
    sun, view = np.radians([geometry.sun_zenith, geometry.view_zenith])
    mu, mu_up = np.cos(sun), np.cos(view)
    backward = mu * mu_up + np.sin(sun) * np.sin(view) * np.cos(azimuth)
    single = particle(phase, effective_radius, "single")[:, None]
    # Delta-M: the forward peak counts as not scattered, so that the first order reaches deeper (as in the tables).
    thin = 1 - single * particle(phase, effective_radius, "forward")[:, None]

    def first_order(cosine: float, up: float) -> Floats:
        angle = 180.0 - float(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))))
        along = scattered_back(phase, effective_radius, angle)[:, None]
        slant = optical * (thin * (1 / mu + 1 / up))
        return np.asarray(single / thin * along / (4 * (mu + up)) * -np.expm1(-slant))

    return first_order(backward, mu_up) - first_order(mu, 1.0)


def _lookup(curve: Array, index: NDArray[np.int32], weight: Array) -> Array:
    """Interpolate (13, n) curves at positions ``index + weight``."""
    out = np.take(np.diff(curve, axis=1), index, axis=1, mode="clip")
    out *= weight
    out += np.take(curve, index, axis=1, mode="clip")
    return out


def _check(depth: Array, *, phase: str, effective_radius: float) -> None:
    if phase not in PHASES:
        raise ArgumentError(f"phase={phase!r} is unknown; use one of {', '.join(PHASES)}.")
    low, high = RADIUS_RANGE[phase]
    if not low <= effective_radius <= high:
        raise ArgumentError(
            f"effective_radius={effective_radius!r} is out of range; {phase} tables hold {low:g} … {high:g} µm."
        )
    if not np.all(depth >= 0):
        raise ArgumentError(f"optical_depth has a minimum of {depth.min()}; expected 0 or more everywhere, and no NaN.")
