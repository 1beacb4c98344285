"""The composite on a Dask cluster that the test starts: the same bytes, also when a worker is lost."""

from __future__ import annotations

import os
import re
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import dask
import pystac
import pytest
import shapely

import clearsight
from clearsight import _cluster, _windows
from clearsight.demo import Demo
from clearsight.errors import ArgumentError
from clearsight.mosaic import Recipe, write_mosaic

distributed = pytest.importorskip("distributed", reason="the extra clearsight[cluster] is not installed")


@pytest.fixture(scope="module")
def items(season: Demo) -> list[pystac.Item]:
    found = clearsight.search(season.files["products"], collection="sentinel-2-l2a", datetime="2021-05/2021-06")
    return list(clearsight.link(found, season.files["scores"].parent, bands=["cs", "cs_cdf"]).matched)


@pytest.fixture
def small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_windows, "window_side", lambda arrays: 128)


@pytest.fixture(scope="module")
def triangle(items) -> shapely.Polygon:
    """It leaves out some windows of 128 pixels as a whole, and cuts others."""
    west, south, east, north = items[0].bbox
    width, height = east - west, north - south
    return shapely.Polygon([(west, south), (west + 0.7 * width, south), (west, south + 0.35 * height)])


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[distributed.LocalCluster]:
    folder = {"temporary-directory": str(tmp_path / "dask"), "distributed.admin.tick.limit": "60s"}
    with (
        dask.config.set(folder),
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=2, processes=True, dashboard_address=None, memory_limit=None
        ) as cluster,
    ):
        yield cluster


@pytest.mark.usefixtures("small_windows")
def test_a_cluster_writes_the_same_bytes(items, triangle, cluster, tmp_path: Path):
    recipe = Recipe(bands=("B04", "B08"), spread=True)
    alone = write_mosaic(items, tmp_path / "alone.tif", recipe=recipe, area=triangle.buffer(0.01))
    told = []
    spread = write_mosaic(
        items,
        tmp_path / "spread.tif",
        recipe=recipe,
        area=triangle.buffer(0.01),
        scheduler=cluster.scheduler_address,
        progress=lambda done, total, what: told.append((done, total)),
    )
    assert spread.path.read_bytes() == alone.path.read_bytes()
    assert [done for done, _ in told] == list(range(1, told[0][1] + 1))
    assert len(told) > 4


@pytest.mark.usefixtures("small_windows")
def test_a_worker_that_is_lost_takes_nothing_with_it(items, cluster, tmp_path: Path):
    recipe = Recipe(bands=("B04",))
    alone = write_mosaic(items, tmp_path / "alone.tif", recipe=recipe)
    lost = []

    def kill_one(done: int, total: int, what: str) -> None:
        if not lost:
            lost.extend(worker.pid for worker in list(cluster.workers.values())[:1])
            os.kill(lost[0], signal.SIGKILL)

    spread = write_mosaic(
        items, tmp_path / "spread.tif", recipe=recipe, scheduler=cluster.scheduler_address, progress=kill_one
    )
    assert lost
    assert spread.path.read_bytes() == alone.path.read_bytes()


def test_a_cluster_that_does_not_answer_is_told(items, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(_cluster, "_PATIENCE", 1)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        nobody = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
    for address in (nobody, "somewhere"):
        with pytest.raises(ArgumentError, match=re.escape(f"scheduler='{address}' doesn't answer")):
            write_mosaic(items, tmp_path / "image.tif", scheduler=address)
    assert not (tmp_path / "image.tif").exists()
