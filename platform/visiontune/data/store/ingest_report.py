"""What an ingest found, kept inside the store: what was set aside and why, repeats, sizes, labels that contradict each other."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from visiontune.data.source import Source


@dataclass(frozen=True)
class IngestReport:
    """`num_seen` pictures were labelled by the source and asked for; names are the source's.

    `set_aside`: {name, reason, is_bad}. `repeats`: {name, split, label, other, other_split, other_label, rows, similarity, is_dropped},
    1.0 for equal pixels; `rows` are the two in the store, None for one that is not there. `num_equal_in_train` counts pictures beyond
    the first of a group of equal ones, `conflicts` are pairs of equal pictures with two labels, with the same keys up to `rows`.
    `heights`, `widths`: min, median, max of the originals. `notes` are the source's. `unseen`: the share of a picture
    that is outside of the frame, median and max over all, where pictures are resized. `place` and `other_place` count the pictures in the
    order of the plan, whatever they are called; the source's own of `set_aside` have none, and come first, as do its `num_source_notes`
    notes. `first_name` is the source's name of its first training picture, "" in a report from before there were places.
    `has_eight_bits`: it is known that all pictures had 8 bits a channel.
    """

    source: str
    num_seen: int
    set_aside: tuple[Mapping[str, Any], ...]
    repeats: tuple[Mapping[str, Any], ...]
    num_equal_in_train: int
    conflicts: tuple[Mapping[str, Any], ...]
    heights: Mapping[str, int]
    widths: Mapping[str, int]
    num_shapes: int
    form: str
    notes: tuple[str, ...] = ()
    unseen: Mapping[str, float] = field(default_factory=dict)
    num_source_notes: int = 0
    first_name: str = ""
    has_eight_bits: bool = False

    def to_json(self) -> str:
        """One line."""
        return json.dumps(asdict(self), sort_keys=True, ensure_ascii=False)

    @staticmethod
    def from_json(text: bytes | str) -> IngestReport:
        """Raises ValueError or TypeError for what is no report."""
        known: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in json.loads(text).items()}
        return IngestReport(**known)


def aside_of(source: Source) -> tuple[Mapping[str, Any], ...]:
    """What a source sets aside before anything is decoded, as a report has it."""
    return tuple({"name": one.name, "reason": one.reason, "is_bad": one.is_bad} for one in source.set_aside)
