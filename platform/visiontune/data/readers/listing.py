"""Names in a listing of files: which are pictures, and which are set aside and why."""

from __future__ import annotations

import posixpath

from visiontune.data.file_names import is_hidden
from visiontune.data.file_tree import Root
from visiontune.data.picture.formats import picture_suffixes
from visiontune.data.source import SetAside


def is_picture(folder: str, name: str, root: Root, set_aside: list[SetAside]) -> bool:
    """Whether it is a picture by its name; others are set aside with the reason."""
    if is_hidden(name):
        reason = "is a hidden file"
    elif name[name.rfind(".") :].lower() in picture_suffixes():
        return True
    else:
        reason = "is not named like a picture"
    set_aside.append(SetAside(root.show(posixpath.join(folder, name)), reason, is_bad=False))
    return False


def note_odd(folder: str, odd: list[tuple[str, str]], hidden: list[str], root: Root, set_aside: list[SetAside]) -> None:
    """Set aside what a listing found that can't be read, and hidden folders, which are not entered."""
    set_aside += [SetAside(root.show(posixpath.join(folder, name)), reason) for name, reason in odd]
    set_aside += [SetAside(root.show(posixpath.join(folder, name)), "is a hidden folder", False) for name in hidden if is_hidden(name)]
