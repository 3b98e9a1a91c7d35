"""Ctrl-C, SIGTERM and the end of the terminal (SIGHUP) while a search runs: the driver leaves Ray; checkpoints are kept."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PATIENCE_S = 12.0
"""How long an interrupted search waits for Tune's loop, or for what else it has begun."""
LAST_S = 40.0
"""And for all of it, Ray's end included."""
TWICE_S = 0.5
"""Programs that start others pass a Ctrl-C on that the terminal has sent to all of them."""


@contextmanager
def interruptible(interrupt: Callable[[], None], *, may_exit: bool) -> Iterator[None]:
    """The first of these signals calls `interrupt` and brings the former handlers back. Outside the main thread nothing is changed.

    With `may_exit` Ray's loop is not waited for longer than PATIENCE_S: this process ends, which a notebook's must not.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def first(number: int, frame: FrameType | None) -> None:
        restore()  # before all else: a second signal may come at once
        interrupt()
        if may_exit:
            last_resort.start()

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
def heard_afterwards() -> Iterator[None]:
    """These signals reach their handlers once the block is left: an import that is interrupted leaves half of a library behind, and where
    Python frees its lock a KeyboardInterrupt is printed and lost. Outside the main thread nothing is changed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    before = {name: handler for name in _ENDING if callable(handler := signal.getsignal(name))}
    for name in before:
        signal.signal(name, lambda number, frame: came.append(number))
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)
        if came:  # not raised anew: a thread that listens (`leaves_in_time`) has heard it, and would take it for a second one
            before[signal.Signals(came[0])](came[0], None)


@contextmanager
def own_sigterm() -> Iterator[None]:
    """SIGTERM is what it was, once the block has started Ray, whose own handlers end the process in silence or with a dump (ray 2.60).

    In the block it is Ctrl-C, but for the time in which Ray's library waits for a raylet: then it has the signal and Python's lock,
    so that no thread can take it back, and the process ends with 134. Outside the main thread nothing is changed, as Ray changes nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    except SystemExit as error:
        if error.code != signal.SIGTERM:
            raise
        raise KeyboardInterrupt from None
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL if before is None else before)


@contextmanager
def leaves_in_time(interrupt: Callable[[], None], why: str, *, may_exit: bool) -> Iterator[None]:
    """The first of these signals calls `interrupt` as well as its handler. With `may_exit` this process ends where the block is not left
    LAST_S after that, and at a second Ctrl-C at once, saying `why`.

    By a thread: what waits in Ray's C++, as for a head that is frozen, comes to no handler. Outside the main thread nothing is done.
    """
    if not may_exit or threading.current_thread() is not threading.main_thread():
        yield
        return
    heard, told = os.pipe()
    os.set_blocking(told, False)
    before = signal.set_wakeup_fd(told, warn_on_full_buffer=False)
    threading.Thread(target=_hear, args=(heard, interrupt, why), daemon=True).start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        os.close(told)


def _hear(heard: int, interrupt: Callable[[], None], why: str) -> None:
    """The numbers of signals, until the other end is closed."""
    last_resort, first_s = threading.Timer(LAST_S, leave, ["and what was under way does not end"]), 0.0
    last_resort.daemon = True
    with os.fdopen(heard, "rb", buffering=0) as numbers:
        while number := numbers.read(1):
            if number[0] in _ENDING and not first_s:
                first_s = time.monotonic()
                last_resort.start()
                interrupt()
            elif number[0] == signal.SIGINT and time.monotonic() - first_s > TWICE_S:
                leave(why)
    last_resort.cancel()


def leave(why: str) -> None:
    """End this process, in which something does not end: everything is on disk, so nothing is lost."""
    print(f"interrupted, {why}; the same command goes on", file=sys.stderr, flush=True)
    os._exit(1)
