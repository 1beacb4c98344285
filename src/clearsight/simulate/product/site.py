"""The embedded archive: one site over a season, written as SAFE products with the exact truth beside them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Final

import numpy as np
import rasterio
from numpy.typing import NDArray

import clearsight
from clearsight.bands import BANDS, LEVELS, Level, harmonise
from clearsight.errors import ArgumentError, OutputError
from clearsight.progress import Progress, silent
from clearsight.simulate.air.atmosphere import Geometry
from clearsight.simulate.cloud.sky import Sky
from clearsight.simulate.imaging.render import Rendered, render
from clearsight.simulate.imaging.sensor import observe
from clearsight.simulate.imaging.truth import CAUSES
from clearsight.simulate.places.surfaces import Surface, make_surface, surface_reflectance, terrain_light
from clearsight.simulate.product.products import Product, write_product
from clearsight.simulate.product.season import Day, make_sky, plan_season
from clearsight.whole import whole_file

Array = NDArray[np.float32]

TILE: Final = "32UQD"
EPSG: Final = 32632
ORIGIN: Final = (742_320.0, 5_853_360.0)
"""Upper left corner of the site: inside the tile, on its 60 m grid."""

LATITUDE: Final = 52.75
LARGEST: Final = 4000
"""Rows or columns up to which a site stays inside its tile."""

NADIR_OFFSET: Final = 45_000.0
"""Metres from the ground track to the site's corner: the seam between detectors 8 and 9 runs through the site."""

CLEAR_BANDS: Final = ("B02", "B03", "B04", "B08", "B11", "B12")
CLEAR_SCALE: Final = 1e-4
CLEAR_NODATA: Final = -32768

_MISREGISTRATION: Final = 0.3
"""Pixels of 10 m by which frames lie off each other; Sentinel-2's multi-temporal registration is about that good."""

_RECORD: Final = "simulated.json"


@dataclass(frozen=True)
class Frame:
    """One pass over the simulated site, and where its files lie."""

    index: str
    """``system:index``, the same for both products."""
    date: date
    """Day of the pass, UTC."""
    sky: str
    """What the sky did: one of ``season.SKIES``."""
    baseline: str
    """Processing baseline of both products."""
    l1c: Path
    """Folder of the L1C product."""
    l2a: Path
    """Folder of the L2A product."""
    truth: Path
    """GeoTIFF, float32, 10 m: band 1 the exact q, 0 … 1, band 2 the cause (``truth.CAUSES``)."""
    clear: Path
    """GeoTIFF, 10 m: surface reflectance, as the same look at the same ground under clear air would show it; int16,
    scale 1e-4, nodata −32768, the bands ``CLEAR_BANDS``."""
    clear_toa: Path
    """The same as reflectance at the top of the atmosphere."""

    @property
    def files(self) -> tuple[Path, ...]:
        """All that makes the frame complete."""
        return (self.l1c, self.l2a, self.truth, self.clear, self.clear_toa)


@dataclass(frozen=True)
class Simulated:
    """A simulated archive."""

    folder: Path
    """Where everything lies."""
    frames: tuple[Frame, ...]
    """In the order of time."""

    @property
    def l1c(self) -> tuple[Path, ...]:
        """Folders of the L1C products."""
        return tuple(frame.l1c for frame in self.frames)

    @property
    def l2a(self) -> tuple[Path, ...]:
        """Folders of the L2A products."""
        return tuple(frame.l2a for frame in self.frames)


def simulate(
    out: str | os.PathLike[str],
    *,
    seed: int = 7,
    shape: tuple[int, int] = (600, 600),
    dates: int = 14,
    progress: Progress | None = None,
) -> Simulated:
    """Write a small but genuine archive: SAFE products of one site over a season, and the exact truth.

    Parameters
    ----------
    out : path
        Folder to write to: new, empty, or left by an earlier call with the same arguments, which is then completed.
    seed : int
        Another seed gives another place and other weather.
    shape : (int, int)
        Rows and columns at 10 m: multiples of 6, 60 … 4000.
    dates : int
        Passes of Sentinel-2A and 2B from 2021-04-26 on, five or ten days apart; at least 1.
    progress : callable, optional
        Called with (frames done, frames to do in all, what was done last).

    Returns
    -------
    Simulated
        ``out/l1c/*.SAFE``, ``out/l2a/*.SAFE``, ``out/truth/<index>.tif``, ``out/truth/clear_<index>.tif``,
        ``out/truth/clear_toa_<index>.tif``, ``out/README.txt``.

    Raises
    ------
    ArgumentError
        ``shape`` or ``dates`` is out of range.
    OutputError
        ``out`` holds something else, or can't be written to.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     site = simulate(folder, shape=(60, 60), dates=2)
    ...     [path.name[:19] for path in site.l1c]
    ['S2A_MSIL1C_20210426', 'S2A_MSIL1C_20210506']
    """
    _check(shape, dates)
    folder = Path(out)
    request = {"seed": seed, "shape": list(shape), "dates": dates, "version": clearsight.__version__}
    _claim(folder, request)
    days = plan_season(seed, dates=dates)
    site = Simulated(folder, tuple(_frame(folder, day, shape) for day in days))
    missing = [pair for pair in zip(site.frames, days, strict=True) if not all(path.exists() for path in pair[0].files)]
    if missing:
        surface = make_surface("mixed", shape=shape, seed=seed, latitude=LATITUDE)
        _write_frames(missing, surface=surface, seed=seed, progress=progress or silent)
    with whole_file(folder / "README.txt") as part:
        part.write_text(_readme(site), encoding="utf-8")
    return site


def _check(shape: tuple[int, int], dates: int) -> None:
    if len(shape) != 2 or any(size % 6 or not 60 <= size <= LARGEST for size in shape):
        raise ArgumentError(
            f"shape={shape}: expected rows and columns of 60 … {LARGEST}, multiples of 6 so that 60 m pixels fit."
        )
    if dates < 1:
        raise ArgumentError(f"dates={dates}: expected at least 1.")


def _claim(folder: Path, request: Mapping[str, object]) -> None:
    """Make sure that the folder is new, or an earlier call's with the same request."""
    record = folder / _RECORD
    try:
        if record.exists():
            if json.loads(record.read_text(encoding="utf-8")) == request:
                return
            raise OutputError(f"out={folder} holds another simulated archive. Delete it, or choose another folder.")
        if folder.exists() and any(folder.iterdir()):
            raise OutputError(f"out={folder} isn't empty. Choose a new or an empty folder.")
    except (OSError, ValueError) as error:
        raise OutputError(f"out={folder} can't be used: {error}. Choose a new or an empty folder.") from error
    with whole_file(record) as part:
        part.write_text(json.dumps(request), encoding="utf-8")


def _frame(folder: Path, day: Day, shape: tuple[int, int]) -> Frame:
    l1c = _product("L1C", day, shape, cloud_cover=0.0)
    l2a = _product("L2A", day, shape, cloud_cover=0.0)
    truth = folder / "truth"
    return Frame(
        index=l1c.index,
        date=day.date,
        sky=day.sky,
        baseline=day.baseline,
        l1c=folder / "l1c" / l1c.name,
        l2a=folder / "l2a" / l2a.name,
        truth=truth / f"{l1c.index}.tif",
        clear=truth / f"clear_{l1c.index}.tif",
        clear_toa=truth / f"clear_toa_{l1c.index}.tif",
    )


def _product(level: Level, day: Day, shape: tuple[int, int], *, cloud_cover: float) -> Product:
    return Product(
        level=level,
        baseline=day.baseline,
        overpass=day.overpass,
        generated=day.generated + (timedelta(hours=1) if level == "L2A" else timedelta(0)),
        tile=TILE,
        epsg=EPSG,
        origin=ORIGIN,
        shape=shape,
        nadir_offset=NADIR_OFFSET,
        cloud_cover=cloud_cover,
    )


def _write_frames(missing: list[tuple[Frame, Day]], *, surface: Surface, seed: int, progress: Progress) -> None:
    # Two at a time: NumPy, SciPy and GDAL release Python's lock while they work; more would cost memory.
    progress(0, len(missing), "ground")
    with ThreadPoolExecutor(2) as pool:
        jobs = {pool.submit(_write_frame, frame, day=day, surface=surface, seed=seed): frame for frame, day in missing}
        try:
            for done, job in enumerate(as_completed(jobs), start=1):
                job.result()
                progress(done, len(missing), f"{jobs[job].date}: {jobs[job].sky}")
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _write_frame(frame: Frame, *, day: Day, surface: Surface, seed: int) -> None:
    sky = make_sky(day, seed=seed, elevation=surface.elevation)
    grid = _product("L1C", day, surface.elevation.shape, cloud_cover=0.0)
    rendered = _look(day, surface=surface, sky=sky, product=grid, seed=seed)
    for level in LEVELS:
        path = frame.l1c if level == "L1C" else frame.l2a
        if not path.exists():
            _write_level(path, level=level, rendered=rendered, sky=sky, day=day, seed=seed)
    _write_tif(frame.truth, np.stack([rendered.q, rendered.cause.astype(np.float32)]), grid, ("q", "cause"))
    for path, image in ((frame.clear, rendered.clear_boa), (frame.clear_toa, rendered.clear_toa)):
        _write_clear(path, image, grid=grid, seed=_noise_seed(seed, day))


def _look(day: Day, *, surface: Surface, sky: Sky, product: Product, seed: int) -> Rendered:
    sun_zenith, sun_azimuth = product.mean_sun()
    view_zenith, view_azimuth = product.mean_view(BANDS["B04"].index)
    return render(
        surface_reflectance(surface, date=day.date),
        sky=sky,
        geometry=Geometry(sun_zenith, sun_azimuth, view_zenith, view_azimuth),
        platform=day.overpass.platform,
        light=terrain_light(surface, sun_zenith=sun_zenith, sun_azimuth=sun_azimuth),
        elevation=surface.elevation,
        seed=_noise_seed(seed, day),
    )


def _write_level(path: Path, *, level: Level, rendered: Rendered, sky: Sky, day: Day, seed: int) -> None:
    cloudy = np.isin(rendered.cause, (1, 2))
    product = _product(level, day, rendered.q.shape, cloud_cover=100 * float(cloudy.mean()))
    image = rendered.toa if level == "L1C" else rendered.boa
    dn = _measure(image, product=product, seed=_noise_seed(seed, day))
    write_product(path.parent, product=product, dn=dn, layers=_layers(rendered, sky))


def _measure(image: Array, *, product: Product, seed: int) -> Mapping[str, NDArray[np.uint16]]:
    """Look at a scene through the instrument: both levels of a pass get the same noise and the same shift."""
    seen = observe(
        np.nan_to_num(image, nan=0.0),
        seed=seed,
        baseline=product.baseline,
        sun_zenith=product.mean_sun()[0],
        detector=product.detectors(10),
        misregistration=_MISREGISTRATION,
    )
    return seen.dn


def _layers(rendered: Rendered, sky: Sky) -> dict[str, NDArray[np.uint8] | NDArray[np.uint16]]:
    """Layers beside the bands, from the truth: what an ideal processor would find."""
    cause, depth = rendered.cause[1::2, 1::2], rendered.optical_depth[1::2, 1::2]
    size = cause.shape
    ice = all(layer.phase == "ice" for layer in sky.layers)
    green, red, near = (rendered.clear_boa[BANDS[name].index, 1::2, 1::2] for name in ("B03", "B04", "B08"))
    scl = np.where(near - red > 0.35 * (near + red), 4, 5)
    scl[green > near] = 6
    scl[cause == 3] = 3
    scl[cause == 2] = 10 if ice else 8
    scl[cause == 1] = 9
    sparse = rendered.cause[3::6, 3::6]
    aerosol = round(float(np.mean(sky.air.aot)) * 1000)
    return {
        "CLOUDS": np.where(sparse == 1, 1, np.where(sparse == 2, 2 if ice else 1, 0)).astype(np.uint8),
        "SCL": scl.astype(np.uint8),
        "AOT": np.full(size, aerosol, np.uint16),
        "WVP": np.full(size, round(sky.air.water_vapour * 1000), np.uint16),
        "CLDPRB": (100 * (1 - np.exp(-depth))).round().astype(np.uint8),
    }


def _write_clear(path: Path, image: Array, *, grid: Product, seed: int) -> None:
    dn = _measure(image, product=grid, seed=seed)
    planes = []
    for name in CLEAR_BANDS:
        step = BANDS[name].gsd // 10
        values = harmonise(dn[name], offset=grid.offset).repeat(step, 0).repeat(step, 1)
        planes.append(np.where(np.isnan(values), CLEAR_NODATA, np.rint(values / CLEAR_SCALE)).astype(np.int16))
    _write_tif(path, np.stack(planes), grid, CLEAR_BANDS)


def _write_tif(
    path: Path, planes: NDArray[np.float32] | NDArray[np.int16], grid: Product, names: tuple[str, ...]
) -> None:
    whole_numbers = planes.dtype == np.int16
    with (
        whole_file(path) as part,
        rasterio.open(
            part,
            "w",
            driver="GTiff",
            width=planes.shape[2],
            height=planes.shape[1],
            count=len(planes),
            dtype=planes.dtype,
            crs=f"EPSG:{grid.epsg}",
            transform=grid.transform(10),
            nodata=CLEAR_NODATA if whole_numbers else None,
            tiled=True,
            compress="deflate",
            predictor=2 if whole_numbers else 3,
        ) as dataset,
    ):
        dataset.write(planes)
        dataset.descriptions = names
        if whole_numbers:
            dataset.scales = (CLEAR_SCALE,) * len(planes)


def _noise_seed(seed: int, day: Day) -> int:
    return seed * 1000 + day.number


def _readme(site: Simulated) -> str:
    causes = ", ".join(f"{code} {name}" for code, name in CAUSES.items())
    lines = [
        "A simulated Sentinel-2 archive, made by Clearsight. No satellite saw any of this.",
        "",
        "l1c/, l2a/           SAFE products: open them with any Sentinel-2 reader",
        "truth/INDEX.tif      exact q (band 1, 0 to 1) and cause (band 2: " + causes + ")",
        "truth/clear_INDEX.tif      the same look under clear air, surface reflectance * 10000: "
        + " ".join(CLEAR_BANDS),
        "truth/clear_toa_INDEX.tif  the same at the top of the atmosphere",
        "",
        "The masks and the scene classification of the products come from the truth: don't judge a method by them.",
        "",
        *(f"{frame.date}  {frame.index}  baseline {frame.baseline}  {frame.sky}" for frame in site.frames),
    ]
    return "\n".join(lines) + "\n"
