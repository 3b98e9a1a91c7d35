"""WebDataset: tar files in which a picture and its label have one name up to the first dot, 0001.jpg and 0001.cls.

Shards are read in place and in any order; what is in tar files with compression must be unpacked before.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain, islice

from visiontune.data.archives.archive import Archive
from visiontune.data.file_tree import Root
from visiontune.data.picture.formats import picture_suffixes
from visiontune.data.readers.class_list import named, read_class_list
from visiontune.data.readers.item import Item
from visiontune.data.readers.label_files import Said, fields_of, labels_of, mark_of, said_by, says, texts_of, why_none
from visiontune.data.readers.manifest_labels import notes_of_mark
from visiontune.data.readers.picture_files import file_source
from visiontune.data.readers.webdataset_shards import Sample, counts_of, gaps, open_shards, picture_suffixes_of, samples_of
from visiontune.data.source import SetAside, Source
from visiontune.errors import Problem, UserError, nearest
from visiontune.spec.tables.several_labels import MANY, ONE

_LABELS = ("cls", "json", "txt")
"""In the order in which they are looked for; metadata often stand beside a class, and captions beside both."""
_FIELD = "label"
_MAX_SHOWN, _NUM_JSON = 8, 20


def webdataset(
    *,
    train: str,
    val: str | None = None,
    test: str | None = None,
    image_suffix: str | None = None,
    label_suffix: str | None = None,
    label_field: str = _FIELD,
    class_names: str | None = None,
    labels: str = ONE,
) -> Source:
    """Read the headers of all shards, and the labels. Raises UserError."""
    has_many = labels == MANY
    texts = {part: text for part, text in (("train", train), ("val", val), ("test", test)) if text is not None}
    shards = {part: open_shards(text, f"data.{part}") for part, text in texts.items()}
    # Shards of two parts may be called alike, so members stand below the name of their part.
    archive = Archive({f"{part}/{name}": volume for part, found in shards.items() for name, volume in found.volumes.items()})
    roots = {part: Root(f"/{part}", found.folder.shown, archive) for part, found in shards.items()}
    samples = {part: [*samples_of(found)] for part, found in shards.items()}
    image = _plain(image_suffix) or _image_suffix([one for found in samples.values() for one in found], train)
    suffix = _plain(label_suffix) or _label_suffix(samples["train"], roots["train"], label_field, train)
    set_aside: list[SetAside] = []
    whole = {part: _whole(found, image, suffix) for part, found in samples.items()}
    said = {part: said_by(roots[part], [*found.values()], suffix, label_field) for part, found in whole.items()}
    if suffix == "json" and said["train"] and not any(map(says, said["train"])):
        _refuse_field(roots["train"], [*whole["train"].values()], label_field, train)
    mark = mark_of(chain(*said.values())) if has_many else None
    found = labels_of(said, mark, has_many=has_many)
    parts: dict[str, list[Item]] = {}
    for part, root in roots.items():
        parts[part] = _items(part, root, whole[part], said[part], found[part], set_aside)
        _set_others_aside(root, samples[part], image, suffix, set_aside, is_bad=bool(parts[part]))
    if class_names is not None:
        parts = named(parts, read_class_list(class_names), has_many=has_many)
    notes = [
        *(note for found in shards.values() for note in gaps(found.volumes)),
        *_notes([*chain(*samples.values())], image, suffix, label_field),
        *notes_of_mark(mark, texts_of(chain(*said.values())), f".{suffix}"),
    ]
    source = file_source("webdataset", replace(roots["train"], path="/"), parts, set_aside, notes=notes, has_many=has_many)
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
    known = [one for one in _LABELS if counts[one]]
    if not known:
        held = ", ".join(f".{suffix} ({num:,})" for suffix, num in counts.most_common(_MAX_SHOWN))
        rule = f"must be the suffix of labels: there is none of {', '.join(f'.{one}' for one in _LABELS)}, only {held or 'nothing'}"
        raise UserError(Problem(where, 0, "data.label_suffix", rule))
    # Metadata may stand beside captions; but a field that was given is looked for.
    is_passed = known[0] == "json" and len(known) > 1 and field == _FIELD and not any(map(says, _first_said(samples, root, field)))
    return known[is_passed]


def _first_said(samples: Sequence[Sample], root: Root, field: str) -> list[Said]:
    return said_by(root, [*islice((one.members["json"] for one in samples if "json" in one.members), _NUM_JSON)], "json", field)


def _refuse_field(root: Root, files: Sequence[str], field: str, where: str) -> None:
    """Raise UserError for JSON that says nothing in this field: it is another one, or holds what is no label."""
    fields = fields_of(root, files[:_NUM_JSON])
    if field in fields:
        rule = f"must hold a text, an integer or a list of them in the .json beside pictures, but {field!r} does not"
        near = f"; other fields: {', '.join(one for one in fields if one != field) or 'none'}"
    else:
        rule, near = f"must be a field of the .json beside pictures, but {field!r} is none", f"; {nearest(field, fields)}"
    raise UserError(Problem(where, 0, "data.label_field", rule + near))


def _whole(samples: Sequence[Sample], image: str | None, suffix: str) -> dict[str, str]:
    """The member with the label by that of the picture, of samples that have both."""
    found = ((_picture(sample, image), sample.members.get(suffix)) for sample in samples)
    return {picture: label for picture, label in found if picture and label}


def _items(
    part: str, root: Root, label_of: Mapping[str, str], said: Sequence[Said], labels: Sequence[str | None], set_aside: list[SetAside]
) -> list[Item]:
    """The labelled pictures of a part; those whose label says nothing are set aside."""
    items = [Item(f"{part}/{picture}", label) for picture, label in zip(label_of, labels, strict=True) if label is not None]
    for (picture, member), one, label in zip(label_of.items(), said, labels, strict=True):
        if label is None:
            set_aside.append(SetAside(root.show(picture), why_none(one, posixpath.basename(member)), bool(items)))
    return items


def _set_others_aside(
    root: Root, samples: Sequence[Sample], image: str | None, suffix: str, set_aside: list[SetAside], *, is_bad: bool
) -> None:
    """Samples without picture or label; a test often has no labels at all, which is not bad."""
    for sample in samples:
        if (found := _picture(sample, image)) is None:
            reason = f"has no picture{f' .{image}' if image else ''}: there is only {', '.join(sample.members)}"
            set_aside.append(SetAside(root.show(sample.key), reason, is_bad))
        elif suffix not in sample.members:
            set_aside.append(SetAside(root.show(found), f"has no label: there is no .{suffix} beside it", is_bad))


def _picture(sample: Sample, image: str | None) -> str | None:
    return sample.members.get(image or next(iter(picture_suffixes_of(sample)), ""))


def _notes(samples: Sequence[Sample], image: str | None, suffix: str, field: str) -> Iterator[str]:
    counts = counts_of(samples)
    others = [one for one, _ in counts.most_common() if one not in (suffix, image) and (image or f".{one}" not in picture_suffixes())]
    if others:
        what = f"the field {field!r} of .json" if suffix == "json" else f".{suffix}"
        shown = ", ".join(f".{one} ({counts[one]:,})" for one in others[:_MAX_SHOWN])
        yield f"labels are those of {what}; not read: {shown}{', ...' if len(others) > _MAX_SHOWN else ''}"
