"""On a Dask cluster: the same bytes, and a worker that dies takes nothing with it."""

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from clearsight import _subtiles
from clearsight._dask import runner
from clearsight._periods import Frame, periods
from clearsight.archive import Options, produce
from clearsight.catalog import product_path
from clearsight.errors import ArgumentError
from clearsight.ids import system_index
from clearsight.scoring import DEFAULT_MODEL, PROJECTION
from plain_scenes import make_item

distributed = pytest.importorskip("distributed", reason="the extra 'cluster' isn't installed")

# Workers that are killed leave sockets and messages behind; that is the point.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def items(tmp_path_factory):
    folder = tmp_path_factory.mktemp("products")
    return [make_item(folder, number) for number in range(3)]


@pytest.fixture(scope="module")
def cluster():
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        yield cluster


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    monkeypatch.setattr(_subtiles, "side_for", lambda frames, **_: 64)


def scores(root: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in root.rglob("*.tif")}


@pytest.mark.parametrize("model", [DEFAULT_MODEL, PROJECTION])
def test_same_bytes_as_in_one_process(model, cluster, items, tmp_path):
    produce(items, tmp_path / "alone", model=model)
    spread = Options(scheduler=cluster.scheduler_address)
    done = produce(items, tmp_path / "spread", model=model, options=spread)
    assert len(done.written) == 3
    assert scores(tmp_path / "spread") == scores(tmp_path / "alone")


def test_histories_are_the_same_as_in_one_process(cluster, items, tmp_path):
    for mode in ("backfill", "near-real-time"):
        for name, scheduler in (("alone", None), ("spread", cluster.scheduler_address)):
            how = Options(mode=mode, scheduler=scheduler, history=True)
            produce(items[:2] if mode == "backfill" else items, tmp_path / name, options=how)
    assert scores(tmp_path / "spread") == scores(tmp_path / "alone")
    kept = [
        {path.name: path.read_bytes() for path in (tmp_path / name).glob(".history/*/*/*/*")}
        for name in ("alone", "spread")
    ]
    assert kept[0] == kept[1] != {}


def test_a_killed_worker_loses_nothing(cluster, items, tmp_path_factory, tmp_path):
    """The first worker that begins is killed as soon as a piece is done."""
    alone = tmp_path_factory.mktemp("alone")
    produce(items, alone, model=PROJECTION)
    pid = next(iter(distributed.Client(cluster).run(os.getpid).values()))

    def kill() -> None:
        while not list(tmp_path.rglob("*.npz")):
            time.sleep(0.01)
        os.kill(pid, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    produce(items, tmp_path, model=PROJECTION, options=Options(scheduler=cluster.scheduler_address))
    killer.join()
    assert scores(tmp_path) == scores(alone)


def test_broken_item_is_told_and_left_out(cluster, items, tmp_path):
    broken = make_item(tmp_path, 7)
    path = Path(broken.assets["B02"].href)
    path.write_bytes(path.read_bytes()[:300])
    spread = Options(scheduler=cluster.scheduler_address)
    done = produce([*items, broken], tmp_path / "archive", model=PROJECTION, options=spread)
    assert [failure.item_id for failure in done.failed] == [broken.id]
    assert len(done.written) == 3


def test_task_is_a_tile_a_period_and_a_sub_tile(items, tmp_path):
    frames = [Frame(system_index(item), item, product_path(tmp_path, item)) for item in items]
    cut = periods(frames, mode="near-real-time", context=True)
    how = _subtiles.How("L1C", PROJECTION, 10)
    pieces, _ = _subtiles.plan(cut, frames, root=tmp_path, how=how)
    assert len({piece.path for piece in pieces}) == len(pieces) == 3 * 4


def test_no_scheduler_there_is_told(monkeypatch):
    monkeypatch.setattr("clearsight._dask._CONNECT_SECONDS", 1)
    with pytest.raises(ArgumentError, match="scheduler="), runner("tcp://127.0.0.1:9"):
        pass
