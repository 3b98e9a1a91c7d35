"""Names in a listing of files: which are pictures, and which are set aside and why."""

from __future__ import annotations

import posixpath

from visiontune.data.file_names import is_hidden
from visiontune.data.file_tree import Root
from visiontune.data.picture.formats import kind_of, picture_suffixes
from visiontune.data.source import SetAside

_START_BYTES = 160
"""What tells the format of any picture; DICOM has its mark at 128."""


def is_picture(folder: str, name: str, root: Root, set_aside: list[SetAside]) -> bool:
    """Whether it is a picture by its name, or by its first bytes where the name has no suffix; others are set aside with the reason."""
    _, suffix = posixpath.splitext(name)
    if is_hidden(name):
        reason = "is a hidden file"
    elif suffix.lower() in picture_suffixes():
        return True
    elif suffix.strip(".0123456789"):
        reason = "is not named like a picture"
    elif kind_of(root.start(posixpath.join(folder, name), _START_BYTES)) is not None:
        return True
    else:
        reason = "has no suffix, and does not begin like a picture"
    set_aside.append(SetAside(root.show(posixpath.join(folder, name)), reason, is_bad=False))
    return False


def note_odd(folder: str, odd: list[tuple[str, str]], hidden: list[str], root: Root, set_aside: list[SetAside]) -> None:
    """Set aside what a listing found that can't be read, and hidden folders, which are not entered."""
    set_aside += [SetAside(root.show(posixpath.join(folder, name)), reason) for name, reason in odd]
    set_aside += [SetAside(root.show(posixpath.join(folder, name)), "is a hidden folder", False) for name in hidden if is_hidden(name)]
