"""Figures of each class, as a record that imports nothing: torchmetrics, which counts them in training, takes 3.5 s."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class ClassTable:
    """One value for each class, in the order of the names; `support` counts its pictures.

    confusion[i][j] are the pictures of class i that were taken for class j. What divides by zero is 0, as a class that was
    never predicted has no precision. Where pictures have several classes there is no confusion; precision, recall and F1 are then those
    of probabilities from `threshold` on, and a class without a picture has None for its average precision.
    """

    classes: tuple[str, ...]
    precision: tuple[float, ...]
    recall: tuple[float, ...]
    f1: tuple[float, ...]
    support: tuple[int, ...]
    confusion: tuple[tuple[int, ...], ...]
    average_precision: tuple[float | None, ...] = ()
    threshold: tuple[float, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The table as JSON can carry it."""
        of_many = ("average_precision", "threshold")
        return {name: value for name, value in asdict(self).items() if value or name not in of_many}
