"""What happened in a study, one line of JSON for each: every start, promotion, wait, end, loss and move, with its reason.

For whoever watches. Nothing is decided from it: the study's storage is the state, and a log that is lost is begun anew.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

from visiontune.data.file_names import printable
from visiontune.filesystem.json_text import from_json
from visiontune.filesystem.uri import shown

POLL_S = 0.5


@dataclass(frozen=True)
class Event:
    """At `time_ms` (since 1970). `kind`: search, starts, promoted, resumed, exploits, waits, complete, pruned, failed, lost, hung,
    preempted, restored, disk, machine, retraining, mlflow.

    `trial` is its number, None where an event is of none.
    """

    time_ms: int
    kind: str
    trial: int | None
    text: str

    def to_dict(self) -> dict[str, Any]:
        """As JSON can carry it."""
        return asdict(self)

    def __str__(self) -> str:
        when = datetime.fromtimestamp(self.time_ms / 1000).strftime("%Y-%m-%d %H:%M:%S")
        return f"{when}  {self.kind:<10}  {'' if self.trial is None else f'trial {self.trial}: '}{self.text}"


class EventLog:
    """Appends to a file, from one thread; where the disk takes nothing more the search goes on without."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: TextIO | None = None

    def write(self, kind: str, trial: int | None, text: str) -> None:
        """Add an event of now."""
        event = Event(time.time_ns() // 1_000_000, kind, trial, printable(shown(text)))  # reasons name files, whose bytes may be no text
        line = json.dumps(event.to_dict(), ensure_ascii=False)
        try:
            if self._file is None:
                start = "\n" if _is_torn(self._path) else ""
                self._file = self._path.open("a", encoding="utf-8", buffering=1)
                self._file.write(start)
            self._file.write(line + "\n")
        except OSError:
            self._file = None


def read_events(path: Path) -> Iterator[Event]:
    """Those that are there, in order; a line that a kill left torn is left out."""
    if path.exists():
        with path.open(encoding="utf-8", errors="replace") as file:
            yield from filter(None, map(_event, file))


def follow_events(path: Path, is_over: Callable[[], bool]) -> Iterator[Event]:
    """Those that are there, then those that come, until nobody is left who might write some."""
    done, part = 0, ""
    while True:
        ends = is_over()  # before the last look
        if path.exists():
            with path.open(encoding="utf-8", errors="replace") as file:
                file.seek(done)
                part += file.read()
                done = file.tell()
            *lines, part = part.split("\n")
            yield from filter(None, map(_event, lines))
        if ends:
            return
        time.sleep(POLL_S)


def _is_torn(path: Path) -> bool:
    """Whether a kill left its last line without an end."""
    if not path.exists() or not path.stat().st_size:
        return False
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read() != b"\n"


def _event(line: str) -> Event | None:
    try:
        event = Event(**from_json(line))
        str(event)  # what is no time, and no word
    except (ValueError, TypeError, OverflowError, OSError):
        return None
    return event
