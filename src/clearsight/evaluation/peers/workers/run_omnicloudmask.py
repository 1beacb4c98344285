"""OmniCloudMask on frames: its confidence that a pixel is clear. Third argument: the folder of its weights."""

import sys
import time

import numpy as np

BANDS = ("B04", "B03", "B8A")
NEAR_INFRARED = "B08"
"""In place of B8A where that isn't there."""


def main(frames: str, answer: str, weights: str) -> None:
    """Score all frames; see the package's docstring."""
    from omnicloudmask import predict_from_array

    with np.load(frames) as file:
        images, names = file["images"], [str(name) for name in file["bands"]]
    order = [names.index(band if band in names else NEAR_INFRARED) for band in BANDS]
    scores, seconds = [], []
    for image in images:
        pixels = np.nan_to_num(image[order]).astype(np.float32)
        start = time.perf_counter()
        confidence = predict_from_array(
            pixels, inference_device="cpu", export_confidence=True, destination_model_dir=weights
        )
        seconds.append(time.perf_counter() - start)
        scores.append(confidence[0])
    np.savez(answer, score=np.stack(scores).astype(np.float32), seconds=np.array(seconds))


if __name__ == "__main__":
    main(*sys.argv[1:4])
