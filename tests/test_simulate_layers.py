"""The packages of the simulated world depend on each other in one direction only."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import clearsight.simulate

HOME = Path(clearsight.simulate.__file__).parent
BELOW = {
    "ground": {"ground"},
    "air": {"air"},
    "places": {"ground", "places", "air", "draws"},
    "cloud": {"cloud", "air", "draws"},
    "imaging": {"imaging", "cloud", "air"},
    "product": {"product", "imaging", "cloud", "air", "places", "ground", "draws"},
}
"""What each package may import of the simulated world."""


def used(package: Path) -> set[str]:
    """Parts of ``clearsight.simulate`` that the modules of a package import."""
    found = set()
    for path in package.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("clearsight.simulate."):
                found.add(str(node.module).split(".")[2])
    return found


def test_every_package_is_listed() -> None:
    assert {path.parent.name for path in HOME.glob("*/__init__.py")} == set(BELOW)


@pytest.mark.parametrize("package", BELOW)
def test_a_package_imports_only_what_lies_below_it(package: str) -> None:
    assert used(HOME / package) <= BELOW[package], package
