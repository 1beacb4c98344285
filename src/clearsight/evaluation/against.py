"""Our scores against Cloud Score+ itself, exported from Earth Engine: agreement, correlation, difference."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pystac
import rasterio
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window

from clearsight.errors import EmptySourceError, ProductError
from clearsight.evaluation.document import Heading, Part, Table, Text
from clearsight.evaluation.metrics import BINS, STEPS, THRESHOLDS, bin_of
from clearsight.evaluation.summary import Plain
from clearsight.product import NODATA
from clearsight.progress import Progress, silent

BANDS: Final = ("cs", "cs_cdf")
_SIDE: Final = 2048
"""Pixels of the pieces that are compared at a time."""


@dataclass(frozen=True)
class Compared:
    """How two scores of the same pixels go together."""

    pixels: int
    pearson: float
    spearman: float
    """Of ranks, ties at their mean."""
    difference: float
    """Mean of ours minus theirs."""
    distance: float
    """Mean of the absolute difference."""
    at: dict[str, dict[str, float]]
    """By threshold: ``agreement`` (share of pixels on which both keep or both drop), ``ours`` and ``theirs`` (shares
    kept), ``kappa`` (Cohen's)."""


def against(archive: Path, *, exported: Path, progress: Progress = silent) -> Plain:
    """Compare an archive of scores with Cloud Score+ GeoTIFFs, pixel by pixel on their grid.

    Parameters
    ----------
    archive : path
        Made by `clearsight.produce`: the folder with ``collection.json``.
    exported : path
        Folder of GeoTIFFs exported from Earth Engine, named by ``system:index`` (``INDEX.tif``, or ``INDEX-….tif``
        where an export was split), bands ``cs`` and ``cs_cdf`` as floats in 0 … 1, masked pixels NaN or nodata.
    progress : function, optional
        Told after each image.

    Returns
    -------
    dict
        ``images`` (by id), ``together`` (by band), ``missing`` (exported files that we have no scores of).

    Raises
    ------
    EmptySourceError
        No exported file has scores in the archive.
    ProductError
        A file's values aren't scores.
    """
    ours = {
        item.id: str(item.assets["scores"].get_absolute_href())
        for item in pystac.Collection.from_file(str(archive / "collection.json")).get_items(recursive=True)
    }
    files = sorted(exported.glob("*.tif"))
    pairs = [
        (index, file) for file in files for index in ours if file.stem == index or file.stem.startswith(f"{index}-")
    ]
    if not pairs:
        raise EmptySourceError(
            f"none of the {len(files)} GeoTIFFs in {exported} is named as one of the {len(ours)} scored images; "
            f"expected names such as {next(iter(ours), 'SYSTEM_INDEX')}.tif."
        )
    total = {band: np.zeros((BINS, BINS), dtype=np.int64) for band in BANDS}
    images: Plain = {}
    for done, (index, file) in enumerate(pairs, start=1):
        joint = joint_histograms(ours[index], file)
        for band, counts in joint.items():
            total[band] += counts
        images[file.stem] = {band: _plain(compare(counts)) for band, counts in joint.items()}
        progress(done, len(pairs), "comparing images")
    matched = {file for _, file in pairs}
    return {
        "images": images,
        "together": {band: _plain(compare(counts)) for band, counts in total.items() if counts.any()},
        "missing": [file.stem for file in files if file not in matched],
    }


def joint_histograms(ours: str, theirs: Path) -> dict[str, NDArray[np.int64]]:
    """Count pairs of scores by band: (ours, theirs), in steps of 1/200; ours is put on their grid, nearest pixel."""
    joint = {}
    with rasterio.open(theirs) as exported, rasterio.open(ours) as scored:
        grid = {
            "crs": exported.crs,
            "transform": exported.transform,
            "width": exported.width,
            "height": exported.height,
        }
        with WarpedVRT(scored, resampling=Resampling.nearest, nodata=NODATA, **grid) as mine:
            for number, band in enumerate(BANDS, start=1):
                names = [str(text) for text in exported.descriptions]
                place = names.index(band) + 1 if band in names else number
                if place <= exported.count:
                    joint[band] = _joint(mine, exported, number, place, name=f"{theirs.name}, band {band}")
    return joint


def _joint(mine: Any, exported: Any, number: int, place: int, *, name: str) -> NDArray[np.int64]:
    """One band of two open files, piece by piece."""
    counts = np.zeros(BINS * BINS, dtype=np.int64)
    for top in range(0, exported.height, _SIDE):
        for left in range(0, exported.width, _SIDE):
            window = Window(left, top, min(_SIDE, exported.width - left), min(_SIDE, exported.height - top))
            values = exported.read(place, window=window, masked=True).astype(np.float32).filled(np.nan)
            steps = mine.read(number, window=window)
            seen = np.isfinite(values) & (steps != NODATA)
            if seen.any() and (values[seen].min() < 0 or values[seen].max() > 1):
                raise ProductError(
                    f"{name} holds values from {values[seen].min():g} to {values[seen].max():g}; expected scores in "
                    "0 … 1: export the bands as floats, without a factor."
                )
            counts += np.bincount(steps[seen].astype(np.int64) * BINS + bin_of(values[seen]), minlength=BINS * BINS)
    return counts.reshape(BINS, BINS)


def compare(joint: NDArray[np.int64]) -> Compared:
    """Everything about two scores from their joint histogram (ours, theirs).

    Examples
    --------
    >>> same = np.diag(np.arange(1, BINS + 1))
    >>> found = compare(same)
    >>> round(found.pearson, 6), round(found.spearman, 6), found.at["0.60"]["agreement"]
    (1.0, 1.0, 1.0)
    """
    total = joint.sum()
    ours, theirs = joint.sum(1), joint.sum(0)
    steps = np.arange(BINS) / STEPS
    gap = steps[:, None] - steps[None, :]
    return Compared(
        pixels=int(total),
        pearson=_correlation(joint, steps, steps),
        spearman=_correlation(joint, _ranks(ours), _ranks(theirs)),
        difference=float((joint * gap).sum() / total),
        distance=float((joint * np.abs(gap)).sum() / total),
        at={f"{threshold:.2f}": _at(joint, int(bin_of(threshold))) for threshold in THRESHOLDS},
    )


def _at(joint: NDArray[np.int64], cut: int) -> dict[str, float]:
    total = joint.sum()
    both, ours, theirs = (part.sum() / total for part in (joint[cut:, cut:], joint[cut:], joint[:, cut:]))
    agreement = float(both + joint[:cut, :cut].sum() / total)
    chance = float(ours * theirs + (1 - ours) * (1 - theirs))
    kappa = (agreement - chance) / (1 - chance) if chance < 1 else float("nan")
    return {"agreement": agreement, "ours": float(ours), "theirs": float(theirs), "kappa": kappa}


def _ranks(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Mean rank of the pixels of each step."""
    return np.asarray(np.cumsum(counts) - counts / 2, dtype=np.float64)


def _correlation(joint: NDArray[np.int64], a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    weight = joint / joint.sum()
    off_a, off_b = a - (weight.sum(1) * a).sum(), b - (weight.sum(0) * b).sum()
    spread = np.sqrt((weight.sum(1) * off_a**2).sum() * (weight.sum(0) * off_b**2).sum())
    return float((weight * off_a[:, None] * off_b[None, :]).sum() / spread) if spread > 0 else float("nan")


def told(found: Plain) -> list[Part]:
    """Report of a comparison."""
    parts: list[Part] = [Heading("Against Cloud Score+", 1)]
    head = ("band", "pixels", "Pearson", "Spearman", "ours − theirs", "mean distance")
    rows = [
        (
            band,
            f"{each['pixels']:,}",
            *(_number(each[key]) for key in ("pearson", "spearman", "difference", "distance")),
        )
        for band, each in found["together"].items()
    ]
    parts.append(Table(head, tuple(rows)))
    cuts = [
        (band, cut, *(_number(values[key]) for key in ("agreement", "kappa", "ours", "theirs")))
        for band, each in found["together"].items()
        for cut, values in each["at"].items()
    ]
    parts.append(Table(("band", "threshold", "agreement", "kappa", "kept, ours", "kept, theirs"), tuple(cuts)))
    each_image = [
        (name, band, _number(each["pearson"]), _number(each["distance"]), _number(each["at"]["0.60"]["agreement"]))
        for name, bands in found["images"].items()
        for band, each in bands.items()
    ]
    parts += [
        Heading("Image by image", 2),
        Table(("image", "band", "Pearson", "mean distance", "agreement at 0.60"), tuple(each_image)),
    ]
    if found["missing"]:
        parts.append(Text(f"Exported, but without scores here: {', '.join(found['missing'])}."))
    return parts


def _plain(compared: Compared) -> Plain:
    def number(value: float) -> float | None:
        return round(value, 4) if np.isfinite(value) else None

    return {
        "pixels": compared.pixels,
        **{key: number(getattr(compared, key)) for key in ("pearson", "spearman", "difference", "distance")},
        "at": {cut: {key: number(value) for key, value in values.items()} for cut, values in compared.at.items()},
    }


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
