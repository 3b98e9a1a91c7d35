"""The pictures that a network gets wrong, surest first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath

import numpy as np

from visiontune.augmentation.sheet_drawing import Tile, draw_gallery, drawable
from visiontune.inspection.answers import Answers
from visiontune.inspection.figure import Picture

MOST_ON_SHEET = 40


@dataclass(frozen=True)
class Mistake:
    """Row `row` of the store is of class `true`, and taken for `taken` with that probability; `true_probability` is that of its class."""

    row: int
    true: str
    taken: str
    probability: float
    true_probability: float


def mistakes(answers: Answers) -> tuple[Mistake, ...]:
    """All of them, the highest probability of a wrong class first."""
    wrong = np.flatnonzero(answers.predicted_N != answers.labels_N)
    order = wrong[np.argsort(-answers.confidence_N[wrong], kind="stable")]
    return tuple(mistake_of(answers, number) for number in order.tolist())


def mistake_of(answers: Answers, number: int) -> Mistake:
    """Of the picture `number` of the answers."""
    true, taken = int(answers.labels_N[number]), int(answers.predicted_N[number])
    probability_K = answers.probability_NK[number]
    names = answers.class_names
    return Mistake(int(answers.rows_N[number]), names[true], names[taken], float(probability_K[taken]), float(probability_K[true]))


def mistake_lines(found: Sequence[Mistake], name_of: Mapping[int, str], most: int = 10) -> list[str]:
    """One for each picture, the first `most`, with its name."""
    if not found:
        return ["none of the validation pictures is wrong"]
    lines = [
        f"{one.taken} {one.probability:.3f}, but is {one.true} ({one.true_probability:.3f}): {name_of[one.row]}" for one in found[:most]
    ]
    return lines + ([f"and {len(found) - most:,} more"] if len(found) > most else [])


def mistake_sheet(
    title: str, found: Sequence[Mistake], images: Mapping[int, Picture], name_of: Mapping[int, str], label_of: Mapping[str, str]
) -> Picture | None:
    """The first 40, eight in a row, with classes, probability and name below; None where there is none."""
    tiles = [
        Tile(
            images[one.row],
            [f"is {label_of[one.true]}", f"said {one.probability:.2f} {label_of[one.taken]}", short_name(name_of[one.row])],
            num_strong=2,
        )
        for one in found[:MOST_ON_SHEET]
    ]
    return np.asarray(draw_gallery(title, tiles)) if tiles else None


def short_name(name: str) -> str:
    """Of a file its own name without folders."""
    return PurePath(name).name or name


def sheet_labels(class_names: Sequence[str]) -> dict[str, str]:
    """What stands for each class on a sheet: its name, or its number where the typeface lacks a letter."""
    return {name: name if drawable(name) else f"class {number}" for number, name in enumerate(class_names)}
