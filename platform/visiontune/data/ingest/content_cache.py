"""What the pictures of a source are, as a text by which their store is found: read from the files once for each state of them.

Texts lie in a folder of the cache, named after the source's stamp. That files change while they are read is noticed by `ingest`.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable
from pathlib import Path

from visiontune.data.source import Source
from visiontune.filesystem.atomic_write import write_whole

_FOLDER = ".contents"


class ContentCache:
    """`stamps` are the source's before anything was read, None for a source whose content costs nothing."""

    def __init__(self, source: Source, cache: Path) -> None:
        self._source, self._folder = source, cache / _FOLDER
        self.stamps = source.stamps() if source.stamps is not None else None

    def known(self) -> str | None:
        """The text, if it costs nothing; None where these files have not been read yet."""
        return _text(self._path) if self.stamps is not None else self._source.content()

    def read(self, tell: Callable[[float], object]) -> str:
        """The text, read from the files where it is not known; `tell` as in `Source.content`."""
        text = self.known()
        if text is None:
            tell(0.0)
            text = self._source.content(tell)
            self.keep(text)
        return text

    def keep(self, text: str) -> None:
        """Write the text for the next call. Raises OSError."""
        write_whole(self._path, f"{text}\n{hashlib.sha256(text.encode()).hexdigest()}", use_fsync=False)

    @property
    def is_new(self) -> bool:
        """See `is_new`."""
        return is_new(self._source, self._folder.parent)

    @property
    def _path(self) -> Path:
        assert self.stamps is not None
        return self._folder / self.stamps.text[:32]


def is_new(source: Source, cache: Path) -> bool:
    """Whether no source with these names and labels has been read here before, wherever it lay: then no store can have its content.

    Files are not looked at; of a source that has no listing it is known only where none has been read at all.
    """
    start = "" if source.listing is None else f"{source.listing()} "
    return not any((text := _text(path)) is not None and text.startswith(start) for path in (cache / _FOLDER).glob("[!.]*"))


def _text(path: Path) -> str | None:
    """None for a file that is missing or damaged."""
    with contextlib.suppress(OSError, UnicodeDecodeError):
        text, _, check = path.read_text().rpartition("\n")
        if hashlib.sha256(text.encode()).hexdigest() == check:
            return text
    return None
