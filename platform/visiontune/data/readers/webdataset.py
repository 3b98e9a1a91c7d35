"""WebDataset: tar files in which a picture and its label have one name up to the first dot, 0001.jpg and 0001.cls.

Shards are read in place and in any order; what is in tar files with compression must be unpacked before.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import chain
from typing import Any

import pyarrow as pa

from visiontune.data.archives.archive import Archive
from visiontune.data.file_tree import Root
from visiontune.data.picture.bad_picture import BadPicture
from visiontune.data.picture.formats import picture_suffixes
from visiontune.data.readers.class_list import named, read_class_list
from visiontune.data.readers.column_values import plain_values
from visiontune.data.readers.item import Item
from visiontune.data.readers.picture_files import file_source
from visiontune.data.readers.webdataset_shards import Sample, counts_of, open_shards, picture_suffixes_of, samples_of
from visiontune.data.source import SetAside, Source
from visiontune.errors import Problem, UserError
from visiontune.filesystem.json_text import from_json

_LABELS = ("cls", "json", "txt")
"""In the order in which they are looked for; metadata often stand beside a class, and captions beside both."""
_READS_AT_ONCE = 32
_MAX_SHOWN = 8


def webdataset(
    *,
    train: str,
    val: str | None = None,
    test: str | None = None,
    image_suffix: str | None = None,
    label_suffix: str | None = None,
    label_field: str = "label",
    class_names: str | None = None,
) -> Source:
    """Read the headers of all shards, and the labels. Raises UserError."""
    texts = {part: text for part, text in (("train", train), ("val", val), ("test", test)) if text is not None}
    shards = {part: open_shards(text, f"data.{part}") for part, text in texts.items()}
    # Shards of two parts may be called alike, so members stand below the name of their part.
    archive = Archive({f"{part}/{name}": volume for part, found in shards.items() for name, volume in found.volumes.items()})
    roots = {part: Root(f"/{part}", found.folder.shown, archive) for part, found in shards.items()}
    samples = {part: [*samples_of(found)] for part, found in shards.items()}
    image = _plain(image_suffix) or _image_suffix([one for found in samples.values() for one in found], train)
    suffix = _plain(label_suffix) or _label_suffix(samples["train"], roots["train"], label_field, train)
    set_aside: list[SetAside] = []
    parts = {part: _items(part, roots[part], found, image, suffix, label_field, set_aside) for part, found in samples.items()}
    if class_names is not None:
        parts = named(parts, read_class_list(class_names))
    notes = _notes([*chain(*samples.values())], image, suffix, label_field)
    source = file_source("webdataset", replace(roots["train"], path="/"), parts, set_aside, notes=[*notes])
    return replace(source, names=lambda part: [roots[part].show(key.partition("/")[2]) for key in source.keys(part)])


def _plain(suffix: str | None) -> str | None:
    return suffix and suffix.lower().removeprefix(".")


def _image_suffix(samples: Sequence[Sample], where: str) -> str | None:
    """None where each sample has one picture. Raises UserError."""
    several = next((sample for sample in samples if len(picture_suffixes_of(sample)) > 1), None)
    if several is not None:
        found = ", ".join(picture_suffixes_of(several))
        raise UserError(Problem(where, 0, "data.image_suffix", f"must say which of several pictures counts: {several.key} has {found}"))
    return None


def _label_suffix(samples: Sequence[Sample], root: Root, field: str, where: str) -> str:
    counts = counts_of(samples)
    first = next((sample.members["json"] for sample in samples if "json" in sample.members), None)
    known = [one for one in _LABELS if counts[one] and (one != "json" or (first and _label(root, first, "json", field) is not None))]
    if not known:
        held = ", ".join(f".{suffix} ({num:,})" for suffix, num in counts.most_common(_MAX_SHOWN))
        lacks = f", whose JSON has no {field!r} (data.label_field)" if counts["json"] else ""
        rule = f"must be the suffix of labels: there is none of {', '.join(f'.{one}' for one in _LABELS)}, only {held or 'nothing'}{lacks}"
        raise UserError(Problem(where, 0, "data.label_suffix", rule))
    return known[0]


def _items(
    part: str, root: Root, samples: Sequence[Sample], image: str | None, suffix: str, field: str, set_aside: list[SetAside]
) -> list[Item]:
    """The labelled pictures of a part; its samples without picture or label are set aside."""
    pictures = [_picture(sample, image) for sample in samples]
    whole = [
        (picture, sample.members[suffix]) for picture, sample in zip(pictures, samples, strict=True) if picture and suffix in sample.members
    ]
    labels = _labels(root, [member for _, member in whole], suffix, field)
    items = [Item(f"{part}/{picture}", label) for (picture, _), label in zip(whole, labels, strict=True) if label is not None]
    is_bad = bool(items)  # tests often have no labels at all

    def leave(name: str, reason: str) -> None:
        set_aside.append(SetAside(root.show(name), reason, is_bad))

    for (picture, member), label in zip(whole, labels, strict=True):
        if label is None:
            leave(picture, f"has no label in {posixpath.basename(member)}")
    for found, sample in zip(pictures, samples, strict=True):
        if found is None:
            leave(sample.key, f"has no picture{f' .{image}' if image else ''}: there is only {', '.join(sample.members)}")
        elif suffix not in sample.members:
            leave(found, f"has no label: there is no .{suffix} beside it")
    return items


def _picture(sample: Sample, image: str | None) -> str | None:
    return sample.members.get(image or next(iter(picture_suffixes_of(sample)), ""))


def _labels(root: Root, members: Sequence[str], suffix: str, field: str) -> list[str | None]:
    """What each says; many are asked for at once where they come from a network."""

    def label(member: str) -> str | None:
        return _label(root, member, suffix, field)

    with ThreadPoolExecutor(1 if root.can_fork else _READS_AT_ONCE) as pool:
        found = [*(map if root.can_fork else pool.map)(label, members)]
    return list(plain_values(pa.array(found, pa.string())).to_pylist())


def _label(root: Root, member: str, suffix: str, field: str) -> str | None:
    """None where it says nothing that is a text or an integer."""
    try:
        text = root.read(member).decode("utf-8-sig").strip()
        if suffix.split(".")[-1] != "json":
            return text
        known = from_json(text)
    except (BadPicture, ValueError, RecursionError):
        return None
    value: Any = known.get(field) if isinstance(known, dict) else known
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value) if isinstance(value, str | int) else None


def _notes(samples: Sequence[Sample], image: str | None, suffix: str, field: str) -> Iterator[str]:
    counts = counts_of(samples)
    others = [one for one, _ in counts.most_common() if one not in (suffix, image) and (image or f".{one}" not in picture_suffixes())]
    if others:
        what = f"the field {field!r} of .json" if suffix == "json" else f".{suffix}"
        shown = ", ".join(f".{one} ({counts[one]:,})" for one in others[:_MAX_SHOWN])
        yield f"labels are those of {what}; not read: {shown}{', ...' if len(others) > _MAX_SHOWN else ''}"
