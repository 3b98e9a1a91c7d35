"""Folders as people have them: each row is what lies there and what is trained on, set aside and said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from layouts import Row, hold
from source_files import tree


def _files(*names: str) -> Callable[[Path], None]:
    def make(root: Path) -> None:
        tree(root, {name: index % 30 for index, name in enumerate(names)})

    return make


ROWS = {
    "a folder for each class": Row(_files("cat/a.png", "dog/b.png"), {"train": {"cat/a.png": "cat", "dog/b.png": "dog"}}, source="folder"),
}


@pytest.mark.parametrize("name", ROWS)
def test_what_lies_there_is_what_is_read(name: str, tmp_path: Path) -> None:
    hold(ROWS[name], tmp_path)
