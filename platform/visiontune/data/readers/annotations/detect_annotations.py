"""Which annotations lie in a folder, and whether they, or the folders of the pictures, say what the pictures are.

A stray file must not decide: what is no annotation by its content counts for nothing, and where most pictures have none while folders look
like classes, both can be meant, and the user says which.
"""

from __future__ import annotations

import posixpath
import shlex
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from visiontune.data.file_names import is_hidden
from visiontune.data.file_tree import Root
from visiontune.data.picture.formats import picture_suffixes
from visiontune.data.readers.annotations.annotation_kinds import Document, document_in, is_yolo
from visiontune.data.readers.annotations.picture_finder import part_in
from visiontune.errors import UserError, plural

# A folder of a million pictures is listed in part: what is beyond, the source sets aside and says.
_MOST_FOLDERS, _MOST_READ, _ENOUGH, _DEPTH = 200, 500, 64, 4
_MOST = 0.8
"""Share of the pictures that have an annotation, from which on folders are not asked about."""
_NO_CLASSES = {"images", "image", "imgs", "img", "pictures", "photos", "pics", "data", "jpegimages", "labels", "annotations"}
_MAX_SHOWN = 5
_NAMES = {
    "voc": "Pascal VOC files",
    "labelme": "LabelMe files",
    "coco": "pictures in COCO's JSON",
    "yolo": "label files of YOLO's",
    "cvat": "pictures in CVAT's XML",
    "label_studio": "tasks of Label Studio",
}


@dataclass
class _Seen:
    """Names of files by suffix, and the number of pictures in each folder."""

    by_suffix: dict[str, list[str]] = field(default_factory=dict)
    pictures: Counter[str] = field(default_factory=Counter)
    stems: set[str] = field(default_factory=set)


def annotations_in(root: Root, text: str, kind: str | None = None) -> dict[str, Any] | None:
    """The section `data` for annotations in this folder, of that kind where it is said; None where there are none.

    Raises UserError where more than one kind, or folders of classes, can be meant and nothing is said.
    """
    seen = _look(root)
    sections, counts = _found(root, text, seen)
    if kind is not None or not sections:
        return sections.get(str(kind))
    classes = _class_folders(seen)
    num_pictures = sum(seen.pictures.values())
    if len(sections) == 1 and (len(classes) < 2 or max(counts.values()) >= _MOST * num_pictures):
        return next(iter(sections.values()))
    ways = {kind: f"{counts[kind]:,} {_NAMES[kind]}" for kind in sections}
    if len(classes) >= 2:
        shown = ", ".join([*classes][:_MAX_SHOWN]) + (", ..." if len(classes) > _MAX_SHOWN else "")
        ways = {"folder": f"{plural(sum(classes.values()), 'picture')} in {len(classes):,} folders that may be classes ({shown})", **ways}
    words = " or ".join(f"source={kind}" for kind in ways)
    raise UserError(f"SOURCE {text} can be read in more than one way, by {', or by '.join(ways.values())}; say which by {words}")


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
                seen.stems.add(_stem(file))
            elif suffix and not is_hidden(file):
                seen.by_suffix.setdefault(suffix, []).append(name)
        if depth < _DEPTH:
            waiting += [(posixpath.join(folder, name), depth + 1) for name in found.folders if not is_hidden(name)]
    return seen


def _found(root: Root, text: str, seen: _Seen) -> tuple[dict[str, dict[str, Any]], dict[str, int]]:
    """Section and count of annotated pictures by kind of annotation."""
    sections: dict[str, dict[str, Any]] = {}
    counts: Counter[str] = Counter()
    for suffix in (".xml", ".json"):
        for name, document in _documents(root, seen.by_suffix.get(suffix, [])):
            counts[document.kind] += document.num_annotated
            before = sections.get(document.kind)
            sections[document.kind] = section_of_file(document, text, posixpath.join(text, name), before)
    labels = [name for name in seen.by_suffix.get(".txt", []) if "labels" in name.split("/") or _stem(name) in seen.stems]
    for num, name in enumerate(labels[:_MOST_READ]):
        if num == _ENOUGH <= counts["yolo"]:
            counts["yolo"] = len(labels)
            break
        if is_yolo(root, name):
            counts["yolo"] += 1
            sections["yolo"] = {"source": "yolo", "path": text}
    return sections, counts


def section_of_file(document: Document, folder: str, file: str, before: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The section that reads this file. `before` is that of another file of the kind. Raises UserError where only one can be read."""
    if document.kind in ("voc", "labelme"):
        return {"source": document.kind, "path": folder}
    if before is not None and document.kind == "coco":
        return {"source": "coco", "annotations": folder}
    if before is not None:
        words = f"{shlex.quote(before['annotations'])} images={shlex.quote(folder)}"
        raise UserError(f"SOURCE {folder} holds several files of {_NAMES[document.kind]}; name one, such as {words}")
    crops = {} if document.has_objects else {"use_crops": False}
    return {"source": document.kind, "annotations": file, "images": folder, **crops}


def _documents(root: Root, names: list[str]) -> Iterator[tuple[str, Document]]:
    """The annotations among these files; once many are of a kind that has a file for each picture, all are."""
    nums: Counter[str] = Counter()
    for number, name in enumerate(names[:_MOST_READ]):
        document = document_in(root, name)
        if document is None:
            continue
        nums[document.kind] += 1
        if document.kind in ("voc", "labelme") and nums[document.kind] == _ENOUGH:
            yield name, replace(document, num_annotated=len(names) - number)
            return
        yield name, document


def _stem(name: str) -> str:
    return posixpath.splitext(posixpath.basename(name))[0]


def _class_folders(seen: _Seen) -> Mapping[str, int]:
    """Pictures by the first folder that may be a class: none of a part, and no usual word for all pictures."""
    classes: Counter[str] = Counter()
    for folder, num in seen.pictures.items():
        words = [word for word in folder.split("/") if word and part_in([word]) is None and word.casefold() not in _NO_CLASSES]
        if words:
            classes[words[0]] += num
    return classes
