"""A few hundred pictures of a source, decoded before there is a store: how many can't be read, their depth, how far they are enlarged."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from visiontune.data.file_names import printable
from visiontune.data.picture.bad_picture import BadPicture, Values
from visiontune.data.picture.decode import values_and_size
from visiontune.data.picture.depth import Depth, asked_depth, depth_around
from visiontune.data.picture.frame import enlargement_note
from visiontune.data.picture.stored_form import is_large
from visiontune.data.source import Source
from visiontune.data.split import IntArray
from visiontune.errors import Problem, UserError, plural
from visiontune.spec.declarations.image_size import sides

NUM, ENOUGH_S = 300, 3.0
_AT_ONCE, _MAX_SHOWN = 16, 3


@dataclass
class Sample:
    """What was found of `num` pictures of `num_all`. `bad` are names with reasons, `ends` least and greatest values of more than 8 bits.

    `aside` are the bad ones that the source left out before, such as those without a label: none of `num_all`.
    """

    num_all: int
    aside: list[str]
    num: int = 0
    bad: list[str] = field(default_factory=list)
    ends: list[Depth] = field(default_factory=list)
    shapes: list[tuple[int, int]] = field(default_factory=list)

    @property
    def num_bad(self) -> int:
        """That are known of: at least so many an ingest finds."""
        return len(self.bad) + len(self.aside)

    @property
    def num_seen(self) -> int:
        """All that an ingest counts."""
        return self.num_all + len(self.aside)

    @property
    def likely_share(self) -> float:
        """The share of all that is bad if those that were not looked at are like the others."""
        return (len(self.bad) / self.num * self.num_all + len(self.aside)) / self.num_seen


def sample_lines(source: Source, data: Mapping[str, Any], *, enough_s: float = ENOUGH_S, refuses: bool = False) -> list[str]:
    """Sentences, the first on how many were read; none for a source without files. `data` has its defaults.

    Raises UserError where it `refuses` and an ingest would, whatever the pictures that were not read.
    """
    if not source.names("train") or source.stamps is None:
        return []
    found = _looked_at(source, data, enough_s)
    first, *others = _said(found, data)
    if refuses and found.num_bad / found.num_seen > data["allow_bad"]:
        enough = -(-100 * found.num_bad // found.num_seen) / 100
        raise UserError(Problem("", 0, "data", f"{first}; data.allow_bad={enough:g} lets them pass"))
    return [first, *others]


def _looked_at(source: Source, data: Mapping[str, Any], enough_s: float) -> Sample:
    """Some of each part, evenly drawn, until there are NUM or the time is over: then what was seen is as good a draw."""
    labels, rng, start_s = source.labels(), np.random.default_rng(0), time.monotonic()
    aside = [printable(f"{one.name} {one.reason}") for one in source.set_aside if one.is_bad]
    found = Sample(sum(map(len, labels.values())), aside)
    side = max(sides(data["image_size"])) if data["image_size"] is not None else None
    for part, label_N in labels.items():
        wanted = max(1, round(NUM * len(label_N) / found.num_all))
        for rows in _blocks(len(label_N), wanted, source.begins(part), rng):
            _add(found, source, part, rows, side)
            if time.monotonic() - start_s > enough_s:
                break  # of each part that is left some are decoded all the same
    return found


def _blocks(num: int, wanted: int, begin_B: IntArray, rng: np.random.Generator) -> Iterator[IntArray]:
    """Ascending rows, some at a time; where something is read as a whole from those that begin it, they are neighbours."""
    if len(begin_B) > 1:
        for begin in rng.permutation(begin_B)[: -(-wanted // _AT_ONCE)].tolist():
            yield np.arange(begin, min(begin + _AT_ONCE, num))
        return
    rows = rng.permutation(num)[:wanted]
    for low in range(0, wanted, _AT_ONCE):
        yield np.sort(rows[low : low + _AT_ONCE])


def _add(found: Sample, source: Source, part: str, rows: IntArray, side: int | None) -> None:
    read: Iterator[Any] = (source.encoded or source.pictures)(part, rows)
    for row, content in zip(rows.tolist(), read, strict=True):
        found.num += 1
        try:
            values, size = _decoded(content, side)
        except BadPicture as error:
            found.bad.append(printable(f"{source.names(part)[row]} {error}"))
            continue
        found.shapes.append(size)
        if values.dtype != np.uint8:
            found.ends.append((float(values.min()), float(values.max())))


def _decoded(content: Any, side: int | None) -> tuple[Values, tuple[int, int]]:
    if isinstance(content, BadPicture):
        raise content
    return (content, content.shape[:2]) if isinstance(content, np.ndarray) else values_and_size(content, side)


def _said(found: Sample, data: Mapping[str, Any]) -> Iterator[str]:
    yield _how_many(found, data["allow_bad"])
    yield from _depth(found, data)
    if data["image_size"] is not None and found.shapes:
        frame = data.get("frame") or ("crop" if is_large(sides(data["image_size"])) else "squash")
        yield from enlargement_note(np.array(found.shapes), sides(data["image_size"]), frame)


def _how_many(found: Sample, allow_bad: float) -> str:
    is_some = found.num < found.num_all
    whose = f"a sample of {found.num:,} of {plural(found.num_all, 'picture')}" if is_some else f"all {found.num:,} pictures"
    said = f"{whose} {'was' if is_some else 'were'} decoded, and can be read"
    if found.bad:
        about = f", so about {round(len(found.bad) / found.num * found.num_all):,} of {found.num_all:,}" if is_some else ""
        said = f"{len(found.bad):,} of {whose} can't be read{about}"
    if found.aside:
        said += f"{', and' if found.bad else ';'} {len(found.aside):,} beside them can't be used"
    if not found.num_bad:
        return said
    too_many = f", more than data.allow_bad = {allow_bad:g} lets pass" if found.likely_share > allow_bad else ""
    shown = "; ".join([*found.bad, *found.aside][:_MAX_SHOWN]) + ("; ..." if found.num_bad > _MAX_SHOWN else "")
    return f"{said}{too_many}: {shown}"


def _depth(found: Sample, data: Mapping[str, Any]) -> Iterator[str]:
    if not found.ends:
        return
    low, high = min(least for least, _ in found.ends), max(greatest for _, greatest in found.ends)
    num = f"{len(found.ends):,} of the sample {'has' if len(found.ends) == 1 else 'have'}"
    have = f"{num} more than 8 bits, with values from {low:,.0f} to {high:,.0f}"
    asked = asked_depth(data["depth"]) if "depth" in data else (0, 65535)
    used = depth_around(low, high) if asked is None else asked
    word = "auto, unless other pictures hold more" if asked is None else "as asked" if "depth" in data else "as before there was the key"
    yield f"{have}: {used[0]:,.0f} to {used[1]:,.0f} become 0 to 255 (data.depth, {word})"
