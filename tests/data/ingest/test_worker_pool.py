"""An ingest in forked processes: the same file as in threads, and clear answers when processes are killed or stuck."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from picture_files import png

from visiontune.cli import main
from visiontune.data.ingest import run_ingest, worker_pool
from visiontune.data.ingest.progress import Progress
from visiontune.data.ingest.worker_pool import open_pool
from visiontune.data.prepare import prepare
from visiontune.data.readers import file_digests
from visiontune.data.store.store import Store
from visiontune.errors import Died, UserError

NUM, SIZE = 96, 24
PICTURES = np.random.default_rng(5).integers(0, 256, (NUM, SIZE, SIZE, 3), dtype=np.uint8)
CHUNKS = "visiontune.data.ingest.cut_chunks._WORK_PIXELS"


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setattr(CHUNKS, 0)  # chunks of 16
    for number, picture in enumerate(PICTURES):
        path = tmp_path / "pictures" / "abc"[number % 3] / f"{number:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(picture))
    return {"source": "folder", "path": str(tmp_path / "pictures")}


@pytest.fixture
def forking(monkeypatch: pytest.MonkeyPatch) -> None:
    """As though there were many pictures."""
    monkeypatch.setattr(run_ingest, "_FORK_PIXELS", 0)
    monkeypatch.setattr(file_digests, "_FORK_FILES", 0)
    monkeypatch.setattr(worker_pool, "num_cpus", lambda: 2)
    monkeypatch.setattr(worker_pool, "_READY_S", 300.0)  # a busy machine is given threads, and one test ends who decodes


def test_processes_make_the_file_that_threads_make(tmp_path: Path, data: dict[str, Any], forking: None, monkeypatch: Any) -> None:
    here: list[int] = []
    original = run_ingest.do_chunk
    monkeypatch.setattr(run_ingest, "do_chunk", lambda *args: (here.append(os.getpid()), original(*args))[1])
    by_processes = prepare(data, tmp_path / "processes")
    assert here == []  # that list is another one in each process
    monkeypatch.setattr(run_ingest, "_FORK_PIXELS", 1 << 40)
    monkeypatch.setattr(file_digests, "_FORK_FILES", 1 << 40)
    by_threads = prepare(data, tmp_path / "threads")
    assert set(here) == {os.getpid()}
    assert by_processes.name == by_threads.name and by_processes.read_bytes() == by_threads.read_bytes()


@pytest.mark.heavy
def test_what_a_process_returns_is_written_at_once_or_not_at_all(
    tmp_path: Path, data: dict[str, Any], forking: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a message of one that was killed would be waited for; a pipe takes up to PIPE_BUF bytes whole."""
    sizes: list[int] = []

    @contextlib.contextmanager
    def weighed(work: Any, **options: Any) -> Iterator[Any]:
        with open_pool(work, **options) as pool:

            def watched(item: Any) -> Any:
                future = pool.submit(item)
                future.add_done_callback(lambda one: sizes.append(len(pickle.dumps(one.result()))))
                return future

            yield replace(pool, submit=watched)

    for module in (run_ingest, file_digests):
        monkeypatch.setattr(module, "open_pool", weighed)
    prepare({**data, "max_pictures": 90}, tmp_path / "cache")
    assert len(sizes) > 6 and 1000 < max(sizes) < select.PIPE_BUF / 1.5


@pytest.mark.heavy
def test_opencv_with_threads_of_its_own_is_no_reason_to_wait(tmp_path: Path, data: dict[str, Any], forking: None) -> None:
    """Its threads are not forked, and a process that sets their number waits for them for ever."""
    before = cv2.getNumThreads()
    try:
        cv2.setNumThreads(2)
        cv2.resize(np.zeros((2000, 2000, 3), np.uint8), (1000, 1000))  # starts them
        assert len(Store.open(prepare(data, tmp_path / "cache")).labels_N) == NUM
        assert cv2.getNumThreads() == 2
    finally:
        cv2.setNumThreads(before)


@pytest.mark.heavy
def test_a_killed_process_is_one_sentence_and_the_same_command_goes_on(
    tmp_path: Path, data: dict[str, Any], forking: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    original, cache = run_ingest.do_chunk, tmp_path / "studies" / ".data"

    def killed(source: Any, chunk: Any, *rest: Any) -> Any:
        while chunk.number == 3 and len(list(cache.glob(".*.parts/*.chunk"))) < 3:
            time.sleep(0.01)
        if chunk.number == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(source, chunk, *rest)

    argv = ["ingest", data["path"], "--studies-dir", str(tmp_path / "studies")]
    with monkeypatch.context() as patched:
        patched.setattr(run_ingest, "do_chunk", killed)
        assert main(argv) == 1
    err = capsys.readouterr().err
    assert "was killed, most likely for want of memory; what is decoded is kept" in err and "Traceback" not in err
    assert len(list(cache.glob(".*.parts/*.chunk"))) >= 3 and not list(cache.glob("*.arrow"))
    assert main(argv) == 0 and len(list(cache.glob("*.arrow"))) == 1


@pytest.mark.heavy
def test_processes_that_do_not_come_up_are_given_up_for_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_pool, "_READY_S", 0.3)
    with open_pool(lambda number: (number, os.getpid()), use_processes=True, try_out=lambda: time.sleep(60)) as pool:
        assert pool.submit(7).result() == (7, os.getpid())
    monkeypatch.setattr(worker_pool, "_READY_S", 60.0)
    with open_pool(lambda number: (number, os.getpid()), use_processes=True) as pool:
        assert pool.submit(7).result()[1] != os.getpid()


@pytest.mark.heavy
@pytest.mark.parametrize(("ready_s", "ends"), [(1.0, lambda: time.sleep(60)), (60.0, lambda: os._exit(1))], ids=["stuck", "dead"])
def test_one_process_that_does_not_come_up_is_enough_to_give_up_all(ready_s: float, ends: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pool would wait for it at its end."""
    monkeypatch.setattr(worker_pool, "num_cpus", lambda: 3)
    monkeypatch.setattr(worker_pool, "_READY_S", ready_s)
    first, began_s = worker_pool.CONTEXT.Lock(), time.monotonic()
    with open_pool(lambda number: (number, os.getpid()), use_processes=True, try_out=lambda: first.acquire(block=False) and ends()) as pool:
        assert pool.submit(7).result() == (7, os.getpid())
    assert time.monotonic() - began_s < 15


@pytest.mark.heavy
def test_an_interruption_while_processes_come_up_leaves_none_of_them() -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
    try:
        with pytest.raises(KeyboardInterrupt), open_pool(int, use_processes=True, try_out=lambda: time.sleep(60)):
            pass
        deadline_s = time.monotonic() + 10
        while multiprocessing.active_children() and time.monotonic() < deadline_s:
            time.sleep(0.05)
        assert not multiprocessing.active_children()
    finally:
        signal.signal(signal.SIGINT, before)


def test_what_a_process_raises_arrives() -> None:
    def fail(number: int) -> None:
        raise UserError(f"must not be {number}")

    with open_pool(fail, use_processes=True) as pool, pytest.raises(UserError, match="must not be 3"):
        pool.submit(3).result()
    with pytest.raises(Died), open_pool(lambda code: os._exit(code), use_processes=True) as pool:
        pool.submit(9).result()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interruption_comes_when_no_lock_is_held(number: signal.Signals, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that came while the locks of futures were taken, as by `wait`, kept the pool from ending, once in some hundred times."""
    before = signal.signal(number, signal.default_int_handler)
    in_wait = worker_pool.wait

    def interrupted(*args: Any) -> Any:
        os.kill(os.getpid(), number)
        return in_wait(*args)  # is reached

    monkeypatch.setattr(worker_pool, "wait", interrupted)
    try:
        with pytest.raises(KeyboardInterrupt), open_pool(time.sleep, use_processes=True) as pool:
            next(pool.finished([0, 0, 0]))
        assert signal.getsignal(number) is signal.default_int_handler
    finally:
        signal.signal(number, before)


@pytest.mark.parametrize("stage", ["decoding", "before"])
def test_a_picture_that_is_replaced_meanwhile_is_noticed(tmp_path: Path, data: dict[str, Any], stage: str, monkeypatch: Any) -> None:
    other = np.full((SIZE, SIZE, 3), 200, np.uint8)
    victim, cache = tmp_path / "pictures" / "a" / "003.png", tmp_path / "cache"

    def replace_it(*_: Any) -> None:
        whole = tmp_path / "whole.png"
        whole.write_bytes(png(other))
        whole.replace(victim)

    with monkeypatch.context() as patched:
        if stage == "before":  # after its content was read, before it is decoded
            original = run_ingest.make_plan
            patched.setattr(run_ingest, "make_plan", lambda *args: (replace_it(), original(*args))[1])
        with pytest.raises(UserError, match="files have changed 3 times; the same command reads those anew"):
            prepare(data, cache, tell=replace_it if stage == "decoding" else lambda progress: None)
    assert not list(cache.glob("*.arrow"))
    images_NHWC = Store.open(prepare(data, cache)).images_NHWC
    assert (images_NHWC == other).all((1, 2, 3)).sum() == 1 and not (images_NHWC == PICTURES[3]).all((1, 2, 3)).any()


@pytest.mark.parametrize("change", ["mode", "content"])
def test_a_file_that_changes_once_costs_its_chunk(tmp_path: Path, data: dict[str, Any], change: str) -> None:
    victim, kept = tmp_path / "pictures" / "a" / "003.png", list[int]()

    def change_it(progress: Progress) -> None:
        kept.append(progress.num_kept)
        if progress.num_done == len(PICTURES) and len(kept) == kept.count(0):
            victim.chmod(0o600) if change == "mode" else victim.write_bytes(png(255 - PICTURES[3]))

    path = prepare(data, tmp_path / "cache", tell=change_it)
    assert max(kept) == len(PICTURES) - 16
    assert path.read_bytes() == prepare(data, tmp_path / "other").read_bytes()


SLOW = """
import sys
sys.path[:0] = {path!r}
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from visiontune.cli import main
from visiontune.data.ingest import cut_chunks, run_ingest
cut_chunks._WORK_PIXELS = run_ingest._FORK_PIXELS = 0
original = run_ingest.do_chunk
def slow(source, chunk, *rest):
    if chunk.number >= 2:
        while len(list(Path({cache!r}).glob(".*.parts/*.chunk"))) < 2:
            time.sleep(0.01)
        print("slow", flush=True)
        time.sleep(60)
    return original(source, chunk, *rest)
run_ingest.do_chunk = slow
sys.exit(main({argv!r}))
"""


def group_of(leader: int) -> list[int]:
    """Living processes of a session."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, session = path.read_text().rpartition(")")[2].split()[:4]
        except OSError:
            continue
        if int(session) == leader and state != "Z":
            found.append(int(path.parent.name))
    return found


def test_within_a_process_that_may_have_no_children_threads_do_it(tmp_path: Path, data: dict[str, Any], forking: None) -> None:
    """As under a user's multiprocessing.Pool."""
    with multiprocessing.get_context("fork").Pool(1) as pool:
        path = pool.apply(prepare, (data, tmp_path / "there"))
    assert path.read_bytes() == prepare(data, tmp_path / "here").read_bytes()


@pytest.mark.heavy
@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_nothing_is_left_of_an_ingest_that_was_ended(tmp_path: Path, data: dict[str, Any], sign: signal.Signals) -> None:
    """Ctrl-C reaches every process of the group; the others the first one alone."""
    argv = ["ingest", data["path"], "--studies-dir", str(tmp_path / "studies")]
    cache = tmp_path / "studies" / ".data"
    code = SLOW.format(path=[entry for entry in sys.path if entry], argv=argv, cache=str(cache))
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "start_new_session": True}
    with subprocess.Popen([sys.executable, "-c", code], **pipes) as process:
        assert process.stdout is not None and process.stdout.readline().startswith("slow")
        (os.killpg if sign == signal.SIGINT else os.kill)(process.pid, sign)
        err = process.communicate(timeout=30)[1]
    deadline = time.monotonic() + 10
    while group_of(process.pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert group_of(process.pid) == [] and "Traceback" not in err
    assert len(list(cache.glob(".*.parts/*.chunk"))) == 2 and not list(cache.glob("*.arrow"))
    if sign != signal.SIGKILL:
        assert process.returncode == 1 and err.splitlines()[-1].startswith("interrupted; go on: ")
    assert main(argv) == 0 and len(list(cache.glob("*.arrow"))) == 1
