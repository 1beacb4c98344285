"""An archive in a bucket, on a server that speaks S3: the same as in a folder, published so that all of it is whole."""

import functools
import hashlib
import json
import re
import shutil
import warnings

import pytest

from clearsight import _mirror, archive
from clearsight._mirror import Mirror
from clearsight._objects import ChangedError, Objects
from clearsight.archive import Options
from clearsight.catalog import read_items
from clearsight.coverage import missing, summarise
from clearsight.errors import ArgumentError, BusyError, RemoteError
from clearsight.linking import link
from clearsight.product import describe_file
from clearsight.stack import load
from plain_scenes import index_of, make_item

produce = functools.partial(archive.produce, model="projection")
"""Quick; what is tested here doesn't depend on the scorer."""

boto3 = pytest.importorskip("boto3", reason="moto[server] isn't installed")
pytest.importorskip("flask", reason="moto[server] isn't installed")
pytest.importorskip("obstore", reason="the extra 's3' isn't installed")


@pytest.fixture(scope="module")
def endpoint():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        moto = pytest.importorskip("moto.server", reason="moto[server] isn't installed")
        server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        server.start()
    host, port = server.get_host_and_port()
    yield f"{host}:{port}"
    server.stop()


@pytest.fixture(scope="module", autouse=True)
def environment(endpoint, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_REGION": "us-east-1",
            "AWS_S3_ENDPOINT": endpoint,
            "AWS_HTTPS": "NO",
            "AWS_VIRTUAL_HOSTING": "FALSE",
            "XDG_CACHE_HOME": str(tmp_path_factory.mktemp("cache")),
        }.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="module")
def client(endpoint, environment):
    made = boto3.client("s3", endpoint_url=f"http://{endpoint}", region_name="us-east-1")
    made.create_bucket(Bucket="scores")
    yield made
    made.close()


@pytest.fixture
def address(client, request):
    return "s3://scores/" + re.sub(r"\W+", "-", request.node.name).strip("-")


@pytest.fixture(scope="module")
def items(tmp_path_factory):
    folder = tmp_path_factory.mktemp("products")
    return [make_item(folder, number) for number in range(2)]


@pytest.fixture(scope="module")
def near(items, tmp_path_factory):
    """The same archive in a folder, by key; without dates of production."""
    root = tmp_path_factory.mktemp("near")
    produce(items, root)
    return content(
        {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*.*") if path.is_file()}
    )


def content(files: dict[str, bytes]) -> dict[str, object]:
    found: dict[str, object] = {}
    for key, stored in files.items():
        if key.startswith(".work"):
            continue
        found[key] = stored
        if key.endswith(".json"):
            described = json.loads(stored)
            for name in ("created", "DATE_PRODUCT_GENERATED"):
                described.get("properties", {}).pop(name, None)
            found[key] = described
    return found


def far(address: str) -> dict[str, object]:
    objects = Objects(address)
    return content({key: objects.read(key)[0] for key in objects.below("")})


def assert_whole(address: str) -> None:
    """What can be found is whole: links lead to Items, Items to COGs of their length."""
    objects = Objects(address)
    there = objects.below("")
    if "collection.json" in there:
        for found in json.loads(objects.read("collection.json")[0])["links"]:
            assert found["href"].removeprefix("./") in there
    for key in there:
        if key.count("/") == 3 and key.endswith(".json"):
            asset = json.loads(objects.read(key)[0])["assets"]["scores"]
            assert there[f"{key.rsplit('/', 1)[0]}/{asset['href'][2:]}"].size == asset["file:size"]


def test_bucket_holds_what_a_folder_would_and_is_read_like_one(address, items, near):
    done = produce(items, address)
    assert far(address) == near
    assert [item.assets["scores"].get_absolute_href() for item in done.written] == [
        f"{address}/33UUU/2023/{item.id}/{item.id}.tif" for item in done.written
    ]
    assert [item.to_dict() for item in read_items(address)] == [item.to_dict() for item in done.written]
    assert (summarise(address)[0].scenes, missing(address)) == (2, [])
    linked = link(items, address, bands=("cs",)).matched
    cs = load(linked, bands=["cs"]).cs
    assert ((cs >= 0) & (cs <= 1)).mean() > 0.9
    # Nothing changes when it's run again, on this machine or on one that knows nothing of it.
    before = Objects(address).below("")
    assert len(produce(items, address).skipped) == 2
    shutil.rmtree(Mirror(address).root)
    assert len(produce(items, address).skipped) == 2
    assert Objects(address).below("") == before


@pytest.mark.parametrize("last", [0, 1, 2, 4, 5])
def test_stopped_publishing_leaves_what_is_whole_and_goes_on(last, address, items, near, monkeypatch):
    writes = 0

    def failing(self, key, *args, **kwargs):
        nonlocal writes
        writes += 1
        if writes > last:
            raise RemoteError("the line is down")
        return (exchange if kwargs else write)(self, key, *args, **kwargs)

    write, exchange = Objects.write, Objects.exchange
    with monkeypatch.context() as patch:
        patch.setattr(Objects, "write", failing)
        patch.setattr(Objects, "exchange", failing)
        if last < 5:
            with pytest.raises(RemoteError):
                produce(items, address)
            assert_whole(address)
        else:
            produce(items, address)
    monkeypatch.setattr("clearsight._subtiles.score_window", None)  # what was scored is not scored again
    produce(items, address)
    assert far(address) == near


def test_a_score_that_takes_the_place_of_another(address, items, near):
    produce(items, address, options=Options(context=False))
    first = Objects(address).below("")
    produce(items, address, overwrite=True)
    assert_whole(address)
    names = [key for key in Objects(address).below("") if key.endswith(".tif")]
    assert sorted(name.endswith(".b.tif") for name in names) == [True, True]
    assert len(first) == len(Objects(address).below(""))
    # A machine that knows nothing of it sees the same.
    shutil.rmtree(Mirror(address).root)
    assert len(produce(items, address).skipped) == 2


def second_writer(address: str, folder, *, cog: bytes | None) -> Mirror:
    """A machine that has scored the first image of an archive itself, and is about to publish it."""
    other = Mirror(address, folder)
    other.fetch("33UUU")
    path = min(other.root.glob("33UUU/*/*/*.json"))
    described = json.loads(path.read_text())
    target = path.with_suffix(".tif")
    if cog is None:
        cog = Objects(address).read(target.relative_to(other.root).as_posix())[0]
    target.write_bytes(cog)
    facts = describe_file(target)
    described["assets"]["scores"] |= {"href": f"./{path.stem}.tif", "file:size": facts.size}
    described["assets"]["scores"]["file:checksum"] = facts.checksum
    path.write_text(json.dumps(described))
    return other


def checksums(address: str) -> dict[str, str]:
    """Of every object; the COG that an Item names has the checksum that it tells."""
    objects = Objects(address)
    found = {key: hashlib.sha256(objects.read(key)[0]).hexdigest() for key in objects.below("")}
    for key in found:
        if key.count("/") == 3 and key.endswith(".json"):
            asset = json.loads(objects.read(key)[0])["assets"]["scores"]
            assert asset["file:checksum"] == "1220" + found[f"{key.rsplit('/', 1)[0]}/{asset['href'][2:]}"]
    return found


@pytest.mark.parametrize("overwritten", [0, 1, 2])
def test_second_writer_of_a_tile_is_told_and_harms_nothing(overwritten, address, items, tmp_path):
    """Whatever name the first writer's COG has by then, and whether or not the second one's would have it, too."""
    produce(items[:1], address)
    stale = dict(Mirror(address)._seen("33UUU"))
    for number in range(overwritten):
        produce(items, address, overwrite=True, options=Options(context=number % 2 == 0))
    before = checksums(address)
    other = second_writer(address, tmp_path / "other", cog=b"II*\0 made meanwhile")
    other._note("33UUU", dict.fromkeys(stale, "an older tag"))
    with pytest.raises(BusyError, match="one writer per tile"):
        other.publish("33UUU")
    assert checksums(address) == before


def test_second_writer_with_the_same_scores_leaves_those_of_the_first(address, items, tmp_path):
    produce(items[:1], address)
    before = checksums(address)
    other = second_writer(address, tmp_path / "other", cog=None)
    other._note("33UUU", {})
    with pytest.raises(BusyError, match="one writer per tile"):
        other.publish("33UUU")
    assert checksums(address) == before


def test_cog_of_a_stopped_run_is_not_overwritten_and_goes_when_no_item_names_it(address, items):
    """Whoever else may have put it there, and may be about to name it."""
    key = f"33UUU/2023/{index_of(0)}/{index_of(0)}.tif"
    objects = Objects(address)
    objects.write(key, b"II*\0 of another run")
    done = produce(items[:1], address)
    assert done.written[0].assets["scores"].get_absolute_href() != f"{address}/{key}"
    assert key not in checksums(address)
    shutil.rmtree(Mirror(address).root)
    assert len(produce(items[:1], address).skipped) == 1
    before = checksums(address)
    assert [key.endswith(".tif") for key in before].count(True) == 1
    again = produce(items[:1], address, overwrite=True)
    assert len(again.written) == 1
    assert [key.endswith(".tif") for key in checksums(address)].count(True) == 1


def test_collection_is_shared_by_the_writers_of_all_tiles(address, items, tmp_path, monkeypatch):
    """Another tile's writer comes in between reading and writing; both are in the collection at the end."""
    neighbour = make_item(tmp_path, 0, tile="33UVU")
    real, came = _mirror.update_collection, []

    def interrupted(root, added):
        result = real(root, added)
        if not came and root == Mirror(address).root and (root / ".work" / "33UUU.seen.json").exists():
            came.append(True)
            produce([neighbour], address, options=Options(staging=str(tmp_path / "elsewhere")))
        return result

    monkeypatch.setattr(_mirror, "update_collection", interrupted)
    produce(items, address)
    assert came
    assert len(read_items(address)) == 3


def test_exchange_is_refused_when_the_object_has_changed(address):
    objects = Objects(address)
    tag = objects.exchange("a", b"1", expected=None)
    with pytest.raises(ChangedError):
        objects.exchange("a", b"2", expected=None)
    newer = objects.exchange("a", b"2", expected=tag)
    with pytest.raises(ChangedError):
        objects.exchange("a", b"3", expected=tag)
    assert objects.read("a") == (b"2", newer)


def test_what_is_not_there_is_told(address, items):
    with pytest.raises(ArgumentError, match=r"holds no collection\.json"):
        read_items(address)
    with pytest.raises(RemoteError, match=r"no-such-bucket.*Check the address"):
        produce(items, "s3://no-such-bucket/scores")
    with pytest.raises(ArgumentError, match="s3://BUCKET/PREFIX"):
        produce(items, "ftp://host/scores")
