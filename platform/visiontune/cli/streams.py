"""Output that never fails a job: of a terminal that is not UTF-8, of a reader that has left, of streams that were closed from the start.

What a file can't take, such as a full disk, is an error as ever.
"""

from __future__ import annotations

import codecs
import errno
import io
import os
import select
import sys
from typing import TextIO

_IN_PLACE = {ord(one): other for one, other in zip("×…→▁▂▃▄▅▆▇█░", "x~>_.:-=+*#.", strict=True)} | {ord("±"): "+-"}
"""For what visiontune itself writes beyond ASCII: as wide, but for one."""
ERRORS = "visiontune.plain"


def fit_streams() -> None:
    """Replace this process's output and errors by streams that outlive their readers, and have something for every character."""
    codecs.register_error(ERRORS, _plain)
    for number in range(3):  # or the first file that is opened would get what is printed
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
    sys.stdin = sys.stdin or os.fdopen(0, closefd=False)
    sys.stdout, sys.stderr = _fit(sys.stdout, 1), _fit(sys.stderr, 2)


def has_no_reader(stream: TextIO) -> bool:
    """Whether it leads into a pipe whose reader has seen enough."""
    try:
        pipe = select.poll()
        pipe.register(stream.fileno(), 0)  # errors and hang-ups are told without being asked for
        return bool(pipe.poll(0))
    except (OSError, ValueError):  # no file of the system's
        return False


class _Outliving(io.FileIO):
    """Once nobody reads, nothing more comes of it."""

    def __init__(self, number: int) -> None:
        super().__init__(number, "w", closefd=False)
        self._gone = (errno.EPIPE, errno.EIO) if self.isatty() else (errno.EPIPE,)

    def write(self, data: object) -> int:
        try:
            return super().write(data)  # type: ignore[arg-type]
        except OSError as error:
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.fileno())  # also where it is told, or Python's own last flush fails once more
            if error.errno not in self._gone:
                raise
            return super().write(data)  # type: ignore[arg-type]


def _fit(stream: TextIO | None, number: int) -> TextIO:
    encoding = getattr(stream, "encoding", "utf-8")
    file = _Outliving(number)
    is_line = number == 2 or file.isatty()
    return io.TextIOWrapper(io.BufferedWriter(file), encoding, ERRORS, line_buffering=is_line)


def _plain(error: UnicodeError) -> tuple[str, int]:
    """For a character that an encoding lacks; other than ours as JSON escapes it, within which it still means the same."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(_IN_PLACE.get(ord(one)) or _escaped(one) for one in lacking), error.end


def _escaped(one: str) -> str:
    units = one.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
