"""Killed, interrupted, damaged and full: the same call goes on with what was finished, and the result is what it always is."""

from __future__ import annotations

import errno
import fcntl
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from picture_files import png, write

from visiontune.data import prepare as preparing
from visiontune.data.ingest import run_ingest as module
from visiontune.data.ingest.progress import Progress, Stopped
from visiontune.data.prepare import prepare
from visiontune.data.store.store import Store
from visiontune.errors import UserError

NUM, SIZE = 120, 48
PICTURES = np.random.default_rng(0).integers(0, 256, (NUM, SIZE, SIZE, 3), dtype=np.uint8)
LABELS = np.arange(NUM) % 3

START = """
import sys
sys.path[:0] = {path!r}
from pathlib import Path
from visiontune.data import prepare as store
from visiontune.data.ingest import cut_chunks, run_ingest
cut_chunks._WORK_PIXELS = 0  # as though pictures were large: chunks of 16
original = run_ingest.do_chunk
"""
STUCK = (
    START
    + """
import time
def stuck(source, chunk, *rest):
    if chunk.number == 5:
        while len(list(Path({cache!r}).glob(".*.parts/*.chunk"))) < 5:
            time.sleep(0.01)
        print("half way", flush=True)
        time.sleep(60)
    return original(source, chunk, *rest)
run_ingest.do_chunk = stuck
"""
)
RUN = "\nprint(store.prepare({data!r}, Path({cache!r}), tell=lambda p: p.stage == 'writing' and print(p.num_kept)))\n"


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setattr("visiontune.data.ingest.cut_chunks._WORK_PIXELS", 0)
    path = write(tmp_path / "train.parquet", [png(picture) for picture in PICTURES], LABELS, row_group_size=30)
    return {"source": "parquet", "train": str(path), "image_size": SIZE}


def start(code: str, data: dict[str, Any], cache: Path) -> subprocess.Popen[str]:
    text = (code + RUN).format(path=[entry for entry in sys.path if entry], data=data, cache=str(cache))
    return subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def kept(data: dict[str, Any], cache: Path) -> tuple[Path, int]:
    """The store, and how many pictures were not decoded again."""
    last: list[Progress] = []
    path = prepare(data, cache, tell=last.append)
    return path, last[-1].num_kept


@pytest.mark.heavy
@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGINT])
def test_a_stopped_ingest_goes_on_and_gives_the_same_file(tmp_path: Path, data: dict[str, Any], sign: signal.Signals) -> None:
    cache = tmp_path / "cache"
    with start(STUCK, data, cache) as process:
        assert process.stdout is not None and process.stdout.readline() == "half way\n"
        os.kill(process.pid, sign)
        if sign == signal.SIGINT:
            process.kill()  # the sleeping thread is no part of us
    assert not list(cache.glob("*.arrow"))
    path, num_kept = kept(data, cache)
    assert num_kept >= 5 * 14
    assert path.read_bytes() == prepare(data, tmp_path / "other").read_bytes()
    np.testing.assert_array_equal(Store.open(path).images_NHWC, PICTURES)
    assert sorted(one.suffix for one in cache.iterdir() if one.is_file()) == [".arrow", ".known", ".lock"] and not list(
        cache.glob("*.parts")
    )


@pytest.mark.heavy
def test_two_processes_share_one_ingest(tmp_path: Path, data: dict[str, Any]) -> None:
    cache = tmp_path / "cache"
    both = [start(START, data, cache) for _ in range(2)]
    outs = [process.communicate()[0].split() for process in both]
    assert all(process.returncode == 0 for process in both)
    # The second one waited, found it done and had nothing to tell.
    assert sorted(len(out) for out in outs) == [1, 2] and outs[0][-1] == outs[1][-1]


def test_finished_chunks_that_were_damaged_are_done_again(tmp_path: Path, data: dict[str, Any]) -> None:
    cache, whole = tmp_path / "cache", prepare(data, tmp_path / "other").read_bytes()
    stop = threading.Event()

    def enough(progress: Progress) -> None:
        if progress.stage == "decoding" and progress.num_done == NUM:
            stop.set()

    with pytest.raises(Stopped):
        prepare(data, cache, tell=enough, stop=stop)
    chunks = sorted(cache.glob(".*.parts/*.chunk"))
    assert len(chunks) == 8
    for path, place in zip(chunks[:3], (0, -1, 500), strict=True):  # a pixel, the checksum, another pixel
        content = bytearray(path.read_bytes())
        content[place] ^= 1
        path.write_bytes(content)
    chunks[3].write_bytes(chunks[3].read_bytes()[:1000])
    chunks[4].write_bytes(b"")
    chunks[5].write_bytes(chunks[6].read_bytes())
    path, num_kept = kept(data, cache)
    assert num_kept == 16 + 14 and path.read_bytes() == whole


def test_a_full_disk_is_one_sentence_and_the_same_call_goes_on(tmp_path: Path, data: dict[str, Any]) -> None:
    """First all chunks fit and the store's end does not; then not even a chunk does."""
    whole = prepare(data, tmp_path / "other").read_bytes()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    for name, limit in (("store", len(whole) - 100), ("chunk", 8192)):
        cache = tmp_path / name
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
        try:
            with pytest.raises(UserError, match=r"must take the decoded pictures, but: File too large; what is decoded is kept, and"):
                prepare(data, cache)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert not list(cache.glob("*.arrow")) and not list(cache.glob(".*.tmp")) and not list(cache.glob(".*/*.tmp"))
        path, num_kept = kept(data, cache)
        assert num_kept == (NUM if name == "store" else 0) and path.read_bytes() == whole


def test_pictures_that_were_moved_when_it_ended_are_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kept ones fill the places of repeats, in the very file that the next call finds its chunks' pixels in."""
    monkeypatch.setattr("visiontune.data.ingest.cut_chunks._WORK_PIXELS", 0)
    train = write(tmp_path / "train.parquet", [png(picture) for picture in PICTURES[:64]], LABELS[:64])
    test = write(tmp_path / "test.parquet", [png(PICTURES[3]), png(PICTURES[4]), *map(png, PICTURES[64:])], [0, 1, *LABELS[64:]])
    data = {"source": "parquet", "train": str(train), "test": str(test), "image_size": SIZE}
    whole = prepare(data, tmp_path / "other").read_bytes()

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched, pytest.raises(UserError, match="No space left"):
        patched.setattr("visiontune.data.ingest.write_store.os.fsync", full)
        prepare(data, tmp_path / "cache")
    path, num_kept = kept(data, tmp_path / "cache")
    # But for the chunk with two repeats and the last one, of which two pictures lay beyond the end.
    assert num_kept == 122 - 16 - 10 and path.read_bytes() == whole


@pytest.mark.parametrize(("kept_as", "smaller"), [("raw", "data.image_size"), ("encoded", "a smaller data.max_pictures")])
def test_too_little_room_is_told_before_anything_is_decoded(
    tmp_path: Path, data: dict[str, Any], monkeypatch: pytest.MonkeyPatch, kept_as: str, smaller: str
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 800_000})())
    monkeypatch.setattr(module, "do_chunk", None)
    with pytest.raises(UserError, match=rf"must have room for 0.0 GB while pictures are decoded, but has 0.0 GB.*{smaller}"):
        prepare({**data, "store": kept_as}, tmp_path / "cache")


def test_a_cache_without_locks_is_refused_in_a_sentence(tmp_path: Path, data: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with pytest.raises(UserError, match=r"the file system of .*/cache must have locks, but says: No locks available; mount it with locks"):
        prepare(data, tmp_path / "cache")


def test_a_changed_picture_is_noticed_and_contents_are_read_once(
    tmp_path: Path, data: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = prepare(data, tmp_path / "cache")
    with monkeypatch.context() as patched:
        unread = lambda data, source=preparing.source_of: replace(source(data), content=lambda: pytest.fail("read again"))  # noqa: E731
        patched.setattr(preparing, "source_of", unread)
        assert prepare(data, tmp_path / "cache") == first
    changed = PICTURES.copy()
    changed[77, 3, 4, 1] ^= 1
    write(Path(data["train"]), [png(picture) for picture in changed], LABELS, row_group_size=30)
    second = prepare(data, tmp_path / "cache")
    assert second != first
    assert (Store.open(second).images_NHWC != Store.open(first).images_NHWC).sum() == 1


def test_chunks_of_a_call_that_was_killed_at_its_end_go(tmp_path: Path, data: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "rmtree", lambda *args, **options: None)
        path = prepare(data, tmp_path / "cache")
    assert list(path.parent.glob(".*.parts/*.chunk"))
    assert prepare(data, tmp_path / "cache") == path and not list(path.parent.glob(".*.parts"))


def test_waiting_for_another_is_shown_and_ends_when_asked(tmp_path: Path, data: dict[str, Any]) -> None:
    path, stop, told = prepare(data, tmp_path / "cache"), threading.Event(), list[Progress]()
    lock = next(path.parent.glob("*.lock"))
    path.unlink()

    def listen(progress: Progress) -> None:
        told.append(progress)
        if len(told) == 3:
            stop.set()

    is_held, is_over = threading.Event(), threading.Event()

    def hold() -> None:
        with preparing.locked(lock):
            is_held.set()
            is_over.wait()

    other = threading.Thread(target=hold)
    other.start()
    is_held.wait()
    with pytest.raises(Stopped):
        prepare(data, path.parent, tell=listen, stop=stop)
    is_over.set()
    other.join()
    assert [one.stage for one in told] == ["waiting"] * 3


def test_what_nobody_went_on_with_for_a_week_is_removed(tmp_path: Path, data: dict[str, Any]) -> None:
    cache = tmp_path / "cache"
    old, young = cache / ".aaaa.parts", cache / ".bbbb.parts"
    for folder in (old, young):
        folder.mkdir(parents=True)
    os.utime(old, (1e9, 1e9))
    prepare(data, cache)
    assert not old.exists() and young.exists()
