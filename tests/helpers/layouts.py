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


def differences(row: Row, root: Path) -> list[str]:
    """What comes out otherwise than the row says, in the empty folder `root`."""
    text = row.make(root) or str(root)
    if row.refused:
        with pytest.raises(UserError) as error:
            read(text, row.data)
        return [f"the refusal lacks {words!r}: {error.value}" for words in row.refused if words not in str(error.value)]
    section, source = read(text, row.data)
    parts = {part: classes_of(source, part) for part in source.labels()}
    aside = {posixpath.basename(one.name): one.reason for one in source.set_aside}
    said = "\n".join(source.notes)
    told = [f"read as {section['source']}"] if row.source not in (None, section["source"]) else []
    told += [f"parts are {parts}"] if parts != row.parts else []
    told += [f"set aside are {aside}"] if aside.keys() != row.aside.keys() else []
    told += [f"{name} {aside[name]}" for name, words in row.aside.items() if words not in aside.get(name, words)]
    told += [f"the notes lack {words!r}: {said}" for words in row.said if words not in said]
    return told + ([f"the notes say {said}"] if said and not row.said else [])


def read(text: str, data: Mapping[str, Any]) -> tuple[Mapping[str, Any], Any]:
    """The section that `visiontune ingest TEXT KEY=VALUE...` uses, and its source."""
    section = with_defaults({**detect_source(text, exclude=data.get("exclude", ())), **data})
    return section, source_of(section)


def classes_of(source: Any, part: str) -> dict[str, str]:
    """Class of each picture by its key; of several all, parted by |."""
    sets = source.label_sets or [(number,) for number in range(len(source.class_names))]
    names = ["|".join(source.class_names[number] for number in one) for one in sets]
    return {key: names[label] for key, label in zip(source.keys(part), source.labels()[part].tolist(), strict=True)}
