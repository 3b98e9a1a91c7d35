"""Where Ray puts its sockets and logs on this machine, and whether it can."""

from __future__ import annotations

import os
from pathlib import Path

from visiontune.errors import UserError

MOST_CHARACTERS = 107
"""Of the path of a socket, on Linux."""
_NAMES = ("RAY_TMPDIR", "TMPDIR")
_BELOW = "ray/session_2026-11-29_02-44-48_056681_{pid}/sockets/plasma_store"
"""As Ray 2.60 names its longest one."""


def refuse_temp_folder() -> None:
    """Raise UserError where Ray can't start here: its folder has too long a path, or can't be written."""
    name = next((one for one in _NAMES if os.environ.get(one)), "")
    temp = Path(os.environ.get(name) or "/tmp")
    said = f"{name}={temp}" if name else str(temp)
    socket = temp / _BELOW.format(pid=os.getpid())
    if (too_many := len(os.fsencode(socket)) - MOST_CHARACTERS) > 0:
        rule = f"Ray's sockets lie below {said}, whose path is {too_many} characters too long for them"
        raise UserError(f"{rule} (Linux takes {MOST_CHARACTERS}); set RAY_TMPDIR to a shorter folder, such as /tmp")
    folder = next((one for one in (temp / "ray", temp) if one.exists()), temp)
    if not os.access(folder, os.W_OK | os.X_OK):
        whose = f"is {_owner(folder)}'s and can't be written" if folder.exists() else "is not there"
        raise UserError(f"Ray's folder for sockets and logs, {folder}, {whose}; set RAY_TMPDIR to a folder of your own with a short path")


def _owner(folder: Path) -> str:
    try:
        return folder.owner()
    except KeyError:
        return f"user {folder.stat().st_uid}"
