"""The main job on a simulated season: score, link, mask, composite, and look."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
import xarray as xr

import clearsight
from clearsight.compositing import write_composite
from clearsight.errors import ProductError
from clearsight.pictures import composite_sheet, contact_sheet, save_png, true_colour
from clearsight.progress import Progress, silent
from clearsight.simulate import Simulated, simulate

BANDS = ("B02", "B03", "B04", "B08")
THRESHOLD = 0.60
BY = "cs_cdf"


@dataclass(frozen=True)
class Demo:
    """What the demo made, and how near it comes to the exact truth that only a simulation knows."""

    files: dict[str, Path]
    """What lies where."""
    dates: int
    """Number of dates in the composite."""
    unmasked_error: float
    """Mean absolute error of the unmasked median of all dates against the clear truth, in reflectance."""
    masked_error: float
    """The same of the composite of what was kept."""
    covered: float
    """Share of the composite's pixels with at least one clear observation, 0 … 1."""


def run(
    out: str | os.PathLike[str],
    *,
    shape: tuple[int, int] = (600, 600),
    dates: int = 14,
    progress: Progress | None = None,
) -> Demo:
    """Simulate a season, score it, link it, mask it, composite it and draw it.

    Parameters
    ----------
    out : path
        Folder to write to. What a former run with the same arguments left there is used again.
    shape, dates
        As in `clearsight.simulate.simulate`.
    progress : callable, optional
        Called with (steps done, steps in all, name of the work).

    Returns
    -------
    Demo

    Raises
    ------
    OutputError
        ``out`` holds something else, or can't be written to.

    Examples
    --------
    >>> run("demo").files["composite"]  # doctest: +SKIP
    PosixPath('demo/composite.tif')
    """
    folder = Path(out)
    step = progress or silent
    site = simulate(folder / "products", shape=shape, dates=dates, progress=_named(step, "simulate a season"))
    archive = folder / "archive"
    done = clearsight.produce(
        clearsight.search(site.folder / "l1c"), archive, progress=_named(step, "score it: cs and cs_cdf")
    )
    if done.failed:
        raise ProductError("; ".join(f"{failure.item_id}: {failure.reason}" for failure in done.failed))
    linked = clearsight.link(clearsight.search(site.folder / "l2a"), archive, bands=["cs", BY])
    step(0, 3, "link, mask and composite")
    stack = clearsight.load(linked.matched, bands=[*BANDS, "cs", BY])
    image = clearsight.composite(clearsight.keep_clear(stack, by=BY, threshold=THRESHOLD), method="median")
    step(1, 3, "link, mask and composite")
    result = _compared(folder, site, image=image, stack=stack)
    step(3, 3, "link, mask and composite")
    return result


def _compared(folder: Path, site: Simulated, *, image: xr.Dataset, stack: xr.Dataset) -> Demo:
    """Write and draw the composite beside the unmasked median and the truth."""
    unmasked = clearsight.composite(stack, method="median")
    truth = clear_truth(site, like=image)
    panels = {
        "median of everything": true_colour(unmasked),
        f"median where {BY} ≥ {THRESHOLD:.2f}": true_colour(image),
        "the truth": true_colour(truth),
        "clear observations": image["count"].values,
    }
    title = f"{stack.sizes['time']} dates of a simulated place: surface reflectance, true colour"
    archive = folder / "archive"
    files = {
        "composite": write_composite(image, folder / "composite.tif"),
        "composite as picture": save_png(true_colour(image), folder / "composite.png"),
        "composite and truth": composite_sheet(panels, folder / "comparison.png", title=title),
        "contact sheet": contact_sheet(
            stack, folder / "contact_sheet.png", title="What was seen, and how it scored", threshold=THRESHOLD, by=BY
        ),
        "scores": archive / "collection.json",
        "products": site.folder,
    }
    kept = image["count"].values > 0
    return Demo(
        files=files,
        dates=stack.sizes["time"],
        unmasked_error=_error(unmasked, truth, where=kept),
        masked_error=_error(image, truth, where=kept),
        covered=float(kept.mean()),
    )


def clear_truth(site: Simulated, *, like: xr.Dataset) -> xr.Dataset:
    """Read the median over time of what the simulated place would have shown under clear air.

    Parameters
    ----------
    site : Simulated
        From `clearsight.simulate.simulate`.
    like : Dataset
        The image to compare with: its grid, and those of its bands that the truth holds.

    Returns
    -------
    Dataset
        Surface reflectance, dims (y, x), float32.
    """
    seasons: dict[str, list[np.ndarray[tuple[int, ...], np.dtype[np.float32]]]] = {}
    for frame in site.frames:
        with rasterio.open(frame.clear) as file:
            planes = file.read(masked=True).astype("float32").filled(np.nan) * np.float32(file.scales[0])
            for name, plane in zip(file.descriptions, planes, strict=True):
                seasons.setdefault(name, []).append(plane)
    shared = [name for name in seasons if name in like]
    return like[shared].copy(data={name: np.nanmedian(seasons[name], axis=0) for name in shared})


def _error(image: xr.Dataset, truth: xr.Dataset, *, where: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> float:
    """Mean absolute error over bands and pixels."""
    return float(np.mean([np.abs(image[name].values - truth[name].values)[where].mean() for name in BANDS]))


def _named(step: Progress, stage: str) -> Progress:
    """One progress bar for a stage, whatever its steps are called."""

    def named(done: int, total: int, what: str) -> None:
        step(done, total, stage)

    return named
