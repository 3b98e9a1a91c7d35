"""What lies at a path that a user named: any text, which `Path.is_dir` and its like may raise for (too long a name, a closed folder)."""

from __future__ import annotations

import os
import stat
from pathlib import Path


def kind_of(path: Path | str) -> str | None:
    """ "folder", "file" or "other"; None where nothing is there that this process can see.

    >>> kind_of("/"), kind_of("/dev/null"), kind_of("x" * 300)
    ('folder', 'other', None)
    """
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116  asked of every picture that is named; a Path of its own costs as much again
    except (OSError, ValueError):
        return None
    return "folder" if stat.S_ISDIR(mode) else "file" if stat.S_ISREG(mode) else "other"


def with_home(path: str | os.PathLike[str]) -> Path:
    """The path with the home folder that a leading ~ means; that of a user whom there is not stays, where `Path.expanduser` raises.

    >>> with_home("~nobody-of-that-name/x")
    PosixPath('~nobody-of-that-name/x')
    """
    return Path(os.path.expanduser(path))  # noqa: PTH111
