"""What tables a folder holds: what Hugging Face's save_to_disk wrote, its metadata beside pictures, or Parquet files named after parts."""

from __future__ import annotations

import posixpath
from typing import Any

from visiontune.data.class_names import part_of
from visiontune.data.file_names import is_hidden
from visiontune.data.file_tree import Root
from visiontune.data.open_files import open_files
from visiontune.data.readers.manifest_hints import USUAL_LABELS, likely_labels
from visiontune.data.readers.parquet_shards import ShardFile
from visiontune.data.readers.parquet_splits import parts_section
from visiontune.data.readers.picture_columns import columns_of
from visiontune.data.readers.saved_dataset import SPLITS, STATE, saved_files
from visiontune.data.readers.table_file import read_table
from visiontune.errors import UserError

_MOST_FOLDERS = 100
_MAX_LISTED = 5
_METADATA = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
_PATHS = "file_name"


def table_section(root: Root, text: str) -> dict[str, Any] | None:
    """The section `data` for a folder of tables; None for a folder without. Raises UserError for two in one folder."""
    return _saved(root, text) or _metadata(root, text) or _parquet(root, text)


def _saved(root: Root, text: str) -> dict[str, Any] | None:
    names = root.scan().files
    if SPLITS not in names and not {STATE, "dataset_info.json"} <= {*names}:
        return None
    return {"source": "saved_dataset", "path": text, **columns_of(saved_files(root)[0]["train"][0])}


def _metadata(root: Root, text: str) -> dict[str, Any] | None:
    """Hugging Face's imagefolder: a table of file_name and a label beside the pictures, or one in each folder of a part."""
    parts = {part: name for name in root.scan().folders if (part := part_of(name))}
    if above := _metadata_in(root, ""):
        section = _section(root, "", {"train": posixpath.join(text, above)})
        if section and "train" in parts and "split" not in read_table(section["path"], "SOURCE").names:
            rule = f"lies above folders for parts ({', '.join(parts.values())}): add a column split with train, val or test to it"
            raise UserError(f"SOURCE {section['path']} {rule}")
        return section
    tables = {part: posixpath.join(text, name, found) for part, name in parts.items() if (found := _metadata_in(root, name))}
    section = _section(root, parts["train"], tables) if "train" in tables else None
    lacking = [parts[part] for part in parts if part not in tables]
    if section and lacking:
        raise UserError(f"SOURCE {text} must have metadata in the folder of each part, but {', '.join(lacking)} has none")
    return section


def _metadata_in(root: Root, folder: str) -> str | None:
    return next((name for name in root.scan(folder).files if name in _METADATA), None)


def _section(root: Root, folder: str, tables: dict[str, str]) -> dict[str, Any] | None:
    """None where the table of `folder` does not surely say classes, as one of captions, and there are folders for them."""
    table = read_table(tables["train"], "SOURCE")
    labels = ["label"] if "label" in table.names else likely_labels(table, _PATHS)
    has_folders = any(not is_hidden(name) and part_of(name) is None for name in root.scan(folder).folders)
    is_sure = bool(labels) and labels[0].casefold() in USUAL_LABELS
    if _PATHS not in table.names or (has_folders and not is_sure):
        return None
    named = {"label_column": labels[0]} if len(labels) == 1 and labels != ["label"] else {}
    others = {part: tables[part] for part in ("val", "test") if part in tables}
    return {"source": "manifest", "path": tables["train"], **others, "path_column": _PATHS, **named}


def _parquet(root: Root, text: str) -> dict[str, Any] | None:
    """Files of pictures at the top or in a folder below."""
    folders = ["", *(name for name in root.scan().folders if not is_hidden(name))][:_MOST_FOLDERS]
    found = {folder: parts for folder in folders if (parts := parts_section(root, folder, text)) is not None}
    if len(found) > 1:
        listed = ", ".join(folder or "the top" for folder in [*found][:_MAX_LISTED])
        raise UserError(f"SOURCE {root.shown} has Parquet files for training in {len(found)} places ({listed}): give one of the folders")
    for parts in found.values():
        shards_root, names = open_files(parts["train"], "SOURCE", ".parquet")
        if columns := columns_of(ShardFile(shards_root, names[0])):
            return {"source": "parquet", **parts, **columns}
        if len(names) == 1:
            return {"source": "manifest", "path": parts.pop("train"), **parts}
    return None
