"""The study's journal with a checksum in every line and a copy beside it: a flipped digit is noticed, and what is damaged is mended.

Optuna numbers trials by the lines before, so that a line can't be left out; without its copy a damaged journal ends where it is damaged.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock
from optuna.storages.journal import JournalFileBackend

from visiontune.errors import Problem, UserError
from visiontune.filesystem.atomic_write import write_whole

_SUM = "crc"


class CheckedJournal(JournalFileBackend):
    """Optuna's journal file, whose lines carry the CRC-32 of their content; `copy` gets the same lines under the same lock."""

    def __init__(self, path: Path, copy: Path, lock: FileLock) -> None:
        super().__init__(str(path), lock_obj=lock)  # type: ignore[arg-type]
        self._path, self._copy, self._held = path, copy, lock

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """The journal is on the disk when this returns, the copy in the system's hands."""
        summed = [{**log, _SUM: _sum_of(log)} for log in logs]
        with self._held:
            super().append_logs(summed)
            with self._copy.open("ab") as file:
                file.write(b"".join(_line(log) for log in summed))

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:  # type: ignore[override]
        """Raises UserError that names a damaged line; the last one may be under way."""
        num_good = log_number_from
        try:
            for log in super().read_logs(log_number_from):
                if not _is_whole(log):
                    raise ValueError
                num_good += 1
                yield log
        except ValueError:
            rule = "is damaged; the next `visiontune search` with the study's file mends it out of its copy"
            raise UserError(Problem(str(self._path), num_good + 1, "", rule)) from None


def mend(path: Path, copy: Path) -> str:
    """Make the journal whole again, under the driver's lock: a torn last line goes, a damaged or lost one is had from the copy.

    Gives what was mended, "" for nothing. Raises UserError where journal and copy are damaged in the same line.
    """
    lines, spare = _lines(path), _lines(copy)
    if not path.exists() and not spare:
        return ""
    mended = []
    for number in range(max(len(lines), len(spare))):
        line, other = (one[number] if number < len(one) else b"" for one in (lines, spare))
        if not _is_good(line) and _is_good(other):
            line = other
            mended.append(number + 1)
        if not _is_good(line):
            if number >= len(lines) - 1:
                break  # torn by a kill, and its copy was never written
            rule = "is damaged, and so is its copy; a backup of the study's folder has it, or another study begins with --name"
            raise UserError(Problem(str(path), number + 1, "", rule))
        lines[number : number + 1] = [line]
    else:
        number = len(lines)
    whole = b"".join(lines[:number])
    if whole != (path.read_bytes() if path.exists() else b""):
        write_whole(path, whole)
    if whole != b"".join(spare):
        write_whole(copy, whole)
    return f"lines {', '.join(map(str, mended))} of {path.name} were damaged or lost, and are mended out of its copy" if mended else ""


def _lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True) if path.exists() else []


def _line(log: dict[str, Any]) -> bytes:
    return (json.dumps(log, separators=(",", ":")) + "\n").encode()


def _sum_of(log: dict[str, Any]) -> int:
    return zlib.crc32(_line(log))


def _is_whole(log: dict[str, Any]) -> bool:
    """Lines of earlier versions carry no sum."""
    return _SUM not in log or _sum_of({key: value for key, value in log.items() if key != _SUM}) == log[_SUM]


def _is_good(line: bytes) -> bool:
    try:
        return line.endswith(b"\n") and _is_whole(json.loads(line))
    except ValueError:
        return False
