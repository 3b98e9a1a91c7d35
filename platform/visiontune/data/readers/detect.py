"""What kind of source a path is, by looking at it: a folder of classes, a table, annotations, or a data set by name."""

from __future__ import annotations

import json
import posixpath
from pathlib import Path
from typing import Any

from visiontune.data.file_names import is_hidden
from visiontune.data.file_tree import Root
from visiontune.data.open_files import open_files, open_folder
from visiontune.data.picture.bad_picture import BadPicture
from visiontune.data.readers.detect_tables import table_section
from visiontune.data.readers.parquet_shards import ShardFile
from visiontune.data.readers.picture_columns import columns_of
from visiontune.errors import UserError
from visiontune.filesystem.path_kind import kind_of

_NAMED = "torchvision:"
_TABLES = (".csv", ".tsv", ".jsonl", ".parquet", ".json")
_MOST_FOLDERS = 2000


def detect_source(text: str) -> dict[str, Any]:
    """The section `data` that reads it. Raises UserError for what no source can read.

    `digits` and `torchvision:NAME` are data sets; a file is a Parquet file of pictures (or a pattern of several), a manifest (CSV, TSV,
    Parquet) or COCO's JSON; a folder holds annotations of Pascal VOC or LabelMe, one file of COCO's, Parquet files named after their
    splits as Hugging Face has them, or else a folder for each class.
    """
    if text == "digits" and not Path(text).exists():
        return {"source": "digits"}
    if text.startswith(_NAMED):
        return {"source": "torchvision", "dataset": text.removeprefix(_NAMED), "root": "data"}
    if posixpath.splitext(text.lower())[1] in _TABLES:
        root, names = open_files(text, "SOURCE", ".parquet")
        return _file(root, names[0], text)
    if kind_of(text) == "file":
        raise UserError(f"SOURCE must be a folder, a table ({', '.join(_TABLES[:-1])}) or COCO's JSON, but {text} is none of them")
    return _folder(open_folder(text, "SOURCE"), text)


def _file(root: Root, name: str, text: str) -> dict[str, Any]:
    kind = posixpath.splitext(name)[1].lower()
    if kind in (".csv", ".tsv", ".jsonl"):
        return {"source": "manifest", "path": text}
    if kind == ".parquet":
        columns = columns_of(ShardFile(root, name))
        return {"source": "parquet", "train": text, **columns} if columns else {"source": "manifest", "path": text}
    if _json_kind(root, name) == "coco":
        return {"source": "coco", "annotations": text}
    raise UserError(f"SOURCE {text} must be COCO's JSON with images, annotations and categories; for LabelMe's give the folder")


def _folder(root: Root, text: str) -> dict[str, Any]:
    """The section for a folder, by the first annotations or Parquet files at the top or one folder below."""
    if (found := table_section(root, text)) is not None:
        return found
    top = root.scan()
    for folder in ["", *(name for name in top.folders if not is_hidden(name))][:_MOST_FOLDERS]:
        files = top.files if folder == "" else root.scan(folder).files
        ends = {posixpath.splitext(name)[1].lower() for name in files}
        if ".xml" in ends:
            return {"source": "voc", "path": text}
        if ".json" in ends:
            name = next(one for one in files if one.lower().endswith(".json"))
            kind = _json_kind(root, posixpath.join(folder, name))
            if kind == "labelme":
                return {"source": "labelme", "path": text}
            if kind == "coco":
                return {"source": "coco", "annotations": posixpath.join(text, folder, name), "images": text}
    return {"source": "folder", "path": text}


def _json_kind(root: Root, name: str) -> str | None:
    try:
        known = json.loads(root.read(name))
    except (BadPicture, ValueError):
        return None
    if not isinstance(known, dict):
        return None
    return "coco" if {"images", "annotations"} <= known.keys() else "labelme" if "shapes" in known else None
