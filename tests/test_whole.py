import pytest

from clearsight.errors import OutputError
from clearsight.whole import whole_file


def test_a_crash_leaves_the_former_file_and_nothing_else(tmp_path):
    (tmp_path / "note").write_text("former")
    with pytest.raises(RuntimeError, match="power cut"), whole_file(tmp_path / "note") as part:
        part.write_text("half")
        raise RuntimeError("power cut")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"note": "former"}


def test_the_file_appears_only_when_whole(tmp_path):
    with whole_file(tmp_path / "new" / "note") as part:
        part.write_text("all")
        assert not (tmp_path / "new" / "note").exists()
    assert {path.name: path.read_text() for path in (tmp_path / "new").iterdir()} == {"note": "all"}


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(OutputError, match=r"taken.*choose a folder"), whole_file(tmp_path / "taken" / "note"):
        pytest.fail("nothing can be written there")
