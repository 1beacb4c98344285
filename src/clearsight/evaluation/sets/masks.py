"""Sets of images with a mask each: KappaSet, the Sentinel-2 Cloud Mask Catalogue, ALCD's masks, and plain folders."""

from __future__ import annotations

import csv
import datetime
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import rasterio
from odc.geo.geobox import GeoBox

import clearsight
from clearsight.bands import BANDS, LEVEL_BANDS
from clearsight.errors import EmptySourceError, ProductError
from clearsight.evaluation.samples import Cause, LabelledSet, Sample, map_classes
from clearsight.evaluation.sets._needs import needed

_DATE: Final = re.compile(r"(?<!\d)(20\d{6})(?:T\d{6})?(?!\d)")
_OFFSETS_FROM: Final = datetime.date(2022, 1, 25)
"""First day of processing baseline 04.00."""
_TILE: Final = re.compile(r"T(\d{2}[A-Z]{3})")


def date_in(name: str) -> datetime.date:
    """First date in a product's name.

    Raises
    ------
    ProductError
        There's none.

    Examples
    --------
    >>> date_in("S2A_MSIL1C_20170205T105221_N0204").isoformat()
    '2017-02-05'
    """
    found = _DATE.search(name)
    if not found:
        raise ProductError(f"{name!r} holds no date as 20170205; the season of an image is needed.")
    return datetime.datetime.strptime(found[1], "%Y%m%d").date()


def tile_in(name: str) -> str:
    """MGRS tile in a product's name; the whole name where there's none.

    Examples
    --------
    >>> tile_in("S2A_MSIL1C_20170205T105221_N0204_R051_T31TCJ_20170205T105426")
    '31TCJ'
    """
    found = _TILE.search(name)
    return found[1] if found else name


@dataclass(frozen=True)
class Francis:
    """The catalogue: ``subscenes/NAME.npy`` (1022, 1022, 13) L1C reflectance at 20 m, ``masks/NAME.npy`` (…, 3).

    Masks are one-hot: clear, cloud, shadow. ``classification_tags.csv`` has a line per scene, with ``scene``,
    ``shadows_marked`` and a column of 0 and 1 for each surface. Where shadows aren't marked, clear pixels may lie in
    shadow: they stay clear, as published.
    """

    path: Path
    name: str = "Sentinel-2 Cloud Mask Catalogue"
    licence: str = "CC-BY-4.0"
    citation: str = "Francis, Mrziglod, Sidiropoulos & Muller 2020, doi:10.5281/zenodo.4172871"

    surfaces: tuple[str, ...] = (
        "forest/jungle", "snow/ice", "agricultural", "urban/developed", "coastal", "hills/mountains",
        "desert/barren", "shrublands/plains", "wetland/bog/marsh", "open_water", "enclosed_water",
    )  # fmt: skip

    def samples(self) -> Iterator[Sample]:
        """All subscenes, by tile."""
        tags = self.path / "classification_tags.csv"
        if not tags.is_file():
            raise EmptySourceError(f"{self.path} holds no classification_tags.csv; expected the unpacked catalogue.")
        with tags.open(newline="", encoding="utf-8") as file:
            rows = sorted(csv.DictReader(file), key=lambda row: tile_in(row["scene"]))
        for row in rows:
            scene = row["scene"]
            image, mask = (np.load(self.path / kind / f"{scene}.npy") for kind in ("subscenes", "masks"))
            hot = mask.argmax(axis=-1)
            labels = map_classes(hot, {0: Cause.CLEAR, 1: Cause.CLOUD, 2: Cause.SHADOW})
            labels[~mask.any(axis=-1)] = Cause.UNKNOWN
            yield Sample(
                id=scene,
                image=np.ascontiguousarray(np.moveaxis(image, -1, 0), dtype=np.float32),
                bands=tuple(BANDS),
                level="L1C",
                labels=labels,
                date=date_in(scene),
                place=scene,
                block=tile_in(scene),
                surface=", ".join(tag for tag in self.surfaces if row.get(tag) == "1"),
                pixel=20.0,
            )


@dataclass(frozen=True)
class KappaSet:
    """``*.nc`` of 512 × 512 pixels at 10 m: a variable per band, and ``Label``, as KappaZeta's ``cm-vsm`` writes them.

    Labels: 0 missing, 1 clear, 2 cloud shadow, 3 semi-transparent cloud, 4 cloud, 5 missing. Bands are floats, digital
    numbers divided by 65535; the variables' ``scaling_factor`` tells how much larger the pixels have been made, nothing
    about values. Integers are digital numbers. Reflectance is 1/10000 of a digital number: products with an offset
    (baseline 04.00, from 2022) are refused. The product's name stands in the attribute ``product_name``, or is the
    file's.
    """

    path: Path
    name: str = "KappaSet"
    licence: str = "CC-BY-4.0"
    citation: str = "Shtym et al. 2022, doi:10.5281/zenodo.7100327"

    def samples(self) -> Iterator[Sample]:
        """All sub-tiles, by tile."""
        h5py = needed("h5py", for_what="KappaSet")
        files = sorted(self.path.rglob("*.nc"), key=lambda file: (tile_in(file.name), file.name))
        if not files:
            raise EmptySourceError(f"{self.path} holds no *.nc; expected the unpacked set.")
        meaning = {1: Cause.CLEAR, 2: Cause.SHADOW, 3: Cause.THIN, 4: Cause.THICK}
        for path in files:
            with h5py.File(path, "r") as file:
                if "Label" not in file:
                    raise ProductError(f"{path} has no variable Label; it has {', '.join(file)}.")
                bands = tuple(band for band in BANDS if band in file)
                planes = [self._plane(np.asarray(file[band]).squeeze()) for band in bands]
                labels = map_classes(np.asarray(file["Label"]).squeeze(), meaning)
                product = _text(file.attrs.get("product_name", "")) or path.stem
            date = date_in(product if _DATE.search(product) else path.stem)
            if date >= _OFFSETS_FROM:
                raise ProductError(
                    f"{path} is of {date}: from {_OFFSETS_FROM} on, digital numbers are 1000 too high, and the file "
                    "doesn't say whether that was undone. Leave it out."
                )
            block = tile_in(path.stem if _TILE.search(path.stem) else product)
            yield Sample(path.stem, np.stack(planes), bands, "L1C", labels, date, path.stem, block=block)

    def _plane(self, values: np.ndarray) -> np.ndarray:
        """Reflectance of a band, NaN where it's 0."""
        numbers = values if values.dtype.kind in "iu" else values * 65535.0
        return np.where(values == 0, np.nan, numbers / 10_000).astype(np.float32)


def _text(value: object) -> str:
    """An attribute of HDF5."""
    return value.decode() if isinstance(value, bytes) else str(value)


@dataclass(frozen=True)
class ALCD:
    """Masks of whole scenes: ``*/PRODUCT/Classification/classification_map.tif``; products (SAFE) in ``products/``.

    Classes: 0 nodata, 1 not used, 2 low cloud, 3 high cloud, 4 cloud shadow, 5 land, 6 water, 7 snow. The masks come
    without images: put the L1C products, folders or zips, into ``products`` beside ``Reference_dataset``. Products of
    2016 have other names today than in the set: then the tile and the day decide, from the ``used_parameters.json``
    beside the mask. A scene that stands in both of the set's folders is read once.
    """

    path: Path
    name: str = "ALCD reference masks"
    licence: str = "CC-BY-4.0"
    citation: str = "Baetens, Desjardins & Hagolle 2019, doi:10.3390/rs11040433; data doi:10.5281/zenodo.1460961"

    meaning: tuple[tuple[int, Cause], ...] = (
        (2, Cause.THICK), (3, Cause.THIN), (4, Cause.SHADOW), (5, Cause.CLEAR), (6, Cause.WATER), (7, Cause.SNOW),
    )  # fmt: skip

    def samples(self) -> Iterator[Sample]:
        """All scenes whose product is there, on the grid of their mask, by tile."""
        scenes = {_scene(file): file for file in sorted(self.path.rglob("Classification/classification_map.tif"))}
        if not scenes:
            raise EmptySourceError(f"{self.path} holds no */Classification/classification_map.tif.")
        items = {
            (str(item.properties["grid:code"]).removeprefix("MGRS-"), date_in(item.id)): item
            for item in clearsight.search(self.path / "products", collection="sentinel-2-l1c")
        }
        here = sorted(scenes.keys() & items.keys())
        if not here:
            tile, day = min(scenes)
            raise EmptySourceError(f"{self.path / 'products'} holds no labelled product, such as of {tile} on {day}.")
        for tile, day in here:
            with rasterio.open(scenes[tile, day]) as file:
                labels, grid = map_classes(file.read(1), dict(self.meaning)), GeoBox.from_rio(file)
            item = items[tile, day]
            stack = clearsight.load([item], geobox=grid)
            bands = tuple(band for band in BANDS if band in stack)
            image = np.stack([stack[band].values[0] for band in bands])
            yield Sample(item.id, image, bands, "L1C", labels, day, tile, pixel=abs(grid.resolution.x))


def _scene(mask: Path) -> tuple[str, datetime.date]:
    """Tile and day of a mask of ALCD's."""
    facts = mask.with_name("used_parameters.json")
    if facts.is_file():
        told = json.loads(facts.read_text(encoding="utf-8"))
        return str(told["tile"]), date_in(str(told["cloudy_date"]))
    product = mask.parents[1].name
    return tile_in(product), date_in(product)


@dataclass(frozen=True)
class Folder:
    """Pairs of one's own: ``NAME.tif`` and ``NAME.mask.tif`` of one size; images at L1C or, named ``X.L2A``, at L2A.

    An image's bands are named by their descriptions (B02 …), or are those of its level in the usual order; floats are
    reflectance, integers digital numbers with the file's scale and offset, or 1/10000. A mask holds codes of `Cause`:
    0 clear, 1 thick cloud, 2 thin cloud, 3 shadow, 4 snow, 5 nodata, 6 cloud, 7 haze, 8 water, 255 unknown. The name
    holds the date, as 20170205, and may hold the tile, as T31TCJ: images of one tile and size are one place.
    """

    path: Path
    name: str = "own folder"
    licence: str = "its owner's"
    citation: str = "its owner"

    def samples(self) -> Iterator[Sample]:
        """All pairs, by tile and date."""
        masks = sorted(self.path.glob("*.mask.tif"), key=lambda file: (tile_in(file.name), date_in(file.name)))
        if not masks:
            raise EmptySourceError(f"{self.path} holds no NAME.mask.tif; expected NAME.tif and NAME.mask.tif.")
        for mask in masks:
            name = mask.name.removesuffix(".mask.tif")
            image = self.path / f"{name}.tif"
            if not image.is_file():
                raise ProductError(f"{mask} has no image; expected {image}.")
            level = "L2A" if name.endswith(".L2A") else "L1C"
            with rasterio.open(mask) as file:
                labels = file.read(1).astype(np.uint8)
            with rasterio.open(image) as file:
                values, told = file.read(), [str(text) for text in file.descriptions]
                usual = 1e-4 if values.dtype.kind in "iu" else 1.0
                scales = np.array([scale if scale != 1.0 else usual for scale in file.scales], np.float32)
                offsets = np.array(file.offsets, np.float32)
                nodata = file.nodata if file.nodata is not None else (0 if values.dtype.kind in "iu" else np.nan)
            named = (
                tuple(told) if all(text in BANDS for text in told) else LEVEL_BANDS["L2A" if level == "L2A" else "L1C"]
            )
            reflectance = values * scales[:, None, None] + offsets[:, None, None]
            yield Sample(
                id=name,
                image=np.where(values == nodata, np.nan, reflectance).astype(np.float32),
                bands=named,
                level="L2A" if level == "L2A" else "L1C",
                labels=labels,
                date=date_in(name),
                place=tile_in(name),
            )


_: tuple[type[LabelledSet], ...] = (Francis, KappaSet, ALCD, Folder)
