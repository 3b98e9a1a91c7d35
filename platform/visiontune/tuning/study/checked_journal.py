"""The study's journal with a checksum in every line and a copy beside it: a flipped digit is noticed, and what is damaged is mended.

Optuna numbers trials by the lines before, so that a line can't be left out; without its copy a damaged journal ends where it is damaged.
"""

from __future__ import annotations

import errno
import json
import os
import re
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from visiontune.errors import Problem, UserError
from visiontune.filesystem.atomic_write import write_whole
from visiontune.filesystem.json_text import from_json
from visiontune.tuning.study.disk_room import when_there_is_room

_SUM = "crc"
_SUMMED = re.compile(rb',"crc":(\d+)\}\n\Z')
_LONGEST_SUM = 24
_MOST_LISTED = 10


class CheckedJournal(JournalFileBackend):
    """Optuna's journal file, whose lines carry the CRC-32 of their content; `copy` gets the same lines under the same lock."""

    def __init__(self, path: Path, copy: Path, lock: FileLock) -> None:
        super().__init__(str(path), lock_obj=lock)  # type: ignore[arg-type]
        self._path, self._copy, self._held = path, copy, lock
        self.on_full: Callable[[str], None] = lambda what: None

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """The journal is on the disk when this returns, the copy in the system's hands. A full disk is waited for, and `on_full` told."""
        summed = [{**log, _SUM: _sum_of(log)} for log in logs]
        when_there_is_room(lambda: self._append(summed), lambda what: self.on_full(what))

    def _append(self, summed: list[dict[str, Any]]) -> None:
        """All or nothing; one that lacks what was read of it would be another study. Raises OSError."""
        self._refuse_gone()
        with self._held:
            sizes = {path: path.stat().st_size if path.exists() else 0 for path in (self._path, self._copy)}
            try:
                super().append_logs(summed)
                with self._copy.open("ab") as file:
                    file.write(b"".join(_line(log) for log in summed))
            except OSError:
                for path, size in sizes.items():
                    if path.exists():
                        os.truncate(path, size)
                raise

    def _refuse_gone(self) -> None:
        if len(self._log_number_offset) > 1 and not self._path.exists():
            raise FileNotFoundError(errno.ENOENT, "the study was moved or removed while it was in use", str(self._path))

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:  # type: ignore[override]
        """Raises UserError that names a damaged line; the last one may be under way.

        Sums are checked on bytes: to write each line again for it took as long as all else.
        """
        number = log_number_from if log_number_from in self._log_number_offset else 0
        at, needs_sum = self._log_number_offset[number], False
        self._refuse_gone()
        with self._path.open("rb") as file:
            end = os.fstat(file.fileno()).st_size
            file.seek(at)
            for line in file:
                at += len(line)
                is_asked = number >= log_number_from
                log = _log_of(line) if is_asked or at >= end else None
                if at > end or (at == end and log is None):
                    return
                if not _is_good(line, needs_sum) or (is_asked and log is None):
                    rule = "is damaged; the next `visiontune search FILE` with the study's file mends it out of its copy"
                    raise UserError(Problem(str(self._path), number + 1, "", rule))
                number, needs_sum = number + 1, _is_good(line, True)
                self._log_number_offset[number] = at
                if is_asked and log is not None:
                    yield log


class CheckedStorage(JournalStorage):
    """Optuna's storage over such a file, which it gives."""

    def __init__(self, file: CheckedJournal) -> None:
        super().__init__(file)
        self.file = file


def mend(path: Path, copy: Path) -> str:
    """Make the journal whole again, under the driver's lock: a torn last line goes, a damaged or lost one is had from the copy.

    Gives what was mended, "" for nothing. Raises UserError where journal and copy are damaged in the same line.
    """
    journal, spare = (one.read_bytes() if one.exists() else b"" for one in (path, copy))
    lines: list[bytes] = []
    mended, at, needs_sum = [], 0, False
    while at < max(len(journal), len(spare)):  # both have the same lines at the same places, wherever a damaged one may seem to end
        line, other = (one[at : one.find(b"\n", at) + 1 or len(one)] for one in (journal, spare))
        needs_sum = needs_sum or _is_good(other, True)
        if not _is_good(line, needs_sum) and _is_good(other, needs_sum):
            line = other
            mended.append(str(len(lines) + 1))
        if not _is_good(line, needs_sum):
            if at + len(line) >= len(journal) and at + len(other) >= len(spare):
                break  # torn by a kill, and its copy was never written
            rule = "is damaged, and so is its copy; a backup of the study's folder has it, or another study begins with `name=NAME`"
            raise UserError(Problem(str(path), len(lines) + 1, "", rule))
        lines.append(line)
        at, needs_sum = at + len(line), _is_good(line, True)
    whole = b"".join(lines)
    for one, content in ((path, journal), (copy, spare)):
        if whole != content:
            write_whole(one, whole)
    shown = ", ".join(mended[:_MOST_LISTED]) + (f" and {len(mended) - _MOST_LISTED} more" if len(mended) > _MOST_LISTED else "")
    return f"lines of {path.name} were damaged or lost, and are mended out of its copy: {shown}" if mended else ""


def _line(log: dict[str, Any]) -> bytes:
    return (json.dumps(log, separators=(",", ":")) + "\n").encode()


def _sum_of(log: dict[str, Any]) -> int:
    return zlib.crc32(_line(log))


def _is_good(line: bytes, needs_sum: bool) -> bool:
    """Whether its sum is right; lines of earlier versions, before all others, carry none."""
    if (summed := _SUMMED.search(line, max(0, len(line) - _LONGEST_SUM))) is not None:
        return zlib.crc32(line[: summed.start()] + b"}\n") == int(summed[1])
    return not needs_sum and _is_json(line) and _SUM not in from_json(line)


def _is_json(line: bytes) -> bool:
    return _log_of(line) is not None


def _log_of(line: bytes) -> dict[str, Any] | None:
    """What a whole line says, None for one that is torn or damaged."""
    try:
        found = from_json(line, _shared) if line.endswith(b"\n") else None
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _shared(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A mapping whose texts are the same objects in all lines: of a trial's 20 kB in Optuna's memory they were 8."""
    return {sys.intern(key): sys.intern(value) if type(value) is str else value for key, value in pairs}
