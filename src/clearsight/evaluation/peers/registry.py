"""All peers by name, and one function to run one of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import xarray as xr

from clearsight.bands import BANDS, Level
from clearsight.errors import ArgumentError
from clearsight.evaluation.peers.own import SCL_USABLE, Clearsight, Layer
from clearsight.evaluation.peers.program import PeerError, Program
from clearsight.evaluation.peers.protocol import Method

_S2CLOUDLESS_BANDS: Final = ("B01", "B02", "B04", "B05", "B08", "B8A", "B09", "B10", "B11", "B12")

PEERS: Final[dict[str, Method]] = {
    "projection": Clearsight("projection", ("cs",), model="projection"),
    "scl": Layer("SCL", "SCL", usable=SCL_USABLE, threshold=0.5),
    "cloud-score-plus": Layer("Cloud Score+ cs", "cs"),
    "cloud-score-plus-cdf": Layer("Cloud Score+ cs_cdf", "cs_cdf"),
    "s2cloudless": Program("s2cloudless", ("s2cloudless==1.7.3",), "s2cloudless", _S2CLOUDLESS_BANDS),
    "ukis-csmask": Program(
        "ukis-csmask",
        ("ukis-csmask[cpu]==1.0.0",),
        "csmask",
        ("B02", "B03", "B04", "B08"),
        levels=("L1C", "L2A"),
        threshold=0.5,
    ),
    "omnicloudmask": Program(
        "OmniCloudMask",
        ("omnicloudmask==1.8.1",),
        "omnicloudmask",
        ("B03", "B04", "B08"),
        levels=("L1C", "L2A"),
        threshold=0.5,
        weights_from="huggingface.co/NickWright/OmniCloudMask",
    ),
    "cloudsen12": Program(
        "CloudSEN12 UNetMobV2",
        ("cloudsen12-models==1.0.2",),
        "cloudsen12",
        tuple(BANDS),
        threshold=0.5,
        weights_from="huggingface.co/isp-uv-es/cloudsen12_models",
    ),
}
"""Peers by the name the command line takes."""

OURS: Final[tuple[Method, ...]] = (
    Clearsight(),
    Clearsight("clearsight, one date alone,", ("cs",), context=False),
)


@dataclass(frozen=True)
class PeerRun:
    """What a peer said about a stack."""

    usable: xr.DataArray
    """bool ``(time, y, x)``, ``True`` = usable, cut where its authors cut; ``False`` where there's nodata."""
    score: xr.DataArray
    """float32 ``(time, y, x)``, 0 … 1, more is clearer; NaN = nodata."""
    seconds: float
    """Spent on scoring all frames: neither reading nor loading the model."""
    seconds_per_megapixel: float


def run_peer(name: str, *, stack: xr.Dataset, level: Level = "L1C", weights: Path | None = None) -> PeerRun:
    """Run a peer on a stack, in its own environment, which is made on first use.

    Parameters
    ----------
    name : str
        One of `PEERS`.
    stack : xr.Dataset
        Reflectance, one variable per band, dims ``(time, y, x)``, NaN = nodata.
    level : {"L1C", "L2A"}
        What the reflectance is.
    weights : path, optional
        Folder of weights for peers whose packages carry none.

    Returns
    -------
    PeerRun

    Raises
    ------
    ArgumentError
        ``name`` is unknown.
    PeerError
        The peer can't score this stack, can't be installed, or failed.

    Examples
    --------
    >>> import numpy as np
    >>> classes = xr.DataArray(np.array([[[4, 9]]]), dims=("time", "y", "x"))
    >>> run_peer("scl", stack=xr.Dataset({"SCL": classes}), level="L2A").usable.values.tolist()
    [[[True, False]]]
    """
    (method,) = peers([name], weights=weights)
    obstacle = method.obstacle(stack, level=level)
    if obstacle:
        raise PeerError(obstacle)
    answer = method.run(stack, level=level)
    (score, *_) = answer.scores.values()
    first = next(iter(stack.data_vars.values()))
    scores = xr.DataArray(score, dims=("time", "y", "x"), coords=first.transpose("time", "y", "x").coords)
    return PeerRun(
        usable=scores >= method.threshold,
        score=scores,
        seconds=answer.seconds,
        seconds_per_megapixel=answer.seconds / (score.size / 1e6),
    )


def peers(names: Sequence[str], *, weights: Path | None = None) -> tuple[Method, ...]:
    """Peers of these names; weights are looked for in ``weights/NAME``.

    Raises
    ------
    ArgumentError
        A name is unknown.
    """
    unknown = [name for name in names if name not in PEERS]
    if unknown:
        raise ArgumentError(f"peers={unknown} are unknown; expected some of {', '.join(PEERS)}.")
    found = [(name, PEERS[name]) for name in names]
    return tuple(
        replace(peer, weights=weights / name) if isinstance(peer, Program) and peer.weights_from and weights else peer
        for name, peer in found
    )
