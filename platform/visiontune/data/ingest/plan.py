"""What an ingest reads: which pictures of a source, in which order and split."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from visiontune.data.source import Source
from visiontune.data.split import LEFT_OUT, TEST, VAL, Codes, IntArray, split_rows


@dataclass(frozen=True)
class Plan:
    """What is decoded, train before val before test: rows by part of the source, label and split code of all N pictures, names by part."""

    rows: Mapping[str, IntArray]
    label_N: IntArray
    code_N: Codes
    names: Callable[[str], Sequence[str]]

    def name(self, index: int) -> str:
        """The source's name of picture `index` of the plan. Raises IndexError."""
        for part, rows in self.rows.items():
            if index < len(rows):
                return self.names(part)[int(rows[index])]
            index -= len(rows)
        raise IndexError(index)


def make_plan(source: Source, data: Mapping[str, Any]) -> Plan:
    """Choose the rows. Raises UserError when a class is too small to be split, or max_pictures too few for all classes."""
    labels = source.labels()
    names, settings = source.class_names, fractions(source, data)
    code_N = split_rows(labels["train"], source.keys("train"), source.groups("train"), names, **settings, sets=source.label_sets)
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
