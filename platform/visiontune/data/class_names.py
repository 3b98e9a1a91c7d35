"""Names of classes: which there are, that no two are alike, and the number of each label; and names of the parts of a source."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Sequence

import numpy as np

from visiontune.data.split import IntArray
from visiontune.errors import Problem, UserError, nearest

PARTS = ("train", "val", "test")
"""Into which a source divides its pictures; what a store makes of them are its splits."""
_PART_NAMES = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}
_MAX_SHOWN = 20


def part_of(name: str) -> str | None:
    """train, val or test by any of the words in use; None for another word."""
    word = name.strip().casefold()
    return next((part for part, words in _PART_NAMES.items() if word in words), None)


def class_order(names: Collection[str], where: str) -> tuple[str, ...]:
    """The classes in order: by number where all are integers, else by name. Raises UserError for fewer than two and for names alike."""
    if len(names) < 2:
        raise UserError(Problem(where, 0, "", f"there must be at least 2 classes, but there is only {next(iter(names))!r}"))
    refuse_alike(names, where)
    return tuple(sorted(names, key=int) if all(name.isascii() and name.isdigit() for name in names) else sorted(names))


def refuse_alike(names: Collection[str], where: str) -> None:
    """Raise UserError for classes that differ only in case, in spaces around them or in how Unicode composes a letter."""
    seen: dict[str, str] = {}
    for name in sorted(names):
        folded = unicodedata.normalize("NFC", name).strip().casefold()
        if folded in seen:
            rule = f"classes must differ in more than case, spaces around them or Unicode form, but {seen[folded]!r} and {name!r} do not"
            raise UserError(Problem(where, 0, "", f"{rule}; rename one or put their pictures together"))
        seen[folded] = name


def encode(labels: Sequence[str], class_names: Sequence[str], where: str, part: str) -> IntArray:
    """(N,) int64, the index of each label in `class_names`. Raises UserError for a label that is not among them."""
    number = {name: index for index, name in enumerate(class_names)}
    unknown = next((label for label in labels if label not in number), None)
    if unknown is not None:
        rule = f"labels of {part} must occur in train, but {unknown!r} does not"
        raise UserError(Problem(where, 0, "", f"{rule}; {nearest(unknown, class_names[:_MAX_SHOWN])}"))
    return np.fromiter((number[label] for label in labels), np.int64, len(labels))
