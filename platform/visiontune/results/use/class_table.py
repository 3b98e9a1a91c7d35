"""The test set class by class, in lines that fit a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from visiontune.data.file_names import printable
from visiontune.errors import plural
from visiontune.results.screens.text import aligned, cut

if TYPE_CHECKING:
    from visiontune.training.class_figures import ClassTable

MAX_CLASSES = 40
_HEADER = ("class", "pictures", "precision", "recall", "f1", "taken for")
_OF_MANY = ("class", "pictures", "precision", "recall", "f1", "ap", "from")


def class_lines(table: ClassTable, width: int | None = None) -> list[str]:
    """A line for each class; of more than 40, those with the lowest recall. The last column is its most frequent mistake.

    A class without a picture has no figures, and comes after those with some. Where pictures have several classes the last columns are
    the average precision and the probability from which on a class is said.
    `width` in characters shortens names.
    """
    classes = range(len(table.classes))
    shown = (
        classes if len(classes) <= MAX_CLASSES else sorted(classes, key=lambda k: (not table.support[k], table.recall[k], k))[:MAX_CLASSES]
    )
    room = max(8, ((width or 100) - 42) // 2)
    lines = aligned([_OF_MANY if table.threshold else _HEADER, *(_row(table, k, room) for k in shown)])
    if len(shown) < len(classes):
        lines.append(f"{plural(len(classes) - len(shown), 'class')} of higher recall are left out")
    return lines


def _row(table: ClassTable, k: int, room: int) -> tuple[str, ...]:
    columns = (table.precision, table.recall, table.f1, *([table.average_precision, table.threshold] if table.threshold else []))
    figures = ["-" if not table.support[k] or (value := column[k]) is None else f"{value:.3f}" for column in columns]
    named = _short(table.classes[k], room), str(table.support[k]), *figures
    if table.threshold:
        return named
    wrong = {other: count for other, count in enumerate(table.confusion[k]) if other != k and count}
    worst = max(wrong, key=lambda other: wrong[other], default=None)
    mistake = "-" if worst is None else f"{_short(table.classes[worst], room - 7)} {wrong[worst]}"
    return *named, mistake


def _short(name: str, room: int) -> str:
    return cut(printable(name), max(room, 4))
