"""Sets of single labelled pixels: PixBox-S2-CMIX with its products around the pixels, and Hollstein's spectra."""

from __future__ import annotations

import csv
import datetime
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

import clearsight
from clearsight.bands import BANDS
from clearsight.errors import EmptySourceError, ProductError
from clearsight.evaluation.samples import Cause, LabelledSet, Sample
from clearsight.evaluation.sets._needs import needed
from clearsight.evaluation.sets.masks import date_in, tile_in

_SIDE: Final = 256
"""Pixels of the pieces of a product that are scored around labelled pixels."""
_PATCH: Final = 7
"""A spectrum without surroundings is laid out as a patch of itself, so that no other spectrum is its neighbour."""
_ACROSS: Final = 40
"""Patches in a row."""


@dataclass(frozen=True)
class PixBox:
    """``pixbox_sentinel2_cmix_20180425.csv`` with a line per pixel; its L1C products (SAFE) in ``products/``.

    Columns: ``PRODUCT_ID``, ``PIXEL_X``, ``PIXEL_Y`` (pixels of the 10 m grid from the upper left corner, from 0),
    ``CLOUD_CHARACTERISTICS_ID``, ``SHADOW_ID``. Which id is which product stands in the ``*_description.txt`` or
    ``*_definitions.txt`` beside it.
    """

    path: Path
    name: str = "PixBox-S2-CMIX"
    licence: str = "CC-BY-4.0"
    citation: str = "Paperin, Wevers, Stelzer & Brockmann 2021, doi:10.5281/zenodo.5036991"

    def samples(self) -> Iterator[Sample]:
        """Pieces of the products, labelled at single pixels, by tile."""
        tables = sorted(self.path.rglob("pixbox_sentinel2_cmix_*.csv"))
        if not tables:
            raise EmptySourceError(f"{self.path} holds no pixbox_sentinel2_cmix_*.csv; expected the unpacked set.")
        products = self._products(tables[0].parent)
        pixels: dict[str, dict[tuple[int, int], list[tuple[int, int, Cause]]]] = defaultdict(lambda: defaultdict(list))
        with tables[0].open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                x, y = int(float(row["PIXEL_X"])), int(float(row["PIXEL_Y"]))
                name = products.get(row["PRODUCT_ID"], row["PRODUCT_ID"])
                cause = pixbox_cause(int(row["CLOUD_CHARACTERISTICS_ID"]), int(row["SHADOW_ID"]))
                pixels[name][y // _SIDE, x // _SIDE].append((y, x, cause))
        items = {item.id: item for item in clearsight.search(self.path / "products", collection="sentinel-2-l1c")}
        here = sorted(pixels.keys() & items.keys(), key=tile_in)
        if not here:
            raise EmptySourceError(f"{self.path / 'products'} holds none of: {', '.join(sorted(pixels)[:3])} …")
        for name in here:
            stack = clearsight.load([items[name]], chunks={"x": _SIDE, "y": _SIDE})
            for piece, points in sorted(pixels[name].items()):
                yield self._sample(stack, name, piece, points)

    def _products(self, folder: Path) -> dict[str, str]:
        """Product names by id, from the text beside the table."""
        found: dict[str, str] = {}
        for path in sorted((*folder.glob("*_description.txt"), *folder.glob("*_definitions.txt"))):
            for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
                product, number = re.search(r"S2[AB]_MSIL1C_\w+", line), re.search(r"(?<![\w])(\d{5,10})(?![\w])", line)
                if product and number:
                    found[number[1]] = product[0]
        return found

    def _sample(self, stack: Any, name: str, piece: tuple[int, int], points: list[tuple[int, int, Cause]]) -> Sample:
        top, left = piece[0] * _SIDE, piece[1] * _SIDE
        part = stack.isel(time=0, y=slice(top, top + _SIDE), x=slice(left, left + _SIDE)).compute()
        bands = tuple(band for band in BANDS if band in part)
        image = np.stack([part[band].values for band in bands])
        labels = np.full(image.shape[1:], Cause.UNKNOWN, dtype=np.uint8)
        for y, x, cause in points:
            labels[y - top, x - left] = cause
        place = f"{name}-{piece[0]}-{piece[1]}"
        return Sample(place, image, bands, "L1C", labels, date_in(name), place, block=tile_in(name))


def pixbox_cause(cloud: int, shadow: int) -> Cause:
    """Cause of a pixel by the set's ``CLOUD_CHARACTERISTICS_ID`` and ``SHADOW_ID``.

    0 none of the classes, 1 and 7 no cloud, 2 opaque, 3 to 6 semi-transparent, 8 mixed, 9 contrail, 10 fog, 11 haze,
    12 border of a cloud. Shadow 3 is a cloud's; it names pixels without cloud.

    Examples
    --------
    >>> pixbox_cause(7, 0).name, pixbox_cause(7, 3).name, pixbox_cause(2, 3).name, pixbox_cause(12, 0).name
    ('CLEAR', 'SHADOW', 'THICK', 'UNKNOWN')
    """
    if cloud in (1, 7):
        return Cause.SHADOW if shadow == 3 else Cause.CLEAR
    if cloud == 2:
        return Cause.THICK
    if cloud in (3, 4, 5, 6, 9, 10):
        return Cause.THIN
    return Cause.HAZE if cloud == 11 else Cause.UNKNOWN


@dataclass(frozen=True)
class Hollstein:
    """``*_s2_manual_classification_data.h5``: spectra of manually classed pixels of L1C.

    ``spectra`` (n, 13) reflectance, ``band`` their names, ``classes`` (n,) ids of ``class_ids`` and ``class_names``
    (cirrus, clear sky, cloud, shadow, snow, water), ``granule_id``, ``dates``, ``latitude``. Surroundings aren't
    stored, so nothing that looks at them does well here.
    """

    path: Path
    most: int = 400
    """Spectra of each class and granule: neighbours in a granule tell the same."""
    name: str = "Hollstein spectra"
    licence: str = "as its repository says (EnMAP, sentinel2_manual_classification_clouds)"
    citation: str = "Hollstein, Segl, Guanter, Brell & Enesco 2016, doi:10.3390/rs8080666"

    meaning: tuple[tuple[str, Cause], ...] = (
        ("cirrus", Cause.THIN),
        ("clear", Cause.CLEAR),
        ("cloud", Cause.THICK),
        ("shadow", Cause.SHADOW),
        ("snow", Cause.SNOW),
        ("water", Cause.WATER),
    )
    """By how the class's name begins."""

    def samples(self) -> Iterator[Sample]:
        """One sheet of patches for each granule."""
        h5py = needed("h5py", for_what="Hollstein's spectra")
        files = [self.path] if self.path.is_file() else sorted(self.path.glob("*_s2_manual_classification_data.h5"))
        if not files:
            raise EmptySourceError(f"{self.path} holds no *_s2_manual_classification_data.h5.")
        with h5py.File(files[-1], "r") as file:
            bands = tuple(_band(text) for text in file["band"][:])
            causes = self._causes(dict(zip(file["class_ids"][:], file["class_names"][:], strict=True)))
            classes, granules = file["classes"][:], file["granule_id"][:]
            dates, latitudes = file["dates"][:], file["latitude"][:]
            rng = np.random.default_rng(0)
            for granule in np.unique(granules):
                inside = np.flatnonzero(granules == granule)
                chosen = [rng.permutation(inside[classes[inside] == code])[: self.most] for code in sorted(causes)]
                at = np.sort(np.concatenate(chosen))
                labels = np.array([causes[code] for code in classes[at]], dtype=np.uint8)
                yield _sheet(
                    _text(granule), file["spectra"][at], bands, labels,
                    date=_day(_text(dates[at[0]])), latitude=float(latitudes[at[0]]),
                )  # fmt: skip

    def _causes(self, names: dict[Any, Any]) -> dict[Any, Cause]:
        found = {}
        for code, name in names.items():
            told = [cause for begin, cause in self.meaning if _text(name).lower().startswith(begin)]
            if not told:
                raise ProductError(
                    f"class {_text(name)!r} is unknown; expected {[begin for begin, _ in self.meaning]}."
                )
            found[code] = told[0]
        return found


def _sheet(
    name: str, spectra: np.ndarray, bands: tuple[str, ...], labels: np.ndarray, *, date: datetime.date, latitude: float
) -> Sample:
    """Spectra as patches on a sheet; only the middle of a patch is labelled."""
    rows = -(-len(spectra) // _ACROSS)
    padded = np.full((rows * _ACROSS, len(bands)), np.nan, dtype=np.float32)
    padded[: len(spectra)] = spectra
    grid = np.moveaxis(padded.reshape(rows, _ACROSS, len(bands)), -1, 0)
    image = grid.repeat(_PATCH, axis=1).repeat(_PATCH, axis=2)
    codes = np.full(rows * _ACROSS, Cause.UNKNOWN, dtype=np.uint8)
    codes[: len(spectra)] = labels
    middle = np.full(image.shape[1:], Cause.UNKNOWN, dtype=np.uint8)
    middle[_PATCH // 2 :: _PATCH, _PATCH // 2 :: _PATCH] = codes.reshape(rows, _ACROSS)
    return Sample(name, image, bands, "L1C", middle, date, name, latitude=latitude)


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _band(value: object) -> str:
    """``1`` or ``B1`` or ``8A`` to our names."""
    text = _text(value).upper().removeprefix("B")
    return f"B{text.zfill(2)}"


def _day(text: str) -> datetime.date:
    digits = re.sub(r"\D", "", text)[:8]
    return datetime.datetime.strptime(digits, "%Y%m%d").date()


_: tuple[type[LabelledSet], ...] = (PixBox, Hollstein)
