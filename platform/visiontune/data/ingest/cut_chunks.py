"""The rows of a plan cut into chunks, which are done by many cores and need not be done again after a kill."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

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
    rows_by_part: Mapping[str, IntArray],
    first: tuple[int, int, int],
    begins: Callable[[str], IntArray],
    stamps: Stamps | None = None,
    *,
    is_digested: bool = False,
) -> list[Rows]:
    """Chunks of a second's work or so: enough of them to keep many cores busy, not so small that a file is opened for nothing.

    None goes beyond what begins within it (`Source.begins`), so that this is read for one chunk, unless it has more rows than a chunk.
    """
    num, pixels = sum(map(len, rows_by_part.values())), first[0] * first[1]
    wanted = max(_WORK_PIXELS // pixels, min(_MOST_PIXELS // pixels, num // _MOST_CHUNKS))
    step = min(max(wanted, _FEWEST_ROWS), _MOST_ROWS)
    chunks: list[Rows] = []
    start = 0
    for part, rows in rows_by_part.items():
        low, edges = 0, np.unique(np.searchsorted(rows, begins(part)))
        while low < len(rows):
            high = _end(low, low + step, edges, len(rows))
            some = rows[low:high]
            chunks.append(Rows(len(chunks), part, some, start, is_digested, _stamp(stamps, part, some)))
            start, low = start + len(some), high
    return chunks


def are_split(chunks: Sequence[Rows], begins: Callable[[str], IntArray]) -> bool:
    """Whether two chunks have rows of one group: threads can share what is read of it, processes would read it anew."""
    edges = {part: begins(part) for part in {chunk.part for chunk in chunks}}
    numbers = ((chunk.part, np.searchsorted(edges[chunk.part], chunk.rows[[0, -1]], "right")) for chunk in chunks)
    ends = [(part, *pair.tolist()) for part, pair in numbers if len(edges[part])]
    return any(one[0] == other[0] and one[2] == other[1] for one, other in pairwise(ends))


def _end(low: int, high: int, edges: IntArray, num: int) -> int:
    """Where the chunk from `low` ends: at the last edge up to `high`, where there is one and more follows, else there."""
    inside = edges[np.searchsorted(edges, low, "right") : np.searchsorted(edges, high, "right")]
    return int(inside[-1]) if len(inside) and high < num else min(high, num)


def _stamp(stamps: Stamps | None, part: str, rows: IntArray) -> str:
    return hashlib.sha256(stamps.of_rows[part][rows].astype("<u8").tobytes()).hexdigest() if stamps and stamps.of_rows else ""
