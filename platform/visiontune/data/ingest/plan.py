"""What an ingest reads: which pictures of a source, in which order and split; and how many of them may be bad."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from visiontune.data.ingest.chunk_file import Chunk
from visiontune.data.source import Source
from visiontune.data.split import LEFT_OUT, TEST, VAL, Codes, IntArray, split_rows
from visiontune.errors import Problem, UserError

_MAX_LISTED = 5


@dataclass(frozen=True)
class Plan:
    """What is decoded: rows of each of the source's parts, then label, split and name of every picture, in the file's order."""

    rows: Mapping[str, IntArray]
    label_N: IntArray
    code_N: Codes
    names: Callable[[str], Sequence[str]]

    def name(self, place: int) -> str:
        """Where the source has the picture."""
        for part, rows in self.rows.items():
            if place < len(rows):
                return self.names(part)[int(rows[place])]
            place -= len(rows)
        raise IndexError(place)


def make_plan(source: Source, data: Mapping[str, Any]) -> Plan:
    """Choose the rows. Raises UserError when a class is too small to be split."""
    labels = source.labels()
    code_N = split_rows(labels["train"], source.keys("train"), source.groups("train"), source.class_names, **fractions(source, data))
    rows = {"train": np.flatnonzero(code_N != LEFT_OUT)}
    label, code = [labels["train"][rows["train"]]], [code_N[rows["train"]]]
    for part, number in (("val", VAL), ("test", TEST)):
        if part in labels:
            rows[part] = np.arange(len(labels[part]), dtype=np.int64)
            label.append(labels[part])
            code.append(np.full(len(labels[part]), number, np.uint8))
    return Plan(rows, np.concatenate(label), np.concatenate(code), cache(source.names))


def fractions(source: Source, data: Mapping[str, Any]) -> dict[str, Any]:
    """What `split_rows` takes: None for a part that the source has."""
    return {
        "seed": data["seed"],
        "val_fraction": None if source.has_val else data["val_fraction"],
        "test_fraction": None if source.has_test else data["test_fraction"],
        "max_pictures": data["max_pictures"],
    }


class Limit:
    """Bad pictures so far, against data.allow_bad."""

    def __init__(self, source: Source, plan: Plan, allow_bad: float) -> None:
        before = [one for one in source.set_aside if one.is_bad]
        self._plan, self._allow_bad = plan, allow_bad
        self._num, self._num_before = len(plan.label_N) + len(before), len(before)
        self._num_seen = self._num_before
        self._before = [Problem(one.name, 0, "", one.reason) for one in before[:_MAX_LISTED]]
        self._bad: list[tuple[int, str]] = []

    @property
    def num_bad(self) -> int:
        return self._num_before + len(self._bad)

    def add(self, chunk: Chunk) -> None:
        self._bad += chunk.bad
        self._num_seen += len(chunk.place_K) + len(chunk.bad)
        self.check()

    def check(self) -> None:
        """Raise UserError above the share, with the first of them."""
        if self.num_bad <= self._allow_bad * self._num:
            return
        listed = [Problem(self._plan.name(place), 0, "", f"picture {reason}") for place, reason in sorted(self._bad)[:_MAX_LISTED]]
        so_far = "" if self._num_seen == self._num else " so far"
        rule = f"of {self._num:,} pictures {self.num_bad:,}{so_far} can't be used"
        rule += f", more than the share that data.allow_bad = {self._allow_bad:g} allows; with a larger one the same command goes on"
        raise UserError(*[*listed, *self._before][:_MAX_LISTED], Problem("", 0, "", rule))
