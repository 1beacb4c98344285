"""s2cloudless on frames of L1C: how far a pixel is from being called cloud, after its own averaging and dilation."""

import sys
import time

import numpy as np

BANDS = ("B01", "B02", "B04", "B05", "B08", "B8A", "B09", "B10", "B11", "B12")


def main(frames: str, answer: str) -> None:
    """Score all frames; see the package's docstring."""
    import cv2
    from s2cloudless import S2PixelCloudDetector

    with np.load(frames) as file:
        images, names = file["images"], [str(name) for name in file["bands"]]
    order = [names.index(band) for band in BANDS]
    # Averaging over 4 pixels and dilation by 2: as in its authors' example. What is above 0.4 then is its mask.
    detector = S2PixelCloudDetector(threshold=0.4, average_over=4, dilation_size=2, all_bands=False)
    detector.get_cloud_probability_maps(np.full((1, 8, 8, len(BANDS)), 0.1, dtype=np.float32))
    scores, seconds = [], []
    for image in images:
        pixels = np.ascontiguousarray(np.nan_to_num(np.moveaxis(image[order], 0, -1)), dtype=np.float32)
        start = time.perf_counter()
        cloud = detector.get_cloud_probability_maps(pixels[None])[0]
        cloud = cv2.filter2D(cloud, -1, detector.conv_filter, borderType=cv2.BORDER_REFLECT)
        cloud = cv2.dilate(cloud, detector.dilation_filter)
        seconds.append(time.perf_counter() - start)
        scores.append(1.0 - cloud)
    np.savez(answer, score=np.stack(scores).astype(np.float32), seconds=np.array(seconds))


if __name__ == "__main__":
    main(*sys.argv[1:3])
