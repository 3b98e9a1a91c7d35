"""Tar files that are WebDataset's shards; and what is said of files and folders that no source reads."""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

from visiontune.data.archives.archive import Archive
from visiontune.data.archives.open_archive import is_archive_name
from visiontune.data.class_names import PARTS, part_of
from visiontune.data.file_names import is_hidden
from visiontune.data.file_tree import Root
from visiontune.data.open_files import kind_at, open_root
from visiontune.data.readers.annotations.annotation_kinds import document_in, is_yolo
from visiontune.data.readers.class_list import class_list_in
from visiontune.data.readers.exclude import Excluded
from visiontune.data.readers.foreign_formats import commonest, foreign_of, foreign_suffix
from visiontune.data.readers.listing import pictures_in
from visiontune.data.readers.webdataset_shards import SUFFIX, is_pattern, open_shards, picture_suffixes_of, samples_of
from visiontune.errors import UserError

_MOST_SAMPLES = 100
_MAX_SHOWN = 3


def shards_section(text: str, exclude: Sequence[str] = ()) -> dict[str, Any] | None:
    """The section that reads WebDataset's shards: a pattern of some, a folder of some, or one; None for all else. Raises UserError."""
    if is_pattern(text):
        return {"source": "webdataset", "train": text}
    root = Excluded(open_root(text, "SOURCE"), exclude).root
    if kind_at(root) != "folder":
        return None
    if isinstance(root.filesystem, Archive):
        is_shard = root.path == "/" and text.lower().endswith(SUFFIX) and _has_samples(text)
        return {"source": "webdataset", "train": text} if is_shard else None
    found = _parts(root, text)
    return {"source": "webdataset", **found, **_class_names(root, text, found["train"])} if found and _has_samples(found["train"]) else None


def _parts(root: Root, text: str) -> dict[str, str] | None:
    """Folders train, val and test of shards; or patterns of shards that are called so; or all as train; None where there are none."""
    top = root.scan()
    names = [name for name in top.files if name.lower().endswith(SUFFIX) and not is_hidden(name)]
    if not names:
        folders = {part: name for name in top.folders if (part := part_of(name)) and _first_shard(root, name)}
        return {part: posixpath.join(text, folders[part]) for part in PARTS if part in folders} if "train" in folders else None
    words = {name: match[0] for name in names if (match := re.match(r"[A-Za-z]+", name)) and part_of(match[0])}
    if not words:
        return {"train": text}
    parts = {part_of(word): word for word in words.values()}
    if len(words) < len(names) or "train" not in parts:
        others = next((name for name in names if name not in words), "none of train")
        rule = f"must have shards that are all called after parts, or none, but has {next(iter(words))} and {others}"
        raise UserError(f"SOURCE {text} {rule}; say source=webdataset train=... val=... in its place")
    return {part: posixpath.join(text, _pattern(parts[part], words, text)) for part in PARTS if part in parts}


def _pattern(word: str, words: Mapping[str, str], text: str) -> str:
    """What matches the shards of a part. Raises UserError where two words mean it, or one that has no number stands among others."""
    names = [name for name, other in words.items() if part_of(other) == part_of(word)]
    if len(names) == 1:
        return names[0]
    if f"{word}{SUFFIX}" in names or any(words[name] != word for name in names):
        rule = f"must have one word for {part_of(word)} and numbers after it, but has {names[0]} and {names[-1]}"
        raise UserError(f"SOURCE {text} {rule}; say source=webdataset train=... val=... in its place")
    return f"{word}[!a-zA-Z]*{SUFFIX}"


def _first_shard(root: Root, folder: str) -> str | None:
    return next((name for name in root.scan(folder).files if name.lower().endswith(SUFFIX) and not is_hidden(name)), None)


def _has_samples(train: str) -> bool:
    """Whether the first shard has pictures beside which labels lie under one name, and no annotations of objects."""
    first = open_shards(train, "SOURCE", 1)
    root = Root("/", first.folder.shown, Archive(first.volumes))
    for sample in islice(samples_of(first), _MOST_SAMPLES):
        members = sample.members
        if picture_suffixes_of(sample) and {"cls", "json", "txt"} & {*members}:
            is_annotated = ("json" in members and document_in(root, members["json"])) or (
                "txt" in members and is_yolo(root, members["txt"])
            )
            return "cls" in members or not is_annotated
    return False


def _class_names(root: Root, text: str, train: str) -> dict[str, str]:
    """The file that names classes, where one lies there and labels are numbers."""
    name = class_list_in(root)
    first = open_shards(train, "SOURCE", 1)
    shard = Root("/", first.folder.shown, Archive(first.volumes))
    labels = [shard.read(sample.members["cls"]) for sample in islice(samples_of(first), _MOST_SAMPLES) if "cls" in sample.members]
    return {"class_names": posixpath.join(text, name)} if name and labels and all(label.strip().isdigit() for label in labels) else {}


def refuse_foreign_file(text: str) -> None:
    """Raise UserError for a file that is of a format that is known and not read."""
    suffix = foreign_suffix(text)
    foreign = foreign_of(suffix) if suffix else None
    if foreign:
        raise UserError(f"SOURCE {text} holds {foreign.what}; to read it, {foreign.way}")


def refuse_foreign_folder(root: Root, text: str) -> None:
    """Raise UserError for a folder with files of such a format and no folders or pictures beside them."""
    top = root.scan()
    if any(not is_hidden(name) for name in top.folders):
        return
    found = commonest(name for name in top.files if not is_hidden(name))
    if found is None or pictures_in("", top.files, root, []):
        return
    suffix, num = found
    foreign = foreign_of(suffix)
    assert foreign is not None
    archives = [posixpath.join(text, name) for name in top.files if is_archive_name(name) and not is_hidden(name)]
    ways = " or ".join(shlex.quote(name) for name in archives[:_MAX_SHOWN])
    one = f": {ways}" if ways and root.filesystem is None else ""
    raise UserError(f"SOURCE {text} holds {num:,} {suffix} and no pictures, {foreign.what}; to read them, {foreign.way}{one}")
