"""Pascal VOC's XML, as LabelImg writes it: one file for each picture, beside it or in Annotations/ with JPEGImages/.

Boxes count from 1, both ends included (VOC's development kit). Parts are the lists in ImageSets/Main, or folders train, val, test.
A file with a DOCTYPE is refused: entities in it could grow without end or read other files.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from xml.etree import ElementTree
from xml.parsers import expat

from visiontune.data.class_names import PARTS
from visiontune.data.open_files import open_folder
from visiontune.data.picture.bad_picture import BadPicture
from visiontune.data.readers.annotations.annotated import CROP_MARGIN, Annotated, annotated_source, box_of, size_of
from visiontune.data.readers.annotations.picture_finder import Pictures, part_in
from visiontune.data.readers.exclude import Excluded
from visiontune.data.readers.item import Box
from visiontune.data.source import SetAside, Source
from visiontune.errors import Problem, UserError, first_line
from visiontune.filesystem.decoded_text import decoded
from visiontune.spec.tables.several_labels import ONE

MAX_XML_BYTES = 2**24
_SUFFIXES = (".jpg", ".jpeg", ".png", ".JPG", ".JPEG", ".PNG", ".bmp", ".webp", ".tif")


def voc(*, path: str, use_crops: bool = True, crop_margin: float = CROP_MARGIN, labels: str = ONE, exclude: Sequence[str] = ()) -> Source:
    """Read every XML file, no picture. Raises UserError."""
    excluded = Excluded(open_folder(path, "data.path"), exclude)
    root = excluded.root
    set_aside: list[SetAside] = []
    pictures = Pictures(root, set_aside, ".xml", "ImageSets")
    if not pictures.annotations:
        raise UserError(Problem("", 0, "data.path", f"must hold Pascal VOC files (*.xml), but {root.shown} has none"))
    parts = {part: _annotated(names, pictures) for part, names in _parts(pictures).items()}
    return annotated_source("voc", pictures, parts, use_crops=use_crops, margin=crop_margin, labels=labels, notes=[*excluded.notes()])


def parse(content: bytes, max_bytes: int = MAX_XML_BYTES) -> ElementTree.Element:
    """An XML document without DOCTYPE. Raises ValueError."""
    if len(content) > max_bytes:
        raise ValueError(f"has {len(content):,} bytes, more than {max_bytes:,}")
    builder = ElementTree.TreeBuilder()
    parser = expat.ParserCreate()

    def refuse(*_: Any) -> None:
        raise ValueError("has a DOCTYPE, which may hide an entity bomb")

    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = lambda tag, attributes: builder.start(tag, attributes) and None
    parser.EndElementHandler = lambda tag: builder.end(tag) and None
    parser.CharacterDataHandler = builder.data
    try:
        parser.Parse(content, True)
    except (expat.ExpatError, LookupError) as error:  # LookupError: of an encoding that nobody knows
        raise ValueError(f"is no XML ({first_line(error)})") from error
    return builder.close()


def _annotated(names: list[str], pictures: Pictures) -> Iterator[Annotated]:
    root = pictures.root
    for name in names:
        try:
            document = parse(root.read(name))
            if document.tag != "annotation":
                raise ValueError(f"is no Pascal VOC file: its root is <{document.tag}>, not <annotation>")
            objects = [_object(one) for one in document.iter("object")]
            size = size_of(document.findtext("size/width"), document.findtext("size/height"))
        except (BadPicture, ValueError) as error:
            pictures.set_aside.append(SetAside(root.show(name), str(error)))
            continue
        written = document.findtext("filename") or ""
        near = [*_near(name, "" if pictures.was_renamed(name, written.replace("\\", "/")) else written)]
        yield Annotated(root.show(name), objects, near, written, size, part=_part_of(name))


def _object(one: ElementTree.Element) -> tuple[str, Box]:
    label = (one.findtext("name") or "").strip()
    if not label:
        raise ValueError("has an object without a name")
    sides = [one.findtext(f"bndbox/{side}") for side in ("xmin", "ymin", "xmax", "ymax")]
    try:
        left, top, right, bottom = box_of(sides)
    except (TypeError, ValueError):
        raise ValueError(f"has an object {label!r} whose box is not four numbers: {sides}") from None
    return label, (left - 1, top - 1, right, bottom)


def _part_of(name: str) -> str | None:
    return part_in(name.split("/")[:-1])


def _near(name: str, written: str) -> Iterator[str]:
    """Where the picture of an annotation may lie: under the name that stands in it, then under the annotation's own."""
    folder, stem = posixpath.split(posixpath.splitext(name)[0])
    above = posixpath.dirname(folder)
    for file in (written.replace("\\", "/"), *(f"{stem}{suffix}" for suffix in _SUFFIXES)):
        if file:
            yield from (posixpath.join(one, file) for one in (folder, f"{above}/JPEGImages".lstrip("/"), f"{above}/images".lstrip("/")))


def _parts(pictures: Pictures) -> Mapping[str, list[str]]:
    """Annotation files of each part, by the lists of ImageSets/Main where there are such, else by folder."""
    lists = {part: _listed(pictures, part) for part in PARTS}
    if not lists["train"]:
        return pictures.parts()
    found: dict[str, list[str]] = {part: [] for part in PARTS}
    for name in pictures.annotations:
        stem = posixpath.splitext(posixpath.basename(name))[0]
        part = next((part for part, names in lists.items() if stem in names), None)
        if part is None:
            pictures.set_aside.append(SetAside(pictures.root.show(name), "is in no list of ImageSets/Main", is_bad=False))
            pictures.find([*_near(name, "")], "", _part_of(name))  # its picture goes with it
        else:
            found[part].append(name)
    return found


def _listed(pictures: Pictures, part: str) -> set[str]:
    """Names in the files ImageSets/Main/PART.txt."""
    found: set[str] = set()
    for name in pictures.lists:
        if name.endswith(f"ImageSets/Main/{part}.txt"):
            try:
                found |= {words[0] for text in decoded(pictures.root.read(name)).splitlines() if (words := text.split())}
            except (BadPicture, UnicodeDecodeError) as error:
                raise UserError(Problem(pictures.root.show(name), 0, "", f"must be a list of names, but: {first_line(error)}")) from error
    return found
