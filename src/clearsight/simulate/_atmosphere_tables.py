"""The shipped 6S tables, read once and interpolated; used by ``atmosphere`` only."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

Floats = NDArray[np.float64]

MAX_AOT: Final = 4.0

# A common axis of slant water vapour in g/cm², wide enough for the dry air above cirrus and for the tropics at low sun.
_SLANT: Final = np.geomspace(1e-6, 300.0, 96)


@dataclass(frozen=True)
class Scattering:
    """Scattering of the air; each (13, n) for n optical depths, or (13, 1) for molecules alone."""

    path: Floats
    """Path reflectance."""
    down: Floats
    """Total transmittance from the sun to the ground."""
    down_direct: Floats
    """Straight part of ``down``."""
    up: Floats
    """Total transmittance from the ground to the satellite."""
    up_direct: Floats
    """Straight part of ``up``."""
    albedo: Floats
    """Spherical albedo."""


def scattering(
    *, aerosol: str, aot: Floats, elevation: float, angles: tuple[float, float, float], platform: str
) -> tuple[Scattering, Scattering]:
    """Molecules alone, and molecules with aerosol.

    Parameters
    ----------
    aerosol : str
        Type.
    aot : (n,) array
        Optical depths at 550 nm.
    elevation : float
        Of the ground, km.
    angles : (sun zenith, view zenith, sun azimuth − view azimuth)
        Degrees.
    platform : str
        Whose bands.

    Returns
    -------
    (Scattering, Scattering)
    """
    sun, view, _ = angles
    lut = _tables()
    bands = np.log(lut["wavelength"][list(lut["platforms"]).index(platform)])
    pressure = _pressure(elevation)
    nadir = _molecules(bands, pressure=pressure, sun=sun)
    upward = _molecules(bands, pressure=pressure, sun=view)
    extra = _aerosol(aerosol, aot, bands=bands, pressure=pressure, sun=sun)
    extra_up = _aerosol(aerosol, aot, bands=bands, pressure=pressure, sun=view)
    tau = nadir["tau"]
    extinction = _extinction(aerosol, bands)
    tau_mixed = tau[:, None] + extinction[:, None] * aot
    tilt_molecules, tilt = _tilt(aerosol, aot, bands=bands, tau=tau, angles=angles)
    mu, mu_up = np.cos(np.radians([sun, view]))

    def transmittance(optical: Floats, cosine: float) -> Floats:
        return np.exp(-np.maximum(optical, 0.0) / cosine)

    molecules = Scattering(
        path=(nadir["path"] / mu)[:, None] + tilt_molecules,
        down=transmittance(nadir["down"], mu)[:, None],
        down_direct=transmittance(tau, mu)[:, None],
        up=transmittance(upward["down"], mu_up)[:, None],
        up_direct=transmittance(tau, mu_up)[:, None],
        albedo=nadir["albedo"][:, None],
    )
    down = transmittance(nadir["down"][:, None] + extra["down"], mu)
    up = transmittance(upward["down"][:, None] + extra_up["down"], mu_up)
    mixed = Scattering(
        path=np.maximum((nadir["path"][:, None] + extra["path"]) / mu + tilt, 0.0),
        down=down,
        down_direct=np.minimum(transmittance(tau_mixed, mu), down),
        up=up,
        up_direct=np.minimum(transmittance(tau_mixed, mu_up), up),
        albedo=nadir["albedo"][:, None] + extra["albedo"],
    )
    return molecules, mixed


def vapour_transmittance(*, platform: str, slant: float, height: float) -> Floats:
    """Transmittance (13,) of ``slant`` g/cm² of vapour (column × air mass) above a height in km."""
    grid = _vapour_grid()[list(_tables()["platforms"]).index(platform)]
    position = np.interp(np.log(max(slant, _SLANT[0])), np.log(_SLANT), np.arange(_SLANT.size))
    low = min(int(position), _SLANT.size - 2)
    column = grid[..., low] + (position - low) * (grid[..., low + 1] - grid[..., low])
    growth = _along(_tables()["gas_height"], column.T, height)
    return np.asarray(np.exp(-np.exp(growth)) if slant > 0 else np.ones(13))


def gas_transmittance(*, platform: str, ozone: float, airmass: float, height: float) -> Floats:
    """Transmittance (13,) of ozone (slant column, cm-atm) and of the well-mixed gases above a height in km."""
    lut = _tables()
    index = list(lut["platforms"]).index(platform)
    depth = -np.log(lut["gas_ozone"][index])
    slant = np.concatenate([[0.0], lut["ozone"]])
    through_ozone = _along(slant, np.concatenate([np.zeros((13, 1)), depth], axis=1).T, ozone)
    mixed = -np.log(np.maximum(lut["gas_mixed"][index], 1e-6))
    at_height = _along(lut["gas_height"], mixed.transpose(1, 0, 2), height)
    nodes = np.concatenate([[0.0], lut["airmass"]])
    through_mixed = _along(nodes, np.concatenate([np.zeros((13, 1)), at_height], axis=1).T, airmass)
    return np.asarray(np.exp(-through_ozone - through_mixed))


def _molecules(bands: Floats, *, pressure: float, sun: float) -> dict[str, Floats]:
    """Path × cos, effective optical depths (-ln T × cos) and albedo (13,) at log wavelengths ``bands``."""
    values = {}
    for name, (node, table) in _molecule_fits().items():
        # Tables: (pressure, wavelength) once the sun's zenith is chosen; a parabola through the three pressures.
        at_sun = table(np.cos(np.radians(sun)))
        at_pressure = np.tensordot(_lagrange(node, pressure), at_sun, axes=1)
        values[name] = np.exp(np.interp(bands, _band_axis(), np.log(np.maximum(at_pressure, 1e-9))))
    return values


def _aerosol(aerosol: str, aot: Floats, *, bands: Floats, pressure: float, sun: float) -> dict[str, Floats]:
    """What aerosol adds (13, n) to the three quantities of ``_molecules``."""
    extinction = _extinction(aerosol, bands)
    values = {}
    for name, table in _aerosol_fits(aerosol).items():
        at_sun = table(np.cos(np.radians(sun)))  # (pressure, aot, wavelength)
        low, high = (_pressure(z) for z in _tables()["aerosol_elevation"])
        share = (pressure - high) / (low - high)
        at_pressure = share * at_sun[0] + (1 - share) * at_sun[1]
        nodes = np.concatenate([[0.0], _tables()["aot"]])
        at_aot = PchipInterpolator(nodes, np.concatenate([np.zeros((1, at_pressure.shape[1])), at_pressure]))(aot)
        spectral = PchipInterpolator(np.log(_tables()["aerosol_wavelength"]), at_aot, axis=1, extrapolate=True)
        values[name] = spectral(np.clip(bands, *_aerosol_range())).T * extinction[:, None]
    return values


def _tilt(
    aerosol: str, aot: Floats, *, bands: Floats, tau: Floats, angles: tuple[float, float, float]
) -> tuple[Floats, Floats]:
    """Single scattering to the tilted view minus that to the zenith: molecules (13, 1), with aerosol (13, n)."""
    sun, view, azimuth = np.radians(angles)
    mu, mu_up = np.cos(sun), np.cos(view)
    backward = mu * mu_up + np.sin(sun) * np.sin(view) * np.cos(azimuth)

    def single(aot: Floats, cosine: float, up: float) -> Floats:
        phase_molecules = 0.75 * (1 + cosine**2)
        scattered, phase = _phase(aerosol, bands, 180.0 - np.degrees(np.arccos(np.clip(cosine, -1, 1))))
        depth = tau[:, None] + _extinction(aerosol, bands)[:, None] * aot
        source = tau[:, None] * phase_molecules + (_extinction(aerosol, bands) * scattered * phase)[:, None] * aot
        slant = 1 / mu + 1 / up
        return np.asarray(source / depth * -np.expm1(-depth * slant) / (4 * (mu + up)))

    none = np.zeros(1)
    return (
        single(none, backward, mu_up) - single(none, mu, 1.0),
        single(aot, backward, mu_up) - single(aot, mu, 1.0),
    )


def _phase(aerosol: str, bands: Floats, angle: float) -> tuple[Floats, Floats]:
    """Single-scattering albedo and phase function (13,) of an aerosol at a scattering angle in degrees."""
    lut = _tables()
    index = list(lut["aerosols"]).index(aerosol)
    axis = np.log(lut["aerosol_wavelength"])
    nodes = 180.0 - lut["sun"]
    phase = PchipInterpolator(nodes[::-1], lut["aerosol_phase"][index][::-1])(np.clip(angle, nodes[-1], nodes[0]))
    return np.interp(bands, axis, lut["aerosol_single"][index]), np.interp(bands, axis, phase)


def _extinction(aerosol: str, bands: Floats) -> Floats:
    """Optical depth (13,) per optical depth at 550 nm."""
    lut = _tables()
    table = lut["aerosol_extinction"][list(lut["aerosols"]).index(aerosol)]
    return np.asarray(np.exp(np.interp(bands, np.log(lut["aerosol_wavelength"]), np.log(table))))


def _pressure(elevation: float) -> float:
    """Air pressure over that at sea level (international standard atmosphere)."""
    if elevation <= 11.0:
        return float((1 - 0.0065 * elevation * 1e3 / 288.15) ** 5.2559)
    return float(0.2234 * np.exp(-(elevation - 11.0) / 6.342))


def _lagrange(nodes: Floats, at: float) -> Floats:
    weights = np.ones(nodes.size)
    for i, node in enumerate(nodes):
        for other in np.delete(nodes, i):
            weights[i] *= (at - other) / (node - other)
    return weights


def _along(nodes: Floats, values: Floats, at: float) -> Floats:
    """Linear interpolation along the first axis of ``values``, constant outside the nodes."""
    position = float(np.interp(at, nodes, np.arange(nodes.size)))
    low = min(int(position), nodes.size - 2)
    return np.asarray(values[low] + (position - low) * (values[low + 1] - values[low]))


@lru_cache(maxsize=1)
def _tables() -> dict[str, NDArray[Any]]:
    with (files("clearsight.simulate") / "data" / "atmosphere.npz").open("rb") as file, np.load(file) as lut:
        return {name: lut[name] if lut[name].dtype.kind == "U" else lut[name].astype(np.float64) for name in lut}


@lru_cache(maxsize=1)
def _band_axis() -> Floats:
    """Log wavelengths of the molecules' table: S2A's bands."""
    return np.asarray(np.log(_tables()["wavelength"][0]))


@lru_cache(maxsize=1)
def _aerosol_range() -> tuple[float, float]:
    wavelength = np.log(_tables()["aerosol_wavelength"])
    return float(wavelength[0]), float(wavelength[-1])


@lru_cache(maxsize=1)
def _molecule_fits() -> dict[str, tuple[Floats, Any]]:
    """For each quantity the pressures, and a function of the cosine of the zenith angle."""
    lut = _tables()
    cosine = np.cos(np.radians(lut["sun"]))
    pressure = np.array([_pressure(z) for z in lut["elevation"]])
    smooth = _smooth(lut, "molecules", cosine[:, None])
    smooth["tau"] = lut["molecules_tau"]
    # (pressure, sun, wavelength); PCHIP wants a rising axis.
    return {
        name: (pressure, PchipInterpolator(cosine[::-1], table[:, ::-1], axis=1, extrapolate=True))
        for name, table in smooth.items()
    }


@lru_cache(maxsize=8)
def _aerosol_fits(aerosol: str) -> dict[str, Any]:
    """What aerosol adds to the molecules, per unit of extinction: functions of the cosine of the zenith angle."""
    lut = _tables()
    index = list(lut["aerosols"]).index(aerosol)
    cosine = np.cos(np.radians(lut["sun"]))
    axis = np.log(lut["aerosol_wavelength"])
    mixed = _smooth(lut, "aerosol", cosine[:, None])
    fits = {}
    for name, table in mixed.items():
        # (pressure, aot, sun, wavelength) minus the molecules at the same pressure and sun.
        alone = [
            [_molecules(axis, pressure=_pressure(z), sun=float(s))[name] for s in lut["sun"]]
            for z in lut["aerosol_elevation"]
        ]
        extra = (table[index] - np.array(alone)[:, None]) / _extinction(aerosol, axis)
        fits[name] = PchipInterpolator(cosine[::-1], extra[:, :, ::-1], axis=2, extrapolate=True)
    return fits


def _smooth(lut: dict[str, NDArray[Any]], kind: str, cosine: Floats) -> dict[str, Floats]:
    """Quantities that vary slowly with the zenith angle, from those that don't."""
    return {
        "path": lut[f"{kind}_path"] * cosine,
        "down": -np.log(lut[f"{kind}_down"]) * cosine,
        "albedo": lut[f"{kind}_albedo"],
    }


@lru_cache(maxsize=1)
def _vapour_grid() -> Floats:
    """ln(−ln T) on the common slant axis: (platform, band, height, slant).

    A curve of growth is close to straight in these coordinates, so that it extends beyond what 6S prints (five digits).
    """
    lut = _tables()
    grid = np.empty((*lut["gas_water"].shape[:3], _SLANT.size))
    for platform, band, height in np.ndindex(*grid.shape[:3]):
        values = lut["gas_water"][platform, band, height]
        printed = (values > 5e-4) & (values < 0.9995)
        if printed.sum() < 2:
            grid[platform, band, height] = -20.0
            continue
        x, y = np.log(lut["water"][height][printed]), np.log(-np.log(values[printed]))
        inside = np.interp(np.log(_SLANT), x, y)
        below = y[0] + (np.log(_SLANT) - x[0]) * min((y[1] - y[0]) / (x[1] - x[0]), 1.0)
        above = y[-1] + (np.log(_SLANT) - x[-1]) * (y[-1] - y[-2]) / (x[-1] - x[-2])
        grid[platform, band, height] = np.where(
            np.log(_SLANT) < x[0], below, np.where(np.log(_SLANT) > x[-1], above, inside)
        )
    return grid
