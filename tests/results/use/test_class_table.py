"""The table of classes in lines."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from rich.cells import cell_len

from visiontune.results.report.network_sections import classes
from visiontune.results.screens.text import aligned, cut
from visiontune.results.use.class_table import MAX_CLASSES, class_lines
from visiontune.training.class_figures import ClassTable
from visiontune.training.label_figures import label_table


def table(names: list[str], confusion: list[list[int]]) -> ClassTable:
    support = tuple(sum(row) for row in confusion)
    recall = tuple(row[k] / max(1, sum(row)) for k, row in enumerate(confusion))
    some = tuple(0.5 for _ in names)
    return ClassTable(tuple(names), some, recall, some, support, tuple(map(tuple, confusion)))


def test_a_line_for_each_class_with_its_most_frequent_mistake() -> None:
    lines = class_lines(table(["cat", "dog", "eel", "fox"], [[7, 2, 1, 0], [0, 5, 0, 0], [1, 3, 0, 0], [0, 0, 0, 0]]))
    assert lines[0].split() == ["class", "pictures", "precision", "recall", "f1", "taken", "for"]
    assert [line.split() for line in lines[1:]] == [
        ["cat", "10", "0.500", "0.700", "0.500", "dog", "2"],
        ["dog", "5", "0.500", "1.000", "0.500", "-"],
        ["eel", "4", "0.500", "0.000", "0.500", "dog", "3"],
        ["fox", "0", "-", "-", "-", "-"],
    ]


def test_of_many_classes_those_of_low_recall_are_shown() -> None:
    num = MAX_CLASSES + 5
    confusion = [[k if i == j else (num - k if j == (i + 1) % num else 0) for j in range(num)] for i, k in enumerate(range(num))]
    lines = class_lines(table([f"c{k}" for k in range(num)], confusion))
    assert [line.split()[0] for line in lines[1:-1]] == [f"c{k}" for k in range(MAX_CLASSES)]
    assert lines[-1] == "5 classes of higher recall are left out"


def test_lines_fit_a_terminal() -> None:
    names = ["a name that is far longer than anyone would want " * 3, "another one that takes no end and goes on " * 3]
    for width in (60, 80, 132):
        lines = class_lines(table(names, [[90000, 10000], [12345, 54321]]), width)
        assert all(len(line) <= width for line in lines), (width, lines)
        assert "…" in lines[1]


def test_columns_line_up_whatever_alphabet_names_are_of_and_controls_do_nothing() -> None:
    """As rich, which knows terminals, counts; "\\x1b[2J" would clear the screen."""
    names = ["猫の絵", "e\u0301te\u0301", "👍", "한국어", "\x1b[2Jdog"]
    assert {cell_len(line) for line in aligned([(name, "|") for name in names])} == {cell_len(r"\x1b[2Jdog  |")}
    assert all(cell_len(cut(name * 9, width)) <= width for name in names[:4] for width in range(4, 20))
    lines = class_lines(table(names, np.eye(5, dtype=int).tolist()), 60)
    assert "\x1b" not in "".join(lines) and max(map(cell_len, lines)) <= 60


def test_of_several_labels_a_class_without_a_picture_has_no_figures_in_the_report_either() -> None:
    is_NK = torch.tensor([[True, False], [False, False]])
    found = label_table(torch.tensor([[0.9, 0.1], [0.2, 0.3]]), is_NK, torch.tensor([0.5, 0.25]), ("cat", "dog"))
    subject: Any = SimpleNamespace(views={}, test=found.to_dict())
    (shown,) = classes(subject) or ()
    assert shown.rows == [("cat", "1", *["100.0\xa0%"] * 4, "50.0\xa0%"), ("dog", "0", *["-"] * 5)]  # type: ignore[union-attr]
    assert class_lines(found)[2].split() == ["dog", "0", *["-"] * 5]
