"""All stores of a cache: how large, what they are called, when they were last used; and how one is removed.

A store's time of change is that of its last use: `prepare` sets it whenever it finds the store.
"""

from __future__ import annotations

import contextlib
import os
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from visiontune.data.store.names import names_of
from visiontune.data.store.store import pixels_of
from visiontune.errors import UserError


@dataclass(frozen=True)
class Stored:
    """`files` are the store and what was found out of its pictures; `base` is the digest of the one that has its pixels.

    `used_s` is of the last use, in seconds since 1970.
    """

    path: Path
    files: tuple[Path, ...]
    num_bytes: int
    used_s: float
    names: tuple[str, ...]
    base: str | None = None

    @property
    def digest(self) -> str:
        """Of content and settings."""
        return self.path.stem


def stores_in(cache: Path) -> list[Stored]:
    """The one used last first."""
    names = defaultdict[str, list[str]](list)
    for name, digest in names_of(cache).items():
        names[digest].append(name)
    found = [_stored(path, tuple(names[path.stem])) for path in cache.glob("*.arrow")]
    return sorted(found, key=lambda one: one.used_s, reverse=True)


def mark_used(path: Path) -> None:
    """Now. A cache that can't be written to keeps its times."""
    with contextlib.suppress(OSError):
        os.utime(path)


def remove(one: Stored) -> None:
    """The store last, so that what a kill leaves is found again. Whoever has it mapped goes on. Raises OSError."""
    for path in one.files:
        path.unlink(missing_ok=True)


def _stored(path: Path, names: tuple[str, ...]) -> Stored:
    files = (*sorted(other for other in path.parent.glob(f"{path.stem}.*") if other != path), path)
    num_bytes = sum(other.stat().st_blocks * 512 for other in files if other.exists())
    base = None
    with contextlib.suppress(UserError):
        base = pixels_of(path)
    return Stored(path, files, num_bytes, path.stat().st_mtime, names, None if base is None else base.stem)
