"""What a model says of itself to catalogues: a STAC Item with the MLM extension, beside the ONNX file."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from clearsight.model import CAUSES, CONDITIONS, TEN, TWENTY, load_model
from clearsight.whole import whole_file

_MLM: Final = "https://stac-extensions.github.io/mlm/v1.4.0/schema.json"
_FILE: Final = "https://stac-extensions.github.io/file/v2.1.0/schema.json"
_SINCE: Final = "2015-06-27T00:00:00Z"
"""First Sentinel-2 image: the model holds for all since."""


def write_model_item(weights: Path, *, parameters: int, made: datetime | None = None) -> Path:
    """Write the STAC Item of a model file beside it.

    Parameters
    ----------
    weights : Path
        ONNX file from `export.export`.
    parameters : int
        Number of trained weights.
    made : datetime, optional
        When; default now.

    Returns
    -------
    Path
        ``weights`` with the suffix ``.json``.
    """
    model = load_model(weights)
    moment = (made or datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%SZ")
    item: dict[str, Any] = {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": [_MLM, _FILE],
        "id": weights.stem,
        "bbox": [-180.0, -90.0, 180.0, 90.0],
        "geometry": {
            "type": "Polygon",
            "coordinates": [[[-180, -90], [180, -90], [180, 90], [-180, 90], [-180, -90]]],
        },
        "properties": {
            "datetime": None,
            "start_datetime": _SINCE,
            "end_datetime": "9999-12-31T23:59:59Z",
            "created": moment,
            "description": "How well the ground can be seen in each pixel of a Sentinel-2 image, L1C or L2A.",
            "license": model.licence,
            "version": model.version,
            "mlm:name": weights.stem,
            "mlm:architecture": "U-Net",
            "mlm:tasks": ["regression", "semantic-segmentation"],
            "mlm:framework": "ONNX",
            "mlm:total_parameters": parameters,
            "mlm:pretrained": True,
            "mlm:accelerator_constrained": False,
            "mlm:input": _inputs(),
            "mlm:output": _outputs(),
        },
        "links": [],
        "assets": {
            "model": {
                "href": f"./{weights.name}",
                "type": "application/octet-stream; application=onnx",
                "title": "Weights",
                "roles": ["mlm:model", "mlm:weights"],
                "mlm:artifact_type": "onnx",
                "file:size": weights.stat().st_size,
                "file:checksum": "1220" + hashlib.sha256(weights.read_bytes()).hexdigest(),
            }
        },
    }
    path = weights.with_suffix(".json")
    with whole_file(path) as part:
        part.write_text(json.dumps(item, indent=2) + "\n")
    return path


def _inputs() -> list[dict[str, Any]]:
    ten = [{"name": name} for name in TEN]
    twenty = [{"name": name} for name in TWENTY]
    return [
        _array("ten", ten, (-1, len(TEN), -1, -1), "reflectance on the grid of the 10 m bands; NaN = nodata or absent"),
        _array("twenty", twenty, (-1, len(TWENTY), -1, -1), "the other bands, on a grid of half the resolution"),
        _array("ground_ten", ten, (-1, len(TEN), -1, -1), "clear reference of the place; NaN = none"),
        _array("ground_twenty", twenty, (-1, len(TWENTY), -1, -1), "the same for the other bands"),
        _array("support", [], (-1, 8, -1, -1), "spread of the reference, evidence behind it, its age in days"),
        _array("conditions", [], (-1, CONDITIONS), "bands present, level, pixel size, sun and view"),
    ]


def _array(name: str, bands: list[dict[str, str]], shape: tuple[int, ...], description: str) -> dict[str, Any]:
    order = ["batch", "channel", "height", "width"][: len(shape)]
    return {
        "name": name,
        "description": description,
        "bands": bands,
        "input": {"shape": list(shape), "dim_order": order, "data_type": "float32"},
    }


def _outputs() -> list[dict[str, Any]]:
    def result(bands: int) -> dict[str, Any]:
        return {
            "shape": [-1, bands, -1, -1],
            "dim_order": ["batch", "channel", "height", "width"],
            "data_type": "float32",
        }

    classes = [{"value": code, "name": cause.replace(" ", "-")} for code, cause in enumerate(CAUSES[:-1])]
    return [
        {"name": "score", "tasks": ["regression"], "result": result(1)},
        {"name": "cause", "tasks": ["semantic-segmentation"], "result": result(5), "classification:classes": classes},
        {"name": "prior", "tasks": ["regression"], "result": result(3)},
    ]
