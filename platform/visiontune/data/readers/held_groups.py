"""Row groups that are held while rows of them are asked for, so that each is read from its file once, whoever asks and how often."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from visiontune.filesystem.cgroup import num_cpus


class HeldGroups:
    """The last few, one for each thread that decodes and one more: chunks are taken in the order of their rows."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held = OrderedDict[Any, Future[Any]]()

    def get(self, key: Any, read: Callable[[], Any]) -> Any:
        """What `read` gives: called by whoever asks first, others wait. Raises what it raises."""
        with self._lock:
            future, is_first = self._held.get(key), key not in self._held
            if future is None:
                future = self._held[key] = Future()
            self._held.move_to_end(key)
            while len(self._held) > num_cpus() + 1:
                self._held.popitem(last=False)
        if is_first:
            try:
                future.set_result(read())
            except BaseException as error:
                with self._lock:
                    self._held.pop(key, None)
                future.set_exception(error)
        return future.result()
