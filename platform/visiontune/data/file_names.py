"""Names of files: printable, the same on all systems, hidden or not."""

from __future__ import annotations

import re
import unicodedata

_LEFT_BEHIND = frozenset(
    (
        *("__macosx", "_ds_store", "icon\r", "thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin", "recycler"),
        *("system volume information", "lost+found", "@eadir", "@tmp", "@recycle", "@recently-snapshot", "#recycle", "#snapshot"),
    )
)
"""In lower case: of macOS, Windows, Linux, and of Synology's and QNAP's devices."""


_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""What breaks lines, or moves or turns what a terminal shows."""


def printable(name: str) -> str:
    """A name that can be shown in a line: control characters and bytes of a foreign encoding as escapes.

    >>> printable("new\\nline")
    'new\\\\nline'
    """
    return _CONTROLS.sub(lambda found: found[0].encode("unicode_escape").decode(), as_utf8(name))


def as_utf8(name: str) -> str:
    """A name that can be written as UTF-8: bytes of a foreign encoding as escapes."""
    return name.encode("utf-8", "backslashreplace").decode()


def identity(name: str) -> str:
    """A name that is the same on all systems, however they write composed letters."""
    return name if name.isascii() else unicodedata.normalize("NFC", as_utf8(name))


def is_hidden(name: str) -> bool:
    """Whether it is a hidden file or folder, or one that systems and devices leave behind, and no data."""
    return name.startswith(".") or name.lower() in _LEFT_BEHIND
