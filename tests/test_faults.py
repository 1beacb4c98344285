"""Whatever happens to a run, nothing is lost or half valid, and the next run ends as if nothing had happened."""

import hashlib
import json
import multiprocessing
import random
import signal
import time
from pathlib import Path

import pystac
import pytest

import faulty_produce
from clearsight import _histories, _subtiles
from clearsight._work import alone
from clearsight.archive import Options, produce
from clearsight.errors import BusyError
from clearsight.product import describe_file
from clearsight.scoring import DEFAULT_MODEL, PROJECTION
from plain_scenes import image, make_item

DATES = 2
SHAPE = (80, 64)
"""Two pieces, of 64 and of 16 rows: every test scores this twice or more, so nearly all with the quick scorer."""


@pytest.fixture(scope="module")
def processes():
    # Children of a server that has imported everything: quick to start, and without this process's threads.
    context = multiprocessing.get_context("forkserver")
    # What dask asks for at its first task takes a second to import; it isn't needed, and passed over where it's absent.
    context.set_forkserver_preload(["faulty_produce", "distributed"])
    first = context.Process(target=time.sleep, args=(0,))
    first.start()
    first.join()
    return context


@pytest.fixture(scope="module")
def items(tmp_path_factory) -> list[pystac.Item]:
    folder = tmp_path_factory.mktemp("products")
    return [make_item(folder, number, numbers=image(number, shape=SHAPE)) for number in range(DATES)]


@pytest.fixture(scope="module")
def undisturbed(processes, items, tmp_path_factory):
    """Content of an archive that nothing happened to, the number of changes to files it took, and the seconds."""
    return observed(processes, items, tmp_path_factory.mktemp("undisturbed"), model=PROJECTION)


def observed(processes, items, folder: Path, *, model: str) -> tuple[dict[str, str], int, float]:
    root, said = folder / "archive", folder / "said"
    begun = time.monotonic()
    assert child(processes, items, root, model=model, said=str(said)) == 0
    count, told = said.read_text().split("\n")
    assert told == ""
    return content(root), int(count), time.monotonic() - begun


def child(processes, items, root, *, kill_after: float | None = None, model: str = PROJECTION, **fault) -> int:
    """Run ``produce`` in a process of its own; returns its exit code."""
    facts = [item.to_dict(transform_hrefs=False) for item in items]
    process = processes.Process(target=faulty_produce.run, args=(facts, str(root)), kwargs={"model": model, **fault})
    process.start()
    if kill_after is not None:
        time.sleep(kill_after)
        process.kill()
    process.join(300)
    assert process.exitcode is not None
    return process.exitcode


def content(root: Path) -> dict[str, str]:
    """Every file that a reader sees, without the dates of production."""
    found = {}
    for path in sorted(root.rglob("*")):
        if path.is_dir() or ".work" in path.parts:
            continue
        if path.suffix == ".json":
            described = json.loads(path.read_text())
            for key in ("created", "DATE_PRODUCT_GENERATED"):
                described.get("properties", {}).pop(key, None)
            found[path.relative_to(root).as_posix()] = json.dumps(described)
        else:
            found[path.relative_to(root).as_posix()] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def assert_valid(root: Path) -> int:
    """What can be found is whole: links lead to Items, Items to COGs with their checksum. Returns the Items' number."""
    if (root / "collection.json").exists():
        for link in json.loads((root / "collection.json").read_text())["links"]:
            assert (root / link["href"]).exists()
    described = list(root.glob("33UUU/*/*/*.json"))
    for path in described:
        asset = json.loads(path.read_text())["assets"]["scores"]
        cog = describe_file(path.parent / asset["href"])
        assert (cog.size, cog.checksum) == (asset["file:size"], asset["file:checksum"])
    return len(described)


def complete(items, root, *, model: str = PROJECTION, options: Options | None = None) -> None:
    """Run again, undisturbed; nothing that was left over stays."""
    produce(items, root, model=model, options=options)
    assert not list((root / ".work").glob("*/*"))
    assert not list(root.rglob("*.partial"))


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    monkeypatch.setattr(_subtiles, "side_for", lambda frames, **_: 64)
    monkeypatch.setattr(_histories, "SIDE", 64)


def kill_points(seed: int, many: int) -> list[float]:
    return sorted(random.Random(seed).random() for _ in range(many))


@pytest.mark.parametrize("where", kill_points(1, 20))
def test_killed_at_any_change_of_a_file(where, processes, undisturbed, items, tmp_path):
    expected, count, _ = undisturbed
    assert child(processes, items, tmp_path, fault="kill", at=1 + int(where * count)) == -signal.SIGKILL
    assert_valid(tmp_path)
    complete(items, tmp_path)
    assert content(tmp_path) == expected


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> list[pystac.Item]:
    """The same dates as JPEG 2000, of which each row of pieces is decoded beforehand."""
    folder = tmp_path_factory.mktemp("images")
    return [make_item(folder, number, numbers=image(number, shape=SHAPE), jpeg2000=True) for number in range(DATES)]


@pytest.fixture(scope="module")
def undisturbed_images(processes, images, tmp_path_factory):
    return observed(processes, images, tmp_path_factory.mktemp("undisturbed-images"), model=PROJECTION)


def test_images_decoded_beforehand_make_the_same_archive(undisturbed_images, undisturbed):
    scores, same = ({name: held for name, held in found[0].items() if name.endswith(".tif")}
                    for found in (undisturbed_images, undisturbed))  # fmt: skip
    assert len(scores) == DATES
    assert scores == same
    assert undisturbed_images[1] > undisturbed[1] + 4 * DATES  # a file for each band, at the least


@pytest.mark.parametrize(("where", "fault"), [(where, "kill") for where in kill_points(6, 5)] + [(0.5, "ENOSPC")])
def test_killed_while_images_are_decoded(where, fault, processes, undisturbed_images, images, tmp_path):
    expected, count, _ = undisturbed_images
    root = tmp_path / "archive"
    # Decoded files and the pieces made from them are the first seven tenths of such a run.
    ended = child(processes, images, root, fault=fault, at=1 + int(where * count * 0.7))
    assert ended == (-signal.SIGKILL if fault == "kill" else 0)
    assert_valid(root)
    complete(images, root)
    assert content(root) == expected


@pytest.mark.parametrize("where", [0.3, 0.7])
def test_killed_with_the_learned_scorer(where, processes, items, tmp_path):
    """Whose threads neither outlive a process nor keep it from ending, and whose bytes are those of any process."""
    expected, count, _ = observed(processes, items, tmp_path / "undisturbed", model=DEFAULT_MODEL)
    root = tmp_path / "archive"
    at = 1 + int(where * count)
    assert child(processes, items, root, model=DEFAULT_MODEL, fault="kill", at=at) == -signal.SIGKILL
    assert_valid(root)
    complete(items, root, model=DEFAULT_MODEL)
    assert content(root) == expected


@pytest.mark.parametrize(
    ("model", "options", "where"),
    [
        *((PROJECTION, {"history": True}, where) for where in kill_points(5, 8)),
        *((DEFAULT_MODEL, {"mode": "near-real-time"}, where) for where in (0.55, 0.7, 0.85, 0.97)),
    ],
)
def test_killed_while_histories_are_kept(model, options, where, processes, items, tmp_path):
    """No frame is lost, none counts twice: the histories are those of an undisturbed run, too."""
    root, said = tmp_path / "archive", tmp_path / "said"
    assert child(processes, items, tmp_path / "undisturbed", model=model, options=options, said=str(said)) == 0
    at = 1 + int(where * int(said.read_text().split("\n")[0]))
    assert child(processes, items, root, model=model, options=options, fault="kill", at=at) == -signal.SIGKILL
    assert_valid(root)
    complete(items, root, model=model, options=Options(**options))
    expected = content(tmp_path / "undisturbed")
    assert any(name.startswith(".history") for name in expected)
    assert content(root) == expected


def test_killed_again_and_again_at_random_times(processes, undisturbed, items, tmp_path):
    killed = 0
    # The first is early enough on any machine: how long a run takes varies tenfold with what else the machine does.
    for moment in [0.0, 0.02, *kill_points(2, 5)]:
        killed += child(processes, items, tmp_path, kill_after=moment * undisturbed[2]) == -signal.SIGKILL
        assert_valid(tmp_path)
    assert killed
    complete(items, tmp_path)
    assert content(tmp_path) == undisturbed[0]


@pytest.mark.parametrize("where", kill_points(3, 4))
def test_killed_while_scores_are_replaced(where, processes, undisturbed, items, tmp_path):
    produce(items, tmp_path, model=PROJECTION, options=Options(context=False))
    at = 1 + int(where * undisturbed[1])
    assert child(processes, items, tmp_path, fault="kill", at=at, overwrite=True) == -signal.SIGKILL
    assert assert_valid(tmp_path) == DATES
    produce(items, tmp_path, model=PROJECTION, overwrite=True)
    replaced = {name.replace(".b.tif", ".tif"): held for name, held in content(tmp_path).items() if ".tif" in name}
    assert replaced == {name: held for name, held in undisturbed[0].items() if ".tif" in name}
    assert len(list(tmp_path.rglob("*.tif"))) == DATES


@pytest.mark.parametrize("fault", ["ENOSPC", "EACCES"])
@pytest.mark.parametrize("where", kill_points(4, 5))
def test_full_disk_and_forbidden_files_are_told(fault, where, processes, undisturbed, items, tmp_path):
    expected, count, _ = undisturbed
    root, said = tmp_path / "archive", tmp_path / "said"
    assert child(processes, items, root, fault=fault, at=1 + int(where * count), said=str(said)) == 0
    told = said.read_text().split("\n", 1)[1]
    assert told == "" or told.startswith("OutputError")
    assert_valid(root)
    complete(items, root)
    assert content(root) == expected


@pytest.mark.parametrize("limit", [500, 3000, 9000])
def test_disk_that_is_full_for_everyone(limit, processes, undisturbed, items, tmp_path):
    root, said = tmp_path / "archive", tmp_path / "said"
    child(processes, items, root, fault="limit", at=limit, said=str(said))
    assert said.read_text().split("\n", 1)[1].startswith("OutputError")
    assert_valid(root)
    complete(items, root)
    assert content(root) == undisturbed[0]


def test_two_processes_on_one_tile(processes, undisturbed, items, tmp_path):
    with alone(tmp_path, "33UUU", wait=0), pytest.raises(BusyError, match=r"another process works on 33UUU.*wait"):
        produce(items, tmp_path, model=PROJECTION)
    facts = [item.to_dict(transform_hrefs=False) for item in items]
    run, how = faulty_produce.run, {"model": PROJECTION}
    both = [processes.Process(target=run, args=(facts, str(tmp_path)), kwargs=how) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join(300)
    assert [process.exitcode for process in both] == [0, 0]
    assert content(tmp_path) == undisturbed[0]
