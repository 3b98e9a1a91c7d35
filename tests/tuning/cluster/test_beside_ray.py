"""Who leaves a search does not wait for pictures that never come, as from a mount that is gone."""

from __future__ import annotations

import queue
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from simulated_search import make_spec

from visiontune.tuning.cluster import beside_ray as module
from visiontune.tuning.cluster import interruption
from visiontune.tuning.cluster.beside_ray import beside_ray
from visiontune.tuning.cluster.interruption import leaves_in_time

HANGS = """
import sys, threading, types
from contextlib import nullcontext
from visiontune.cli import main
from visiontune.tuning import search_on_cluster as search
from visiontune.tuning.cluster import beside_ray
def hang(*_, **__):
    print("reading", flush=True)
    threading.Event().wait()
search.cluster = lambda *_: nullcontext()
setattr(search, sys.argv.pop(1), hang)
beside_ray.PATIENCE_S = 0.2
search._watched = lambda *_: ({}, types.SimpleNamespace(check=lambda needs: None))
sys.exit(main(["search", *sys.argv[1:]]))
"""


@pytest.mark.parametrize(("step", "done"), [("find_pictures", "listed"), ("get_ready", "read")])
def test_ctrl_c_ends_a_search_whose_pictures_hang(tmp_path: Path, step: str, done: str) -> None:
    """It waited for the thread that reads, for ever."""
    make_spec(tmp_path / "study")
    words = [str(tmp_path / "study.yaml"), "--plain", "--studies-dir", str(tmp_path / "studies")]
    command = [sys.executable, "-c", HANGS, step, *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as search:
        assert search.stdout is not None
        while "reading" not in search.stdout.readline():
            assert search.poll() is None
        search.send_signal(signal.SIGINT)
        try:
            _, said = search.communicate(timeout=20)
        finally:
            search.kill()
    assert f"interrupted, and pictures that are being {done} do not come; the same command goes on\n" in said and search.returncode == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("under_nohup", [False, True])
def test_a_search_is_told_to_end_once_by_each_signal(number: signal.Signals, under_nohup: bool) -> None:
    """After that the former handlers are back. Under nohup a closed terminal is nothing."""
    own, told = (lambda *_: told.append("own")), list[str]()
    before = {one: signal.signal(one, own) for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        if under_nohup:
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
        with interruption.interruptible(lambda: told.append("to end"), may_exit=False):
            signal.raise_signal(number)
            signal.raise_signal(number)
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
    assert told == ([] if under_nohup and number is signal.SIGHUP else ["to end", "own"])


def ctrl_c() -> None:
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
        time.sleep(1.0)


def timers() -> set[threading.Thread]:
    return {one for one in threading.enumerate() if isinstance(one, threading.Timer)}


def test_from_the_first_signal_on_a_search_has_so_long_to_leave_and_none_from_a_second_ctrl_c(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread sees to it: in Ray's C++, which waited for a head that was frozen, no handler was reached by any signal."""
    left: queue.Queue[str] = queue.Queue()
    others = timers()  # a test before may have left one
    monkeypatch.setattr(interruption, "leave", left.put)
    monkeypatch.setattr(interruption, "TWICE_S", 0.05)
    told = threading.Event()
    with leaves_in_time(told.set, "without waiting", may_exit=True):
        ctrl_c()
        assert told.wait(5.0)
        ctrl_c()  # passed on by who started this
        time.sleep(0.1)
        assert left.empty()
        ctrl_c()
        assert left.get(timeout=5.0) == "without waiting"
    monkeypatch.setattr(interruption, "LAST_S", 0.05)
    with leaves_in_time(told.set, "without waiting", may_exit=True):
        ctrl_c()
        assert left.get(timeout=5.0) == "and what was under way does not end"
    monkeypatch.setattr(interruption, "LAST_S", 60.0)
    told.clear()
    with leaves_in_time(told.set, "without waiting", may_exit=True):
        ctrl_c()
        assert told.wait(5.0)
    while timers() - others:
        time.sleep(0.01)  # it was left in time
    told.clear()
    with leaves_in_time(told.set, "without waiting", may_exit=False):  # a notebook's process stays
        ctrl_c()
        ctrl_c()
    assert left.empty() and not told.is_set() and signal.set_wakeup_fd(-1) == -1


def test_what_is_given_raised_and_left(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with beside_ray(lambda stop: stop.is_set(), "pictures", may_exit=True) as given:
        assert given() is False

    def refuse(_: threading.Event) -> None:
        raise LookupError("no pictures")

    with pytest.raises(LookupError, match="no pictures"), beside_ray(refuse, "pictures", may_exit=True) as given:
        given()
    monkeypatch.setattr(module, "PATIENCE_S", 0.01)
    monkeypatch.setattr(module, "SAID_S", 0.01)
    told, hangs = threading.Event(), threading.Event()

    def hang(stop: threading.Event) -> None:
        stop.wait()
        told.set()
        hangs.wait()

    left: list[str] = []
    monkeypatch.setattr(module, "leave", left.append)
    for error, may_exit in ((ValueError, True), (KeyboardInterrupt, False), (KeyboardInterrupt, True)):
        with pytest.raises(error), beside_ray(hang, "pictures", may_exit=may_exit):
            raise error
        assert told.wait(1.0)
    hangs.set()
    assert left == ["and pictures do not come"] and capsys.readouterr().err.count("pictures are waited for, for 0 s at most") == 3
