"""Whether a folder is still where it was: one that was moved away must not be made again by whoever goes on writing to its path."""

from __future__ import annotations

from pathlib import Path


class LeftBehind(OSError):
    """The folder was moved or removed while it was in use."""


class SameFolder:
    """A folder, known by what the disk has at its path now; one that is not there yet may still be made."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._first = _identity(path)

    def refuse_moved(self) -> None:
        """Raise LeftBehind where something else, or nothing, lies at the path."""
        now = _identity(self._path)
        self._first = self._first or now
        if now != self._first:
            raise LeftBehind(f"{self._path} was moved or removed while it was in use")


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
