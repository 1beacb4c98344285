"""CloudSEN12's UNetMobV2 on frames of 13 L1C bands: 1 where it says clear. Third argument: the folder of weights."""

import sys
import time

import numpy as np

MODEL = "UNetMobV2_V2"


def main(frames: str, answer: str, weights: str) -> None:
    """Score all frames; see the package's docstring."""
    from cloudsen12_models import cloudsen12

    with np.load(frames) as file:
        images, names = file["images"], [str(name) for name in file["bands"]]
    model = cloudsen12.load_model_by_name(name=MODEL, weights_folder=weights)
    order = [names.index(band) for band in model.bands]
    scores, seconds = [], []
    for image in images:
        start = time.perf_counter()
        classes = model.predict(np.nan_to_num(image[order]).astype(np.float32))
        seconds.append(time.perf_counter() - start)
        scores.append(np.asarray(classes) == 0)
    np.savez(answer, score=np.stack(scores).astype(np.float32), seconds=np.array(seconds))


if __name__ == "__main__":
    main(*sys.argv[1:4])
