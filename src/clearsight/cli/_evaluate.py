"""The command ``evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from clearsight.cli._console import progress_bars, say
from clearsight.errors import ArgumentError


def evaluate(
    path: Annotated[Path | None, Parameter(help="Folder of a labelled set; of scores, for --against.")] = None,
    /,
    *,
    layout: Annotated[
        str,
        Parameter(name="--set", help="Which: cloudsen12, pixbox, kappaset, francis, hollstein, alcd, folder."),
    ] = "folder",
    peers: Annotated[str, Parameter(help="Peers to compare with, joined by commas: s2cloudless,ukis-csmask,scl.")] = "",
    weights: Annotated[Path | None, Parameter(help="Folder with NAME/ for peers that need weights.")] = None,
    simulated: Annotated[int, Parameter(help="Instead of a set: so many simulated places.")] = 0,
    against: Annotated[
        Path | None, Parameter(help="Folder of Cloud Score+ GeoTIFFs exported from Earth Engine.")
    ] = None,
    out: Annotated[Path, Parameter(help="Folder for report.html, report.md and evaluation.json.")] = Path("evaluation"),
) -> None:
    """Say how good the scores are: against labels, peers, or Cloud Score+ itself.

    Example: clearsight evaluate cloudsen12/ --set cloudsen12 --peers s2cloudless,ukis-csmask

    Example: clearsight evaluate --simulated 17

    Example: clearsight evaluate archive --against exported/
    """
    from clearsight.evaluation.against import against as compared
    from clearsight.evaluation.against import told
    from clearsight.evaluation.document import Heading
    from clearsight.evaluation.peers.registry import OURS
    from clearsight.evaluation.peers.registry import peers as peers_named
    from clearsight.evaluation.report import details, first_page
    from clearsight.evaluation.run import evaluate as run
    from clearsight.evaluation.sets import open_set
    from clearsight.evaluation.summary import summarise
    from clearsight.evaluation.worlds import World
    from clearsight.evaluation.writing import write_report

    if against is not None:
        if path is None:
            raise ArgumentError(
                "path is missing: --against compares an archive of scores, clearsight evaluate ARCHIVE …"
            )
        with progress_bars() as step:
            agreement = compared(path, exported=against, progress=step)
        written = write_report(told(agreement), out, data=agreement, title="Against Cloud Score+")
    else:
        if (path is None) == (simulated == 0):
            raise ArgumentError("Give either the folder of a labelled set, or --simulated PLACES.")
        methods = (*OURS, *peers_named([name for name in peers.split(",") if name], weights=weights))
        with progress_bars() as step:
            labelled = World(places=simulated, progress=step) if path is None else open_set(path, layout=layout)
            found = run(labelled, methods=methods, progress=step)
        summary = summarise(found)
        parts = [Heading("How good are the scores?", 1), *first_page(summary), *details(summary, worst=found.worst)]
        written = write_report(parts, out, data=summary, title="How good are the scores?")
    say.print(f"report -> {written}", soft_wrap=True)
