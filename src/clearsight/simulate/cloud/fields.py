"""Cloud fields: where the clouds are, how thick and how high, by kind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from clearsight.errors import ArgumentError
from clearsight.simulate.cloud._forms import FIELDS, valley_fog

Array = NDArray[np.float32]
Phase = Literal["water", "ice"]

KINDS: Final[tuple[str, ...]] = (
    "cumulus", "congestus", "deep", "broken_stratus", "altocumulus", "overcast",
    "thick_cirrus", "thin_cirrus", "contrails", "fog", "haze_veil",
    "thin_stratus", "altostratus", "cirrostratus", "even_veil",
)  # fmt: skip
"""Kinds of cloud that `make_clouds` knows."""

DEFAULT_MARGIN: Final = 64
"""Pixels of cloud field on each side of the frame."""


@dataclass(frozen=True)
class CloudLayer:
    """One layer of cloud on its canvas: the frame, with ``margin`` pixels more at the top and left, and at least as
    many at the bottom and right. The canvas is periodic: what leaves it on one side comes back on the other, so a
    shadow or a parallax of any length finds a cloud field to come from. Arrays are float32 (Y, X), y running down.
    """

    kind: str
    """One of ``KINDS``."""
    optical_depth: Array
    """At 550 nm, 0 … about 200 in the body, more where it towers; beyond 400 nothing changes."""
    top_height: Array
    """Metres above sea level, everywhere (also where there is no cloud)."""
    base_height: float
    """Metres above sea level."""
    phase: Phase
    """``water`` or ``ice``."""
    effective_radius: float
    """Of the droplets or crystals, micrometres."""
    margin: int
    """Pixels between the canvas' corner and the frame's."""


@dataclass(frozen=True)
class _Recipe:
    """What sets one kind of cloud apart; pairs are the range a layer's own value is drawn from."""

    base: tuple[float, float]
    """Height of the base in metres over the ground, from ``_HIGH_FROM`` on over the sea; even in its logarithm."""
    depth: tuple[float, float]
    """Largest vertical extent, metres."""
    tau: tuple[float, float]
    """Optical depth of the body; drawn evenly in its logarithm."""
    edge: tuple[float, float]
    """Distance over which the optical depth rises at the rim, metres."""
    phase: Phase
    radius: tuple[float, float]
    """Effective radius, micrometres; drawn evenly in its logarithm."""


_HIGH_FROM: Final = 5500.0
"""Metres above the sea from which clouds don't know of the ground: the bases of cirrus lie between here, towards the
poles, and 12.5 km (Sassen et al. 2008, JGR 113, D00A12), over a plateau as over the sea."""

_RECIPES: Final[dict[str, _Recipe]] = {
    "cumulus": _Recipe((400, 2000), (150, 1300), (12, 80), (20, 60), "water", (4, 13)),
    "congestus": _Recipe((600, 1800), (1500, 5000), (35, 150), (25, 70), "water", (4.5, 16)),
    "deep": _Recipe((800, 2000), (7000, 11000), (50, 200), (40, 200), "ice", (20, 45)),
    "broken_stratus": _Recipe((250, 2200), (150, 600), (8, 60), (40, 150), "water", (4, 13)),
    "altocumulus": _Recipe((2800, 5500), (150, 500), (4, 20), (40, 120), "water", (4, 11)),
    "overcast": _Recipe((250, 3500), (200, 1800), (10, 150), (60, 250), "water", (4, 13)),
    "thick_cirrus": _Recipe((5500, 11000), (800, 2500), (1.0, 9.0), (150, 700), "ice", (15, 50)),
    "thin_cirrus": _Recipe((5500, 12500), (300, 1500), (0.06, 1.0), (200, 900), "ice", (12, 45)),
    "contrails": _Recipe((8000, 12500), (100, 400), (0.15, 1.2), (15, 50), "ice", (10, 25)),
    "fog": _Recipe((2, 50), (40, 250), (2, 25), (15, 600), "water", (4, 10)),
    "haze_veil": _Recipe((200, 4000), (200, 800), (0.1, 1.5), (400, 1200), "water", (4, 9)),
    "thin_stratus": _Recipe((120, 2200), (80, 500), (1.0, 10), (150, 1500), "water", (4, 12)),
    "altostratus": _Recipe((2500, 6500), (500, 2500), (3, 90), (600, 5000), "ice", (15, 40)),
    "cirrostratus": _Recipe((5500, 11500), (500, 2000), (0.2, 3), (600, 5000), "ice", (12, 45)),
    "even_veil": _Recipe((300, 5500), (150, 600), (0.3, 3), (400, 3000), "water", (4, 10)),
}


def make_clouds(
    kind: str,
    *,
    shape: tuple[int, int],
    seed: int,
    cover: float,
    pixel: float = 10.0,
    margin: int = DEFAULT_MARGIN,
    elevation: Array | None = None,
) -> CloudLayer:
    """Make a field of clouds of one kind, always the same one from the same arguments.

    Parameters
    ----------
    kind : str
        One of ``KINDS``.
    shape : (int, int)
        Rows and columns of the frame.
    seed : int
        Any integer.
    cover : float
        Share of the canvas under cloud (optical depth above 0), 0 … 1; of contrails and thin veils, whose rims fade
        out slowly, the share that they dim at all.
    pixel : float
        Metres.
    margin : int
        Pixels of field around the frame, see `CloudLayer`.
    elevation : float32 array of ``shape``, optional
        Height of the ground in metres: fog fills its hollows, every base lies above its mean, cirrus above its highest.

    Returns
    -------
    CloudLayer

    Raises
    ------
    ArgumentError
        Unknown kind, or a cover outside [0, 1].

    Examples
    --------
    >>> layer = make_clouds("cumulus", shape=(64, 96), seed=1, cover=0.3)
    >>> bool(abs((layer.optical_depth > 0).mean() - 0.3) < 0.01)
    True
    """
    if kind not in _RECIPES:
        raise ArgumentError(f"kind={kind!r} is unknown; expected one of {', '.join(KINDS)}.")
    if not 0.0 <= cover <= 1.0:
        raise ArgumentError(f"cover={cover}: expected a share between 0 and 1.")
    recipe = _RECIPES[kind]
    rng = np.random.default_rng([abs(seed), int(seed < 0), KINDS.index(kind)])
    canvas = (_canvas_size(shape[0] + 2 * margin), _canvas_size(shape[1] + 2 * margin))
    tau_body = float(np.exp(rng.uniform(*np.log(recipe.tau))))
    edge = rng.uniform(*recipe.edge) / pixel
    ground = None if elevation is None else _on_canvas(elevation, canvas, margin)
    base = _base(float(np.exp(rng.uniform(*np.log(recipe.base)))), elevation)

    if kind == "fog" and ground is not None:
        body = valley_fog(rng, canvas, cover, edge, ground)
    else:
        body = FIELDS[kind](rng, canvas, cover, edge, pixel)
    depth = rng.uniform(*recipe.depth)
    return CloudLayer(
        kind=kind,
        optical_depth=np.asarray(tau_body * body.depth, dtype=np.float32),
        top_height=np.asarray(base + depth * body.tower, dtype=np.float32),
        base_height=base,
        phase=recipe.phase,
        effective_radius=float(np.exp(rng.uniform(*np.log(recipe.radius)))),
        margin=margin,
    )


def _base(drawn: float, elevation: Array | None) -> float:
    """Height of a base above the sea: the air near the ground makes low clouds, the tropopause the high ones."""
    if elevation is None:
        return drawn
    if drawn < _HIGH_FROM:
        return drawn + float(elevation.mean())
    return max(drawn, float(elevation.max()) + 1000.0)


def _canvas_size(least: int) -> int:
    """A size that the Fourier transform likes and that divides by 8, for what is done on coarser grids."""
    return 8 * int(fft.next_fast_len(-(-least // 8), real=True))


def _on_canvas(frame: Array, canvas: tuple[int, int], margin: int) -> Array:
    after = [canvas[axis] - frame.shape[axis] - margin for axis in (0, 1)]
    return np.pad(frame, ((margin, after[0]), (margin, after[1])), mode="symmetric")
