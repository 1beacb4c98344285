"""The learned scorer: an ONNX file that says of itself what it needs, run by ONNX Runtime on one frame at a time.

Beside the score the network says why a pixel is what it is (codes of ``CAUSES``). `clearsight.passes` looks at all
frames of a place with it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from clearsight.bands import Level
from clearsight.context import Ground
from clearsight.errors import ModelError

FloatArray = NDArray[np.float32]

TEN: Final = ("B02", "B03", "B04", "B08")
"""Bands that the network takes on the grid of the frame."""
TWENTY: Final = ("B05", "B06", "B07", "B8A", "B11", "B12", "B01", "B09", "B10")
"""Bands that it takes on a grid of half the resolution."""
CONDITIONS: Final = 20
"""Length of what `conditions` gives."""
CAUSES: Final = ("clear", "thick cloud", "thin cloud or haze", "shadow", "snow or ice", "nodata")
"""Codes of ``cause``, from 0. "snow or ice" is clear sight of ground that looks like cloud."""

SHIPPED: Final = "clearsight-1"
"""Name of the weights inside the package."""
ALIGN: Final = 64
"""Sub-tiles start at multiples of this many pixels, so that the network's coarse cells lie alike in all of them."""
HALO: Final = 192
"""Pixels around a sub-tile that its scores depend on."""

_FORMAT: Final = 1
_WINDOW: Final = 1600
"""Pixels of a side that one run of the network takes, without halo; bounds memory."""
_STEPS: Final = 8192
"""Raw scores are calibrated to so many steps; products keep 200."""


@dataclass(frozen=True)
class View:
    """Where sun and satellite stand, degrees; azimuth clockwise from the top of the image."""

    sun_zenith: float
    sun_azimuth: float
    view_zenith: float = 5.0


def conditions(names: Sequence[str], *, level: Level, pixel: float, view: View | None) -> FloatArray:
    """Facts (20,) about a frame: bands present, level, pixel size, sun and view.

    Parameters
    ----------
    names : sequence of str
        Bands that are there.
    level : {"L1C", "L2A"}
    pixel : float
        Metres, of the grid that the 10 m bands are given on.
    view : View or None
        Unknown angles are all 0: a sun on the horizon that casts no shadows.

    Examples
    --------
    >>> conditions(["B02", "B03", "B04"], level="L2A", pixel=10.0, view=None).sum()
    np.float32(4.0)
    """
    facts = [float(name in names) for name in (*TEN, *TWENTY)]
    facts += [float(level == "L2A"), float(np.log2(pixel / 10.0)) / 2.6]
    if view is None:
        return np.array([*facts, 0, 0, 0, 0, 0], dtype=np.float32)
    zenith, azimuth = np.radians([view.sun_zenith, view.sun_azimuth])
    slant = min(float(np.tan(zenith)), 6.0) / 3.0
    sun = [np.cos(zenith), slant, slant * np.sin(azimuth), -slant * np.cos(azimuth)]
    return np.array([*facts, *sun, view.view_zenith / 12.0], dtype=np.float32)


class Model:
    """A network in an ONNX file. Make one with `load_model`."""

    def __init__(self, session: Any, facts: Mapping[str, Any], *, name: str) -> None:
        self._session = session
        self.name = name
        """As it was asked for."""
        self.version = str(facts["version"])
        """Goes into MODEL_VERSION of every product."""
        self.licence = str(facts["licence"])
        self.stride = int(facts["stride"])
        """Sides of what the network takes are multiples of this."""
        raw = np.linspace(0.0, 1.0, _STEPS + 1)
        self.calibrated: FloatArray = np.interp(raw, *np.array(facts["calibration"])).astype(np.float32)
        """What raw scores from 0 to 1, in equal steps, become."""

    def look(self, ten: FloatArray, twenty: FloatArray, *, ground: Ground, facts: FloatArray) -> Seen:
        """Look at one frame, with the clear reference of its place or `context.no_ground`.

        Parameters
        ----------
        ten : float32 array (4, y, x)
            Reflectance of ``TEN``, NaN = nodata or absent; even sides.
        twenty : float32 array (9, y/2, x/2)
            The same of ``TWENTY``.
        ground : Ground
            On the same grids.
        facts : float32 array (20,)
            From `conditions`.
        """
        rows, columns = ten.shape[1:]
        images = {
            "ten": ten, "twenty": twenty, "ground_ten": ground.ten, "ground_twenty": ground.twenty,
            "support": ground.support,
        }  # fmt: skip
        feeds = {name: _padded(image, columns=columns, stride=self.stride) for name, image in images.items()}
        score, causes = self._session.run(["score", "cause"], {**feeds, "conditions": facts[None]})
        raw = score[0, 0, :rows, :columns]
        cause = causes[0].argmax(axis=0).astype(np.uint8)[: rows // 2, : columns // 2]
        steps = (raw * np.float32(_STEPS) + np.float32(0.5)).astype(np.uint16)
        return Seen(self.calibrated[steps], cause.repeat(2, axis=0).repeat(2, axis=1))


@dataclass(frozen=True)
class Seen:
    """What the network says about one frame."""

    cs: FloatArray
    """(y, x) calibrated score, 0 … 1; nodata pixels hold anything."""
    cause: NDArray[np.uint8]
    """(y, x) code of ``CAUSES``."""


def load_model(name: str | Path = SHIPPED) -> Model:
    """Open a model by its name, or an ONNX file.

    Parameters
    ----------
    name : str or Path
        Name of shipped weights (``"clearsight-1"``), or the path of a file that `clearsight train` has exported.

    Raises
    ------
    ModelError
        There is no such file, or it isn't a Clearsight model.

    Examples
    --------
    >>> load_model("no-such.onnx")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    clearsight.errors.ModelError: model='no-such.onnx' isn't there; expected 'clearsight-1', ...
    """
    path = Path(str(files("clearsight") / "models" / f"{name}.onnx")) if str(name) == SHIPPED else Path(name)
    if not path.is_file():
        raise ModelError(
            f"model={str(name)!r} isn't there; expected {SHIPPED!r}, 'projection' "
            "(the scorer without weights), or the path of an ONNX file."
        )
    return _opened(str(path), path.stat().st_mtime_ns, os.getpid())


@lru_cache(maxsize=4)
def _opened(path: str, _changed: int, _process: int) -> Model:
    """Sessions are costly to make, and don't survive a fork."""
    import onnxruntime  # a tenth of a second, which only scoring needs

    options = onnxruntime.SessionOptions()
    # Threads that wait busily steal from whatever else the machine does, and win next to nothing.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Plans of memory are kept for each size of window there has been, and win nothing.
    options.enable_mem_pattern = False
    limit = os.environ.get("OMP_NUM_THREADS")
    options.intra_op_num_threads = int(limit) if limit else len(os.sched_getaffinity(0))
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        facts = json.loads(session.get_modelmeta().custom_metadata_map["clearsight"])
    except Exception as error:  # the runtime's own errors share no class but this
        raise ModelError(f"model={path!r} isn't a Clearsight model: {error}. Make one with: clearsight train") from None
    if facts["format"] != _FORMAT:
        raise ModelError(f"model={path!r} has the format {facts['format']}; this version reads {_FORMAT}. Update one.")
    return Model(session, facts, name=Path(path).stem)


def look_at(model: Model, ten: FloatArray, twenty: FloatArray, *, ground: Ground, facts: FloatArray) -> Seen:
    """Look at a frame of any size, window by window; arguments as of `Model.look`."""
    shape = (int(ten.shape[1]), int(ten.shape[2]))
    if max(shape) <= _WINDOW + 2 * HALO:
        return model.look(ten, twenty, ground=ground, facts=facts)
    cs, cause = np.empty(shape, dtype=np.float32), np.empty(shape, dtype=np.uint8)
    for top in range(0, shape[0], _WINDOW):
        for left in range(0, shape[1], _WINDOW):
            first = max(top - HALO, 0), max(left - HALO, 0)
            last = min(top + _WINDOW + HALO, shape[0]), min(left + _WINDOW + HALO, shape[1])
            fine = np.s_[:, first[0] : last[0], first[1] : last[1]]
            coarse = np.s_[:, first[0] // 2 : last[0] // 2, first[1] // 2 : last[1] // 2]
            part = Ground(ground.ten[fine], ground.twenty[coarse], ground.support[coarse])
            seen = model.look(ten[fine], twenty[coarse], ground=part, facts=facts)
            inner = np.s_[top : top + _WINDOW, left : left + _WINDOW]
            crop = np.s_[top - first[0] :, left - first[1] :]
            size = cs[inner].shape
            cs[inner] = seen.cs[crop][: size[0], : size[1]]
            cause[inner] = seen.cause[crop][: size[0], : size[1]]
    return Seen(cs, cause)


def _padded(image: FloatArray, *, columns: int, stride: int) -> FloatArray:
    """(1, band, y, x) with sides up to the next multiples of the stride, in nodata."""
    unit = stride * image.shape[2] // columns
    bottom, right = (-size % unit for size in image.shape[1:])
    return np.pad(image[None], [(0, 0), (0, 0), (0, bottom), (0, right)], constant_values=np.nan)
