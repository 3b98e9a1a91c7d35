"""What a store is found by: read with the pictures where nobody can have made it yet, before them where somebody may."""

from __future__ import annotations

import os
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from picture_files import COLOUR, LABELS, png, write

from visiontune.data.file_tree import Root
from visiontune.data.ingest import run_ingest as ingest_module
from visiontune.data.ingest import write_store
from visiontune.data.ingest.content_cache import ContentCache
from visiontune.data.ingest.progress import Progress, Stopped
from visiontune.data.prepare import prepare
from visiontune.data.store.node_copy import on_this_node
from visiontune.data.store.remote_cache import fetch, put
from visiontune.data.store.store import Store
from visiontune.errors import UserError

NUM = 150
PICTURES = np.random.default_rng(1).integers(0, 256, (NUM, 8, 8, 3), dtype=np.uint8)


@pytest.fixture
def data(tmp_path: Path) -> dict[str, Any]:
    """One is of another format than its name says, one has no bytes."""
    for number, picture in enumerate(PICTURES):
        path = tmp_path / "pictures" / "abc"[number % 3] / f"{number:03d}{'.jpg' if number == 60 else '.png'}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"" if number == 61 else png(picture))
    return {"source": "folder", "path": str(tmp_path / "pictures"), "allow_bad": 0.1}


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each file was read."""
    counter: Counter[str] = Counter()
    original = Root.read

    def counted(self: Root, name: str) -> bytes:
        counter[name] += 1
        return original(self, name)

    monkeypatch.setattr(Root, "read", counted)
    return counter


def never(*args: Any, **options: Any) -> Path:
    raise AssertionError("it need not be made")


def test_new_pictures_are_read_once(tmp_path: Path, data: dict[str, Any], reads: Counter[str]) -> None:
    prepare(data, tmp_path / "cache")
    peeks = 64  # of their sizes, before
    assert len(reads) == NUM and reads.total() == NUM + peeks
    reads.clear()
    prepare(data, tmp_path / "cache")
    assert not reads


def test_read_at_once_or_before_gives_the_same_store(tmp_path: Path, data: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    at_once = prepare(data, tmp_path / "at once")
    monkeypatch.setattr(ContentCache, "is_new", False)
    before = prepare(data, tmp_path / "before")
    assert at_once.name == before.name and at_once.read_bytes() == before.read_bytes()


def test_pictures_that_were_moved_are_not_decoded_again(tmp_path: Path, data: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "cache"
    first, place = prepare(data, cache), tmp_path / "elsewhere"
    Path(data["path"]).rename(place)
    with monkeypatch.context() as patch:
        patch.setattr(ingest_module, "ingest", never)
        assert prepare({**data, "path": str(place)}, cache) == first
    (place / "a" / "000.png").write_bytes(png(255 - PICTURES[0]))
    assert prepare({**data, "path": str(place)}, cache) != first


@pytest.mark.parametrize("last", ["assemble", "write_store"])
def test_an_ingest_that_ended_late_goes_on(tmp_path: Path, data: dict[str, Any], monkeypatch: pytest.MonkeyPatch, last: str) -> None:
    """The content is known by then, and all that was decoded lies where the next call looks for it."""
    cache, whole = tmp_path / "cache", prepare(data, tmp_path / "other").read_bytes()

    def full(*args: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(UserError, match="No space left"):
        patch.setattr(ingest_module, last, full)
        prepare(data, cache)
    told: list[Progress] = []
    path = prepare(data, cache, tell=told.append)
    assert told[-1].num_kept == NUM and path.read_bytes() == whole
    assert not list(cache.glob(".*.parts")) and write_store.write_store is not full


def test_reading_before_is_shown_and_ends_when_asked(tmp_path: Path, data: dict[str, Any]) -> None:
    told: list[Progress] = []
    stop = threading.Event()

    def listen(progress: Progress) -> None:
        told.append(progress)
        if progress.num_done == NUM:
            stop.set()

    with pytest.raises(Stopped):
        prepare({**data, "max_pictures": 90}, tmp_path / "cache", tell=listen, stop=stop)
    assert {(one.stage, one.num) for one in told} == {("reading", NUM)}
    done = [one.num_done for one in told]
    assert done[0] == 0 and done[-1] == NUM and done == sorted(done)


def test_a_subset_is_that_of_all_files(tmp_path: Path, data: dict[str, Any]) -> None:
    """A picture that is left out today may be in the subset once another one has gone."""
    some = {**data, "max_pictures": 90}
    first = prepare(some, tmp_path / "cache")
    (Path(data["path"]) / "a" / "000.png").write_bytes(png(255 - PICTURES[0]))
    assert prepare(some, tmp_path / "cache") != first


def test_what_should_have_been_a_picture_counts_though_no_picture_changed(tmp_path: Path, data: dict[str, Any]) -> None:
    cache, strict = tmp_path / "cache", {**data, "allow_bad": 0.02}
    first = prepare(strict, cache)
    for number in range(10):
        (Path(data["path"]) / "a" / f"z{number}.png").symlink_to(tmp_path / "nothing")
    with pytest.raises(UserError, match="of 160 pictures"):
        prepare(strict, cache)
    again = prepare(data, cache)
    assert again != first and sum(one["is_bad"] for one in Store.open(again).report().set_aside) == 11
    moved = Path(data["path"]).rename(tmp_path / "moved")
    assert prepare({**data, "path": str(moved)}, cache) == again


def test_a_picture_of_the_same_length_and_time_is_noticed(tmp_path: Path, data: dict[str, Any]) -> None:
    """As archives make them that set all times to the same."""
    path = Path(data["path"]) / "a" / "000.png"
    one, other = (png(PICTURES[0], "bmp"), png(255 - PICTURES[0], "bmp"))
    path.unlink()
    stores = []
    for content in (one, other):
        path.with_suffix(".bmp").write_bytes(content)
        os.utime(path.with_suffix(".bmp"), (0, 0))
        stores.append(prepare(data, tmp_path / "cache"))
    assert len(one) == len(other) and stores[0] != stores[1]


def test_parquet_files_of_one_name_in_two_folders_are_two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for name, change in (("x", 0), ("y", 255)):
        (tmp_path / name).mkdir()
        path = write(tmp_path / name / "train.parquet", [png(one ^ change) for one in COLOUR], LABELS, compression="none")
        os.utime(path, (0, 0))
        monkeypatch.chdir(tmp_path / name)
        found.append(prepare({"source": "parquet", "train": "train.parquet"}, tmp_path / "cache"))
    assert found[0] != found[1]


OTHER_SPLITS: tuple[dict[str, Any], ...] = ({"seed": 1}, {"seed": 2, "duplicates": "keep"}, {"val_fraction": 0.2})


@pytest.mark.parametrize("more", [{}, {"store": "encoded"}, {"image_size": 80, "store": "raw"}, {"image_size": 80, "store": "encoded"}])
def test_another_seed_is_a_small_file_and_the_same_store_as_decoded_anew(
    tmp_path: Path, data: dict[str, Any], monkeypatch: pytest.MonkeyPatch, more: dict[str, Any]
) -> None:
    """Equal pictures are kept out of other splits under one seed and not under another, so what is dropped is there too."""
    for number in range(70, 110):
        place = Path(data["path"]) / "abc"[number % 3]
        (place / f"again{number}.png").write_bytes((place / f"{number:03d}.png").read_bytes())
    data = {**data, "val_fraction": 0.3, "test_fraction": 0.3, "frame": "crop", **more}
    cache = tmp_path / "cache"
    first = prepare(data, cache)
    with monkeypatch.context() as patch:
        patch.setattr(ingest_module, "ingest", never)
        others = [prepare({**data, **changed}, cache) for changed in OTHER_SPLITS]
    assert all(path.stat().st_size < first.stat().st_size / 3 for path in others)
    for path, changed in zip(others, OTHER_SPLITS, strict=True):
        found, alone = Store.open(path), Store.open(prepare({**data, **changed}, tmp_path / f"alone {path.stem}"))
        assert found.digest == alone.digest and found.report() == alone.report() and found.base == first and alone.base is None
        for name in ("labels_N", "train_idx", "val_idx", "test_idx", "mean_C", "std_C"):
            np.testing.assert_array_equal(getattr(found, name), getattr(alone, name))
        np.testing.assert_array_equal(np.asarray(found.images_NHWC), np.asarray(alone.images_NHWC))
        np.testing.assert_array_equal(found.images_NHWC[[5, 3]], alone.images_NHWC[[5, 3]])
        assert [*found.damaged()] == [*alone.damaged()] == []
        with monkeypatch.context() as patch:
            patch.setenv("VISIONTUNE_NODE_CACHE", str(tmp_path / "node"))
            copy = on_this_node(path)
            assert copy.parent == tmp_path / "node" and Store.open(copy).base == copy.with_name(first.name)
        put(str(tmp_path / "remote"), path)
        fetched = tmp_path / f"fetched {path.stem}" / path.name
        fetched.parent.mkdir()
        assert fetch(str(tmp_path / "remote"), fetched) and Store.open(fetched).digest == found.digest
    dropped = [sum(one["is_dropped"] for one in Store.open(path).report().repeats) for path in (first, *others)]
    assert dropped[0] > 0 and dropped[2] == 0 and len({*dropped}) > 2
