"""Checkpoints of one trial, written beside its training: after an epoch its state is copied to the host, and a thread writes the copy.

There is one copy, which every epoch writes over. What is copied and not on the disk is what a kill loses.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
from torch import Tensor

from visiontune.filesystem.checkpoint_files import Attempt
from visiontune.training.checkpoint import save, size_bytes

State = Mapping[str, Any]
# How soon a request to write is seen.
_LOOK_EVERY_S = 0.25


class CheckpointWriter:
    """Writes the newest state when the last one is `every_s` old (0: at once), when `is_asked`, when told to, and at its end.

    `size_bytes` are those of the folder. A disk that takes no more is told by the next call: OSError; and so is another worker that has
    gone on with the trial meanwhile (this one was frozen, or cut off), beside whose files nothing is written: Superseded.
    """

    def __init__(self, folder: Path, every_s: float, is_asked: Callable[[], bool] = lambda: False) -> None:
        self._folder, self._every_s, self._is_asked = folder, every_s, is_asked
        self.attempt = Attempt.claim(folder)
        self.size_bytes = size_bytes(folder)
        self._copy: Any = None
        self._epoch = 0  # of the copy, while it is not on the disk
        self._written_s = time.monotonic()
        self._error: Exception | None = None
        self._lock, self._is_over = threading.Lock(), threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> CheckpointWriter:
        """Begin to look whether it `is_asked`: a machine may be about to go in the first epoch, and where each one is written at once."""
        self._thread = threading.Thread(target=self._watch, name="checkpoints", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Write what is not on the disk. Raises as above, but not over another error."""
        self._is_over.set()
        if self._thread is not None:
            self._thread.join()
        self._write_copy()
        if error is None:
            self._raise()

    def write(self, epoch: int, state: State) -> None:
        """Write a state, and wait until it is on the disk. Raises OSError."""
        with self._lock:
            self._epoch, self._error = 0, None  # a copy of an earlier epoch is worth nothing now
            self._save(epoch, state)

    def keep(self, epoch: int, state: State) -> None:
        """Copy a state, to be written when it is time; not while the one before is being written. Raises OSError."""
        self._raise()
        if self._every_s == 0:
            self.write(epoch, state)
        elif self._lock.acquire(blocking=False):
            try:
                self._epoch = 0  # a copy that breaks off is of two epochs, and must never get to the disk
                self._copy = copied(state, self._copy)
                self._epoch = epoch
            finally:
                self._lock.release()

    def forget(self) -> None:
        """The trial has ended: what is not on the disk need not get there."""
        with self._lock:
            self._epoch = 0

    def _watch(self) -> None:
        while not self._is_over.wait(min(_LOOK_EVERY_S, self._every_s or _LOOK_EVERY_S)):
            if self._is_wanted() or time.monotonic() - self._written_s >= self._every_s:  # asked first: whoever asks is told so
                self._write_copy()

    def _is_wanted(self) -> bool:
        """Whether it is asked for; not where a shared disk can't say so just now."""
        with contextlib.suppress(OSError):
            return self._is_asked()
        return False

    def _write_copy(self) -> None:
        with self._lock:
            if self._epoch and self._error is None:
                try:
                    self._save(self._epoch, self._copy)
                    self._epoch = 0
                except Exception as error:  # told by the next call: this may be the thread
                    self._error = error

    def _save(self, epoch: int, state: State) -> None:
        self.attempt.refuse_superseded()
        save(self._folder, epoch, state, self.attempt.number)
        self.size_bytes = size_bytes(self._folder)
        self._written_s = time.monotonic()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error


def copied(live: Any, old: Any = None) -> Any:
    """The same state with every tensor copied to the host, into the memory of an `old` copy where it has the shape."""
    copy = _copied(live, old)
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.current_stream().synchronize()
    return copy


def _copied(live: Any, old: Any) -> Any:
    if isinstance(live, Tensor):
        is_fit = isinstance(old, Tensor) and old.shape == live.shape and old.dtype == live.dtype
        host = old if is_fit else torch.empty_like(live, device="cpu", requires_grad=False, pin_memory=live.is_cuda)
        return host.copy_(live.detach(), non_blocking=True)
    if isinstance(live, Mapping):
        return {key: _copied(value, old.get(key) if isinstance(old, Mapping) else None) for key, value in live.items()}
    if isinstance(live, list | tuple):
        olds = old if isinstance(old, list | tuple) and len(old) == len(live) else [None] * len(live)
        return type(live)(_copied(value, one) for value, one in zip(live, olds, strict=True))
    return live
