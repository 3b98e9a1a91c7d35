"""Folders of picture files, and what a source gives of them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from picture_files import COLOUR, png

from visiontune.data.source import Source


def put(path: Path, index: int = 0, kind: str = "png") -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(png(COLOUR[index], kind))
    return COLOUR[index]


def tree(root: Path, names: Mapping[str, int]) -> str:
    for name, index in names.items():
        put(root / name, index)
    return str(root)


def given(source: Source, part: str = "train") -> dict[str, tuple[str, Any]]:
    """Class and picture, or what is wrong with it, by key."""
    labels = source.labels()[part]
    found = list(source.pictures(part, np.arange(len(labels))))
    assert len(found) == len(labels) == len(source.names(part)) == len(source.keys(part)) == len({*source.keys(part)})
    return {key: (source.class_names[label], one) for key, label, one in zip(source.keys(part), labels, found, strict=True)}


def set_aside(source: Source) -> dict[str, str]:
    """Reasons by file name."""
    return {os.path.basename(one.name): one.reason for one in source.set_aside}  # noqa: PTH119
