"""Periodic random fields: the texture of clouds and plumes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import fft

Array = NDArray[np.float32]


def noise(
    rng: np.random.Generator,
    canvas: tuple[int, int],
    *,
    slope: float,
    largest: float,
    stretch: float = 1.0,
    direction: float = 0.0,
    smallest: float = 0.0,
) -> Array:
    """Periodic Gaussian random field with a power-law spectrum.

    Parameters
    ----------
    rng : numpy Generator
        Source of chance.
    canvas : (int, int)
        Rows and columns.
    slope : float
        Amplitude falls as wave number to the power ``-slope``: 4/3 + 0.5 is turbulence's own texture in two dimensions.
    largest, smallest : float
        Size in pixels above which the spectrum is flat, and below which it is cut off smoothly.
    stretch, direction : float
        Structures are ``stretch`` times longer along ``direction`` (radians, from the x axis towards y).

    Returns
    -------
    float32 array
        Zero mean, unit standard deviation.

    Examples
    --------
    >>> field = noise(np.random.default_rng(1), (64, 48), slope=1.8, largest=32)
    >>> field.shape, round(float(field.std()), 3)
    ((64, 48), 1.0)
    """
    ky = fft.fftfreq(canvas[0]).astype(np.float32)[:, None]
    kx = fft.rfftfreq(canvas[1]).astype(np.float32)[None, :]
    if stretch != 1.0:
        along = np.float32(np.cos(direction)) * kx + np.float32(np.sin(direction)) * ky
        across = np.float32(np.cos(direction)) * ky - np.float32(np.sin(direction)) * kx
        squared = (along * np.float32(stretch)) ** 2 + across**2
    else:
        squared = ky**2 + kx**2
    amplitude = (squared + np.float32(1.0 / largest) ** 2) ** np.float32(-slope / 2)
    if smallest:
        amplitude *= np.exp(np.float32(-2.0 * smallest**2) * squared)
    amplitude[0, 0] = 0.0
    field = fft.irfft2(fft.rfft2(rng.standard_normal(canvas, dtype=np.float32)) * amplitude, s=canvas)
    return np.asarray(field / (float(field.std()) or 1.0), dtype=np.float32)
