"""Work in a thread beside Ray's start, which may never end, as what reads from a mount that is gone: who leaves does not wait for it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from threading import Event, Thread
from typing import TypeVar

from visiontune.tuning.cluster.interruption import PATIENCE_S, leave, leaves_in_time

SAID_S = 1.0
"""Who interrupts is told after so long what is waited for."""
_T = TypeVar("_T")


@contextmanager
def beside_ray(work: Callable[[Event], _T], what: str, *, may_exit: bool) -> Iterator[Callable[[], _T]]:
    """Begin the work, and give a function that waits for what it gives, or raises.

    The event that the work gets is set once the block is left, or at the first signal to end; then it is waited for, at most PATIENCE_S
    after an error or an interruption. With `may_exit` this process ends where the work does not, as in `leaves_in_time`; else the
    thread is left to itself. `what` is read or done, in the words of a sentence.
    """
    stop, is_over, done = Event(), Event(), Future[_T]()

    def do() -> None:
        try:
            done.set_result(work(stop))
        except BaseException as error:  # whoever waits raises it
            done.set_exception(error)
        is_over.set()

    def given() -> _T:
        is_over.wait()  # not Thread.join, after whose interruption Python 3.11 takes the thread for ended
        return done.result()

    with leaves_in_time(stop.set, f"without waiting for {what}", may_exit=may_exit):
        try:
            Thread(target=do, daemon=True).start()
            yield given
        except BaseException as error:
            stop.set()
            _wait_for(is_over, what, may_exit=may_exit and isinstance(error, KeyboardInterrupt))
            raise
        stop.set()
        is_over.wait()


def _wait_for(is_over: Event, what: str, *, may_exit: bool) -> None:
    if is_over.wait(SAID_S):
        return
    more = ", and at a second Ctrl-C no more" if may_exit else ""
    print(f"{what} are waited for, for {PATIENCE_S:.0f} s at most{more}", file=sys.stderr, flush=True)
    if not is_over.wait(PATIENCE_S) and may_exit:
        leave(f"and {what} do not come")
