"""What kind of source a path is, by looking at it: a folder of classes, a table, annotations, or a data set by name."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from visiontune.data.archives.open_archive import is_archive_name
from visiontune.data.file_tree import Root
from visiontune.data.open_files import open_files, open_folder
from visiontune.data.readers.annotations.annotation_kinds import document_in
from visiontune.data.readers.annotations.detect_annotations import annotations_in
from visiontune.data.readers.annotations.yolo_files import YAML_SUFFIXES
from visiontune.data.readers.detect_archives import refuse_foreign_file, refuse_foreign_folder, shards_section
from visiontune.data.readers.detect_tables import table_section
from visiontune.data.readers.exclude import Excluded
from visiontune.data.readers.parquet_shards import ShardFile
from visiontune.data.readers.picture_columns import columns_of
from visiontune.errors import UserError, nearest
from visiontune.filesystem.path_kind import kind_of
from visiontune.spec.parse import kind_of_file
from visiontune.spec.tables.sources import SOURCES

_NAMED = "torchvision:"
_TABLES = (".csv", ".tsv", ".jsonl", ".parquet")
_ANNOTATIONS = (".json", ".xml")
_PLACES = ("path", "annotations", "train", "root")
"""Keys of a source that say where it is."""


def detect_source(text: str, kind: str | None = None, exclude: Sequence[str] = ()) -> dict[str, Any]:
    """The section `data` that reads it. Raises UserError for what no source can read, or several can where `kind` does not say which.

    What `exclude` leaves out of a folder or archive counts for nothing; the source itself says it again.

    `digits` and `torchvision:NAME` are data sets; a file is a Parquet file of pictures (or a pattern of several), a manifest (CSV, TSV,
    JSON lines, Parquet), JSON of COCO or Label Studio, CVAT's XML, YOLO's data.yaml or a shard of WebDataset's (or a pattern of several);
    a folder or archive holds shards, what Hugging Face's libraries write (Parquet files named after splits, metadata beside pictures,
    save_to_disk), annotations of any of these, of Pascal VOC or LabelMe, or else a folder for each class.
    """
    if text == "digits" and not Path(text).exists():
        return {"source": "digits"}
    if text.startswith(_NAMED):
        return {"source": "torchvision", "dataset": text.removeprefix(_NAMED), "root": "data"}
    if posixpath.splitext(text.lower())[1] in (*_TABLES, *_ANNOTATIONS):
        root, names = open_files(text, "SOURCE", ".parquet")
        return _file(root, names[0], text)
    if text.lower().endswith(YAML_SUFFIXES):
        _refuse_own(text)
        return {"source": "yolo", "path": text}
    if (shards := shards_section(text, exclude)) is not None and kind in (None, shards["source"]):
        return shards
    if kind_of(text) == "file" and not is_archive_name(text):
        refuse_foreign_file(text)
        kinds = f"an archive (.zip, .tar), a table ({', '.join(_TABLES)}) or a file of annotations (.json, .xml, .yaml)"
        raise UserError(f"SOURCE must be a folder, {kinds}, but {text} is none of them")
    root = Excluded(open_folder(text, "SOURCE", "a folder or a file"), exclude).root
    refuse_foreign_folder(root, text)
    return _folder(root, text, kind)


def _refuse_own(text: str) -> None:
    """Raise UserError for a file of this project's own, whose pictures lie elsewhere."""
    own = None
    if kind_of(text) == "file":
        with suppress(UserError):  # what is no YAML its reader tells
            own = kind_of_file(text)
    if own is not None:
        verb = "search" if own == "search space" else "train"
        raise UserError(f"SOURCE {text} is a {own}, which `visiontune {verb}` takes; its section data says where its pictures are")


def source_as(kind: str, text: str, exclude: Sequence[str] = ()) -> dict[str, Any]:
    """The section that reads it as a source of that kind, whatever else could be meant. Raises UserError."""
    if kind not in SOURCES.entries:
        raise UserError(f"source must be one of the table sources, but is {kind!r}; {nearest(kind, SOURCES.entries)}")
    try:
        found = detect_source(text, kind, exclude)
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
    if kind in (".csv", ".tsv", ".jsonl"):
        return {"source": "manifest", "path": text}
    if kind == ".parquet":
        columns = columns_of(ShardFile(root, name))
        return {"source": "parquet", "train": text, **columns} if columns else {"source": "manifest", "path": text}
    document = document_in(root, name)
    if document is not None and document.kind not in ("voc", "labelme"):
        return {"source": document.kind, "annotations": text, **({} if document.has_objects else {"use_crops": False})}
    rule = "must be COCO's JSON with images, annotations and categories, Label Studio's JSON, or CVAT's XML"
    raise UserError(f"SOURCE {text} {rule}; for LabelMe's and Pascal VOC's give the folder")


def _folder(root: Root, text: str, kind: str | None) -> dict[str, Any]:
    """The section for a folder: of its tables, or else of its annotations; annotations of a kind that is said go first."""
    if kind is not None and (said := annotations_in(root, text, kind)) is not None:
        return said
    found = table_section(root, text)
    if found is None and kind is None:
        found = annotations_in(root, text)
    return found or {"source": "folder", "path": text}
