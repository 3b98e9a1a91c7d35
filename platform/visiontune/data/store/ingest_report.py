"""What an ingest found, kept inside the store: what was set aside and why, repeats, sizes, labels that contradict each other."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class IngestReport:
    """`num_seen` pictures were labelled by the source and asked for; names are the source's.

    `set_aside`: {name, reason, is_bad}. `repeats`: {name, split, label, other, other_split, other_label, rows, similarity, is_dropped},
    1.0 for equal pixels; `rows` are the two in the store, None for one that is not there. `num_equal_in_train` counts pictures beyond
    the first of a group of equal ones, `conflicts` are pairs of equal pictures with two labels, with the same keys up to `rows`.
    `heights`, `widths`: min, median, max of the originals. `notes` are the source's. `unseen`: the share of a picture
    that is outside of the frame, median and max over all, where pictures are resized.
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

    def to_json(self) -> str:
        """One line."""
        return json.dumps(asdict(self), sort_keys=True, ensure_ascii=False)

    @staticmethod
    def from_json(text: bytes | str) -> IngestReport:
        """Raises ValueError or TypeError for what is no report."""
        known: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in json.loads(text).items()}
        return IngestReport(**known)
