"""A labelled image, and what its labels mean: the one form every labelled set is read into."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from itertools import groupby
from typing import Final, Protocol

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from clearsight.bands import BANDS, Level
from clearsight.errors import ArgumentError

FloatArray = NDArray[np.float32]
LabelArray = NDArray[np.uint8]
BoolArray = NDArray[np.bool_]

SEASONS: Final = ("winter", "spring", "summer", "autumn")


class Cause(IntEnum):
    """What a labelled pixel is; 0 to 5 mean the same as in ``simulate.imaging.truth.CAUSES``."""

    CLEAR = 0
    THICK = 1
    """Cloud that hides the ground."""
    THIN = 2
    """Cloud that lets the ground through, cirrus."""
    SHADOW = 3
    """Of clouds; shadow of terrain is clear."""
    SNOW = 4
    """Clear sight of snow or ice."""
    NODATA = 5
    CLOUD = 6
    """Cloud in a set that doesn't tell thick from thin."""
    HAZE = 7
    """Haze, smoke or dust without a cloud."""
    WATER = 8
    """Clear sight of water, in sets that say so."""
    UNKNOWN = 255
    """Not labelled, or a class that is neither usable nor unusable; takes part in nothing."""


USABLE: Final = (Cause.CLEAR, Cause.SNOW, Cause.WATER)
UNUSABLE: Final = (Cause.THICK, Cause.THIN, Cause.SHADOW, Cause.CLOUD, Cause.HAZE)
COUNTED: Final = tuple(sorted((*USABLE, *UNUSABLE)))
"""Causes that are counted: all but nodata and unknown."""

CAUSE_NAMES: Final[dict[Cause, str]] = {
    Cause.CLEAR: "clear",
    Cause.THICK: "thick cloud",
    Cause.THIN: "thin cloud",
    Cause.SHADOW: "cloud shadow",
    Cause.SNOW: "snow or ice",
    Cause.CLOUD: "cloud of any kind",
    Cause.HAZE: "haze, smoke, dust",
    Cause.WATER: "water",
}


@dataclass(frozen=True)
class Sample:
    """One labelled image."""

    id: str
    """Unique within its set."""
    image: FloatArray
    """(band, y, x) harmonised reflectance, dimensionless; NaN = nodata."""
    bands: tuple[str, ...]
    """Names of the bands of ``image``, along its first axis."""
    level: Level
    labels: LabelArray
    """(y, x) codes of `Cause`."""
    date: datetime.date
    place: str
    """Samples of one place follow one another and show the same pixels: they're scored as one stack."""
    block: str = ""
    """What is drawn whole when intervals are estimated, such as a tile of many places; by default the place."""
    surface: str = ""
    """What the ground is, where the set says so."""
    latitude: float | None = None
    """Degrees, north positive: turns a date into a season."""
    pixel: float = 10.0
    """Side of a pixel in metres."""
    layers: Mapping[str, FloatArray] = field(default_factory=dict)
    """(y, x) further layers of the set, such as ``SCL``, ``cs``, ``cs_cdf``."""

    def __post_init__(self) -> None:
        if self.image.ndim != 3 or self.image.shape[0] != len(self.bands):
            raise ArgumentError(
                f"image of sample {self.id!r} has shape {self.image.shape}; expected ({len(self.bands)}, y, x), "
                f"one plane for each of {self.bands}."
            )
        if self.labels.shape != self.image.shape[1:]:
            raise ArgumentError(
                f"labels of sample {self.id!r} have shape {self.labels.shape}; "
                f"expected that of the image, {self.image.shape[1:]}."
            )


class LabelledSet(Protocol):
    """A public labelled set, or a folder of one's own."""

    @property
    def name(self) -> str:
        """What the report calls it."""
        ...

    @property
    def licence(self) -> str:
        """Of images and labels."""
        ...

    @property
    def citation(self) -> str:
        """Whom to cite."""
        ...

    def samples(self) -> Iterator[Sample]:
        """All labelled images, those of one place one after another."""
        ...


def season_of(date: datetime.date, *, latitude: float | None = None) -> str:
    """Meteorological season; the south is half a year ahead, an unknown latitude counts as north.

    Examples
    --------
    >>> season_of(datetime.date(2020, 1, 15), latitude=52.0), season_of(datetime.date(2020, 1, 15), latitude=-30.0)
    ('winter', 'summer')
    """
    quarter = date.month % 12 // 3
    return SEASONS[(quarter + (2 if latitude is not None and latitude < 0 else 0)) % 4]


def map_classes(codes: NDArray[np.generic], meaning: Mapping[int, Cause]) -> LabelArray:
    """Turn a set's own class codes into `Cause`; codes without a meaning become ``UNKNOWN``.

    Parameters
    ----------
    codes : integer array, any shape
        As stored in the set.
    meaning : mapping
        Code to cause.

    Returns
    -------
    uint8 array of the same shape

    Examples
    --------
    >>> map_classes(np.array([0, 1, 7]), {0: Cause.CLEAR, 1: Cause.THICK}).tolist()
    [0, 1, 255]
    """
    labels = np.full(codes.shape, Cause.UNKNOWN, dtype=np.uint8)
    for code, cause in meaning.items():
        labels[codes == code] = cause
    return labels


def is_usable(labels: LabelArray) -> BoolArray:
    """``True`` where the label says that the ground is seen.

    Examples
    --------
    >>> is_usable(np.array([Cause.SNOW, Cause.SHADOW, Cause.UNKNOWN], dtype="uint8")).tolist()
    [True, False, False]
    """
    return np.isin(labels, USABLE)


def is_counted(labels: LabelArray) -> BoolArray:
    """``True`` where the label says anything about use.

    Examples
    --------
    >>> is_counted(np.array([Cause.SNOW, Cause.SHADOW, Cause.UNKNOWN], dtype="uint8")).tolist()
    [True, True, False]
    """
    return np.isin(labels, COUNTED)


def clips(samples: Iterable[Sample]) -> Iterator[tuple[Sample, ...]]:
    """Join samples that follow one another and show one place in the same bands and size: each is scored as a stack.

    Examples
    --------
    >>> def of(place):
    ...     grey = np.full((3, 2, 2), 0.1, "float32")
    ...     return Sample(place, grey, ("B02", "B03", "B04"), "L1C", np.zeros((2, 2), "uint8"), SOME_DAY, place)
    >>> SOME_DAY = datetime.date(2020, 1, 1)
    >>> [len(clip) for clip in clips([of("a"), of("a"), of("b")])]
    [2, 1]
    """
    for _, group in groupby(samples, key=lambda one: (one.place, one.bands, one.level, one.pixel, one.image.shape)):
        yield tuple(group)


def stack_of(clip: tuple[Sample, ...]) -> xr.Dataset:
    """Stack of the samples of one place, in their order, as `clearsight.score` takes it.

    Parameters
    ----------
    clip : samples of one place
        From `clips`.

    Returns
    -------
    xr.Dataset
        One float32 variable per band and per layer, dims ``(time, y, x)``; ``x`` and ``y`` in metres, from 0, running
        right and down.
    """
    images = np.stack([sample.image for sample in clip])
    bands = {name: (("time", "y", "x"), images[:, i]) for i, name in enumerate(clip[0].bands) if name in BANDS}
    for name in clip[0].layers:
        if all(name in sample.layers for sample in clip):
            bands[name] = (("time", "y", "x"), np.stack([sample.layers[name] for sample in clip]))
    dates = np.array([sample.date for sample in clip], dtype="datetime64[ns]")
    rows, columns = clip[0].labels.shape
    middles = {"y": -clip[0].pixel * (np.arange(rows) + 0.5), "x": clip[0].pixel * (np.arange(columns) + 0.5)}
    return xr.Dataset(bands, coords={"time": dates, "id": ("time", [sample.id for sample in clip]), **middles})
