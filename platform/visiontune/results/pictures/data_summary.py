"""What a store holds and what was set aside, as text and as JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from visiontune.data.file_names import printable
from visiontune.data.picture.frame import WORDS
from visiontune.data.store.ingest_report import IngestReport
from visiontune.data.store.short_report import dropped_words, pair_of
from visiontune.data.store.store import Shard, Store
from visiontune.errors import plural
from visiontune.filesystem.uri import shown
from visiontune.results.screens.text import aligned
from visiontune.spec.declarations.image_size import pixels
from visiontune.spec.parse_data import without_defaults
from visiontune.spec.yaml.yaml_node import scalar

_LISTED, _CLASSES = 10, 60
_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9_./-]*")
_CHANNELS = {1: ("grey",), 3: ("red", "green", "blue")}


def to_json(store: Store, damaged: Sequence[Shard] | None = None) -> dict[str, Any]:
    """Everything about a store as JSON can carry it; `damaged` only where it was verified."""
    return {
        "digest": store.digest,
        "path": str(store.path),
        "kind": store.kind,
        "num_bytes": store.num_bytes,
        "image_size": store.image_size,
        "stored_size": store.stored_size,
        "frame": store.frame,
        "channels": store.info.channels,
        "mean": store.mean_C.tolist(),
        "std": store.std_C.tolist(),
        "classes": {name: dict(counts) for name, counts in zip(store.class_names, _counts(store), strict=True)},
        "report": asdict(store.report()),
        **({} if damaged is None else {"damaged": [asdict(shard) for shard in damaged]}),
    }


def lines(store: Store) -> Iterator[str]:
    """Lines for people, uncut."""
    report = store.report()
    total = {split: len(index) for split, index in _splits(store).items()}
    numbers = ", ".join(f"{split} {num:,}" for split, num in total.items())
    yield f"{plural(sum(total.values()), 'picture')} of {plural(len(store.class_names), 'class')}: {numbers}"
    yield f"  stored     {_form(store, report)}"
    yield f"  originals  {_range(report.widths)} x {_range(report.heights)} px (width x height), {_count(report.num_shapes, 'shape')}"
    if report.unseen:
        yield f"  frame      {store.frame}: {WORDS[store.frame]} is seen{_unseen(report.unseen)}"
    yield f"  train      {_channels(store)}"
    yield from _classes(store)
    yield from (f"  note: {note}" for note in report.notes)
    yield from _set_aside(report)
    yield from _repeats(report)


def damage_lines(store: Store, damaged: Sequence[Shard]) -> list[str]:
    """Lines with the result of --verify."""
    if not damaged:
        return [f"  verified   all {len(store.shards):,} shards are as they were written"]
    places = ", ".join(f"rows {shard.start} to {shard.end - 1}" for shard in damaged[:_LISTED])
    return [f"  DAMAGED    {len(damaged):,} of {len(store.shards):,} shards: {places}; remove {store.path} and ingest again"]


def study_line(data: Mapping[str, Any]) -> str:
    """What to write into a study for the same pictures: the section `data` without its defaults."""
    return "in a study: data: {" + ", ".join(f"{name}: {_yaml(value)}" for name, value in without_defaults(data).items()) + "}"


def _yaml(value: Any) -> str:
    """A value as YAML: JSON, but for words that need no quotes."""
    if isinstance(value, str):
        value = shown(value)
        return value if _PLAIN.fullmatch(value) and scalar(value) == value else json.dumps(value, ensure_ascii=False)
    return json.dumps(value, ensure_ascii=False)


def _form(store: Store, report: IngestReport) -> str:
    size = f"{pixels(store.image_size)} px" + (f", stored at {pixels(store.stored_size)}" if store.stored_size != store.image_size else "")
    said = f" ({report.form})" if report.form else ""
    return f"{store.kind}, {size}, {store.info.channels} channels, {store.num_bytes / 1e6:,.1f} MB in {store.path}{said}"


def _unseen(share: Mapping[str, float]) -> str:
    if not share["max"]:
        return ""
    return f"; {share['median']:.0%} of it is not in the median, {share['max']:.0%} at most (frame: pad and squash show all)"


def _channels(store: Store) -> str:
    names = _CHANNELS[store.info.channels]
    return ", ".join(f"{name} {m:.3f} ± {s:.3f}" for name, m, s in zip(names, store.mean_C, store.std_C, strict=True)) + " of 1"


def _classes(store: Store) -> Iterator[str]:
    counts = _counts(store)
    most = max(max(one["train"] for one in counts), 1)
    rows = [("class", "train", "val", "test", "")]
    for name, one in list(zip(store.class_names, counts, strict=True))[:_CLASSES]:
        bar = "#" * max(1 if one["train"] else 0, round(20 * one["train"] / most))
        rows.append((name, f"{one['train']:,}", f"{one['val']:,}", f"{one['test']:,}", bar))
    yield from (f"  {line}" for line in aligned(rows))
    if len(counts) > _CLASSES:
        yield f"  and {plural(len(counts) - _CLASSES, 'class')} more; `visiontune data NAME --json` has all"
    lacking = [
        f"{name!r} in {split}" for name, one in zip(store.class_names, counts, strict=True) for split, num in one.items() if num == 0
    ]
    if lacking:
        yield f"  no pictures of {_few(lacking)}"


def _set_aside(report: IngestReport) -> Iterator[str]:
    bad = [one for one in report.set_aside if one["is_bad"]]
    others = [one for one in report.set_aside if not one["is_bad"]]
    yield f"  set aside: {len(bad):,} bad of {plural(report.num_seen, 'picture')}" + (
        f", {plural(len(others), 'other file')}" if others else ""
    )
    yield from _listed([printable(f"{one['name']}: {one['reason']}") for one in [*bad, *others]])


def _repeats(report: IngestReport) -> Iterator[str]:
    equal = [one for one in report.repeats if one["similarity"] == 1.0]
    near = [one for one in report.repeats if one["similarity"] != 1.0]
    yield f"  repeats across splits: {dropped_words(equal) or 'none'}; within train {report.num_equal_in_train:,} equal to another"
    yield from _listed([pair_of(one) for one in equal])
    if near:
        num = sum(one["label"] != one["other_label"] for one in near)
        yield f"  near repeats across splits: {dropped_words(near)}" + (f", {num:,} of another class" if num else "")
        yield from _listed([f"{pair_of(one)}, correlation {one['similarity']:.3f}" for one in near])
    if report.conflicts:
        yield f"  equal pictures of two classes: {len(report.conflicts):,}"
        yield from _listed([pair_of(one) for one in report.conflicts])


def _listed(texts: Sequence[str]) -> Iterator[str]:
    yield from (f"    {text}" for text in texts[:_LISTED])
    if len(texts) > _LISTED:
        yield f"    and {len(texts) - _LISTED:,} more; `visiontune data NAME --json` has all"


def _few(texts: Sequence[str]) -> str:
    return ", ".join(texts[:_LISTED]) + (f" and {len(texts) - _LISTED:,} more" if len(texts) > _LISTED else "")


def _splits(store: Store) -> Mapping[str, Any]:
    return {"train": store.train_idx, "val": store.val_idx, "test": store.test_idx}


def _counts(store: Store) -> list[dict[str, int]]:
    num = len(store.class_names)
    columns = {split: store.counts_C(index).tolist() for split, index in _splits(store).items()}
    return [{split: column[label] for split, column in columns.items()} for label in range(num)]


def _count(num: int, what: str) -> str:
    return f"{num:,} {what}{'' if num == 1 else 's'}"


def _range(values: Mapping[str, int]) -> str:
    low, median, high = values["min"], values["median"], values["max"]
    return str(low) if low == high else f"{low} to {high} (median {median})"
