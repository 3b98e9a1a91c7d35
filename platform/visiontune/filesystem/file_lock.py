"""Locks between processes, by files that stay: the kernel drops a lock with its holder, however that ends.

File systems without such locks (NFS without its lock daemon, Lustre mounted without flock) are refused in words: a lock file
that is merely there would outlive a killed holder.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from visiontune.errors import UserError

POLL_S = 0.1
_LOOKED_S = 0.3
"""Whoever looks whether a lock is taken (`is_held`) has it for an instant."""
_WITHOUT_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


class Taken(Exception):
    """Another process holds the lock."""


def make_lock(path: Path) -> FileLock:
    """A lock that is not taken yet, for Optuna's journal, which takes and releases it itself."""
    return FileLock(path, mode=0o644, thread_local=False, poll_interval=POLL_S, fallback_to_soft=False)


@contextlib.contextmanager
def locked(path: Path, wait: Callable[[], object] | None = None) -> Iterator[None]:
    """Hold the lock of that file; `wait` is called every POLL_S while another process has it, and what it raises ends the waiting.

    Raises OSError where the file can't be made, UserError where the file system has no locks.
    """

    def tell() -> bool:
        if wait is not None:
            wait()
        return False

    lock = make_lock(path)
    with _refused_by_file_system(path):
        lock.acquire(cancel_check=tell)
    with _released_at_end(lock):
        yield


@contextlib.contextmanager
def locked_at_once(path: Path) -> Iterator[None]:
    """The same without waiting: raises Taken where another process has it, and keeps it."""
    lock = make_lock(path)
    try:
        with _refused_by_file_system(path):
            lock.acquire(timeout=_LOOKED_S)
    except Timeout:
        raise Taken(str(path)) from None
    with _released_at_end(lock):
        yield


def is_held(path: Path) -> bool:
    """Whether a process holds it, as far as can be told; nothing is written, so that a folder may be read-only."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(handle)
    return False


@contextlib.contextmanager
def _released_at_end(lock: FileLock) -> Iterator[None]:
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def _refused_by_file_system(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in _WITHOUT_LOCKS:
            raise
        hint = "mount it with locks (NFS: its lock daemon, Lustre: -o flock), or name a folder elsewhere"
        raise UserError(f"the file system of {path.parent} must have locks, but says: {error.strerror}; {hint}") from error
