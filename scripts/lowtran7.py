"""Transmittance of water vapour from LOWTRAN 7, for the two Sentinel-2 bands in which 6S is too far off (B09 and B10).

Against 14 real clear L1C scenes, 6S lets five to ten times too much light through in B10 for the vapour that B09 shows;
LOWTRAN 7's band model agrees with them. Needs gfortran and the package ``lowtran`` (only its Fortran source is used):
the source is compiled with a small driver, because the package itself gives no transmittance of a single gas.
"""

from __future__ import annotations

import re
import subprocess
from importlib.metadata import distribution
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

MODELS = (1, 2, 3, 4, 5, 6)
"""Tropical, mid-latitude summer and winter, subarctic summer and winter, US standard 1976."""

ZENITH = (0.0, 45.0, 60.0, 70.0, 76.0, 80.0)

DRIVER = """
      program main
      integer n, i, model
      parameter (n = 2000)
      real tx(n,63), v(n), a(n), t(n), u(n), s(n), r(n,3), w(n)
      real z(1), p(1), k(1), m(12), height, zenith, first, last
      read(*,*) model, height, zenith, first, last
      v = 0.
      z = 0.
      p = 0.
      k = 0.
      m = 0.
      call lwtrn7(.true., n, first, last, 5., tx, v, a, t, u, s, r, w,
     & model, 3, 0, 0, 0, 1, 0, z, p, k, m, height, 0., zenith, 0.)
      do i = 1, n
        if (v(i) .gt. 0.) write(*,*) 'OUT', v(i), tx(i,1)
      enddo
      end
"""


def source() -> str:
    """LOWTRAN's Fortran, as the package ships it."""
    return Path(str(distribution("lowtran").locate_file("lowtran/fortran/lowtran7.f"))).read_text(errors="replace")


def build(folder: Path) -> Path:
    """Compile; the program reads a line (model, height, zenith, wavenumbers) and prints the vapour's transmittance."""
    program = folder / "lowtran7"
    if program.exists():
        return program
    text = source().replace("TXPy(IPython,:) = TX(9)", "TXPy(IPython,:) = TX(17)")  # 9 is everything, 17 is vapour
    text = re.sub(r"^( +)pure (?=subroutine)", r"\1", text, flags=re.IGNORECASE | re.MULTILINE)
    (folder / "driver.f").write_text(DRIVER)
    (folder / "lowtran7.f").write_text(text)
    flags = ["-std=legacy", "-O1", "-w", "-fno-automatic", "-ffixed-line-length-none"]
    subprocess.run(["gfortran", *flags, "driver.f", "lowtran7.f", "-o", "lowtran7"], cwd=folder, check=True)
    return program


def transmittance(
    program: Path, *, model: int, height: float, zenith: float, response: tuple[float, float, list[float]]
) -> float:
    """Mean over a spectral response (start, end in micrometres, values) from a height in km to space."""
    start, end, values = response
    line = f"{model} {height} {zenith} {1e4 / (end + 0.004):.1f} {1e4 / (start - 0.004):.1f}\n"
    answer = subprocess.run([program], input=line, capture_output=True, text=True, cwd=program.parent, check=True)
    rows = [row.split()[1:3] for row in answer.stdout.splitlines() if row.strip().startswith("OUT")]
    wavenumber, through = np.array(rows, dtype=float).T
    fine = np.linspace(start, end, 400)
    weight = np.interp(fine, np.linspace(start, end, len(values)), values)
    return float(np.average(np.interp(fine, 1e4 / wavenumber[::-1], through[::-1]), weights=weight))


def column(model: int, height: float) -> float:
    """Vapour above a height in g/cm², from the model's own profile."""
    altitude, pressure, mixing = (_table(name) for name in ("ALT", f"P{model}", f"AMOL{model}1"))
    fine = np.linspace(height, 40.0, 4000)
    log_pressure = np.interp(fine, altitude, np.log(pressure))
    share = np.exp(np.interp(fine, altitude, np.log(mixing))) * 1e-6 * 18.015 / 28.964
    # Hydrostatic: mass per area is pressure over gravity; 1 hPa / g = 1.0197 g/cm².
    return float(np.trapezoid(share[::-1], np.exp(log_pressure)[::-1]) * 1.0197)


def _table(name: str) -> Floats:
    found = re.search(rf"DATA {name}\s*/(.*?)/", source(), flags=re.DOTALL)
    assert found is not None
    rows = [re.sub(r"^     \S", "", row) for row in found[1].splitlines()]
    return np.array([float(x) for x in ",".join(rows).split(",") if x.strip()])


def growth(program: Path, *, height: float, response: tuple[float, float, list[float]]) -> tuple[Floats, Floats]:
    """Curve of growth above a height: ln(slant column) and ln(−ln T), rising, over all models and zenith angles."""
    points = []
    for model in MODELS:
        vapour = column(model, height)
        for zenith in ZENITH:
            value = transmittance(program, model=model, height=height, zenith=zenith, response=response)
            if 1e-4 < value < 0.9999:
                points.append((np.log(vapour / np.cos(np.radians(zenith))), np.log(-np.log(value))))
    x, y = np.array(sorted(points)).T
    return x, y
