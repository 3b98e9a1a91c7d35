"""Which annotations lie in a folder, and whether they, or the folders of the pictures, say what the pictures are.

A stray file must not decide: what is no annotation by its content counts for nothing, and where most pictures have none while folders look
like classes, both can be meant, and the user says which.
"""

from __future__ import annotations

import json
import posixpath
import shlex
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from visiontune.data.file_names import is_hidden
from visiontune.data.file_tree import Root
from visiontune.data.picture.bad_picture import BadPicture
from visiontune.data.picture.formats import picture_suffixes
from visiontune.data.readers.annotations.picture_finder import part_in
from visiontune.data.readers.annotations.voc import parse
from visiontune.data.readers.annotations.yolo_files import NAME_LISTS
from visiontune.errors import UserError

# A folder of a million pictures is listed in part: what is beyond, the source sets aside and says.
_MOST_FOLDERS, _MOST_READ, _ENOUGH, _DEPTH = 200, 500, 64, 4
_MOST = 0.8
"""Share of the pictures that have an annotation, from which on folders are not asked about."""
_NO_CLASSES = {"images", "image", "imgs", "img", "pictures", "photos", "pics", "data", "jpegimages", "labels", "annotations"}
_MAX_SHOWN = 5
_NAMES = {"voc": "Pascal VOC files", "labelme": "LabelMe files", "coco": "pictures in COCO's JSON", "yolo": "label files of YOLO's"}


@dataclass
class _Seen:
    """Names of files by suffix, and the number of pictures in each folder."""

    by_suffix: dict[str, list[str]] = field(default_factory=dict)
    pictures: Counter[str] = field(default_factory=Counter)
    stems: set[str] = field(default_factory=set)

    def of(self, *suffixes: str) -> list[str]:
        return [name for suffix in suffixes for name in self.by_suffix.get(suffix, [])]


def annotations_in(root: Root, text: str) -> dict[str, Any] | None:
    """The section `data` for annotations in this folder; None where there are none. Raises UserError where folders can be meant as well."""
    seen = _look(root)
    sections, counts = _found(root, text, seen)
    if not sections:
        return None
    classes = _class_folders(seen)
    num_pictures = sum(seen.pictures.values())
    if len(sections) == 1 and (len(classes) < 2 or max(counts.values()) >= _MOST * num_pictures):
        return next(iter(sections.values()))
    ways = {kind: f"{counts[kind]:,} {_NAMES[kind]}" for kind in sections}
    if len(classes) >= 2:
        shown = ", ".join([*classes][:_MAX_SHOWN]) + (", ..." if len(classes) > _MAX_SHOWN else "")
        ways = {"folder": f"{sum(classes.values()):,} pictures in {len(classes):,} folders that may be classes ({shown})", **ways}
    commands = " or ".join(f"`visiontune ingest {shlex.quote(text)} source={kind}`" for kind in ways)
    raise UserError(f"SOURCE {text} can be read in more than one way, by {', or by '.join(ways.values())}; say which: {commands}")


def json_kind(root: Root, name: str) -> str | None:
    """coco or labelme by its content, None for all else."""
    return _kind_of(_json(root, name))


def _look(root: Root) -> _Seen:
    """What lies in the first folders, level by level."""
    seen, waiting = _Seen(), deque([("", 0)])
    for _ in range(_MOST_FOLDERS):
        if not waiting:
            break
        folder, depth = waiting.popleft()
        found = root.scan(folder)
        for file in found.files:
            name, suffix = posixpath.join(folder, file), posixpath.splitext(file)[1].lower()
            if suffix in picture_suffixes() and not is_hidden(file):
                seen.pictures[folder] += 1
                seen.stems.add(posixpath.splitext(file)[0])
            elif suffix and not is_hidden(file):
                seen.by_suffix.setdefault(suffix, []).append(name)
        if depth < _DEPTH:
            waiting += [(posixpath.join(folder, name), depth + 1) for name in found.folders if not is_hidden(name)]
    return seen


def _found(root: Root, text: str, seen: _Seen) -> tuple[dict[str, dict[str, Any]], dict[str, int]]:
    """Section and count of annotated pictures by kind of annotation."""
    sections: dict[str, dict[str, Any]] = {}
    counts: dict[str, int] = {}
    if num := _count(seen.of(".xml"), lambda name: _is_voc(root, name)):
        sections["voc"], counts["voc"] = {"source": "voc", "path": text}, num
    num, files = _json_files(root, seen.of(".json"))
    if num:
        sections["labelme"], counts["labelme"] = {"source": "labelme", "path": text}, num
    if files:
        sections["coco"], counts["coco"] = _coco_section(text, files), sum(files.values())
    labels = [
        name for name in seen.of(".txt") if "labels" in name.split("/") or posixpath.splitext(posixpath.basename(name))[0] in seen.stems
    ]
    if num := _count(labels, lambda name: _is_yolo(root, name)):
        sections["yolo"], counts["yolo"] = {"source": "yolo", "path": text}, num
    return sections, counts


def _coco_section(text: str, files: Iterable[str]) -> dict[str, Any]:
    first, *more = files
    if more:
        return {"source": "coco", "annotations": text}
    return {"source": "coco", "annotations": posixpath.join(text, first), "images": text}


def _count(names: list[str], is_one: Callable[[str], bool]) -> int:
    """How many of the files are annotations; once enough are, all of them count."""
    num = 0
    for name in names[:_MOST_READ]:
        num += is_one(name)
        if num >= _ENOUGH:
            return len(names)
    return num


def _class_folders(seen: _Seen) -> Mapping[str, int]:
    """Pictures by the first folder that may be a class: none of a part, and no usual word for all pictures."""
    classes: Counter[str] = Counter()
    for folder, num in seen.pictures.items():
        words = [word for word in folder.split("/") if word and part_in([word]) is None and word.casefold() not in _NO_CLASSES]
        if words:
            classes[words[0]] += num
    return classes


def _is_voc(root: Root, name: str) -> bool:
    try:
        return parse(root.read(name)).tag == "annotation"
    except (BadPicture, ValueError):
        return False


def _is_yolo(root: Root, name: str) -> bool:
    """Whether it has lines, all of a class and four numbers or more."""
    if posixpath.basename(name) in NAME_LISTS:
        return False
    try:
        lines = [[float(word) for word in line.split()] for line in root.read(name).decode().splitlines() if line.strip()]
    except (BadPicture, ValueError):
        return False
    return bool(lines) and all(len(line) >= 5 and line[0].is_integer() for line in lines)


def _json_files(root: Root, names: list[str]) -> tuple[int, dict[str, int]]:
    """The number of LabelMe files, and the pictures with an annotation by file of COCO's; once enough are LabelMe's, all others are."""
    num_labelme, coco = 0, dict[str, int]()
    for name in names[:_MOST_READ]:
        document = _json(root, name)
        kind = _kind_of(document)
        num_labelme += kind == "labelme"
        if kind == "coco" and "categories" in document:  # captions have none
            coco[name] = _num_annotated(document)
        if num_labelme >= _ENOUGH:
            return len(names) - len(coco), coco
    return num_labelme, coco


def _num_annotated(document: Mapping[str, Any]) -> int:
    try:
        return len({one["image_id"] for one in document["annotations"]})
    except (KeyError, TypeError):
        return 0


def _kind_of(document: Any) -> str | None:
    if not isinstance(document, dict):
        return None
    return "coco" if {"images", "annotations"} <= document.keys() else "labelme" if isinstance(document.get("shapes"), list) else None


def _json(root: Root, name: str) -> Any:
    try:
        return json.loads(root.read(name))
    except (BadPicture, ValueError, RecursionError):
        return None
