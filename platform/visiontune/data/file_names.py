"""Names of files: printable, the same on all systems, hidden or not."""

from __future__ import annotations

import unicodedata

_LEFT_BEHIND = frozenset(
    (
        *("__macosx", "_ds_store", "icon\r", "thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin", "recycler"),
        *("system volume information", "lost+found", "@eadir", "@tmp", "@recycle", "@recently-snapshot", "#recycle", "#snapshot"),
    )
)
"""In lower case: of macOS, Windows, Linux, and of Synology's and QNAP's devices."""


def printable(name: str) -> str:
    """A name that can be written as UTF-8: bytes of a foreign encoding as escapes."""
    return name.encode("utf-8", "backslashreplace").decode()


def identity(name: str) -> str:
    """A name that is the same on all systems, however they write composed letters."""
    return name if name.isascii() else unicodedata.normalize("NFC", printable(name))


def is_hidden(name: str) -> bool:
    """Whether it is a hidden file or folder, or one that systems and devices leave behind, and no data."""
    return name.startswith(".") or name.lower() in _LEFT_BEHIND
