"""The outbox: a study's events for MLflow as JSON lines, appended by the driver and sent by the writer.

`outbox.jsonl` only grows; `outbox.sent` says how many of its bytes MLflow has. Both survive kill -9: an event is one
write to a file opened with O_APPEND, `outbox.sent` is replaced by a rename. A line that a killed driver left unfinished is
ended by the next one and skipped by the reader.

Neither waits for the disk: what a crash of the machine takes of them, the next driver says again out of the study
(tuning/search/study_again.py), and MLflow takes it once. A sync after each event took 4 ms where the event took 1 us (ext4, busy machine).
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from visiontune.filesystem.atomic_write import write_whole
from visiontune.filesystem.json_text import from_json
from visiontune.filesystem.study_folder import StudyFolder
from visiontune.tracking.sqlite_file import is_missing, state

Event = Mapping[str, Any]
_LONGEST_COUNTED = 1 << 20  # bytes; a line that a kill left torn is not one to wait for


def child_name(event: Event) -> str:
    """By which a child is found again: a trial's number or a confirmation's key."""
    return str(event.get("key" if event["event"] == "confirmation" else "number"))


class Outbox:
    """The driver's end, to append events; one open Outbox for a study at a time."""

    def __init__(self, folder: StudyFolder) -> None:
        folder.path.mkdir(parents=True, exist_ok=True)
        self._path = folder.outbox
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        size = os.fstat(self._descriptor).st_size
        self._is_torn = size > 0 and os.pread(self._descriptor, 1, size - 1) != b"\n"

    def put(self, event: Mapping[str, Any]) -> None:
        """Append one event; some 10 us, never waits for MLflow. Raises OSError when the disk is full."""
        line = json.dumps(event, separators=(",", ":"), default=_for_json).encode() + b"\n"
        data = b"\n" + line if self._is_torn else line
        written = 0
        try:
            written = os.write(self._descriptor, data)
        finally:
            self._is_torn = written != len(data) and (written > 0 or self._is_torn)
        if written != len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path))

    def close(self) -> None:
        """Further puts fail."""
        os.close(self._descriptor)


def _for_json(value: Any) -> Any:
    """Mappings, numpy scalars and anything else as JSON knows them."""
    if isinstance(value, Mapping):
        return dict(value)
    return value.item() if hasattr(value, "item") else str(value)


@dataclass(frozen=True)
class Line:
    """One event and the offset of the byte after it."""

    end: int
    event: Mapping[str, Any]


def read_lines(folder: StudyFolder, offset: int, max_bytes: int = 1 << 20) -> tuple[list[Line], int]:
    """Events from byte `offset` on, and the offset of the byte after the last whole line; lines that are no events are left out."""
    try:
        with folder.outbox.open("rb") as file:
            file.seek(offset)
            data = file.read(max_bytes)
            if data and b"\n" not in data:
                data += file.readline()
    except FileNotFoundError:
        return [], offset
    lines, end = [], offset
    for raw in data.split(b"\n")[:-1]:
        end += len(raw) + 1
        event = _event(raw)
        if event is not None:
            lines.append(Line(end, event))
    return lines, end


def _event(raw: bytes) -> Mapping[str, Any] | None:
    try:
        event = from_json(raw)
    except ValueError:
        return None
    return event if isinstance(event, dict) and isinstance(event.get("event"), str) else None


def lines_until(folder: StudyFolder, end: int | None = None) -> Iterator[Line]:
    """Every event up to byte `end`, in order."""
    position = 0
    while True:
        lines, after = read_lines(folder, position)
        yield from (line for line in lines if end is None or line.end <= end)
        if after == position or (end is not None and after >= end):
            return
        position = after


@dataclass(frozen=True)
class Sent:
    """How far the writer is: bytes that MLflow has, a hash of its address, what holds it up now, how many events it refused for good.

    `writer` is the process that wrote this, `is_asked` whether it has found out if MLflow still has what it was sent, `told` what it found.
    `settled` is the state of a database that is a file, once it had everything.
    """

    offset: int = 0
    server: str = ""
    trouble: str = ""
    num_refused: int = 0
    writer: int = 0
    is_asked: bool = False
    told: Sequence[str] = ()
    settled: str = ""

    def save(self, folder: StudyFolder) -> None:
        """Replace outbox.sent, whole or not at all. A power cut may bring an older one back, and then events are sent again."""
        write_whole(folder.outbox_sent, json.dumps(asdict(self)), use_fsync=False)


def load_sent(folder: StudyFolder, uri: str) -> Sent:
    """outbox.sent for this server; the start when there is none, it is another server's, or outbox or database are not what it says."""
    server = _server(uri)
    try:
        sent = Sent(**from_json(folder.outbox_sent.read_bytes()))
        if sent.server == server and 0 <= sent.offset <= folder.outbox.stat().st_size and not is_missing(uri):
            return sent
    except (OSError, ValueError, TypeError):
        pass
    return Sent(server=server)


def _server(uri: str) -> str:
    """A hash, for the URI may hold a password. A local file counts anew after a reboot: a power cut may have cost its last writes."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    kept = boot.read_text() if uri.startswith("sqlite") and boot.exists() else ""
    return hashlib.sha256((uri + kept).encode()).hexdigest()[:16]


def num_unsent(folder: StudyFolder, uri: str) -> int:
    """Whole lines that MLflow does not have yet."""
    try:
        with folder.outbox.open("rb") as file:
            file.seek(load_sent(folder, uri).offset)
            return sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(1 << 20), b""))
    except FileNotFoundError:
        return 0


def is_all_sent(folder: StudyFolder, uri: str) -> bool:
    """The same as no line unsent, without counting the lines of a long rest."""
    with suppress(FileNotFoundError):
        left = folder.outbox.stat().st_size - load_sent(folder, uri).offset
        return left == 0 or (left <= _LONGEST_COUNTED and not num_unsent(folder, uri))
    return True


def is_settled(folder: StudyFolder, uri: str) -> bool:
    """Whether MLflow has everything for certain, without asking: nobody has written to its file since."""
    return load_sent(folder, uri).settled == state(uri) != "" and not num_unsent(folder, uri)


class Refusals:
    """Events that MLflow refuses for good: set aside in outbox.refused.jsonl with the reason, each once."""

    def __init__(self, folder: StudyFolder, server: str) -> None:
        self._path, self._server = folder.outbox_refused, server
        self.ends: set[int] = set()
        if self._path.exists():
            rows = [row for row in map(_row, self._path.read_text().splitlines()) if row.get("server") == server]
            self.ends = {row["end"] for row in rows}

    def __len__(self) -> int:
        return len(self.ends)

    def add(self, line: Line, reason: str) -> bool:
        """Set it aside; False when it already is."""
        if line.end in self.ends:
            return False
        row = {"end": line.end, "server": self._server, "reason": reason, "event": line.event}
        with self._path.open("a") as file:
            file.write(json.dumps(row) + "\n")
        self.ends.add(line.end)
        return True


def _row(text: str) -> dict[str, Any]:
    try:
        return dict(from_json(text))
    except (ValueError, TypeError):
        return {}
