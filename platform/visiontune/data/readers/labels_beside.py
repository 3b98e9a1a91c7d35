"""Pictures with a text of the same name beside them that says their classes, cat1.jpg and cat1.txt, as people keep tags."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from itertools import chain

from visiontune.data.file_names import identity, is_hidden
from visiontune.data.file_tree import Root
from visiontune.data.readers.item import Item
from visiontune.data.readers.label_files import labels_of, mark_of, said_by, texts_of, why_none
from visiontune.data.readers.listing import note_odd, pictures_in
from visiontune.data.readers.manifest_labels import notes_of_mark
from visiontune.data.source import SetAside

SUFFIX = ".txt"
TextOf = dict[str, str]
"""The text beside each picture."""


def labels_beside(
    root: Root, tops: Mapping[str, str], set_aside: list[SetAside], *, has_many: bool
) -> tuple[dict[str, list[Item]], list[str]]:
    """The pictures of each part, in all folders below its own, and notes. What has no text or no picture is set aside. Raises UserError."""
    found = {part: _texts(root, top, set_aside) for part, top in tops.items()}
    said = {part: said_by(root, [*texts.values()], SUFFIX) for part, texts in found.items()}
    mark = mark_of(chain(*said.values())) if has_many else None
    labels_of_part = labels_of(said, mark, has_many=has_many)
    items: dict[str, list[Item]] = {}
    for part, texts in found.items():
        labels = labels_of_part[part]
        items[part] = [Item(path, label) for path, label in zip(texts, labels, strict=True) if label is not None]
        for (path, text), one, label in zip(texts.items(), said[part], labels, strict=True):
            if label is None:
                set_aside.append(SetAside(root.show(path), why_none(one, posixpath.basename(text))))
    return items, [*notes_of_mark(mark, texts_of(chain(*said.values())), SUFFIX)]


def _texts(root: Root, top: str, set_aside: list[SetAside]) -> TextOf:
    texts: TextOf = {}
    bare: list[str] = []
    for folder, found in root.walk(top):
        note_odd(folder, found.odd, found.folders, root, set_aside)
        texts |= _pairs(root, folder, found.files, bare, set_aside)
    # Tests often have no labels at all; single pictures without one among others are lost.
    set_aside += [SetAside(root.show(path), f"has no label: there is no {SUFFIX} beside it", is_bad=bool(texts)) for path in bare]
    return texts


def _pairs(root: Root, folder: str, files: Sequence[str], bare: list[str], set_aside: list[SetAside]) -> TextOf:
    """The text of each picture in one folder; pictures without one go to `bare`."""
    written = {_stem(name): name for name in files if name.lower().endswith(SUFFIX) and not is_hidden(name)}
    known = {*written.values()}
    pictures = {name: _stem(name) for name in pictures_in(folder, [name for name in files if name not in known], root, set_aside)}
    bare += [posixpath.join(folder, name) for name, stem in pictures.items() if stem not in written]
    stems = {*pictures.values()}
    alone = [posixpath.join(folder, name) for stem, name in written.items() if stem not in stems]
    set_aside += [SetAside(root.show(path), "is a text without a picture of its name", is_bad=False) for path in alone]
    paired = {name: written[stem] for name, stem in pictures.items() if stem in written}
    return {posixpath.join(folder, name): posixpath.join(folder, text) for name, text in paired.items()}


def _stem(name: str) -> str:
    return identity(posixpath.splitext(name)[0])
