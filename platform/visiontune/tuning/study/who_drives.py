"""Who drives a study and what it does now, for whoever looks on: by the lock in its folder, by the lease in its database.

A driver writes down every few seconds how it stands (`Heartbeat`), as neither lock nor lease says. Nothing is decided from that.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import fields
from typing import Any

from visiontune.filesystem.atomic_write import write_whole
from visiontune.filesystem.file_lock import is_held
from visiontune.filesystem.json_text import from_json
from visiontune.filesystem.study_folder import StudyFolder
from visiontune.tuning.records.records import Driver

BEAT_S = 5.0
SILENT_S = 60.0
"""Without a sign for so long a driver may be frozen, or its machine cut off."""
_LISTS = ("running_trials", "staged_trials")
LEASE = "driver"
"""The study's attribute that is its lease, where it lives in a database."""


class Heartbeat:
    """Writes down what this process, a driver, does, at most every BEAT_S."""

    def __init__(self, folder: StudyFolder) -> None:
        self._path, self._last_s = folder.driver_state, float("-inf")

    def beside(self, screen: Callable[[Any], None]) -> Callable[[Any], None]:
        """A screen that gets its snapshots after this."""

        def show(snapshot: Any) -> None:
            self.beat(snapshot)
            screen(snapshot)

        return show

    def beat(self, snapshot: Any) -> None:
        """Where the disk takes nothing the search goes on without."""
        if time.monotonic() - self._last_s < BEAT_S:
            return
        self._last_s = time.monotonic()
        known = {"pid": os.getpid(), "at_s": round(time.time(), 1)}
        shown = ("phase", "num_running", "num_staged", "waits_s", "num_nodes", "num_gpus", *_LISTS)
        with suppress(OSError):
            self._path.parent.stat()  # or one that was moved away would be made again
            write_whole(self._path, json.dumps({**known, **{key: getattr(snapshot, key) for key in shown}}), use_fsync=False)


def holder_of(folder: StudyFolder) -> Driver | None:
    """Who holds the lock of a study's folder; None where nobody does, as far as this machine can tell."""
    if not is_held(folder.lock):
        return None
    holder = _read(folder.lock.read_text)
    if not {"pid", "host", "since"} <= holder.keys():
        return Driver(0, "another machine or process", "a moment ago")
    said = _read(folder.driver_state.read_text)
    return _driver(holder, said if said.get("pid") == holder["pid"] else {})


def driver_of(folder: StudyFolder, attributes: Mapping[str, Any]) -> Driver | None:
    """The same, or who holds the lease among a study's attributes: for words alone, since clocks of two machines are compared."""
    if (holder := holder_of(folder)) is not None:
        return holder
    lease = attributes.get(LEASE)
    return _driver(lease, lease) if lease and time.time() - lease.get("at_s", 0.0) < SILENT_S else None


def _driver(holder: Mapping[str, Any], said: Mapping[str, Any]) -> Driver:
    names = [one.name for one in fields(Driver)]
    known: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in {**said, **holder}.items() if key in names
    }
    return Driver(**known)


def _read(read: Any) -> dict[str, Any]:
    try:
        found = from_json(read())
        return found if isinstance(found, dict) else {}
    except (OSError, ValueError):
        return {}
