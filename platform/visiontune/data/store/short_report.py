"""What a person should know of pictures before a trial starts, in a few lines: how many, how they were read, what is not among them.

A search, a training and a check say the same. What is set aside is told by reason, with three names each.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from visiontune.data.file_names import printable
from visiontune.data.label_sets import count_classes
from visiontune.data.source import Source
from visiontune.data.store.ingest_report import IngestReport, aside_of
from visiontune.data.store.store import Store
from visiontune.errors import UserError, plural

_NAMES, _REASONS, _CLASSES = 3, 4, 12
_PARTS = ("train", "val", "test")


def short_report(store: Store) -> list[str]:
    """Of an ingest: one line where there is nothing to say but numbers."""
    index = {"train": store.train_idx, "val": store.val_idx, "test": store.test_idx}
    counts = {part: store.counts_C(rows).tolist() for part, rows in index.items()}
    nums = {part: len(rows) for part, rows in index.items()}
    try:
        report = store.report()
    except UserError:  # without one there is nothing more to tell
        return [_numbers(nums, store.class_names)]
    found = [
        *report.notes,
        *_set_aside(report.set_aside, f"of {plural(report.num_seen, 'picture')}"),
        *_repeats(report),
        *_lacking(counts, store.class_names),
    ]
    more = [f"`visiontune data {store.digest[:12]}` lists all"] if found[len(report.notes) :] else []
    return [_numbers(nums, store.class_names), *([_classes(counts, store.class_names)] if found else []), *found, *more]


def short_report_of_source(source: Source) -> list[str]:
    """Before an ingest: val and test may still be split off, and no picture was decoded."""
    sets, num = source.label_sets, len(source.class_names)
    counts = {part: count_classes(labels, sets, num).tolist() for part, labels in source.labels().items()}
    nums = {part: len(labels) for part, labels in source.labels().items()}
    found = [*source.notes, *_set_aside(aside_of(source), f"beside {plural(sum(nums.values()), 'picture')}")]
    return [_numbers(nums, source.class_names), *([_classes(counts, source.class_names)] if found else []), *found]


def notes_of_source(source: Source) -> list[str]:
    """How it was read and what it sets aside, without numbers; none where there is nothing to say."""
    return [*source.notes, *_set_aside(aside_of(source), "by the source")]


def pair_of(one: Mapping[str, Any]) -> str:
    """Two pictures of a report's `repeats` or `conflicts`, with what tells them apart."""
    sign = "=" if one.get("similarity", 1.0) == 1.0 else "~"
    said = f"{one['name']} ({one['split']}, {one['label']}) {sign} {one['other']} ({one['other_split']}, {one['other_label']})"
    return printable(said)


def dropped_words(repeats: Sequence[Mapping[str, Any]]) -> str:
    """How many of a report's `repeats` were left out and kept; "" for none."""
    dropped = sum(one["is_dropped"] for one in repeats)
    kept = len(repeats) - dropped
    return " and ".join([f"{dropped:,} left out"] * bool(dropped) + [f"{kept:,} kept"] * bool(kept))


def _numbers(nums: Mapping[str, int], class_names: Sequence[str]) -> str:
    said = ", ".join(f"{part} {nums[part]:,}" for part in _PARTS if part in nums)
    split = [part for part in _PARTS if part not in nums]
    more = f", from which {' and '.join(split)} {'is' if len(split) == 1 else 'are'} split off" if split else ""
    return f"{plural(sum(nums.values()), 'picture')} of {plural(len(class_names), 'class')}: {said}{more}"


def _classes(counts: Mapping[str, Sequence[int]], class_names: Sequence[str]) -> str:
    parts = [part for part in _PARTS if part in counts]
    numbers = zip(class_names, *(counts[part] for part in parts), strict=True)
    told = [f"{printable(name)} {'/'.join(f'{num:,}' for num in nums)}" for name, *nums in numbers]
    more = f" and {plural(len(told) - _CLASSES, 'class')} more" if len(told) > _CLASSES else ""
    return f"classes ({'/'.join(parts)}): {', '.join(told[:_CLASSES])}{more}"


def _set_aside(aside: Sequence[Mapping[str, Any]], of_what: str) -> Iterator[str]:
    bad, other = ([one for one in aside if one["is_bad"] == is_bad] for is_bad in (True, False))
    if bad:
        yield f"set aside: {len(bad):,} bad {of_what}: {_reasons(bad)}"
    if other:
        yield f"set aside: {plural(len(other), 'other file')}: {_reasons(other)}"


def _reasons(aside: Sequence[Mapping[str, Any]]) -> str:
    by_reason: dict[str, list[Mapping[str, Any]]] = {}
    for one in aside:
        by_reason.setdefault(one["reason"].partition(":")[0], []).append(one)
    told = [_reason(reason, ones) for reason, ones in sorted(by_reason.items(), key=lambda item: -len(item[1]))]
    more = f"; and {len(told) - _REASONS} reasons more" if len(told) > _REASONS else ""
    return "; ".join(told[:_REASONS]) + more


def _reason(reason: str, ones: Sequence[Mapping[str, Any]]) -> str:
    """After the first names; what follows a colon is about one picture, so it is told of one alone."""
    return f"{_few([one['name'] for one in ones])} {ones[0]['reason'] if len(ones) == 1 else reason}"


def _repeats(report: IngestReport) -> Iterator[str]:
    equal = [one for one in report.repeats if one["similarity"] == 1.0]
    near = [one for one in report.repeats if one["similarity"] != 1.0]
    if equal:
        yield f"in an earlier split too, {dropped_words(equal)}: {_few([pair_of(one) for one in equal])}"
    if near:
        num = sum(one["label"] != one["other_label"] for one in near)
        labels = f", {num:,} of another class" if num else ""
        yield f"nearly a picture of an earlier split, {dropped_words(near)}{labels}: {_few([pair_of(one) for one in near])}"
    if report.conflicts:
        yield f"equal pictures of two classes, {len(report.conflicts):,}: {_few([pair_of(one) for one in report.conflicts])}"


def _lacking(counts: Mapping[str, Sequence[int]], class_names: Sequence[str]) -> Iterator[str]:
    for part, nums in counts.items():
        if lacking := [repr(name) for name, num in zip(class_names, nums, strict=True) if num == 0]:
            yield f"no picture in {part} of {_few(lacking)}"


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMES]) + (f" and {len(names) - _NAMES:,} more" if len(names) > _NAMES else "")
