"""What Hugging Face's `save_to_disk` wrote: Arrow streams in a folder, or in one folder for each split of a DatasetDict."""

from __future__ import annotations

import posixpath
from typing import Any

from visiontune.data.class_names import part_of
from visiontune.data.file_tree import Root
from visiontune.data.open_files import open_folder
from visiontune.data.picture.bad_picture import BadPicture
from visiontune.data.readers.parquet import source_of_tables
from visiontune.data.readers.parquet_shards import ShardFile
from visiontune.data.source import Source
from visiontune.errors import Problem, UserError
from visiontune.filesystem.json_text import from_json
from visiontune.spec.tables.several_labels import MANY, ONE

SPLITS = "dataset_dict.json"
STATE = "state.json"


def saved_dataset(*, path: str, image_column: str = "image", label_column: str = "label", labels: str = ONE) -> Source:
    """Read the labels, no picture. Raises UserError."""
    root = open_folder(path, "data.path")
    files, left_out = saved_files(root)
    notes = [f"splits that are neither train, val nor test are left out: {', '.join(left_out)}"] if left_out else []
    return source_of_tables("saved_dataset", files, image_column, label_column, notes, has_many=labels == MANY)


def saved_files(root: Root) -> tuple[dict[str, tuple[ShardFile, ...]], list[str]]:
    """The files by part, and the splits that are no part. Raises UserError."""
    if STATE in root.scan().files:
        return {"train": _files(root, "")}, []
    found: dict[str, str] = {}
    left_out = []
    for split in _json(root, SPLITS, "splits"):
        part = part_of(str(split))
        if part is None:
            left_out.append(str(split))
        elif part in found:
            raise UserError(Problem(root.show(SPLITS), 0, "", f"must have one split for {part}, but has {found[part]!r} and {split!r}"))
        else:
            found[part] = str(split)
    if "train" not in found:
        raise UserError(
            Problem(root.show(SPLITS), 0, "", f"must have a split train, but has {', '.join([*left_out, *found.values()]) or 'none'}")
        )
    return {part: _files(root, found[part]) for part in ("train", "val", "test") if part in found}, left_out


def _files(root: Root, folder: str) -> tuple[ShardFile, ...]:
    """In the order that the folder's state gives."""
    names = [str(one["filename"]) for one in _json(root, posixpath.join(folder, STATE), "_data_files")]
    missing = [name for name in names if name not in root.scan(folder).files or not name.endswith(".arrow")]
    if missing or not names:
        raise UserError(
            Problem(root.show(posixpath.join(folder, STATE)), 0, "", f"names files that must be there, but {missing or 'none'} are not")
        )
    return tuple(ShardFile(root, posixpath.join(folder, name)) for name in names)


def _json(root: Root, name: str, key: str) -> list[Any]:
    try:
        found = from_json(root.read(name))[key]
        return [*found]
    except (BadPicture, ValueError, KeyError, TypeError) as error:
        raise UserError(Problem(root.show(name), 0, "", f"must be Hugging Face's JSON with {key!r}, but is not")) from error
