"""Libraries that only some sets need."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from clearsight.errors import OptionalDependencyError


def needed(module: str, *, for_what: str) -> Any:
    """Import a library of the extra ``evaluate``; raises with the command that installs it.

    Examples
    --------
    >>> needed("json", for_what="nothing").__name__
    'json'
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise OptionalDependencyError(f"{for_what} needs {module}: pip install 'clearsight[evaluate]'") from error
