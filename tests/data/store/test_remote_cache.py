"""Stores that another machine has made: fetched whole or not at all, put there once, read by nodes that see no path of the study's."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from visiontune.data.ingest import run_ingest as ingest_module
from visiontune.data.ingest.progress import Progress
from visiontune.data.prepare import prepare
from visiontune.data.store.node_copy import on_this_node
from visiontune.data.store.remote_cache import NAME, fetch, put, remote_cache
from visiontune.data.store.store import Store
from visiontune.errors import UserError

DIGITS: dict[str, Any] = {"source": "digits"}


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(NAME, f"file://{tmp_path / 'bucket' / 'team'}")
    return tmp_path / "bucket" / "team"


def never(*args: Any, **options: Any) -> None:
    raise AssertionError("it need not be made")


def test_a_second_machine_fetches_what_the_first_has_made(bucket: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = prepare(DIGITS, tmp_path / "one")
    assert [path.name for path in bucket.iterdir()] == [made.name]
    monkeypatch.setattr(ingest_module, "ingest", never)
    told: list[Progress] = []
    fetched = prepare(DIGITS, tmp_path / "two", tell=told.append)
    assert fetched.read_bytes() == made.read_bytes() and [one.stage for one in told] == ["fetching"]
    assert sorted(path.suffix for path in (tmp_path / "two").iterdir()) == [".arrow", ".lock"]


def test_a_store_that_was_there_before_is_put_there(bucket: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = os.environ[NAME]
    monkeypatch.delenv(NAME)
    made = prepare(DIGITS, tmp_path / "one")
    assert not bucket.exists()
    monkeypatch.setenv(NAME, name)
    assert prepare(DIGITS, tmp_path / "one") == made and (bucket / made.name).read_bytes() == made.read_bytes()
    assert not put(name, made)


def test_what_was_cut_off_or_changed_is_not_believed(bucket: Path, tmp_path: Path) -> None:
    made = prepare(DIGITS, tmp_path / "one")
    there, whole = bucket / made.name, made.read_bytes()
    pixel = whole.rindex(Store.open(made).images_NHWC[900].tobytes())
    for damaged in (whole[: len(whole) // 2], b"", whole[:pixel] + b"\xff" + whole[pixel + 1 :]):
        there.write_bytes(damaged)
        assert not fetch(str(bucket), tmp_path / made.name) and not list(tmp_path.glob("*.arrow")) and not list(tmp_path.glob(".*.tmp"))
        assert not there.exists()
    there.write_bytes(whole[:5000])
    assert prepare(DIGITS, tmp_path / "two").read_bytes() == whole == there.read_bytes()


def test_a_node_that_does_not_see_the_study_has_it_from_there(bucket: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = prepare(DIGITS, tmp_path / "one")
    monkeypatch.setenv("VISIONTUNE_NODE_CACHE", str(tmp_path / "node"))
    elsewhere = Path("/no/such/folder") / made.name
    copy = on_this_node(elsewhere, str(bucket))
    assert copy == tmp_path / "node" / made.name and copy.read_bytes() == made.read_bytes()
    (bucket / made.name).unlink()
    assert on_this_node(elsewhere, str(bucket)) == copy  # nothing is asked for twice
    copy.unlink()
    with pytest.raises(UserError, match=r"node .* must have the store /no/such/folder/"):
        on_this_node(elsewhere, str(bucket))
    assert on_this_node(made, str(bucket)) == copy  # from its own path


def test_a_folder_that_cannot_be_had_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Before anything is decoded; but what is here is used."""
    made = prepare(DIGITS, tmp_path / "here")
    monkeypatch.setenv(NAME, "s4://team")
    with pytest.raises(UserError, match=f"{NAME}: must be a path or a URI that pyarrow or fsspec opens"):
        prepare(DIGITS, tmp_path / "there")
    assert prepare(DIGITS, tmp_path / "here") == made
    assert "URI that pyarrow or fsspec opens" in caplog.text and "every machine makes the store of its own" in caplog.text


def test_a_folder_that_is_only_read_is_told_and_used(bucket: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    bucket.parent.mkdir()
    bucket.write_text("a file stands where the folder should be made")
    assert len(Store.open(prepare(DIGITS, tmp_path / "one")).labels_N) == 1797 and "must be read and written in" in caplog.text


def test_a_path_means_the_same_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(NAME, "team")
    assert remote_cache() == str(tmp_path / "team")
    monkeypatch.setenv(NAME, "")
    assert not remote_cache()
