"""The training loop: batches in; checkpoints, a log and a record out. Interrupted, it goes on from where it was."""

from __future__ import annotations

import csv
import json
import math
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, IterableDataset

from clearsight.progress import Progress, silent
from clearsight.training.batches import Draw, batches
from clearsight.training.network import Network, Widths, trainable

INPUTS: Final = ("ten", "twenty", "ground_ten", "ground_twenty", "support", "conditions")
_LOG_EVERY: Final = 50
_SAVE_SECONDS: Final = 120.0
_AVERAGE: Final = 0.998
"""Weights are averaged over about 500 steps: what is kept wobbles less than what is trained."""


@dataclass(frozen=True)
class Schedule:
    """How long and how fast."""

    minutes: float
    """Of computing, over all sittings; the learning rate follows a cosine over them."""
    rate: float = 2e-3
    """Largest learning rate."""
    seed: int = 0
    workers: int = 1
    """Processes that make batches."""
    threads: int = 2
    """Of the training itself."""
    last_rate: float = 0.01
    """Share of the largest learning rate that is left at the end."""


class _Stream(IterableDataset[dict[str, np.ndarray[Any, Any]]]):
    def __init__(self, sources: Sequence[tuple[Sequence[Path], Draw, int]], seed: int) -> None:
        self.sources, self.seed = sources, seed

    def __iter__(self) -> Iterator[dict[str, np.ndarray[Any, Any]]]:
        worker = torch.utils.data.get_worker_info()
        seed = self.seed * 1000 + (worker.id if worker else 0)
        streams = [batches(folders, draw, seed=seed + 17 * i) for i, (folders, draw, _) in enumerate(self.sources)]
        turns = [i for i, (_, _, often) in enumerate(self.sources) for _ in range(often)]
        rng = np.random.default_rng(seed)
        while True:
            yield next(streams[turns[int(rng.integers(len(turns)))]])


def train(
    out: Path,
    sources: Sequence[tuple[Sequence[Path], Draw, int]],
    *,
    schedule: Schedule,
    widths: Widths | None = None,
    start: Path | None = None,
    progress: Progress = silent,
) -> Network:
    """Train a network, or go on with what a former call left in ``out``.

    Parameters
    ----------
    out : Path
        Folder: ``checkpoint.pt``, ``log.csv``, ``record.json``.
    sources : sequence of (bank folders, Draw, int)
        Where batches come from, how they are drawn, and how often each source has its turn.
    schedule : Schedule
        How long and how fast.
    widths : Widths, optional
        Of a new network.
    start : Path, optional
        Checkpoint whose (averaged) weights a new training starts from.
    progress : callable
        Told of every minute.

    Returns
    -------
    Network
        With the averaged weights, ready to look.
    """
    torch.set_num_threads(schedule.threads)
    torch.manual_seed(schedule.seed)
    out.mkdir(parents=True, exist_ok=True)
    widths = widths or Widths()
    network = Network(widths).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if start is not None:
        network.load_state_dict(torch.load(start, weights_only=True)["average"])
    average = Network(widths)
    average.load_state_dict(network.state_dict())
    optimiser = torch.optim.AdamW(network.parameters(), lr=schedule.rate, weight_decay=1e-3)
    step, elapsed = _resume(out, network, average, optimiser)
    _record(out, sources, schedule=schedule, widths=widths, start=start, weights=trainable(network))
    stream = _Stream(sources, seed=schedule.seed + step)
    loader = DataLoader(
        stream, batch_size=None, num_workers=schedule.workers, prefetch_factor=4 if schedule.workers else None
    )
    log = _Log(out / "log.csv")
    began = saved = time.monotonic()
    for batch in loader:
        spent = elapsed + (time.monotonic() - began) / 60
        if spent >= schedule.minutes:
            break
        rate = _rate(spent / schedule.minutes, step=step, schedule=schedule)
        for group in optimiser.param_groups:
            group["lr"] = rate
        losses = _step(network, batch, optimiser)
        _follow(average, network, step=step)
        step += 1
        if step % _LOG_EVERY == 0:
            log.add(step=step, minutes=spent, rate=rate, losses=losses)
            progress(int(spent), math.ceil(schedule.minutes), f"training {out.name}")
        if time.monotonic() - saved > _SAVE_SECONDS:
            saved = time.monotonic()
            _save(out, network, average, optimiser, step=step, elapsed=spent)
    _save(out, network, average, optimiser, step=step, elapsed=max(elapsed, schedule.minutes))
    progress(math.ceil(schedule.minutes), math.ceil(schedule.minutes), f"training {out.name}")
    return average.eval()


def load_network(folder: Path) -> Network:
    """Network of a training's folder, with its averaged weights, ready to look."""
    record = json.loads((folder / "record.json").read_text())
    widths = Widths(stages=tuple(record["widths"]["stages"]), head=record["widths"]["head"])
    network = Network(widths)
    network.load_state_dict(torch.load(folder / "checkpoint.pt", weights_only=True)["average"])
    return network.eval()


def losses_of(network: nn.Module, batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """What is wrong with what the network says: of the score (entropy and distance), the cause, and the prior."""
    images = [
        batch[name].to(memory_format=torch.channels_last) if batch[name].ndim == 4 else batch[name] for name in INPUTS
    ]
    score, cause, prior = network(*images)
    truth = batch["cs"][:, None]
    seen = ~torch.isnan(truth)
    score, truth = score[seen], truth[seen]
    return {
        "entropy": functional.binary_cross_entropy_with_logits(score, truth),
        "distance": functional.l1_loss(torch.sigmoid(score), truth),
        "cause": functional.cross_entropy(cause, batch["cause"], ignore_index=-1),
        "prior": functional.cross_entropy(prior, batch["prior"]),
    }


_WEIGHTS: Final = {"entropy": 1.0, "distance": 1.0, "cause": 0.15, "prior": 0.05}


def _step(network: nn.Module, batch: dict[str, Tensor], optimiser: torch.optim.Optimizer) -> dict[str, float]:
    network.train()
    losses = losses_of(network, batch)
    total = torch.stack([_WEIGHTS[name] * loss for name, loss in losses.items()]).sum()
    optimiser.zero_grad(set_to_none=True)
    total.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(network.parameters(), 1.0)
    optimiser.step()
    return {name: float(loss.detach()) for name, loss in losses.items()}


def _follow(average: nn.Module, network: nn.Module, *, step: int) -> None:
    keep = min(_AVERAGE, (step + 1) / (step + 10))
    with torch.no_grad():
        for mean, value in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
            if mean.dtype.is_floating_point:
                mean.lerp_(value, 1 - keep)
            else:
                mean.copy_(value)


def _rate(share: float, *, step: int, schedule: Schedule) -> float:
    cosine = 0.5 * (1 + math.cos(math.pi * min(share, 1.0)))
    return schedule.rate * min(1.0, (step + 1) / 200) * (schedule.last_rate + (1 - schedule.last_rate) * cosine)


def _resume(out: Path, network: nn.Module, average: nn.Module, optimiser: torch.optim.Optimizer) -> tuple[int, float]:
    path = out / "checkpoint.pt"
    if not path.exists():
        return 0, 0.0
    state = torch.load(path, weights_only=True)
    network.load_state_dict(state["network"])
    average.load_state_dict(state["average"])
    optimiser.load_state_dict(state["optimiser"])
    return int(state["step"]), float(state["elapsed"])


def _save(
    out: Path, network: nn.Module, average: nn.Module, optimiser: torch.optim.Optimizer, *, step: int, elapsed: float
) -> None:
    state = {
        "network": network.state_dict(), "average": average.state_dict(), "optimiser": optimiser.state_dict(),
        "step": step, "elapsed": elapsed,
    }  # fmt: skip
    part = out / f".checkpoint.{os.getpid()}"
    torch.save(state, part)
    part.replace(out / "checkpoint.pt")


def _record(
    out: Path, sources: Sequence[tuple[Sequence[Path], Draw, int]], *, schedule: Schedule, widths: Widths,
    start: Path | None, weights: int,
) -> None:  # fmt: skip
    """What this training is, for people and for `load_network`."""
    described = [
        {"banks": [folder.name for folder in folders], "turns": turns, **asdict(draw)}
        for folders, draw, turns in sources
    ]
    record = {
        "schedule": asdict(schedule), "widths": asdict(widths), "weights": weights, "sources": described,
        "start": start.parent.name if start else None, "torch": torch.__version__,
    }  # fmt: skip
    (out / "record.json").write_text(json.dumps(record, indent=2) + "\n")


class _Log:
    """One line of ``log.csv`` for every so many steps."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.columns = ("step", "minutes", "rate", *_WEIGHTS)
        if not path.exists():
            path.write_text(",".join(self.columns) + "\n")

    def add(self, *, step: int, minutes: float, rate: float, losses: dict[str, float]) -> None:
        with self.path.open("a", newline="") as file:
            row = {"step": step, "minutes": f"{minutes:.2f}", "rate": f"{rate:.6f}"}
            csv.DictWriter(file, self.columns).writerow(row | {name: f"{loss:.4f}" for name, loss in losses.items()})
