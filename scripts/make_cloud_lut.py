"""Make ``src/clearsight/simulate/data/cloud_optics.npz``: light in plane-parallel water and ice clouds, 13 bands.

    pip install miepython numba
    MIEPYTHON_USE_JIT=1 python scripts/make_cloud_lut.py        # about two minutes

1. Single scattering. Water: Mie theory over gamma size distributions (effective variance 0.1). Ice: absorption and
   extinction from Mie spheres of the same effective radius (the same ratio of volume to area: Grenfell and Warren 1999,
   doi:10.1029/1999JD900496), with the featureless phase function of strongly roughened crystals (Henyey-Greenstein),
   whose asymmetry is 0.75 without absorption (severely roughened aggregates: Yang et al. 2013,
   doi:10.1175/JAS-D-12-039.1).
2. Multiple scattering. Adding-doubling (Hansen and Travis 1974, doi:10.1007/BF00168069) with 16 double-Gauss streams a
   hemisphere, delta-M truncation (Wiscombe 1977) and the exact first order (Nakajima and Tanaka 1988, "TMS") for a view
   from the zenith, where no azimuth matters. For other views the phase function in backward directions is kept.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import miepython
import numpy as np
from numpy.polynomial.legendre import leggauss, legvander
from numpy.typing import NDArray

Floats = NDArray[np.float64]

OUT = Path(__file__).parents[1] / "src" / "clearsight" / "simulate" / "data" / "cloud_optics.npz"

# Sentinel-2A's bands B01 … B8A, B09, B10, B11, B12: centres in micrometres.
WAVELENGTH = np.array(
    [0.4427, 0.4924, 0.5598, 0.6646, 0.7041, 0.7405, 0.7828, 0.8328, 0.8647, 0.9451, 1.3735, 1.6137, 2.2024]
)
# Complex refractive indices averaged over S2A's spectral responses (k in the logarithm), from refractiveindex.info.
# Liquid water: Segelstein (1981, hdl.handle.net/10355/11599), close to Hale and Querry (1973, doi:10.1364/AO.12.000555)
# but on a finer grid around 1.4 micrometres.
WATER_N = (1.3446, 1.3401, 1.3354, 1.3301, 1.3286, 1.3275, 1.3263, 1.3251, 1.3244, 1.3227, 1.3145, 1.3093, 1.2853)
WATER_K = (
    *(9.019e-10, 9.708e-10, 2.958e-09, 1.990e-08, 4.070e-08, 1.457e-07, 1.375e-07, 2.376e-07, 3.532e-07),
    *(2.542e-06, 6.605e-05, 8.968e-05, 3.718e-04),
)
# Ice: Warren and Brandt (2008, doi:10.1029/2007JD009744).
ICE_N = (1.3162, 1.3134, 1.3107, 1.3077, 1.3068, 1.3060, 1.3052, 1.3043, 1.3038, 1.3024, 1.2945, 1.2889, 1.2621)
ICE_K = (
    *(7.134e-11, 5.311e-10, 2.863e-09, 1.758e-08, 3.118e-08, 5.009e-08, 1.061e-07, 1.876e-07, 2.406e-07),
    *(5.838e-07, 1.531e-05, 2.775e-04, 3.103e-04),
)

RADII = {"water": (4.0, 6.0, 9.0, 13.0, 18.0, 25.0), "ice": (10.0, 18.0, 30.0, 45.0, 60.0)}
VARIANCE = {"water": 0.1, "ice": 0.2}
ICE_ASYMMETRY = 0.75

SUN = np.array([0.0, 20.0, 35.0, 47.0, 57.0, 65.0, 72.0, 78.0, 83.0, 86.0])
BACKWARD = np.arange(75.0, 180.1, 1.5)
TAU = np.array([0.0, *(256.0 / 2.0 ** (np.arange(28, -1, -1) / 2))])  # 0, 0.0156 … 256 at the reference, 550 nm
WET_BANDS = (9, 10)  # B09 and B10: vapour inside the cloud absorbs
VAPOUR = np.array([0.0, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0])  # its optical depth per optical depth at 550 nm
STREAMS = 16
ORDER = 2 * STREAMS

# Dense in the forward peak, which is less than a degree wide for big droplets in the blue.
ANGLE = np.radians(np.concatenate([np.linspace(0, 4, 800, endpoint=False), np.linspace(4, 180, 1200)]))


@dataclass(frozen=True)
class Particles:
    """Single scattering of a size distribution at one wavelength."""

    efficiency: float
    """Extinction per geometric cross section."""
    single: float
    """Single-scattering albedo."""
    phase: Floats
    """Phase function on ``ANGLE``; mean over the sphere 1."""
    moments: Floats
    """Legendre moments 0 … ORDER of the phase function."""


def size_weights(radius: Floats, *, effective: float, variance: float) -> Floats:
    """Geometric cross section in each logarithmic bin of radius (gamma distribution of Hansen), sum 1."""
    number = radius ** ((1 - 3 * variance) / variance) * np.exp(-radius / (effective * variance))
    weight = number * radius**3  # πr² n(r) dr, with dr = r d(ln r)
    return np.asarray(weight / weight.sum())


def water(band: int) -> list[Particles]:
    """Droplets of every effective radius; the Mie series of a radius is summed once for all distributions."""
    radius = np.geomspace(0.4, 90.0, 420)
    index = complex(WATER_N[band], -WATER_K[band])
    x = 2 * np.pi * radius / WAVELENGTH[band]
    extinction, scattering = miepython.efficiencies_mx(index, x)[:2]
    phase = np.empty((radius.size, ANGLE.size))
    for i, size in enumerate(x):
        s1, s2 = miepython.S1_S2(index, float(size), np.cos(ANGLE))
        phase[i] = np.abs(s1) ** 2 + np.abs(s2) ** 2
        phase[i] *= 2.0 / np.trapezoid(phase[i] * np.sin(ANGLE), ANGLE)
    particles = []
    for effective in RADII["water"]:
        weight = size_weights(radius, effective=effective, variance=VARIANCE["water"])
        mean = (weight * scattering) @ phase
        mean *= 2.0 / np.trapezoid(mean * np.sin(ANGLE), ANGLE)
        moments = np.trapezoid(legvander(np.cos(ANGLE), ORDER) * (mean * np.sin(ANGLE) / 2)[:, None], ANGLE, axis=0)
        efficiency = float(weight @ extinction)
        particles.append(Particles(efficiency, float(weight @ scattering) / efficiency, mean, moments))
    return particles


def ice(band: int) -> list[Particles]:
    """Roughened crystals of every effective radius."""
    radius = np.geomspace(1.0, 300.0, 300)
    index = complex(ICE_N[band], -ICE_K[band])
    extinction, scattering = miepython.efficiencies_mx(index, 2 * np.pi * radius / WAVELENGTH[band])[:2]
    particles = []
    for effective in RADII["ice"]:
        weight = size_weights(radius, effective=effective, variance=VARIANCE["ice"])
        efficiency = float(weight @ extinction)
        single = float(weight @ scattering) / efficiency
        # Light that crosses a crystal is what gets bent sideways: where it is absorbed, or bent less because the index
        # is lower (2.2 micrometres), the diffraction peak and forward light remain.
        g = ICE_ASYMMETRY + 0.6 * (1.31 - ICE_N[band])
        g += (0.97 - g) * 2 * (1 - single)
        phase = (1 - g**2) / (1 + g**2 - 2 * g * np.cos(ANGLE)) ** 1.5
        particles.append(Particles(efficiency, single, phase, g ** np.arange(ORDER + 1.0)))
    return particles


@dataclass(frozen=True)
class Layers:
    """Light in a cloud of every optical depth in ``TAU`` (first axis)."""

    nadir: Floats
    """(tau, sun) reflectance towards the zenith."""
    albedo: Floats
    """(tau, sun) plane albedo."""
    transmittance: Floats
    """(tau, sun) flux through the cloud, straight and scattered."""
    spherical_albedo: Floats
    """(tau,) albedo for diffuse light."""


def with_vapour(particles: Particles, *, scale: float, vapour: float) -> tuple[Particles, float]:
    """Particles in absorbing gas, and their extinction over that at the reference (``scale`` without gas)."""
    total = scale + vapour
    return replace(particles, single=particles.single * scale / total), total


def doubling(particles: Particles, *, scale: float) -> Layers:
    """Adding-doubling for the azimuthal mean; ``scale`` is extinction in this band over that at the reference."""
    x, w = leggauss(STREAMS)
    cosines = np.concatenate([(x + 1) / 2, np.cos(np.radians(SUN))])
    weights = np.concatenate([w / 2, np.zeros(SUN.size)])  # the sun's directions are only looked at, never summed over
    flux = 2 * cosines * weights
    forward = particles.moments[ORDER]
    moments = (particles.moments[:ORDER] - forward) / (1 - forward)
    single = particles.single * (1 - forward) / (1 - particles.single * forward)
    thin = 1 - particles.single * forward  # tau* over tau
    legendre = legvander(cosines, ORDER - 1)
    factors = (2 * np.arange(ORDER) + 1) * moments
    same = single * (legendre * factors) @ legendre.T
    opposite = single * (legendre * factors * (-1.0) ** np.arange(ORDER)) @ legendre.T
    nodes = TAU[1:] * scale * thin
    found: dict[int, tuple[Floats, Floats, Floats]] = {}
    for start in (TAU.size - 2, TAU.size - 3):  # two chains: TAU rises by the square root of two
        halvings = 36
        tau = nodes[start] / 2.0**halvings
        reflection, transmission = _thin_layer(cosines, opposite, same, tau)
        for step in range(halvings + 1):
            index = start - 2 * (halvings - step)
            if index >= 0:
                found[index] = (reflection, transmission, np.exp(-tau / cosines))
            reflection, transmission = _double(reflection, transmission, np.exp(-tau / cosines), flux)
            tau *= 2
    sun = slice(STREAMS, None)
    nadir, albedo, through, spherical = [np.zeros(SUN.size)], [np.zeros(SUN.size)], [np.ones(SUN.size)], [0.0]
    for index in range(nodes.size):
        reflection, transmission, straight = found[index]
        exact = _first_order(particles, nodes[index], thin, opposite[sun, STREAMS])
        nadir.append(reflection[STREAMS, sun] + exact)
        albedo.append((flux @ reflection)[sun])
        through.append((flux @ transmission)[sun] + straight[sun])
        spherical.append(float(flux @ reflection @ flux))
    return Layers(np.array(nadir), np.array(albedo), np.array(through), np.array(spherical))


def _thin_layer(cosines: Floats, opposite: Floats, same: Floats, tau: float) -> tuple[Floats, Floats]:
    """Reflection and transmission of a layer so thin that light scatters once."""
    out, into = cosines[:, None], cosines[None, :]
    reflection = opposite / (4 * (out + into)) * -np.expm1(-tau * (1 / out + 1 / into))
    transmission = same * tau / (4 * out * into) * np.exp(-tau * (1 / out + 1 / into) / 2)
    return reflection, transmission


def _double(r: Floats, t: Floats, straight: Floats, flux: Floats) -> tuple[Floats, Floats]:
    """Two equal layers, one above the other: every bounce between them, as a geometric series."""
    bounce = (r * flux) @ r
    series = np.linalg.solve(np.eye(flux.size) - bounce * flux, bounce)
    down = t + series * straight + (series * flux) @ t
    up = r * straight + (r * flux) @ down
    reflection = r + straight[:, None] * up + (t * flux) @ up
    transmission = straight[:, None] * down + t * straight + (t * flux) @ down
    return reflection, transmission


def _first_order(particles: Particles, tau: float, thin: float, truncated: Floats) -> Floats:
    """Single scattering towards the zenith with the true phase function, minus that with the truncated one."""
    cosine = np.cos(np.radians(SUN))
    true = np.interp(np.pi - np.radians(SUN), ANGLE, particles.phase) * particles.single / thin
    return np.asarray((true - truncated) / (4 * (1 + cosine)) * -np.expm1(-tau * (1 + 1 / cosine)))


def _nadir_in_vapour(particles: Particles, *, scale: float, vapour: float) -> Floats:
    particles, total = with_vapour(particles, scale=scale, vapour=vapour)
    return doubling(particles, scale=total).nadir


def main() -> None:
    """Compute and write the tables of both phases."""
    arrays: dict[str, np.ndarray] = {"tau": TAU, "sun": SUN, "backward": BACKWARD, "vapour": VAPOUR}
    for phase, solve in (("water", water), ("ice", ice)):
        bands = [solve(band) for band in range(13)]
        # Optical depths are given at 550 nm; between B02 (492) and B03 (560) extinction hardly changes.
        reference = [particles.efficiency for particles in bands[2]]
        layers = [[doubling(p, scale=p.efficiency / q) for p, q in zip(band, reference, strict=True)] for band in bands]
        arrays[f"{phase}_radius"] = np.array(RADII[phase])
        for name in ("nadir", "albedo", "transmittance", "spherical_albedo"):
            arrays[f"{phase}_{name}"] = np.array([[getattr(one, name) for one in band] for band in layers])
        arrays[f"{phase}_wet"] = np.array(
            [
                [
                    [_nadir_in_vapour(p, scale=p.efficiency / q, vapour=vapour) for vapour in VAPOUR]
                    for p, q in zip(bands[band], reference, strict=True)
                ]
                for band in WET_BANDS
            ]
        )
        arrays[f"{phase}_single"] = np.array([[p.single for p in band] for band in bands])
        arrays[f"{phase}_asymmetry"] = np.array([[p.moments[1] for p in band] for band in bands])
        arrays[f"{phase}_forward"] = np.array([[p.moments[ORDER] for p in band] for band in bands])
        arrays[f"{phase}_extinction"] = np.array(
            [[p.efficiency / q for p, q in zip(band, reference, strict=True)] for band in bands]
        )
        arrays[f"{phase}_phase"] = np.array(
            [[np.interp(np.radians(BACKWARD), ANGLE, p.phase) for p in band] for band in bands]
        )
    OUT.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(OUT, **{name: array.astype(np.float32) for name, array in arrays.items()})
    print(f"{OUT}: {OUT.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
