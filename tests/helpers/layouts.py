"""What visiontune makes of files as they lie: one row of a layout table is what a test writes and what must come out."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from visiontune.data.prepare import source_of, with_defaults
from visiontune.data.readers.detect import detect_source
from visiontune.errors import UserError


@dataclass(frozen=True)
class Row:
    """`make(root)` writes files and may return what is given in place of the root; `data` are keys of the section `data` beside it.

    `parts`: class by key of each picture, part by part. `aside`: words of the reason, by file name. `said`: words of the notes.
    `refused`: words that the refusal must have, in place of all these; `source`: what the path must be found to be.
    """

    make: Callable[[Path], str | None]
    parts: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    aside: Mapping[str, str] = field(default_factory=dict)
    said: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    source: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)


def hold(row: Row, root: Path) -> None:
    """Assert that the row holds in the empty folder `root`."""
    text = row.make(root) or str(root)
    if row.refused:
        with pytest.raises(UserError) as error:
            read(text, row.data)
        assert [words for words in row.refused if words not in str(error.value)] == [], str(error.value)
        return
    section, source = read(text, row.data)
    assert row.source in (None, section["source"])
    assert {part: classes_of(source, part) for part in source.labels()} == row.parts
    aside = {posixpath.basename(one.name): one.reason for one in source.set_aside}
    assert aside.keys() == row.aside.keys(), aside
    assert [name for name, words in row.aside.items() if words not in aside[name]] == [], aside
    said = "\n".join(source.notes)
    assert [words for words in row.said if words not in said] == [], said
    assert row.said or not said, said


def read(text: str, data: Mapping[str, Any]) -> tuple[Mapping[str, Any], Any]:
    """The section that `visiontune ingest TEXT KEY=VALUE...` uses, and its source."""
    section = with_defaults({**detect_source(text), **data})
    return section, source_of(section)


def classes_of(source: Any, part: str) -> dict[str, str]:
    """Class of each picture by its key."""
    return {key: source.class_names[label] for key, label in zip(source.keys(part), source.labels()[part].tolist(), strict=True)}
