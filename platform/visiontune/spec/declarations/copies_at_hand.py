"""What a study kept copies of, plugins and teachers, by name: while it is gone on with, a copy takes the place of a file that is gone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

_copied = ContextVar[Mapping[str, str]]("copied")


@contextmanager
def copies_at_hand(keys: Iterable[str]) -> Iterator[None]:
    """While the block runs, these (`NAME@sha256:...`), which are loaded, stand for files of their names that are gone."""
    before = _copied.set({key.partition("@sha256:")[0]: key for key in keys})
    try:
        yield
    finally:
        _copied.reset(before)


def copy_of(name: str) -> str | None:
    """The key of the copy of this name, None where none is at hand."""
    return _copied.get({}).get(name)
