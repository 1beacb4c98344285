"""The command ``view``."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import Annotated, Final

from cyclopts import Parameter

from clearsight.cli._console import progress_bars, say, tell

_NOTES: Final = 5
"""Reasons told one by one."""


def view(
    source: Annotated[Path, Parameter(help="An archive of scores, or the JSON of a STAC catalogue that holds some.")],
    /,
    *,
    imagery: Annotated[
        Path | None,
        Parameter(help="Where the imagery is; by default the products the scores were made from. L2A is preferred."),
    ] = None,
    port: Annotated[int, Parameter(help="Port of this machine; 0 takes any free one.")] = 8765,
    open_browser: Annotated[bool, Parameter(name="--open", help="Open the map in the browser.")] = True,
    base_path: Annotated[
        str, Parameter(help="Prefix under which a remote notebook's proxy shows it: /user/me/proxy/8765.")
    ] = "",
    allow_host: Annotated[
        tuple[str, ...], Parameter(help="Host name of that proxy; others than this machine's own are refused.")
    ] = (),
    host: Annotated[
        str, Parameter(help="Address to listen at; by default only this machine can reach the map.")
    ] = "127.0.0.1",
    export: Annotated[
        Path | None, Parameter(help="Serve nothing; write a self-contained report to this .html file.")
    ] = None,
) -> None:
    """Look at scores on a live map: move the threshold, and see the composite change. Works without internet.

    Example: clearsight view archive --imagery downloads/

    Example: clearsight view archive --export report.html
    """
    from clearsight.viewer.library import open_library
    from clearsight.viewer.server import Door, serve

    with progress_bars() as step:
        library = open_library(source, imagery=imagery, progress=step)
    for reason in library.notes[:_NOTES]:
        tell("left out", reason)
    if len(library.notes) > _NOTES:
        tell("left out", f"{len(library.notes) - _NOTES} more")
    if export is not None:
        from clearsight.viewer.report import write_report

        with progress_bars() as step:
            path = write_report(library, export, progress=step)
        say.print(f"report -> {path} ({path.stat().st_size / 1e6:.1f} MB)", soft_wrap=True)
        return

    def ready(url: str) -> None:
        say.print(f"map at {url}  (Ctrl+C stops it)", soft_wrap=True)
        if open_browser:
            webbrowser.open(url)

    door = Door(port=port, host=host, base_path=base_path, allowed_hosts=allow_host)
    serve(library, door=door, ready=ready)
