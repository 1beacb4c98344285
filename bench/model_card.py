"""Write the model card from what the benches have measured: no number in it is typed in.

python bench/model.py --save bench/results/model.json --pictures docs/images/model_failures.png
python bench/real_model.py --save bench/results/real.json
python bench/peers.py --save bench/results/speed.json
python bench/model_card.py
"""

from __future__ import annotations

import json
from pathlib import Path

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "bench" / "results"
CARD = ROOT / "src" / "clearsight" / "models" / "clearsight-1.md"

GOALS = {
    "L1C, 13 bands": {
        "error with context": 0.05, "error without": 0.08, "area with context": 0.985, "area without": 0.96,
    },
}  # fmt: skip

INTRODUCTION = """\
# clearsight-1

How well can the ground be seen, in each pixel of a Sentinel-2 image, L1C or L2A? A U-Net of {parameters:,} weights
({size:.1f} MB, ONNX, float32), Apache-2.0, version `{version}`.
This page is written by `bench/model_card.py`; every number in it comes from a bench that anyone can run again.

## What it takes and gives
Reflectance of one frame (at least B02, B03, B04), and, where the place has been seen before, its clear reference;
angles of the sun, if known. It gives `cs` (0 to 1; 0.60 is where a careful
person would begin to keep a pixel) and why a pixel is what it is: clear, thick cloud, thin cloud or haze, shadow,
snow or ice. The exact meaning of `cs`: `clearsight.training.target`.

## What it was trained on
Simulated places, skies and sensors with exact truth ([docs/simulation.md](../../../docs/simulation.md)), some of
them on real clear ground; real clear L1C chips; and two real L2A series of Belgian
places, labelled by atmospheric similarity. No hand-drawn label. How, and how long:
[docs/training.md](../../../docs/training.md), `recipes/shipped.toml`.
What is reported below took no part in training or calibration. The real scenes were looked at during development.

"""


def rows_of(model: dict) -> list[str]:
    """The tables of simulated places."""
    lines = [
        f"## Simulated places that training never saw ({model['clips']} places of six dates)",
        "| look | mean absolute error of `cs`: with context, without | area under the ROC for q < 0.6: with, without |",
        "|---|---|---|",
    ]
    hard = ["", "| clear pixels on hard ground that are refused at 0.60 | with context | without |", "|---|---|---|"]
    for title, row in model["rows"].items():
        if "error without" in row:
            lines.append(
                f"| {title} | {row['error with context']:.3f}, {row['error without']:.3f} "
                f"| {row['area with context']:.3f}, {row['area without']:.3f} |"
            )
        else:
            with_context, without = row["clear refused with context"], row["clear refused without"]
            hard.append(f"| {title} | {100 * with_context:.1f} % | {100 * without:.1f} % |")
    wanted = GOALS["L1C, 13 bands"]
    lines.append(
        f"\nWanted for 13 bands: error at most {wanted['error with context']} and {wanted['error without']}, "
        f"area at least {wanted['area with context']} and {wanted['area without']}."
    )
    return lines + hard


def real_rows(real: dict) -> list[str]:
    lines = ["", "## Real images", "| what | |", "|---|---|"]
    return lines + [f"| {name} | {value:.3f} |" for name, value in real.items()]


def speed_rows(speed: dict) -> list[str]:
    lines = ["", "## Speed", "| what | seconds per Mpx at 10 m |", "|---|---|"]
    lines += [f"| {name} | {value:.2f} |" for name, value in speed["rows"].items()]
    return [*lines, "", f"Two cores, one run, one image of {speed['side']} × {speed['side']} pixels, 13 bands."]


def render(results: Path = RESULTS) -> str:
    """The card as text."""
    item = json.loads(CARD.with_suffix(".json").read_text())
    model, real, speed = (json.loads((results / f"{name}.json").read_text()) for name in ("model", "real", "speed"))
    text = INTRODUCTION.format(
        parameters=item["properties"]["mlm:total_parameters"],
        size=item["assets"]["model"]["file:size"] / 1e6,
        version=item["properties"]["version"],
    )
    closing = (results / "model_card_closing.md").read_text()
    return text + "\n".join([*rows_of(model), *real_rows(real), *speed_rows(speed), "", closing.rstrip(), ""])


def main() -> None:
    CARD.write_text(render())
    print(CARD)


if __name__ == "__main__":
    main()
