"""Names in a listing of files: which are pictures, and which are set aside and why."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Sequence

from visiontune.data.file_names import is_hidden
from visiontune.data.file_tree import Root
from visiontune.data.picture.formats import kind_of, picture_suffixes
from visiontune.data.reads_at_once import each
from visiontune.data.source import SetAside

_START_BYTES = 160
"""What tells the format of any picture; DICOM has its mark at 128."""
_NO_SUFFIX = "has no suffix, and does not begin like a picture"


def is_picture(folder: str, name: str, root: Root, set_aside: list[SetAside]) -> bool:
    """Whether it is a picture by its name, or by its first bytes where the name has no suffix; others are set aside with the reason."""
    return bool(pictures_in(folder, [name], root, set_aside))


def pictures_in(folder: str, names: Sequence[str], root: Root, set_aside: list[SetAside]) -> list[str]:
    """Those of the names that are pictures, as `is_picture` has it; a remote store is asked for many first bytes at once."""
    reasons = {name: reason for name in names if (reason := _reason(name)) is not None}
    unknown = [name for name, reason in reasons.items() if reason == _NO_SUFFIX]
    for name, start in zip(unknown, _starts(folder, unknown, root), strict=True):
        if kind_of(start) is not None:
            del reasons[name]
    set_aside += [SetAside(root.show(posixpath.join(folder, name)), reason, is_bad=False) for name, reason in reasons.items()]
    return [name for name in names if name not in reasons] if reasons else list(names)


def _reason(name: str) -> str | None:
    """Why it is no picture by its name alone."""
    if is_hidden(name):
        return "is a hidden file"
    suffix = posixpath.splitext(name)[1].lower()
    if suffix in picture_suffixes():
        return None
    return "is not named like a picture" if suffix.strip(".0123456789") else _NO_SUFFIX


def _starts(folder: str, names: Sequence[str], root: Root) -> Iterator[bytes]:
    paths = [posixpath.join(folder, name) for name in names]
    return each(lambda path: root.start(path, _START_BYTES), paths, is_remote=root.is_remote)


def note_odd(folder: str, odd: list[tuple[str, str]], hidden: list[str], root: Root, set_aside: list[SetAside]) -> None:
    """Set aside what a listing found that can't be read, and hidden folders, which are not entered."""
    set_aside += [SetAside(root.show(posixpath.join(folder, name)), reason) for name, reason in odd]
    set_aside += [SetAside(root.show(posixpath.join(folder, name)), "is a hidden folder", False) for name in hidden if is_hidden(name)]
