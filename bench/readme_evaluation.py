"""Write the README's comparison with other masks from bench/results/evaluation.json: no number is typed in.

python bench/evaluate.py            # measures, about a quarter of an hour
python bench/readme_evaluation.py   # what `make bench` does next
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evaluation_page import ROOT, load

BEGIN, END = "<!-- evaluation -->", "<!-- /evaluation -->"
NOISE_OF = "B04"


def rows(numbers: Mapping[str, Any]) -> list[str]:
    """The table, one line for each score."""
    l1c, l2a, speed = (numbers[name] for name in ("l1c", "l2a", "speed"))
    series = numbers["real"].get("series", {})
    real, masks = max(
        ((name, each["masks"]) for name, each in series.items() if not each["trained_on"]),
        key=lambda entry: series[entry[0]]["dates"],
        default=("", {}),
    )
    head = ["mask", "balanced accuracy, L1C", "ROC area", "usable kept", "unusable kept", "balanced accuracy, L2A"]
    head += ["real: kept", f"real: noise {NOISE_OF} (ours at as much)"] if masks else []
    names = dict.fromkeys((*l1c["scores"], *l2a["scores"], *(name for name in masks if name != "no mask")))
    lines = [
        f"{l1c['places']} simulated places that no training has seen at L1C, {l2a['places']} others at L2A, "
        f"{l1c['images'] // l1c['places']} dates each, every mask cut where its authors cut (they made theirs for real "
        "scenes); in brackets 95 % intervals"
        + (f". Real, without labels and never trained on: {real}, {series[real]['dates']} dates" if masks else "")
        + ". All of it, and which threshold to take for what: [docs/evaluation.md](docs/evaluation.md).",
        "",
        _line(head),
        _line(["---"] * len(head)),
    ]
    for name in names:
        cells = [name, *_simulated(l1c["scores"].get(name)), _accuracy(l2a["scores"].get(name))]
        lines.append(_line(cells + (_real(masks.get(name)) if masks else [])))
    told = "; ".join(f"{name} {value:.2f}" for name, value in speed["rows"].items())
    return [*lines, "", f"Seconds per Mpx, each alone on the machine: {told}."]


def _simulated(found: Mapping[str, Any] | None) -> list[str]:
    if found is None:
        return ["–"] * 4
    own = found["at"][f"{found['threshold']:.2f}"]
    shares = [f"{100 * own[which]:.1f} %" for which in ("usable_kept", "unusable_kept")]
    return [_accuracy(found), f"{found['roc_area']['value']:.3f}", *shares]


def _accuracy(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return "–"
    each = found["at"][f"{found['threshold']:.2f}"]["balanced_accuracy"]
    return f"{each['value']:.3f} ({each['low']:.3f}–{each['high']:.3f})"


def _real(found: Mapping[str, Any] | None) -> list[str]:
    if found is None:
        return ["–"] * 2
    noise, matched = found["noise"][NOISE_OF], found["matched"][NOISE_OF]
    told = "–" if noise is None or matched is None else f"{noise:.4f} ({matched:.4f})"
    return [f"{100 * found['availability']:.1f} %", told]


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def written(text: str, numbers: Mapping[str, Any]) -> str:
    """The README with today's comparison."""
    before, rest = text.split(BEGIN)
    return "\n".join([before + BEGIN, *rows(numbers), END]) + rest.split(END)[1]


def main() -> None:
    readme = ROOT / "README.md"
    readme.write_text(written(readme.read_text(encoding="utf-8"), load()), encoding="utf-8")
    print(readme)


if __name__ == "__main__":
    main()
