"""Names of classes: which there are, that no two are alike, and the number of each label; and names of the parts of a source."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence

import numpy as np

from visiontune.data.file_names import identity
from visiontune.data.split import IntArray
from visiontune.errors import Problem, UserError, nearest

PARTS = ("train", "val", "test")
"""Into which a source divides its pictures; what a store makes of them are its splits."""
_PART_NAMES = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "tests", "testing"),
}
_AROUND = r"(?:seg|set|split|part|data|image|img|picture|photo)s?|(?<!\d)\d+(?!\d)"  # one way to read each name, or long ones take for ever
_WORDS = "|".join(word for words in _PART_NAMES.values() for word in words)
_IN_A_PART = re.compile(rf"(?:(?:{_AROUND})[ _.-]?)*({_WORDS})(?:[ _.-]?(?:{_AROUND}))*")
_MAX_SHOWN = 20


def part_of(name: str) -> str | None:
    """train, val or test by any of the words in use, alone or as in seg_train, training_set, val2017, test1; None for another word."""
    found = _IN_A_PART.fullmatch(name.strip().casefold())
    return next((part for part, words in _PART_NAMES.items() if found and found[1] in words), None)


def class_order(names: Collection[str], where: str, why: str = "") -> tuple[str, ...]:
    """The classes in order: by number where all are digits, else by name. Raises UserError for names alike and, with `why`, for fewer
    than two.
    """
    if len(names) < 2:
        raise UserError(Problem(where, 0, "", f"there must be at least 2 classes, but there is only {next(iter(names))!r}{why}"))
    refuse_alike(names, where)
    are_numbers = all(name.isascii() and name.isdigit() for name in names)
    # By the text too: 1 and 01 are equal, and their order must not be that of a set.
    return tuple(sorted(names, key=lambda name: (int(name), len(name))) if are_numbers else sorted(names))


def refuse_alike(names: Collection[str], where: str) -> None:
    """Raise UserError for classes that differ only in case or in spaces around them."""
    seen: dict[str, str] = {}
    for name in sorted(names):
        folded = identity(name).strip().casefold()
        if folded in seen:
            rule = f"classes must differ in more than case or spaces around them, but {seen[folded]!r} and {name!r} do not"
            raise UserError(Problem(where, 0, "", f"{rule}; rename one or put their pictures together"))
        seen[folded] = name


def composed(labels: Iterable[str]) -> tuple[dict[str, str], list[str]]:
    """Each label as its class is called, in NFC; and a note for each class that has several spellings.

    >>> composed(["Ba\\u0308r", "B\\xe4r"])[1]
    ["labels that Unicode can write in 2 ways are one class: 'Bär'"]
    """
    names = {label: identity(label) for label in labels}
    spellings = Counter(names.values())
    several = sorted((name, num) for name, num in spellings.items() if num > 1)
    return names, [f"labels that Unicode can write in {num} ways are one class: {name!r}" for name, num in several]


def encode(
    labels: Sequence[str], class_names: Sequence[str], where: str, part: str, picture: Callable[[int], str] | None = None
) -> IntArray:
    """(N,) int64, the index of each label in `class_names`. Raises UserError for a label that is not among them.

    `picture` says which picture, or row, has the label of that place.
    """
    number = {name: index for index, name in enumerate(class_names)}
    at = next((at for at, label in enumerate(labels) if label not in number), None)
    if at is not None:
        whose = f"{labels[at]!r} of {picture(at)}" if picture is not None else repr(labels[at])
        rule = f"labels of {part} must occur in train, but {whose} does not; put pictures of it into train or leave them out of {part}"
        raise UserError(Problem(where, 0, "", f"{rule}; {nearest(labels[at], class_names[:_MAX_SHOWN])}"))
    return np.fromiter((number[label] for label in labels), np.int64, len(labels))
