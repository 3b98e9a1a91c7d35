"""Files and folders as a call from Python names them."""

from __future__ import annotations

import os
from pathlib import Path

from visiontune.errors import UserError
from visiontune.filesystem.path_kind import with_home


def path_from(given: object, what: str) -> Path:
    """A file or folder as a call names it, with the home folder that a leading ~ means. Raises UserError for what is no path."""
    if not isinstance(given, str | os.PathLike):
        raise UserError(f"{what} is a path, but got {given!r}")
    return with_home(given)


def given_path(given: object, what: str) -> Path | None:
    """The same; None for None."""
    return None if given is None else path_from(given, what)
