"""The shipped 6S tables, read once, refined to dense grids and looked up; used by ``atmosphere`` only."""

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

# Dense axes: curves through 6S's points once, then straight lines, which cost microseconds.
_COSINE: Final = np.linspace(np.cos(np.radians(86.0)), 1.0, 120)
_AOT: Final = MAX_AOT * np.linspace(0.0, 1.0, 160) ** 2
_SLANT: Final = np.log(np.geomspace(1e-6, 300.0, 200))
"""Logarithm of slant water vapour in g/cm²: from the dry air above cirrus to the tropics at low sun."""


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


@dataclass(frozen=True)
class _Dense:
    """Quantities that vary slowly with the zenith angle, on the dense axes. Molecules or what aerosol adds to them."""

    path: Floats
    """Path reflectance × cosine: (pressure, cosine, 13) or (pressure, cosine, aot, 13)."""
    depth: Floats
    """Effective optical depth, −ln(transmittance) × cosine, of the same shape."""
    albedo: Floats
    """Spherical albedo: (pressure, 13) or (pressure, aot, 13)."""


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
    mu, mu_up = np.cos(np.radians(angles[:2]))
    air, dust = _molecules(platform), _aerosol(aerosol, platform)
    at_air, at_dust = _pressure_weights(elevation)
    tau = at_air @ _molecule_depth(platform)
    tau_mixed = tau[:, None] + _extinction(aerosol, platform)[:, None] * aot
    tilt = _tilt(aerosol, np.concatenate([[0.0], aot]), tau=tau, angles=angles, platform=platform)

    position = np.sqrt(aot / MAX_AOT) * (_AOT.size - 1)
    low = np.minimum(position.astype(int), _AOT.size - 2)

    both = np.concatenate([low, low + 1])

    def along_aot(ends: Floats) -> Floats:
        """(n below and n above, 13) to (13, n)."""
        below, above = ends[: aot.size], ends[aot.size :]
        return np.asarray(below + (position - low)[:, None] * (above - below)).T

    def alone_at(table: Floats, cosine: float) -> Floats:
        """(pressure, cosine, 13) to (13, 1)."""
        row, weights = _cosine_place(cosine)
        return _contracted(table[:, row : row + 2], at_air, weights)[:, None]

    def with_aerosol_at(table: Floats, cosine: float) -> Floats:
        """(pressure, cosine, aot, 13) to (13, n): of the dense axes no more is worked on than what's asked for."""
        row, weights = _cosine_place(cosine)
        return along_aot(_contracted(table[:, row : row + 2, both], at_dust, weights))

    def through(cosine: float) -> tuple[Floats, Floats]:
        alone = alone_at(air.depth, cosine)
        mixed = alone + with_aerosol_at(dust.depth, cosine)
        return np.exp(-np.maximum(alone, 0.0) / cosine), np.exp(-np.maximum(mixed, 0.0) / cosine)

    (down_alone, down), (up_alone, up) = through(float(mu)), through(float(mu_up))
    path = alone_at(air.path, float(mu)) / mu
    albedo = (at_air @ air.albedo)[:, None]
    molecules = Scattering(
        path=np.maximum(path + tilt[:, :1], 0.0),
        down=down_alone,
        down_direct=np.exp(-tau / mu)[:, None],
        up=up_alone,
        up_direct=np.exp(-tau / mu_up)[:, None],
        albedo=albedo,
    )
    mixed = Scattering(
        path=np.maximum(path + with_aerosol_at(dust.path, float(mu)) / mu + tilt[:, 1:], 0.0),
        down=down,
        down_direct=np.minimum(np.exp(-tau_mixed / mu), down),
        up=up,
        up_direct=np.minimum(np.exp(-tau_mixed / mu_up), up),
        albedo=albedo + along_aot(_contracted(dust.albedo[:, both], at_dust)),
    )
    return molecules, mixed


def vapour_transmittance(*, platform: str, slant: Floats, height: Floats) -> Floats:
    """Transmittance (13, n) of ``slant`` g/cm² of vapour (column × air mass) above heights in km, both (n,)."""
    grid = _vapour_grid()[_platform_index(platform)]  # (13, height, slant)
    step = _SLANT[1] - _SLANT[0]
    position = np.clip((np.log(np.maximum(slant, 1e-9)) - _SLANT[0]) / step, 0, _SLANT.size - 1.000001)
    column = position.astype(int)
    level = np.interp(height, _tables()["gas_height"], np.arange(grid.shape[1]))
    row = np.minimum(level.astype(int), grid.shape[1] - 2)
    right, up = position - column, level - row
    low = grid[:, row, column] * (1 - right) + grid[:, row, column + 1] * right
    high = grid[:, row + 1, column] * (1 - right) + grid[:, row + 1, column + 1] * right
    growth = low * (1 - up) + high * up
    return np.asarray(np.where(slant > 0, np.exp(-np.exp(growth)), 1.0))


def gas_transmittance(*, platform: str, ozone: float, airmass: float, height: float) -> Floats:
    """Transmittance (13,) of ozone (slant column, cm-atm) and of the well-mixed gases above a height in km."""
    lut = _tables()
    through_ozone, mixed = _gas_depths(platform)
    at_height = _along(lut["gas_height"], mixed, height)
    depth = _along(np.concatenate([[0.0], lut["ozone"]]), through_ozone, ozone)
    depth = depth + _along(np.concatenate([[0.0], lut["airmass"]]), at_height, airmass)
    return np.asarray(np.exp(-depth))


@lru_cache(maxsize=4)
def _gas_depths(platform: str) -> tuple[Floats, Floats]:
    """Optical depths from no gas on: of ozone (column, 13), and of the well-mixed gases (height, air mass, 13)."""
    lut = _tables()
    index = _platform_index(platform)
    ozone = -np.log(lut["gas_ozone"][index]).T
    mixed = -np.log(lut["gas_mixed"][index]).transpose(1, 2, 0)
    return np.concatenate([np.zeros((1, 13)), ozone]), np.pad(mixed, ((0, 0), (1, 0), (0, 0)))


def _tilt(aerosol: str, aot: Floats, *, tau: Floats, angles: tuple[float, float, float], platform: str) -> Floats:
    """Single scattering towards the tilted view minus that towards the zenith, (13, n)."""
    sun, view, azimuth = np.radians(angles)
    mu, mu_up = np.cos(sun), np.cos(view)
    backward = mu * mu_up + np.sin(sun) * np.sin(view) * np.cos(azimuth)
    extinction, single = _extinction(aerosol, platform), _single_scattering(aerosol, platform)
    depth = tau[:, None] + extinction[:, None] * aot

    def first_order(cosine: float, up: float) -> Floats:
        angle = 180.0 - float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))
        phase = _along(_phase_angles(), _phase(aerosol, platform), angle)
        source = tau[:, None] * 0.75 * (1 + cosine**2) + (extinction * single * phase)[:, None] * aot
        return np.asarray(source / depth * -np.expm1(-depth * (1 / mu + 1 / up)) / (4 * (mu + up)))

    return first_order(backward, mu_up) - first_order(mu, 1.0)


def _contracted(table: Floats, *weights: Floats) -> Floats:
    """Sum over the first axes of a table, weighted along each, in one product: small tables cost calls, not sums."""
    whole = weights[0]
    for along in weights[1:]:
        whole = np.multiply.outer(whole, along).ravel()
    return np.asarray((whole @ table.reshape(whole.size, -1)).reshape(table.shape[len(weights) :]))


@lru_cache(maxsize=256)
def _pressure_weights(elevation: float) -> tuple[Floats, Floats]:
    """Weights of the tables' pressures: a parabola for molecules, a line for aerosol."""
    pressure = _pressure(elevation)
    molecules = _lagrange(np.array([_pressure(z) for z in _tables()["elevation"]]), pressure)
    aerosol = _lagrange(np.array([_pressure(z) for z in _tables()["aerosol_elevation"]]), pressure)
    return molecules, aerosol


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


def _at_cosine(table: Floats, cosine: float) -> Floats:
    """A dense table (pressure, cosine, …) at one cosine."""
    low, (below, above) = _cosine_place(cosine)
    return np.asarray(below * table[:, low] + above * table[:, low + 1])


def _cosine_place(cosine: float) -> tuple[int, Floats]:
    """Row of ``_COSINE`` below a cosine, and the weights of this row and the next."""
    position = (cosine - float(_COSINE[0])) / float(_COSINE[1] - _COSINE[0])
    low = min(max(int(position), 0), _COSINE.size - 2)
    return low, np.array([1.0 - (position - low), position - low])


def _between(values: Floats, position: Floats) -> Floats:
    """Linear interpolation along the first axis at positions (n,) in steps."""
    low = np.minimum(position.astype(int), values.shape[0] - 2)
    return np.asarray(values[low] + (position - low)[:, None] * (values[low + 1] - values[low]))


def _along(nodes: Floats, values: Floats, at: float) -> Floats:
    """Linear interpolation along the first axis, constant outside the nodes."""
    position = np.interp([at], nodes, np.arange(nodes.size))
    row: Floats = _between(values.reshape(nodes.size, -1), position)[0]
    return row.reshape(values.shape[1:])


@lru_cache(maxsize=1)
def _tables() -> dict[str, NDArray[Any]]:
    with (files("clearsight.simulate") / "data" / "atmosphere.npz").open("rb") as file, np.load(file) as lut:
        return {name: lut[name] if lut[name].dtype.kind == "U" else lut[name].astype(np.float64) for name in lut}


def _platform_index(platform: str) -> int:
    return list(_tables()["platforms"]).index(platform)


def _aerosol_index(aerosol: str) -> int:
    return list(_tables()["aerosols"]).index(aerosol)


def _log_bands(platform: str) -> Floats:
    return np.asarray(np.log(_tables()["wavelength"][_platform_index(platform)]))


def _log_aerosol_bands() -> Floats:
    return np.asarray(np.log(_tables()["aerosol_wavelength"]))


@lru_cache(maxsize=4)
def _molecules(platform: str) -> _Dense:
    return _molecules_at(tuple(_log_bands(platform)))


@lru_cache(maxsize=4)
def _molecule_depth(platform: str) -> Floats:
    """Optical depth of the molecules (pressure, 13)."""
    return _spectral(_tables()["molecules_tau"][:, 0], _log_bands(platform))


def _molecules_at(log_wavelengths: tuple[float, ...]) -> _Dense:
    """Molecules at any wavelengths: scattering falls as a power law, so the tables are straight in logarithms."""
    lut = _tables()
    nodes = np.cos(np.radians(lut["sun"]))
    bands = np.array(log_wavelengths)
    path = _spectral(lut["molecules_path"] * nodes[:, None], bands)
    depth = _spectral(-np.log(lut["molecules_down"]) * nodes[:, None], bands)
    return _Dense(
        path=PchipInterpolator(nodes[::-1], path[:, ::-1], axis=1)(_COSINE),
        depth=PchipInterpolator(nodes[::-1], depth[:, ::-1], axis=1)(_COSINE),
        albedo=_spectral(lut["molecules_albedo"][:, 0], bands),
    )


def _spectral(table: Floats, bands: Floats) -> Floats:
    """Interpolate the last axis from S2A's bands to log wavelengths, straight in logarithms."""
    nodes = _log_bands("S2A")
    position = np.interp(bands, nodes, np.arange(nodes.size))
    low = np.minimum(position.astype(int), nodes.size - 2)
    logs = np.log(np.maximum(table, 1e-9))
    return np.asarray(np.exp(logs[..., low] + (position - low) * (logs[..., low + 1] - logs[..., low])))


@lru_cache(maxsize=16)
def _aerosol(aerosol: str, platform: str) -> _Dense:
    """What aerosol adds to the molecules, in units of its own extinction along the spectrum, where it varies slowly."""
    lut = _tables()
    index = _aerosol_index(aerosol)
    sun = np.cos(np.radians(lut["sun"]))
    coarse = _log_aerosol_bands()
    alone = _molecules_at(tuple(coarse))
    weights = np.array([_pressure_weights(z)[0] for z in lut["aerosol_elevation"]])
    own = _own_extinction(aerosol, coarse)
    bands = np.clip(_log_bands(platform), coarse[0], coarse[-1])

    def refine(values: Floats, molecules: Floats) -> Floats:
        """(pressure, aot, sun, wavelength) to (pressure, cosine, aot, 13)."""
        at_nodes = np.stack([_at_cosine(molecules, float(mu)) for mu in sun], axis=1)
        extra = (values - np.tensordot(weights, at_nodes, axes=1)[:, None]) / own
        in_aot = _from_zero(extra, axis=1)(_AOT)
        in_sun = PchipInterpolator(sun[::-1], in_aot[:, :, ::-1], axis=2)(_COSINE)
        spectral = PchipInterpolator(coarse, in_sun, axis=3)(bands) * _extinction(aerosol, platform)
        return np.asarray(spectral.swapaxes(1, 2))

    albedo = (lut["aerosol_albedo"][index][:, :, 0] - (weights @ alone.albedo)[:, None]) / own
    in_aot = _from_zero(albedo, axis=1)(_AOT)
    return _Dense(
        path=refine(lut["aerosol_path"][index] * sun[:, None], alone.path),
        depth=refine(-np.log(lut["aerosol_down"][index]) * sun[:, None], alone.depth),
        albedo=PchipInterpolator(coarse, in_aot, axis=2)(bands) * _extinction(aerosol, platform),
    )


def _from_zero(values: Floats, *, axis: int) -> PchipInterpolator:
    """A curve over optical depth that starts at nothing."""
    nothing = np.zeros_like(np.take(values, [0], axis=axis))
    nodes = np.concatenate([[0.0], _tables()["aot"]])
    return PchipInterpolator(nodes, np.concatenate([nothing, values], axis=axis), axis=axis)


def _own_extinction(aerosol: str, log_wavelengths: Floats) -> Floats:
    table = _tables()["aerosol_extinction"][_aerosol_index(aerosol)]
    return np.asarray(np.exp(np.interp(log_wavelengths, _log_aerosol_bands(), np.log(table))))


@lru_cache(maxsize=16)
def _extinction(aerosol: str, platform: str) -> Floats:
    """Optical depth (13,) per optical depth at 550 nm."""
    return _own_extinction(aerosol, _log_bands(platform))


@lru_cache(maxsize=16)
def _single_scattering(aerosol: str, platform: str) -> Floats:
    """Single-scattering albedo (13,)."""
    table = _tables()["aerosol_single"][_aerosol_index(aerosol)]
    return np.asarray(np.interp(_log_bands(platform), _log_aerosol_bands(), table))


@lru_cache(maxsize=1)
def _phase_angles() -> Floats:
    return np.linspace(180.0 - _tables()["sun"][-1], 180.0, 120)


@lru_cache(maxsize=16)
def _phase(aerosol: str, platform: str) -> Floats:
    """Phase function (angle, 13) in backward directions, on ``_phase_angles``."""
    lut = _tables()
    table = PchipInterpolator(180.0 - lut["sun"][::-1], lut["aerosol_phase"][_aerosol_index(aerosol)][::-1])
    dense = table(_phase_angles())
    return np.stack([np.interp(_log_bands(platform), _log_aerosol_bands(), row) for row in dense])


@lru_cache(maxsize=1)
def _vapour_grid() -> Floats:
    """ln(−ln T) on the common slant axis: (platform, 13, height, slant).

    A curve of growth is close to straight in these coordinates, so that it extends beyond what 6S prints (five digits).
    """
    lut = _tables()
    grid = np.full((*lut["gas_water"].shape[:3], _SLANT.size), -20.0)
    for place in np.ndindex(*grid.shape[:3]):
        values = lut["gas_water"][place]
        printed = (values > 5e-4) & (values < 0.9995)
        if printed.sum() >= 2:
            x, y = np.log(lut["water"][place[2]][printed]), np.log(-np.log(values[printed]))
            below = y[0] + (_SLANT - x[0]) * min((y[1] - y[0]) / (x[1] - x[0]), 1.0)
            above = y[-1] + (_SLANT - x[-1]) * (y[-1] - y[-2]) / (x[-1] - x[-2])
            grid[place] = np.select([x[0] > _SLANT, x[-1] < _SLANT], [below, above], np.interp(_SLANT, x, y))
    return grid
