"""How far an ingest or an evaluation is, and the exception that stops it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """`num_kept` of those done were decoded by an earlier call; `stage` is waiting (for another that makes the same), reading,
    fetching, decoding, comparing, writing or predicting; of `visiontune inspect` a view, or a training whose epochs are counted.
    """

    stage: str
    num_done: int
    num: int
    num_kept: int
    num_bad: int


Tell = Callable[[Progress], None]


class Stopped(Exception):
    """The caller asked to stop; finished chunks stay for the next call."""
