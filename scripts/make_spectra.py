"""Make the spectral library of the simulated ground, ``src/clearsight/simulate/data/spectra.npz``.

Needs ``prosail``, ``earthlib`` and ``snowoptics`` (``pip install --no-deps prosail earthlib snowoptics``, and numba),
and the ``MTD_MSIL1C.xml`` of any Sentinel-2 product, which holds the spectral responses of the bands in steps of 1 nm:

    python scripts/make_spectra.py --metadata MTD_MSIL1C.xml

What goes in, all of it averaged over the 13 band responses, in the order of ``clearsight.bands.BANDS``:

- ``canopy_black, canopy_through, canopy_back``: PROSAIL canopies [plant, state, leaf area, band]; over a ground of
  reflectance g a canopy reflects ``black + through * g / (1 - back * g)``;
- ``soil, sand, gravel, litter, stubble, char`` and the built materials: measured spectra of ``earthlib``;
- ``snow``: spherical albedo over grain radius, clean and with soot or dust; ``water_absorption``: 1/m.
"""

from __future__ import annotations

import argparse
import csv
import importlib.util
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

NANOMETRES = np.arange(400, 2501)
LEAF_AREAS = (0.0, 0.15, 0.4, 0.8, 1.4, 2.2, 3.2, 4.8, 7.0)
STATES = (0.0, 0.25, 0.5, 0.75, 1.0)
GRAINS = np.array([30e-6, 60e-6, 100e-6, 170e-6, 300e-6, 500e-6, 800e-6, 1300e-6, 2200e-6, 5000e-6])
PLANTS_PER_GROUP = 6

# Ranges of traits: chlorophyll (ug/cm2), dry matter and water (g/cm2), mean leaf angle (degrees), leaf structure.
PLANTS: dict[str, dict[str, tuple[float, float]]] = {
    "cereal": {"cab": (35, 75), "cm": (0.004, 0.007), "cw": (0.010, 0.022), "angle": (58, 74), "n": (1.2, 1.6)},
    "broadleaf": {"cab": (28, 60), "cm": (0.003, 0.006), "cw": (0.012, 0.025), "angle": (38, 56), "n": (1.3, 1.8)},
    "grass": {"cab": (20, 50), "cm": (0.004, 0.008), "cw": (0.007, 0.020), "angle": (55, 72), "n": (1.3, 1.8)},
    "deciduous": {"cab": (38, 75), "cm": (0.005, 0.010), "cw": (0.008, 0.016), "angle": (35, 58), "n": (1.4, 2.0)},
    "conifer": {"cab": (40, 75), "cm": (0.012, 0.026), "cw": (0.015, 0.035), "angle": (52, 66), "n": (1.6, 2.4)},
    "shrub": {"cab": (15, 45), "cm": (0.009, 0.020), "cw": (0.006, 0.016), "angle": (48, 66), "n": (1.6, 2.4)},
    "mangrove": {"cab": (40, 75), "cm": (0.008, 0.014), "cw": (0.018, 0.035), "angle": (45, 62), "n": (1.6, 2.2)},
}

# Folders of earthlib's classes behind each material, and the most spectra kept of each.
MATERIALS: dict[str, tuple[tuple[str, ...], int]] = {
    "soil": (("soil",), 320),
    "sand": (("sand", "dirt", "gravel"), 50),
    "litter": (("litter", "npv", "bark"), 60),
    "wood": (("wood",), 20),
    "char": (("char",), 21),
    "shingle": (("comp_shingle", "wood_shingle"), 80),
    "tile": (("tile", "concrete_tile"), 49),
    "metal": (("metal", "glass"), 20),
    "paint": (("paint", "other"), 60),
    "asphalt": (("road", "asphalt", "parking_lot"), 100),
    "concrete": (("sidewalk", "driveway", "bridge"), 60),
}


def band_responses(metadata: Path) -> Array:
    """Weights (13, nm) of each band over ``NANOMETRES``, each summing to 1."""
    rows = []
    for node in ElementTree.parse(metadata).iter("Spectral_Information"):
        start = int(node.findtext("Wavelength/MIN", ""))
        values = np.array([float(v) for v in node.findtext("Spectral_Response/VALUES", "").split()])
        row = np.zeros(NANOMETRES.size)
        row[start - 400 : start - 400 + values.size] = values
        rows.append(row / row.sum())
    if len(rows) != 13:
        raise SystemExit(f"{metadata} lists the responses of {len(rows)} bands; expected 13.")
    return np.array(rows)


def package_folder(name: str) -> Path:
    """Where a package lies, without importing it (and all that it imports)."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise SystemExit(f"{name} isn't installed: pip install --no-deps {name}")
    return Path(spec.origin).parent


def measured(responses: Array) -> dict[str, Array]:
    """Band means of earthlib's measured spectra, thinned at random."""
    folder = package_folder("earthlib") / "data"
    header = (folder / "spectra.sli.hdr").read_text()
    listed = re.search(r"wavelength = \{([^}]*)\}", header)
    assert listed is not None
    wavelength = np.array([float(w) for w in listed.group(1).split(",")]) * 1000
    spectra = np.fromfile(folder / "spectra.sli", dtype="<f4").reshape(-1, wavelength.size)
    with (folder / "spectra.csv").open() as table:
        kinds = [row["LEVEL_3"] for row in csv.DictReader(table)]
    rng = np.random.default_rng(7)
    library = {}
    for material, (names, most) in MATERIALS.items():
        chosen = [i for i, kind in enumerate(kinds) if kind in names]
        chosen = sorted(rng.permutation(chosen)[:most].tolist())
        fine = np.array([np.interp(NANOMETRES, wavelength, spectra[i]) for i in chosen])
        library[material] = np.clip(fine @ responses.T, 0.003, 0.98)
    return library


def canopies(responses: Array) -> dict[str, Array]:
    """PROSAIL over black, grey and bright ground, solved for the three terms that hold over any ground."""
    import prosail

    rng = np.random.default_rng(11)
    shape = (len(PLANTS), PLANTS_PER_GROUP, len(STATES), len(LEAF_AREAS), 13)
    terms = {name: np.zeros(shape) for name in ("canopy_black", "canopy_through", "canopy_back")}
    for g, ranges in enumerate(PLANTS.values()):
        for k in range(PLANTS_PER_GROUP):
            trait = {name: rng.uniform(*limits) for name, limits in ranges.items()}
            red, sun = rng.uniform(0, 12), rng.uniform(25, 60)
            for s, state in enumerate(STATES):
                leaf = aged(trait, state=state, red=red)
                for a, area in enumerate(LEAF_AREAS):
                    seen = [
                        responses @ canopy(prosail, leaf, trait["angle"], area, sun, ground) for ground in (0, 0.2, 0.6)
                    ]
                    for name, term in zip(terms, coupling(*seen), strict=True):
                        terms[name][g, k, s, a] = term
    return terms


def aged(trait: dict[str, float], *, state: float, red: float) -> dict[str, float]:
    """Traits of a leaf between green (state 0) and dead (1): chlorophyll goes first, then carotenoids and water."""
    return {
        "n": trait["n"] + 0.4 * state,
        "cab": trait["cab"] * (1 - state) ** 1.5 + 0.3,
        "car": trait["cab"] / 4.5 * (1 - 0.85 * state),
        "cbrown": 0.9 * state**2,
        "cw": trait["cw"] * (1 - 0.93 * state),
        "cm": trait["cm"],
        "ant": red * 4 * state * (1 - state),
    }


def canopy(prosail: ModuleType, leaf: dict[str, float], angle: float, area: float, sun: float, ground: float) -> Array:
    """Reflectance factor over 400–2500 nm of a canopy seen from above, over grey ground."""
    flat = np.full(NANOMETRES.size, float(ground))
    return np.asarray(
        prosail.run_prosail(
            leaf["n"], leaf["cab"], leaf["car"], leaf["cbrown"], leaf["cw"], leaf["cm"], max(area, 1e-4), angle,
            0.08, sun, 4.0, 90.0, ant=leaf["ant"], prospect_version="D", rsoil0=flat, factor="SDR",
        )
    )  # fmt: skip


def coupling(black: Array, grey: Array, bright: Array) -> tuple[Array, Array, Array]:
    """Solve ``R(g) = black + through * g / (1 - back * g)`` from R at 0, 0.2 and 0.6."""
    low, high = (grey - black) / 0.2, (bright - black) / 0.6
    back = np.clip((low - high) / np.minimum(0.2 * low - 0.6 * high, -1e-9), 0.0, 0.95)
    return black, np.maximum(low * (1 - 0.2 * back), 0.0), back


def snow(responses: Array) -> dict[str, Array]:
    """Spherical albedo of snow by asymptotic theory: ``exp(-5.8 sqrt(gamma r))``, gamma the absorption of ice.

    Zege et al. (2011), Remote Sensing of Environment 115, 2674: 5.8 stands for grains of mixed shape. Ice after Warren
    and Brandt (2008). Impurities add absorption that is flat (soot) or rises towards the blue (dust).
    """
    module = package_folder("snowoptics") / "refractive_index.py"
    spec = importlib.util.spec_from_file_location("refractive_index", module)
    assert spec is not None
    assert spec.loader is not None
    ice = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(ice)
    metres = NANOMETRES * 1e-9
    gamma = 4 * np.pi * ice.refice(metres, "w2008")[1] / metres
    # Absorption per metre of ice that soot of 1 ppm, and dust of 50 ppm, adds at 550 nm (Warren and Wiscombe 1980).
    soot = 6.9 * (550.0 / NANOMETRES)
    dust = 2.0 * (550.0 / NANOMETRES) ** 3
    clean, sooty, dusty = (
        np.array([responses @ np.exp(-5.8 * np.sqrt((gamma + extra) * r)) for r in GRAINS])
        for extra in (0.0 * soot, soot, dust)
    )
    return {"snow": np.stack([clean, sooty, dusty]), "snow_grain": GRAINS}


def water(responses: Array) -> dict[str, Array]:
    """Absorption of pure water in 1/m (the coefficients inside PROSPECT, given there in 1/cm)."""
    table = np.genfromtxt(package_folder("prosail") / "prospect_d_spectra.txt", comments="#")
    table = table[:, -7:] if table.shape[1] > 7 else table
    column = int(np.argmax(table[1450 - 400]))
    return {"water_absorption": responses @ (table[:, column] * 100.0)}


def main() -> None:
    """Write the library."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--metadata", type=Path, required=True, help="MTD_MSIL1C.xml of a Sentinel-2 product")
    default = Path(__file__).parents[1] / "src" / "clearsight" / "simulate" / "data" / "spectra.npz"
    parser.add_argument("--out", type=Path, default=default)
    arguments = parser.parse_args()
    responses = band_responses(arguments.metadata)
    library = {**measured(responses), **canopies(responses), **snow(responses), **water(responses)}
    packed = {name: values.astype("float64" if name == "snow_grain" else "float16") for name, values in library.items()}
    packed["water_absorption"] = library["water_absorption"].astype("float32")
    packed["leaf_area"] = np.array(LEAF_AREAS)
    packed["state"] = np.array(STATES)
    packed["plants"] = np.array(list(PLANTS))
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(arguments.out, **packed)


if __name__ == "__main__":
    main()
