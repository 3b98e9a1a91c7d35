"""Ctrl-C, SIGTERM and the end of the terminal (SIGHUP) while a search runs: the driver leaves Ray; checkpoints are kept."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PATIENCE_S = 12.0
"""How long an interrupted search waits for Tune's loop."""


@contextmanager
def interruptible(interrupt: Callable[[], None], *, may_exit: bool) -> Iterator[None]:
    """The first of these signals calls `interrupt` and brings the former handlers back. Outside the main thread nothing is changed.

    With `may_exit` Ray's loop is not waited for longer than PATIENCE_S: this process ends, which a notebook's must not.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def first(number: int, frame: FrameType | None) -> None:
        interrupt()
        if may_exit:
            last_resort.start()
        restore()

    def restore() -> None:
        for name, handler in before.items():
            signal.signal(name, signal.SIG_DFL if handler is None else handler)

    last_resort = threading.Timer(PATIENCE_S, leave, ["and Ray does not answer"])
    last_resort.daemon = True
    under_nohup = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    before = {name: signal.signal(name, first) for name in _ENDING[: 2 if under_nohup else 3]}
    try:
        yield
    finally:
        last_resort.cancel()
        restore()


@contextmanager
def deaf_to_hangups() -> Iterator[None]:
    """Processes that the block starts don't hear that the terminal is gone, as Ray's don't hear Ctrl-C: the driver lets them go."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def second_leaves(interrupt: Callable[[], None], why: str, *, may_exit: bool) -> Iterator[None]:
    """The first of these signals calls `interrupt`, then the former handler; with `may_exit` a second one ends this process, and says why.

    For what may wait for ever, as what reads from a mount that is gone. Outside the main thread nothing is changed.
    """
    if not may_exit or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {name: handler for name in _ENDING if callable(handler := signal.getsignal(name))}
    came = list[int]()

    def heard(number: int, frame: FrameType | None) -> None:
        came.append(number)
        if len(came) > 1:
            leave(why)
        interrupt()
        before[signal.Signals(number)](number, frame)

    for name in before:
        signal.signal(name, heard)
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)


def leave(why: str) -> None:
    """End this process, in which something does not end: everything is on disk, so nothing is lost."""
    print(f"interrupted, {why}; the same command goes on", file=sys.stderr, flush=True)
    os._exit(1)
