"""What kind of source a path is, by looking at it: a folder of classes, a table, annotations, or a data set by name."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from visiontune.data.file_names import is_hidden
from visiontune.data.file_tree import Root
from visiontune.data.open_files import open_files, open_folder
from visiontune.data.readers.annotations.annotation_kinds import document_in
from visiontune.data.readers.annotations.detect_annotations import annotations_in
from visiontune.data.readers.annotations.yolo_files import YAML_SUFFIXES
from visiontune.errors import UserError, nearest
from visiontune.filesystem.path_kind import kind_of
from visiontune.spec.tables.sources import SOURCES

_NAMED = "torchvision:"
_TABLES = (".csv", ".tsv", ".parquet")
_ANNOTATIONS = (".json", ".xml")
_PLACES = ("path", "annotations", "train", "root")
"""Keys of a source that say where it is."""
_MOST_FOLDERS = 2000
_SPLIT_WORDS = {"train": ("train",), "val": ("validation", "valid", "val", "dev"), "test": ("test",)}


def detect_source(text: str, kind: str | None = None) -> dict[str, Any]:
    """The section `data` that reads it. Raises UserError for what no source can read, or several can where `kind` does not say which.

    `digits` and `torchvision:NAME` are data sets; a file is a Parquet file of pictures (or a pattern of several), a manifest (CSV, TSV,
    Parquet), JSON of COCO or Label Studio, CVAT's XML or YOLO's data.yaml; a folder holds Parquet files named after their splits as Hugging
    Face has them, annotations of any of these, of Pascal VOC or LabelMe, or else a folder for each class.
    """
    if text == "digits" and not Path(text).exists():
        return {"source": "digits"}
    if text.startswith(_NAMED):
        return {"source": "torchvision", "dataset": text.removeprefix(_NAMED), "root": "data"}
    if posixpath.splitext(text.lower())[1] in (*_TABLES, *_ANNOTATIONS):
        root, names = open_files(text, "SOURCE", ".parquet")
        return _file(root, names[0], text)
    if text.lower().endswith(YAML_SUFFIXES):
        return {"source": "yolo", "path": text}
    if kind_of(text) == "file":
        kinds = f"a table ({', '.join(_TABLES)}) or a file of annotations (.json, .xml, .yaml)"
        raise UserError(f"SOURCE must be a folder, {kinds}, but {text} is none of them")
    return _folder(open_folder(text, "SOURCE"), text, kind)


def source_as(kind: str, text: str) -> dict[str, Any]:
    """The section that reads it as a source of that kind, whatever else could be meant. Raises UserError."""
    if kind not in SOURCES.entries:
        raise UserError(f"source must be one of the table sources, but is {kind!r}; {nearest(kind, SOURCES.entries)}")
    try:
        found = detect_source(text, kind)
    except UserError:
        found = {}
    place = next((key for key in _PLACES if key in SOURCES.entries[kind].args), None)
    if found.get("source") == kind:
        return found
    if place is None:
        raise UserError(f"source={kind} reads no files, so SOURCE must be {kind}, but is {text}")
    return {"source": kind, place: text}


def _file(root: Root, name: str, text: str) -> dict[str, Any]:
    kind = posixpath.splitext(name)[1].lower()
    if kind in (".csv", ".tsv"):
        return {"source": "manifest", "path": text}
    if kind == ".parquet":
        column = _picture_column(root, name)
        return {"source": "manifest", "path": text} if column is None else {"source": "parquet", "train": text, "image_column": column}
    document = document_in(root, name)
    if document is not None and document.kind not in ("voc", "labelme"):
        return {"source": document.kind, "annotations": text, **({} if document.has_objects else {"use_crops": False})}
    rule = "must be COCO's JSON with images, annotations and categories, Label Studio's JSON, or CVAT's XML"
    raise UserError(f"SOURCE {text} {rule}; for LabelMe's and Pascal VOC's give the folder")


def _folder(root: Root, text: str, kind: str | None) -> dict[str, Any]:
    """The section for a folder, by the first Parquet files at the top or one folder below, or else its annotations."""
    if kind is not None and (said := annotations_in(root, text, kind)) is not None:
        return said
    top = root.scan()
    for folder in ["", *(name for name in top.folders if not is_hidden(name))][:_MOST_FOLDERS]:
        files = top.files if folder == "" else root.scan(folder).files
        ends = {posixpath.splitext(name)[1].lower() for name in files}
        if ".parquet" in ends and (found := _parts(root, folder, files, text)) is not None:
            return found
    return (annotations_in(root, text) if kind is None else None) or {"source": "folder", "path": text}


def _parts(root: Root, folder: str, files: list[str], text: str) -> dict[str, Any] | None:
    """A section of Parquet files named train-00000-of-00002.parquet, or just train.parquet, and so on; None where none is for training."""
    names = [name for name in files if name.lower().endswith(".parquet")]
    section: dict[str, Any] = {"source": "parquet"}
    for part, words in _SPLIT_WORDS.items():
        for word in words:
            shards = [name for name in names if re.match(rf"{word}(?![A-Za-z])", name)]
            if shards and part not in section:
                file = shards[0] if len(shards) == 1 else f"{word}[!a-zA-Z]*.parquet"
                section[part] = posixpath.join(text, folder, file)
                column = _picture_column(root, posixpath.join(folder, shards[0]))
                section |= {} if column is None else {"image_column": column}
    return section if "train" in section else None


def _picture_column(root: Root, name: str) -> str | None:
    """The column of struct<bytes, path>, if the file has one. Raises UserError for what is no Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with root.open(name) as file:
            schema = pq.read_schema(file)
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"SOURCE {root.show(name)} must be a Parquet file, but is none; {nearest(name, _TABLES)}") from error
    found = [field.name for field in schema if pa.types.is_struct(field.type) and any(one.name == "bytes" for one in field.type)]
    return found[0] if found else None
