"""Which values of files with more than 8 bits become 0 and 255, as asked or by what the training pictures hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from visiontune.data.ingest.plan import Plan
from visiontune.data.ingest.progress import Progress, Tell
from visiontune.data.picture.bad_picture import BadPicture, Values
from visiontune.data.picture.decode import decode_values, is_deep_file
from visiontune.data.picture.depth import DEEP, Depth, asked_depth, depth_around
from visiontune.data.source import Source
from visiontune.data.split import TRAIN, IntArray

_PEEK = 64
_BLOCK = 256


def find_depth(source: Source, data: Mapping[str, Any], plan: Plan, tell: Tell) -> Depth:
    """As `data.depth` says. auto: the least range of an instrument around all values of the training pictures.

    64 of them, spread over the whole, are looked at; only where one has more than 8 bits all are, until one has more than 14.
    """
    asked = asked_depth(data["depth"]) if "depth" in data else DEEP
    if asked is not None:
        return asked
    rows = plan.rows["train"][plan.code_N[: len(plan.rows["train"])] == TRAIN]
    if not any(True for _ in _deep(source, rows[np.unique(np.linspace(0, len(rows) - 1, _PEEK).astype(int))])):
        return DEEP
    found = DEEP
    ends: list[float] = []
    for low in range(0, len(rows), _BLOCK):
        tell(Progress("reading", low, len(plan.label_N), 0, 0))
        for values in _deep(source, rows[low : low + _BLOCK]):
            ends += [float(values.min()), float(values.max())]
        found = depth_around(min(ends, default=0), max(ends, default=DEEP[1]))
        if found == DEEP:
            break
    return found


def depth_note(depth: Depth) -> Iterator[str]:
    """A sentence, where values are mapped otherwise than all of 16 bits."""
    if depth != DEEP:
        low, high = depth
        yield f"of files with more than 8 bits values from {low:,} to {high:,} become 0 to 255 (data.depth)"


def _deep(source: Source, rows: IntArray) -> Iterator[Values]:
    """What those with more than 8 bits hold."""
    if source.encoded is None:
        yield from (one for one in source.pictures("train", rows) if not isinstance(one, BadPicture) and one.dtype != np.uint8)
        return
    for content in source.encoded("train", rows):
        if isinstance(content, BadPicture) or not is_deep_file(content):
            continue
        try:
            values = decode_values(content)
        except BadPicture:
            continue
        if values.dtype != np.uint8:
            yield values
