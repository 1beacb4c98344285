"""The training loop: batches in; checkpoints, a log and a record out. Interrupted, it goes on from where it was."""

from __future__ import annotations

import csv
import json
import math
import multiprocessing
import os
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, distributed, nn
from torch.nn import functional
from torch.utils.data import DataLoader, IterableDataset

from clearsight.errors import ArgumentError
from clearsight.progress import Progress, silent
from clearsight.training.batches import Draw, batches
from clearsight.training.muon import optimisers
from clearsight.training.network import Network, Widths, trainable

INPUTS: Final = ("ten", "twenty", "ground_ten", "ground_twenty", "support", "conditions")
_Part = nn.Module | torch.optim.Optimizer
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
    processes: int = 2
    """That train together on one machine, each on batches of its own; their gradients are averaged."""
    threads: int = 1
    """Of each of them. Small layers keep one thread busy; several wait for each other."""
    last_rate: float = 0.01
    """Share of the largest learning rate that is left at the end."""
    device: str = "cpu"
    """What computes: ``cpu``, or ``cuda`` with ``processes=1``."""

    def __post_init__(self) -> None:
        if self.device != "cpu" and self.processes != 1:
            raise ArgumentError(
                f"processes={self.processes}: on device={self.device!r} expected 1; only CPUs share work."
            )


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
    task = _Task(out, tuple(sources), schedule, widths or Widths(), start)
    out.mkdir(parents=True, exist_ok=True)
    if schedule.processes == 1:
        _work(0, task, progress=progress)
    else:
        with tempfile.TemporaryDirectory() as meeting:
            others = [
                multiprocessing.get_context("spawn").Process(target=_join, args=(rank, task, meeting))
                for rank in range(1, schedule.processes)
            ]
            for other in others:
                other.start()
            _join(0, task, meeting, progress=progress)
            for other in others:
                other.join()
    return load_network(out)


@dataclass(frozen=True)
class _Task:
    """What every process of a training needs to know."""

    out: Path
    sources: tuple[tuple[Sequence[Path], Draw, int], ...]
    schedule: Schedule
    widths: Widths
    start: Path | None


def _join(rank: int, task: _Task, meeting: str, progress: Progress = silent) -> None:
    """Take part in a training of several processes, which meet at a file."""
    world = task.schedule.processes
    distributed.init_process_group("gloo", init_method=f"file://{meeting}/meet", rank=rank, world_size=world)
    try:
        _work(rank, task, progress=progress)
    finally:
        distributed.destroy_process_group()


def _work(rank: int, task: _Task, *, progress: Progress) -> None:
    schedule = task.schedule
    torch.set_num_threads(schedule.threads)
    torch.manual_seed(schedule.seed)
    network = Network(task.widths).to(schedule.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    if task.start is not None:
        network.load_state_dict(torch.load(task.start, weights_only=True, map_location="cpu")["average"])
    average = Network(task.widths).to(schedule.device)
    average.load_state_dict(network.state_dict())
    movers = optimisers(network, rate=schedule.rate)
    parts = {"network": network, "average": average, **movers}
    step, elapsed = _resume(task.out, parts)
    keeper = _Keeper(task.out, parts) if rank == 0 else None
    if keeper is not None:
        _record(task, weights=trainable(network))
    stream = _Stream(task.sources, seed=(schedule.seed + step) * 64 + rank)
    ahead = 4 if schedule.workers else None
    loader = DataLoader(stream, batch_size=None, num_workers=schedule.workers, prefetch_factor=ahead)
    began = time.monotonic()
    for batch in loader:
        spent = elapsed + (time.monotonic() - began) / 60
        rate = _rate(spent / schedule.minutes, step=step, schedule=schedule)
        for group in (group for mover in movers.values() for group in mover.param_groups):
            group["lr"] = rate
        here = {name: values.to(schedule.device) for name, values in batch.items()}
        losses = _step(network, here, movers.values(), stop=spent >= schedule.minutes)
        if losses is None:
            break
        _follow(average, network, step=step)
        step += 1
        if keeper is not None:
            keeper.note(step=step, minutes=spent, rate=rate, losses=losses)
            if step % _LOG_EVERY == 0:
                progress(int(spent), math.ceil(schedule.minutes), f"training {task.out.name}")
    if keeper is not None:
        keeper.save(step=step, minutes=max(elapsed, schedule.minutes))
        progress(math.ceil(schedule.minutes), math.ceil(schedule.minutes), f"training {task.out.name}")


def load_network(folder: Path) -> Network:
    """Network of a training's folder, with its averaged weights, ready to look."""
    record = json.loads((folder / "record.json").read_text())
    widths = Widths(stages=tuple(record["widths"]["stages"]), head=record["widths"]["head"])
    network = Network(widths)
    network.load_state_dict(torch.load(folder / "checkpoint.pt", weights_only=True, map_location="cpu")["average"])
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
    # Mined clips have no causes, and some no label at all: a mean over nothing would be NaN, and the weights after it.
    pixels, told = max(truth.numel(), 1), max(int((batch["cause"] >= 0).sum()), 1)
    return {
        "entropy": functional.binary_cross_entropy_with_logits(score, truth, reduction="sum") / pixels,
        "distance": functional.l1_loss(torch.sigmoid(score), truth, reduction="sum") / pixels,
        "cause": functional.cross_entropy(cause, batch["cause"], ignore_index=-1, reduction="sum") / told,
        "prior": functional.cross_entropy(prior, batch["prior"]),
    }


_WEIGHTS: Final = {"entropy": 1.0, "distance": 1.0, "cause": 0.15, "prior": 0.05}


def _step(
    network: nn.Module, batch: dict[str, Tensor], movers: Iterable[torch.optim.Optimizer], *, stop: bool
) -> dict[str, float] | None:
    """One step of all processes; None once one of them has to stop."""
    network.train()
    losses = losses_of(network, batch)
    total = torch.stack([_WEIGHTS[name] * loss for name, loss in losses.items()]).sum()
    network.zero_grad(set_to_none=True)
    total.backward()  # type: ignore[no-untyped-call]
    if _together(network, stop=stop):
        return None
    nn.utils.clip_grad_norm_(network.parameters(), 1.0)
    for mover in movers:
        mover.step()
    return {name: float(loss.detach()) for name, loss in losses.items()}


def _together(network: nn.Module, *, stop: bool) -> bool:
    """Average the gradients of all processes; True if any of them has to stop."""
    if not distributed.is_initialized():
        return stop
    gradients = [weight.grad for weight in network.parameters() if weight.grad is not None]
    flat = torch.cat([gradient.reshape(-1) for gradient in gradients] + [torch.tensor([float(stop)])])
    distributed.all_reduce(flat)
    flat /= distributed.get_world_size()
    start = 0
    for gradient in gradients:
        gradient.copy_(flat[start : start + gradient.numel()].view_as(gradient))
        start += gradient.numel()
    return bool(flat[-1] > 0)


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


def _resume(out: Path, parts: Mapping[str, _Part]) -> tuple[int, float]:
    path = out / "checkpoint.pt"
    if not path.exists():
        return 0, 0.0
    state = torch.load(path, weights_only=True, map_location="cpu")
    for name, part in parts.items():
        part.load_state_dict(state[name])
    return int(state["step"]), float(state["elapsed"])


class _Keeper:
    """Keeps what a training has reached: checkpoints, and one line of ``log.csv`` for every so many steps."""

    def __init__(self, out: Path, parts: Mapping[str, _Part]) -> None:
        self.out, self.parts = out, parts
        self.columns = ("step", "minutes", "rate", *_WEIGHTS)
        self.saved = time.monotonic()
        if not (out / "log.csv").exists():
            (out / "log.csv").write_text(",".join(self.columns) + "\n")

    def note(self, *, step: int, minutes: float, rate: float, losses: dict[str, float]) -> None:
        """Log now and then, save now and then."""
        if step % _LOG_EVERY == 0:
            with (self.out / "log.csv").open("a", newline="") as file:
                row = {"step": step, "minutes": f"{minutes:.2f}", "rate": f"{rate:.6f}"}
                row |= {name: f"{loss:.4f}" for name, loss in losses.items()}
                csv.DictWriter(file, self.columns).writerow(row)
        if time.monotonic() - self.saved > _SAVE_SECONDS:
            self.saved = time.monotonic()
            self.save(step=step, minutes=minutes)

    def save(self, *, step: int, minutes: float) -> None:
        """Write a checkpoint, as a whole or not at all."""
        state: dict[str, Any] = {name: part.state_dict() for name, part in self.parts.items()}
        part = self.out / f".checkpoint.{os.getpid()}"
        torch.save(state | {"step": step, "elapsed": minutes}, part)
        part.replace(self.out / "checkpoint.pt")


def _record(task: _Task, *, weights: int) -> None:
    """What this training is, for people and for `load_network`."""
    sources = [
        {"banks": [folder.name for folder in folders], "turns": turns, **asdict(draw)}
        for folders, draw, turns in task.sources
    ]
    record = {
        "schedule": asdict(task.schedule), "widths": asdict(task.widths), "weights": weights, "sources": sources,
        "start": task.start.parent.name if task.start else None, "torch": torch.__version__,
    }  # fmt: skip
    (task.out / "record.json").write_text(json.dumps(record, indent=2) + "\n")
