"""A peer that runs as a program of its own, in an environment that is made when it's first asked for."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import xarray as xr

from clearsight.bands import BANDS, Level
from clearsight.errors import ClearsightError
from clearsight.evaluation.peers.protocol import Answer, Method

_log = logging.getLogger(__name__)

WORKERS: Final = Path(__file__).parent / "workers"
_INSTALL_SECONDS: Final = 900
_RUN_SECONDS: Final = 3600
_READY: Final = "ready"


class PeerError(ClearsightError):
    """A peer can't be installed, or failed."""


@dataclass(frozen=True)
class Program:
    """A peer's package, and what it needs."""

    name: str
    requirements: tuple[str, ...]
    """For pip, with exact versions: also the name of its environment."""
    worker: str
    """Program in ``workers/``, without ``run_`` and ``.py``."""
    bands: tuple[str, ...]
    """Bands without which it can't run."""
    levels: tuple[Level, ...] = ("L1C",)
    threshold: float = 0.6
    weights: Path | None = None
    """Folder of weights that the package doesn't carry."""
    weights_from: str = ""
    """Where such weights come from; empty: the package carries them."""
    home: Path | None = None
    """Folder of the environments; by default the user's cache."""

    def obstacle(self, stack: xr.Dataset, *, level: Level) -> str | None:
        """Say which band, level or weights are missing."""
        if level not in self.levels:
            return f"{self.name} is made for {' and '.join(self.levels)}, not for {level}"
        missing = [band for band in self.bands if band not in stack]
        if missing:
            return f"{self.name} needs {', '.join(missing)}"
        if self.weights_from and (self.weights is None or not any(self.weights.glob("*"))):
            place = self.weights or "a folder, given with --weights"
            return f"{self.name} needs its weights from {self.weights_from} in {place}; nothing is downloaded unasked"
        return None

    def run(self, stack: xr.Dataset, *, level: Level) -> Answer:
        """Score every frame in the peer's own environment.

        Raises
        ------
        PeerError
            It can't be installed, or it failed; the message holds what it said.
        """
        python = self.environment()
        bands = [name for name in BANDS if name in stack]
        images = np.stack([stack[name].transpose("time", "y", "x").values for name in bands], axis=1)
        with tempfile.TemporaryDirectory(prefix="clearsight-peer-") as folder:
            frames, answer = Path(folder) / "frames.npz", Path(folder) / "answer.npz"
            np.savez(frames, images=images.astype(np.float32), bands=np.array(bands), level=np.array(level))
            words = [str(python), str(WORKERS / f"run_{self.worker}.py"), str(frames), str(answer)]
            _call(words + ([str(self.weights)] if self.weights else []), who=self.name, seconds=_RUN_SECONDS)
            with np.load(answer) as file:
                score, seconds = file["score"].astype(np.float32), float(file["seconds"].sum())
        score[~np.isfinite(images).all(axis=1)] = np.nan
        return Answer({self.name: score}, seconds)

    @property
    def folder(self) -> Path:
        """Folder of the environment, named by what is in it."""
        name = "_".join(self.requirements).replace("==", "-").replace("[", "-").replace("]", "").replace("/", "")
        return (self.home or _cache()) / name

    def environment(self) -> Path:
        """Python of the peer's environment, which is made if it isn't there.

        Raises
        ------
        PeerError
            It can't be made; the message holds what pip said.
        """
        folder = self.folder
        python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
        if not (folder / _READY).exists():
            _log.info("installing %s into %s", self.name, folder)
            _call([sys.executable, "-m", "venv", "--clear", str(folder)], who=self.name, seconds=_INSTALL_SECONDS)
            pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            _call(pip + list(self.requirements), who=self.name, seconds=_INSTALL_SECONDS)
            (folder / _READY).touch()
        return python


def _call(words: list[str], *, who: str, seconds: int) -> None:
    """Run a program; offline for weights, deaf to our own environment."""
    outside = {
        key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
    }
    try:
        subprocess.run(
            words,
            check=True,
            capture_output=True,
            text=True,
            timeout=seconds,
            env={**outside, "HF_HUB_OFFLINE": "1", "PYTHONNOUSERSITE": "1"},
        )
    except subprocess.CalledProcessError as error:
        said = "\n".join(f"{error.stdout}\n{error.stderr}".strip().splitlines()[-12:])
        raise PeerError(f"{who} failed with exit code {error.returncode}. It said:\n{said}") from error
    except subprocess.TimeoutExpired as error:
        raise PeerError(f"{who} took longer than {seconds} s; give it fewer or smaller frames.") from error


def _cache() -> Path:
    """Folder of the peers' environments in the user's cache (XDG base directory specification)."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "clearsight" / "peers"


_: type[Method] = Program
