"""Processes that share the work on local files: forked, so that they have what this one has, and gone when this one is.

Python's own work on a small picture takes as long as decoding it, and threads take turns at that.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from itertools import islice
from types import FrameType
from typing import Any, Generic, TypeVar

from visiontune.errors import Died
from visiontune.filesystem.cgroup import num_cpus

START = "fork" if "fork" in multiprocessing.get_all_start_methods() else "spawn"
CONTEXT: Any = multiprocessing.get_context(START)
T = TypeVar("T")
Submit = Callable[[Any], Future[T]]

_WATCH_S = 0.5
_READY_S = 20
_TICK_S = 0.1


@dataclass(frozen=True)
class Pool(Generic[T]):
    """`submit` hands an item to the work. Ctrl-C, SIGTERM and SIGHUP are heard whenever `heard` is called."""

    submit: Submit[T]
    heard: Callable[[], None]

    def finished(self, items: Iterable[int]) -> Iterator[dict[int, T]]:
        """What the work made of the items, as they are done; those of a tick together, which may be none. Raises what it raised."""
        waiting, futures = iter(items), dict[Future[T], int]()
        while True:
            # A few ahead, so that a million pictures are not a million futures.
            futures |= {self.submit(item): item for item in islice(waiting, 2 * num_cpus() - len(futures))}
            if not futures:
                return
            done = wait(futures, _TICK_S, FIRST_COMPLETED).done
            self.heard()
            yield {futures.pop(future): future.result() for future in done}


@contextlib.contextmanager
def open_pool(work: Callable[[Any], T], *, use_processes: bool, try_out: Callable[[], object] = os.getpid) -> Iterator[Pool[T]]:
    """Hands items to `work` on all cores: in forked processes, which inherit it, or in threads.

    Raises Died where a process was killed. What a process needs should be imported and used before: a lock that another thread holds
    while this process is forked stays locked there. Where one does not come back from `try_out`, all are given up for threads.
    """
    with one_opencv_thread():
        may_fork = START == "fork" and not multiprocessing.current_process().daemon  # of a user's own pool, which may have no children
        processes = _processes(work, try_out) if use_processes and may_fork else None
        pool: Executor = processes or ThreadPoolExecutor(num_cpus(), thread_name_prefix="ingest")
        try:
            with _interrupts_held() as heard:
                yield Pool(partial(pool.submit, _do if processes else work), heard)  # type: ignore[arg-type]
        except BrokenProcessPool as error:
            raise Died("a process that decodes pictures was killed, most likely for want of memory; what is decoded is kept") from error
        except BaseException:
            # Whoever interrupts does not wait for work that is under way.
            _kill(processes)
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


@contextlib.contextmanager
def _interrupts_held() -> Iterator[Callable[[], None]]:
    """Ctrl-C, SIGTERM and SIGHUP come when the function that this gives is called, or at the end.

    Else a KeyboardInterrupt could come while `wait` takes the locks of its futures; one that stays locked keeps the pool from ever ending.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return
    ending = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    handlers = {number: found for number in ending if callable(found := signal.getsignal(number))}
    came: list[tuple[int, FrameType | None]] = []
    for number in handlers:
        signal.signal(number, lambda *call: came.append(call))

    def heard() -> None:
        while came:
            number, frame = came.pop()
            handlers[signal.Signals(number)](number, frame)

    try:
        yield heard
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        heard()


@contextlib.contextmanager
def one_opencv_thread() -> Iterator[None]:
    """Threads within threads only wait for each other; a forked process inherits the number, and would wait for ever to change it."""
    import cv2

    num = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(num)


def _processes(work: Callable[[Any], Any], try_out: Callable[[], object]) -> ProcessPoolExecutor | None:
    """None where one of them does not come up: the pool would wait for it at its end."""
    num, ups = num_cpus(), CONTEXT.Semaphore(0)
    # Arguments of `_begin` are inherited, not sent.
    pool = ProcessPoolExecutor(num, CONTEXT, _begin, (os.getpid(), work, try_out, ups))
    try:
        with _interrupts_held() as heard:
            if _come_up(pool, num, ups, heard):
                return pool
    except BaseException:
        _give_up(pool)
        raise
    _give_up(pool)
    return None


def _come_up(pool: ProcessPoolExecutor, num: int, ups: Any, heard: Callable[[], None]) -> bool:
    """Whether all have released `ups` within _READY_S; False at once where one died."""
    deadline_s = time.monotonic() + _READY_S
    pool.submit(os.getpid)  # forks them
    for _ in range(num):
        while not ups.acquire(timeout=_TICK_S):
            heard()
            if time.monotonic() > deadline_s or not all(child.is_alive() for child in _children(pool)):
                return False
    return True


def _give_up(pool: ProcessPoolExecutor) -> None:
    _kill(pool)
    pool.shutdown(wait=False)


def _kill(pool: ProcessPoolExecutor | None) -> None:
    for child in _children(pool) if pool else ():
        child.kill()


def _children(pool: ProcessPoolExecutor) -> list[Any]:
    return [*dict(pool._processes or {}).values()]


_work: list[Callable[[Any], Any]] = []


def _begin(parent: int, work: Callable[[Any], Any], try_out: Callable[[], object], ups: Any) -> None:
    # Ctrl-C and the end of a terminal reach all of its processes: the parent handles it and ends the others.
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    end_with(parent)
    _work[:] = [work]
    try_out()
    ups.release()


def _do(item: Any) -> Any:
    return _work[0](item)


def end_with(parent: int) -> None:
    """End this process when its parent has ended, however that was."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_WATCH_S)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
