"""From a trained network to the file that the package runs: ONNX, with all that has to be known about it inside."""

from __future__ import annotations

import json
import os
import warnings
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

import onnx
import torch
from torch import Tensor, nn

from clearsight.bands import BANDS
from clearsight.errors import ArgumentError
from clearsight.model import CAUSES, CONDITIONS, TEN, TWENTY
from clearsight.training.network import STRIDE, Network

_INPUTS: Final = {
    "ten": (len(TEN), 1), "twenty": (len(TWENTY), 2), "ground_ten": (len(TEN), 1), "ground_twenty": (len(TWENTY), 2),
    "support": (8, 2),
}  # fmt: skip
_OPSET: Final = 17


@dataclass(frozen=True)
class About:
    """What a model file says of itself."""

    version: str
    """Goes into MODEL_VERSION of every product."""
    calibration: tuple[tuple[float, ...], tuple[float, ...]] = ((0.0, 1.0), (0.0, 1.0))
    """Raw scores and what they become, both rising; straight lines between."""
    licence: str = "Apache-2.0"
    training: str = ""
    """One line about what it was trained on."""


class _Final(nn.Module):
    """The network with what users want to see: shares instead of logits."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(
        self,
        ten: Tensor,
        twenty: Tensor,
        ground_ten: Tensor,
        ground_twenty: Tensor,
        support: Tensor,
        conditions: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Score and prior as shares of one; of the causes only the largest matters."""
        score, causes, priors = self.network(ten, twenty, ground_ten, ground_twenty, support, conditions)
        return torch.sigmoid(score), causes, torch.softmax(priors, dim=1)


def export(network: Network, path: Path, *, about: About) -> Path:
    """Write an ONNX file that `clearsight.model.load_model` reads.

    Parameters
    ----------
    network : Network
        Trained.
    path : Path
        File to write; replaced as a whole.
    about : About
        What the file says of itself.

    Returns
    -------
    Path
        ``path``.

    Raises
    ------
    ArgumentError
        The calibration doesn't rise from 0 to 1.
    """
    _check(about)
    inputs = [torch.rand(1, bands, 64 // step, 64 // step) for bands, step in _INPUTS.values()]
    axes = {name: {0: "n", 2: f"rows_{step}", 3: f"columns_{step}"} for name, (_, step) in _INPUTS.items()}
    part = path.with_name(f".{path.name}.{os.getpid()}")
    path.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        # The newer exporter unrolls sizes that are to stay free; the one that says it will go doesn't.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            _Final(network).eval(),
            (*inputs, torch.rand(1, CONDITIONS)),
            str(part),
            dynamo=False,
            opset_version=_OPSET,
            input_names=[*_INPUTS, "conditions"],
            output_names=["score", "cause", "prior"],
            dynamic_axes={**axes, "conditions": {0: "n"}},
        )
    graph = with_wide_logarithms(onnx.load(str(part)))
    facts = {
        "format": 1, "version": about.version, "licence": about.licence, "stride": STRIDE, "ten": TEN, "twenty": TWENTY,
        "calibration": about.calibration, "causes": CAUSES, "training": about.training,
        "wavelengths": {name: BANDS[name].wavelength for name in (*TEN, *TWENTY)},
        "input": "reflectance, float32, NaN = nodata or absent",
    }  # fmt: skip
    entry = graph.metadata_props.add()
    entry.key, entry.value = "clearsight", json.dumps(facts)
    onnx.save(graph, str(part))
    part.replace(path)
    return path


def with_wide_logarithms(model: onnx.ModelProto) -> onnx.ModelProto:
    """Have logarithms taken in float64, so that scores don't depend on the number of threads.

    The runtime gives each thread a run of pixels, does most of it with vector instructions and what is left at its end
    without, and the two differ in a float32's last bit. A tenth of the network's time.

    Parameters
    ----------
    model : onnx.ModelProto
        Of float32; stays as it is.

    Returns
    -------
    onnx.ModelProto
    """
    out = onnx.ModelProto()
    out.CopyFrom(model)
    del out.graph.node[:]
    for node in model.graph.node:
        if node.op_type != "Log":
            out.graph.node.append(node)
            continue
        wide, result = f"{node.output[0]}_wide_input", f"{node.output[0]}_wide"
        out.graph.node.extend(
            [
                onnx.helper.make_node("Cast", node.input, [wide], to=onnx.TensorProto.DOUBLE),
                onnx.helper.make_node("Log", [wide], [result], name=node.name),
                onnx.helper.make_node("Cast", [result], node.output, to=onnx.TensorProto.FLOAT),
            ]
        )
    return out


def _check(about: About) -> None:
    raw, score = about.calibration
    rising = all(a < b for a, b in pairwise(raw)) and all(a <= b for a, b in pairwise(score))
    if len(raw) != len(score) or not rising or (raw[0], raw[-1], score[0], score[-1]) != (0.0, 1.0, 0.0, 1.0):
        raise ArgumentError(f"calibration={about.calibration}: expected two lists that rise from 0.0 to 1.0.")
