"""The rows of a plan cut into chunks, which are done by many cores and need not be done again after a kill."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from visiontune.data.source import Stamps
from visiontune.data.split import IntArray

_WORK_PIXELS, _MOST_PIXELS, _MOST_CHUNKS = 1 << 20, 64 << 20, 64
_FEWEST_ROWS, _MOST_ROWS = 16, 1024


@dataclass(frozen=True)
class Rows:
    """A chunk's share of the plan: rows of one part, where the first of them stands in the plan, and whether files' digests are wanted.

    `stamp` changes with the files of these rows.
    """

    number: int
    part: str
    rows: IntArray
    start: int
    is_digested: bool
    stamp: str = ""


def cut(
    rows_by_part: Mapping[str, IntArray], first: tuple[int, int, int], stamps: Stamps | None = None, *, is_digested: bool
) -> list[Rows]:
    """Chunks of a second's work or so: enough of them to keep many cores busy, not so small that a file is opened for nothing."""
    num, pixels = sum(map(len, rows_by_part.values())), first[0] * first[1]
    wanted = max(_WORK_PIXELS // pixels, min(_MOST_PIXELS // pixels, num // _MOST_CHUNKS))
    step = min(max(wanted, _FEWEST_ROWS), _MOST_ROWS)
    chunks: list[Rows] = []
    start = 0
    for part, rows in rows_by_part.items():
        for low in range(0, len(rows), step):
            some = rows[low : low + step]
            chunks.append(Rows(len(chunks), part, some, start, is_digested, _stamp(stamps, part, some)))
            start += len(chunks[-1].rows)
    return chunks


def _stamp(stamps: Stamps | None, part: str, rows: IntArray) -> str:
    return hashlib.sha256(stamps.of_rows[part][rows].astype("<u8").tobytes()).hexdigest() if stamps and stamps.of_rows else ""
