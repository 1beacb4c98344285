"""ukis-csmask on frames of L1C or L2A: 1 where it calls a pixel neither cloud nor shadow; without its buffer."""

import sys
import time
import warnings

import numpy as np

NAMES = {"B02": "blue", "B03": "green", "B04": "red", "B08": "nir", "B11": "swir16", "B12": "swir22"}
SIDE = 256
"""Pixels of the least image it is made for; smaller ones are mirrored at their edges."""


def main(frames: str, answer: str) -> None:
    """Score all frames; see the package's docstring."""
    from ukis_csmask.mask import CSmask

    warnings.simplefilter("ignore")
    with np.load(frames) as file:
        images, names, level = file["images"], [str(name) for name in file["bands"]], str(file["level"]).lower()
    here = [name for name in NAMES if name in names]
    order = [NAMES[name] for name in here]
    scores, seconds = [], []
    for image in images:
        rows, columns = image.shape[1:]
        pixels = np.nan_to_num(np.moveaxis(image[[names.index(name) for name in here]], 0, -1))
        more = ((0, max(0, SIDE - rows)), (0, max(0, SIDE - columns)), (0, 0))
        pixels = np.ascontiguousarray(np.pad(pixels, more, mode="symmetric"), dtype=np.float32)
        start = time.perf_counter()
        classes = CSmask(pixels, band_order=order, product_level=level, invalid_buffer=1).csm
        seconds.append(time.perf_counter() - start)
        scores.append(classes[:rows, :columns, 0] == 0)
    np.savez(answer, score=np.stack(scores).astype(np.float32), seconds=np.array(seconds))


if __name__ == "__main__":
    main(*sys.argv[1:3])
