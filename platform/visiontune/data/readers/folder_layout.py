"""Where the classes of a folder begin: below folders train, val and test, below folders that only wrap others, or at once."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from visiontune.data.class_names import PARTS, part_of
from visiontune.data.file_names import as_utf8, is_hidden, printable
from visiontune.data.file_tree import Root
from visiontune.data.readers.exclude import exclude_of
from visiontune.data.readers.listing import is_picture
from visiontune.errors import Problem, UserError

_WRAPPERS = frozenset({"images", "image", "imgs", "img", "jpegimages", "data", "dataset", "datasets"})
_TABLES = (".csv", ".tsv", ".parquet")
_NUMBER = re.compile(r"[ _.-]?\d+$")
_MAX_SHOWN = 5
_MOST_WRAPPERS = 8
"""One that is a link to a folder above it never ends; the walk through the classes tells of it."""


@dataclass
class Layout:
    """`parts` has the folder of each part, below which are its classes; `above` are the folders over those, `notes` what was decided."""

    parts: dict[str, str]
    above: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def find_layout(root: Root, *, is_flat: bool, is_depth_given: bool) -> Layout:
    """Look at the folders near the top. `is_flat`: parts need no folders of classes; `is_depth_given`: what looks like no class may be one.

    Raises UserError where only some folders are parts, and where folders would be classes that are none by their names.
    """
    layout = Layout({"train": ""})
    top = _unwrapped(root, "", layout.above, is_flat)
    if top:
        # Keys from the inner folder would be the same under either name, and move pictures between the splits of studies that were begun.
        splits = f"splits are drawn by paths from {root.shown}, and would be others if the inner folder was named itself"
        layout.notes.append(f"{root.show(top)} is read, since nothing but it holds folders; {splits}")
    names = _folders(root, top)
    # A class may be called "train"; its folder holds pictures, that of a part holds folders.
    divided = [name for name in names if part_of(name) and (is_flat or _folders(root, posixpath.join(top, name)))]
    if any(part_of(name) == "train" for name in divided):
        layout.above.append(top)
        layout.parts = _parts(root, top, names)
        layout.parts = {part: _inner(root, folder, layout.above, part) for part, folder in layout.parts.items()}
        layout.notes += _as_parts(root, top, layout.parts)
    elif not is_flat:
        layout.parts = {"train": top}
        layout.notes += _class_words(root, top, names, is_depth_given)
    else:
        layout.parts = {"train": top}
    return layout


def _folders(root: Root, folder: str) -> list[str]:
    return [name for name in root.scan(folder).folders if not is_hidden(name)]


def _has_pictures(root: Root, folder: str) -> bool:
    return any(is_picture(folder, name, root, []) for name in root.scan(folder).files)


def _unwrapped(root: Root, folder: str, above: list[str], is_flat: bool) -> str:
    """The first folder from this one downwards that holds more than a single folder of folders; those over it go to `above`."""
    for _ in range(_MOST_WRAPPERS):
        if len(names := _folders(root, folder)) != 1:
            break
        inner = posixpath.join(folder, names[0])
        is_train = part_of(names[0]) == "train" and not is_flat
        holds_folders = any(part_of(name) for name in _folders(root, inner)) if is_flat else bool(_folders(root, inner))
        if is_train or not holds_folders or _has_pictures(root, inner):
            break
        above.append(folder)
        folder = inner
    return folder


def _parts(root: Root, top: str, names: Sequence[str]) -> dict[str, str]:
    """The folder of each part. Raises UserError for a folder that is none, and for two of one part."""
    others = [name for name in names if part_of(name) is None]
    where = root.show(top)
    if others:
        first = next(name for name in names if part_of(name))
        rule = f"must hold either parts (train, val, test) or classes, but {first!r} is a part and {_shown(others)} {_is(others)} not"
        raise UserError(Problem(where, 0, "", f"{rule}; {exclude_of(others[:_MAX_SHOWN])} leaves out what is no part"))
    # A test without labels still is a part, of which nothing can be used.
    folders: dict[str, str] = {}
    for name in sorted(names, key=lambda name: PARTS.index(part_of(name) or "train")):
        part = part_of(name)
        assert part is not None
        if part in folders:
            rule = f"must hold one folder for {part}, but has {posixpath.basename(folders[part])!r} and {name!r}"
            raise UserError(Problem(where, 0, "", f"{rule}; {exclude_of([name])} leaves one out"))
        folders[part] = posixpath.join(top, name)
    return folders


def _inner(root: Root, folder: str, above: list[str], part: str) -> str:
    """The folder of a part, or the one that is doubled in it: seg_train/seg_train, train/images; in a test it may hold no classes."""
    for _ in range(_MOST_WRAPPERS):
        if len(names := _folders(root, folder)) != 1:
            break
        inner = posixpath.join(folder, names[0])
        if not _is_wrapper(names[0], folder) or (part == "train" and (not _folders(root, inner) or _has_pictures(root, inner))):
            break
        above.append(folder)
        folder = inner
    return folder


def _is_wrapper(name: str, around: str) -> bool:
    return name.casefold() in _WRAPPERS or part_of(name) is not None or name == posixpath.basename(around)


def _as_parts(root: Root, top: str, parts: dict[str, str]) -> list[str]:
    """A note, where a part's folder is not just called after it."""
    inner = {part: posixpath.relpath(folder, top or ".") for part, folder in parts.items()}
    if all(folder.casefold() in ("train", "val", "valid", "validation", "test") for folder in inner.values()):
        return []
    return ["read as parts: " + ", ".join(f"{printable(folder)} as {part}" for part, folder in inner.items())]


def _class_words(root: Root, top: str, names: Sequence[str], is_depth_given: bool) -> list[str]:
    """Notes on folders that are classes in spite of their names. Raises UserError where that is not plain and nobody said so."""
    odd = [name for name in names if part_of(name) or name.casefold() in _WRAPPERS]
    if any(map(part_of, odd)):  # beside train, test1 is no class (Kaggle's Dogs vs. Cats)
        odd = [name for name in names if name in odd or part_of(_NUMBER.sub("", name))]
    others = [name for name in names if name not in odd]
    if not odd:
        return []
    # A train among other vehicles is likelier a class than all training pictures; a test beside classes is likelier a test without labels.
    if is_depth_given or (len(odd) == 1 and part_of(odd[0]) == "train" and others):
        return [f"{_shown(odd)} {_is(odd)} read as {'a class' if len(odd) == 1 else 'classes'}, beside {_shown(others) or 'nothing else'}"]
    seen = ", ".join(f"{as_utf8(name)!r} with {_content(root, posixpath.join(top, name))}" for name in names[:_MAX_SHOWN])
    rule = f"must hold a folder for each class, or parts with such folders, but holds {seen}, and {_shown(odd)} {_is(odd)} no class by name"
    raise UserError(
        Problem(root.show(top), 0, "", "; ".join([rule, *_ways(root, top, odd, others), "class_depth: 1 takes them as classes"]))
    )


def _ways(root: Root, top: str, odd: Sequence[str], others: Sequence[str]) -> Iterator[str]:
    """What would read folders that are no classes."""
    tables = [name for name in root.scan(top).files if name.lower().endswith(_TABLES) and not is_hidden(name)]
    if not any(_folders(root, posixpath.join(top, name)) for name in odd):
        path = f", path: {root.show(posixpath.join(top, tables[0]))}" if tables else ""
        table = f"the table {printable(tables[0])} beside them" if tables else "a table"
        yield f"label_from: name reads classes from names of files, and {table} (source: manifest{path}) from its rows"
        if len(others) > 1 and all(map(part_of, odd)):
            yield f"{exclude_of(odd)} leaves {_shown(others)}"
    elif others and not any(map(part_of, odd)):
        yield f"{exclude_of(others[:_MAX_SHOWN])} leaves {_shown(odd)}"


def _content(root: Root, folder: str) -> str:
    found = root.scan(folder)
    num_files, num_folders = (sum(not is_hidden(name) for name in names) for names in (found.files, found.folders))
    counts = {"folder": num_folders, "file": num_files}
    return " and ".join(f"{num:,} {kind}{'s'[: num > 1]}" for kind, num in counts.items() if num) or "nothing"


def _shown(names: Sequence[str]) -> str:
    return ", ".join(repr(as_utf8(name)) for name in names[:_MAX_SHOWN]) + (", ..." if len(names) > _MAX_SHOWN else "")


def _is(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"
