"""CloudSEN12+: hand-labelled patches all over the world, in TACO files; with the scores of Cloud Score+ in the extra.

Layout (version 1.1.2): ``cloudsen12-l1c.*.part.taco`` or ``cloudsen12-l2a.*.part.taco``, and for the other masks
``cloudsen12-extra.*.part.taco``, all in one folder; TACO version 1, read by ``tacoreader.v1``. Patches of 509 and 2000
pixels are padded with zeros at their left and bottom to 512 and 2048; 99 is nodata.
"""

from __future__ import annotations

import datetime
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import rasterio
from numpy.typing import NDArray

from clearsight.bands import LEVEL_BANDS, Level
from clearsight.errors import EmptySourceError, ProductError, ProductWarning
from clearsight.evaluation.samples import Cause, FloatArray, LabelledSet, Sample, map_classes
from clearsight.evaluation.sets._needs import needed

CLASSES: Final = {0: Cause.CLEAR, 1: Cause.THICK, 2: Cause.THIN, 3: Cause.SHADOW}
NODATA: Final = 99
EXTRAS: Final = {
    "SCL": "cloudmask_sen2cor",
    "cs": "cloudmask_cloudscore_cs_v1",
    "cs_cdf": "cloudmask_cloudscore_cs_cdf_v1",
}
"""Our names of layers, and the set's."""

_LAND: Final = {
    10: "trees", 20: "shrubs", 30: "grass", 40: "crops", 50: "built-up", 60: "bare", 70: "snow and ice", 80: "water",
    90: "wetland", 95: "mangroves", 100: "moss and lichen",
}  # fmt: skip
"""ESA WorldCover, the set's ``lc10``."""
_LEVELS: Final[dict[str, tuple[Level, str]]] = {"cloudsen12-l1c": ("L1C", "s2l1c"), "cloudsen12-l2a": ("L2A", "s2l2a")}


@dataclass(frozen=True)
class CloudSEN12:
    """Reader of the expert-labelled patches."""

    path: Path
    split: str = "test"
    """``train``, ``validation`` or ``test``; others were made to learn from."""
    label_type: str = "high"
    name: str = "CloudSEN12+"
    licence: str = "CC0-1.0"
    citation: str = "Aybar et al. 2024, Data in Brief, doi:10.1016/j.dib.2024.110852"

    def samples(self) -> Iterator[Sample]:
        """All patches of the split, by region of interest.

        Raises
        ------
        EmptySourceError
            No TACO file, or no patch of this split.
        """
        taco = needed("tacoreader.v1", for_what="CloudSEN12+")
        found = {prefix: sorted(str(part) for part in self.path.glob(f"{prefix}.*.taco")) for prefix in _LEVELS}
        prefix = next((name for name, parts in found.items() if parts), None)
        if prefix is None:
            raise EmptySourceError(
                f"{self.path} holds no cloudsen12-l1c.*.taco or cloudsen12-l2a.*.taco; "
                "download them from huggingface.co/datasets/tacofoundation/cloudsen12."
            )
        level, image_id = _LEVELS[prefix]
        table = taco.load(found[prefix])
        extra_parts = sorted(str(part) for part in self.path.glob("cloudsen12-extra.*.taco"))
        extra = taco.load(extra_parts) if extra_parts else None
        chosen = table[(table["tortilla:data_split"] == self.split) & (table["label_type"] == self.label_type)]
        if chosen.empty:
            raise EmptySourceError(f"{self.path} holds no patch of split={self.split!r}, {self.label_type!r}.")
        for number in chosen.sort_values("roi_id").index:
            row = table.loc[number]
            layers = _parts(extra, row, int(number)) if extra is not None else {}
            yield _sample(row, _parts(table, row, int(number)), layers, level=level, image_id=image_id)


def _parts(table: Any, row: Any, number: int) -> dict[str, str]:
    """Paths of the layers of a patch, by their ids; of the same row where the tables' ids differ."""
    same = np.flatnonzero((table["tortilla:id"] == row["tortilla:id"]).to_numpy())
    place = int(same[0]) if same.size else number
    if place >= len(table) or str(table.iloc[place]["roi_id"]) != str(row["roi_id"]):
        raise ProductError(
            f"patch {row['tortilla:id']!r} is in one of the TACO files and missing in another; get all their parts."
        )
    inner = table.read(place)
    return dict(zip(inner["tortilla:id"], inner["internal:subfile"], strict=True))


def _sample(row: Any, parts: dict[str, str], extra: dict[str, str], *, level: Level, image_id: str) -> Sample:
    side = int(row["real_proj_shape"])
    image, target = _read(parts[image_id], side), _read(parts["target"], side)[0]
    bands = LEVEL_BANDS[level]
    values = image[: len(bands)].astype(np.float32)
    reflectance = np.where((values == NODATA) | (values == 0), np.nan, values / 10_000).astype(np.float32)
    scene = str(row["s2_id"])
    land = _read(extra["lc10"], side)[0] if "lc10" in extra else np.zeros(1, np.int64)
    codes, counts = np.unique(land, return_counts=True)
    return Sample(
        id=str(row["tortilla:id"]),
        image=reflectance,
        bands=bands,
        level=level,
        labels=map_classes(target, CLASSES),
        date=datetime.datetime.strptime(scene.split("_")[0][:8], "%Y%m%d").date(),
        place=str(row["roi_id"]),
        surface=_LAND.get(int(codes[counts.argmax()]), ""),
        layers=_layers(extra, side),
    )


def _layers(extra: dict[str, str], side: int) -> dict[str, FloatArray]:
    """Scene classification, and Cloud Score+ as 0 … 1."""
    layers: dict[str, FloatArray] = {}
    for ours, theirs in EXTRAS.items():
        if theirs not in extra:
            continue
        with rasterio.open(extra[theirs]) as file:
            scaled = file.scales[0] != 1.0
            values = file.read(1)[:side, -side:] * np.float32(file.scales[0]) + np.float32(file.offsets[0])
        if ours != "SCL" and float(values.max()) > 1.0 and not scaled:
            warnings.warn(
                f"{theirs} holds values up to {float(values.max()):g} and doesn't say their scale; it is left out.",
                ProductWarning,
                stacklevel=2,
            )
            continue
        layers[ours] = values.astype(np.float32)
    return layers


def _read(path: str, side: int) -> NDArray[np.integer[Any]]:
    """All bands without the padding at the left and the bottom."""
    with rasterio.open(path) as file:
        values: NDArray[np.integer[Any]] = file.read()
    return values[:, :side, -side:]


_: type[LabelledSet] = CloudSEN12
