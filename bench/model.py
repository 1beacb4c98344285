"""How good is the learned model? On simulated places that training never saw, with and without context, on any bands.

    python bench/model.py [--model NAME|FILE] [--clips 48] [--hard 32] [--save FILE]

Printed: mean absolute error of ``cs`` against its definition (`clearsight.training.target`), area under the ROC for
q < 0.6, both with and without context and for each set of bands; on hard ground the share of clear pixels (cs above
0.8 by definition) that are called unusable (score below 0.60), with and without context. Places, skies and dates have
numbers from 10 000 000 on, which no recipe may use.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from clearsight.bands import Level
from clearsight.model import TEN, TWENTY, Model, View, load_model
from clearsight.passes import Scored, score_frames
from clearsight.scoring import DEFAULT_MODEL
from clearsight.training.bank import FACTS, Plan, fill_bank, shards_of
from clearsight.training.batches import BAND_SETS
from clearsight.training.relabel import frames_of

FIRST = 10_000_000
HARD = {
    "snow": ("snow", "glacier"),
    "salt": ("salt", "saltworks"),
    "roofs": ("town", "industry", "greenhouses"),
    "tidal flat": ("tidal",),
    "lake": ("lake", "peat"),
}
LOOKS: tuple[tuple[str, Level, str], ...] = (
    ("L1C, 13 bands", "L1C", "all"),
    ("L2A, 12 bands", "L2A", "all"),
    ("L1C, 6 bands", "L1C", "six"),
    ("L2A, 4 bands", "L2A", "four"),
    ("L2A, B02 B03 B04", "L2A", "three"),
)


@dataclass(frozen=True)
class Counts:
    """Scores of one way to look, against the truth."""

    cs: np.ndarray
    """Of the model."""
    target: np.ndarray
    """By definition."""
    q: np.ndarray

    def error(self) -> float:
        return float(np.abs(self.cs - self.target).mean())

    def area(self) -> float:
        """Area under the ROC for q < 0.6 by ranks (Mann and Whitney 1947), ties counted half."""
        bad = self.q < 0.6
        order = np.argsort(self.cs, kind="stable")
        ranks = np.empty(order.size)
        _, first, counts = np.unique(self.cs[order], return_index=True, return_counts=True)
        ranks[order] = np.repeat(first + (counts + 1) / 2, counts)
        good = ~bad
        return float((ranks[good].sum() - good.sum() * (good.sum() + 1) / 2) / (good.sum() * bad.sum()))

    def refused(self) -> float:
        """Share of the clear pixels that fall below 0.60."""
        return float((self.cs[self.target > 0.8] < 0.6).mean())


def clips(folder: Path) -> Iterator[tuple[dict[str, np.ndarray], int]]:
    for shard in shards_of(folder):
        arrays = {path.stem: np.load(path, mmap_mode="r") for path in shard.glob("*.npy")}
        for clip in range(len(arrays["facts"])):
            yield arrays, clip


def scored_frames(
    model: Model, arrays: dict[str, np.ndarray], clip: int, *, level: Level, names: tuple[str, ...], context: bool
) -> Scored:
    """Score a clip as users do: all bands on the grid of the finest, sun known."""
    names = tuple(name for name in names if level == "L1C" or name != "B10")
    ten, twenty = frames_of(arrays, clip, level=level, names=names)
    bands = {name: ten[:, i] for i, name in enumerate(TEN) if name in names}
    bands |= {name: twenty[:, i].repeat(2, -1).repeat(2, -2) for i, name in enumerate(TWENTY) if name in names}
    facts = {name: np.asarray(arrays["facts"][clip, :, i]) for i, name in enumerate(FACTS)}
    views = [View(float(z), float(a)) for z, a in zip(facts["sun_zenith"], facts["sun_azimuth"], strict=True)]
    return score_frames(
        model, bands, level=level, dates=facts["day"].astype("datetime64[D]").astype("datetime64[s]"), views=views,
        pixel=float(facts["pixel"][0]), context=context,
    )  # fmt: skip


def look(
    model: Model, arrays: dict[str, np.ndarray], clip: int, *, level: Level, names: tuple[str, ...], context: bool
) -> Counts:
    """Scores of a clip beside its truth."""
    scored = scored_frames(model, arrays, clip, level=level, names=names, context=context)
    target, q = (np.asarray(arrays[name][clip]) for name in ("cs", "q"))
    # Every third pixel along both sides: neighbours tell the same.
    seen = np.zeros(target.shape, bool)
    seen[:, 1::3, 1::3] = True
    seen &= (target != 255) & np.isfinite(scored.cs)
    return Counts(scored.cs[seen], target[seen] / np.float32(200), q[seen] / np.float32(200))


def together(parts: list[Counts]) -> Counts:
    return Counts(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("cs", "target", "q")))


def draw_worst(model: Model, folder: Path, path: Path, *, count: int = 10) -> None:
    """The frames in which the score is farthest from its definition: true colour, definition, score."""
    from matplotlib.figure import Figure

    found = []
    for arrays, clip in clips(folder):
        scored = scored_frames(model, arrays, clip, level="L1C", names=BAND_SETS["all"], context=True)
        target = np.where(arrays["cs"][clip] == 255, np.nan, arrays["cs"][clip] / np.float32(200))
        error = np.nanmean(np.abs(scored.cs - target), axis=(1, 2))
        frame = int(np.nanargmax(error))
        colour = np.clip((arrays["ten"][clip][frame, [2, 1, 0]].astype(np.float32) - 1000) / 3000, 0, 1)
        found.append((float(error[frame]), colour.transpose(1, 2, 0), target[frame], scored.cs[frame]))
    worst = sorted(found, key=lambda entry: -entry[0])[:count]
    figure = Figure(figsize=(1.7 * len(worst), 5.4), layout="constrained")
    axes = figure.subplots(3, len(worst))
    for column, (error, *panels) in zip(axes.T, worst, strict=True):
        for axis, panel in zip(column, panels, strict=True):
            axis.imshow(panel, cmap="viridis", vmin=0, vmax=1)
            axis.set_xticks([])
            axis.set_yticks([])
        column[0].set_title(f"error {error:.2f}", fontsize=8)
    for axis, name in zip(axes[:, 0], ("true colour", "by definition", "score"), strict=True):
        axis.set_ylabel(name, fontsize=9)
    figure.savefig(path, dpi=90)


def measured(model: Model, folder: Path, *, clips_wanted: int, hard: int, workers: int) -> dict[str, dict[str, float]]:
    rows: dict[str, dict[str, float]] = {}
    fill_bank(Plan(folder / "worlds", clips=clips_wanted, first=FIRST), workers=workers)
    for title, level, bands in LOOKS:
        parts = {
            context: together([
                look(model, arrays, clip, level=level, names=BAND_SETS[bands], context=context)
                for arrays, clip in clips(folder / "worlds")
            ])
            for context in (True, False)
        }  # fmt: skip
        rows[title] = {
            "error with context": parts[True].error(), "error without": parts[False].error(),
            "area with context": parts[True].area(), "area without": parts[False].area(),
        }  # fmt: skip
        print(title, {name: round(value, 4) for name, value in rows[title].items()}, flush=True)
    for number, (title, kinds) in enumerate(HARD.items()):
        place = folder / title.replace(" ", "-")
        start = FIRST + 1_000_000 * (number + 1)
        fill_bank(Plan(place, clips=hard, first=start, kinds=kinds, pixels=(10.0,)), workers=workers)
        refused = [
            together([
                look(model, arrays, clip, level="L1C", names=BAND_SETS["all"], context=context)
                for arrays, clip in clips(place)
            ]).refused()
            for context in (True, False)
        ]  # fmt: skip
        rows[title] = {"clear refused with context": refused[0], "clear refused without": refused[1]}
        print(title, {name: round(value, 4) for name, value in rows[title].items()}, flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--clips", type=int, default=48, help="places, of six dates each")
    parser.add_argument("--hard", type=int, default=16, help="places of each hard kind")
    parser.add_argument("--folder", type=Path, default=Path("held-out"), help="where the simulated clips lie")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--save", type=Path)
    parser.add_argument("--pictures", type=Path, help="where to draw the worst frames")
    options = parser.parse_args()
    model = load_model(options.model)
    rows = measured(model, options.folder, clips_wanted=options.clips, hard=options.hard, workers=options.workers)
    if options.pictures:
        draw_worst(model, options.folder / "worlds", options.pictures)
    if options.save:
        options.save.write_text(
            json.dumps({"model": model.version, "clips": options.clips, "rows": rows}, indent=2) + "\n"
        )


if __name__ == "__main__":
    main()
