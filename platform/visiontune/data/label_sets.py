"""Pictures of several classes, or of none: a label is then the number of a set of classes, so that it stays one int64 for each picture.

Sets are ascending tuples of class numbers, each once, the same for all parts of a source; None where each picture has one class and a
label is its number. Letters: N pictures, S sets, K classes, P pairs of a picture and a class that it has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
Sets = tuple[tuple[int, ...], ...]

NO_CLASS = "none of the classes"


def numbered(classes_of: Mapping[str, Sequence[Sequence[int]]]) -> tuple[dict[str, IntArray], Sets]:
    """Labels by part out of the classes of each picture, and the sets that they number.

    >>> numbered({"train": [[2, 0], [], [0, 2]]})
    ({'train': array([1, 0, 1])}, ((), (0, 2)))
    """
    found = {part: [tuple(sorted({*one})) for one in each] for part, each in classes_of.items()}
    sets = tuple(sorted({one for each in found.values() for one in each}))
    number = {one: at for at, one in enumerate(sets)}
    return {part: np.fromiter((number[one] for one in each), np.int64, len(each)) for part, each in found.items()}, sets


def pairs_of(label_N: IntArray, sets: Sets | None) -> tuple[IntArray, IntArray]:
    """(P,) pictures and (P,) the classes that they have, in the order of the pictures."""
    if sets is None:
        return np.arange(len(label_N)), label_N
    length_S = np.array([len(one) for one in sets], np.int64)
    first_S, flat = np.cumsum(length_S) - length_S, np.array([k for one in sets for k in one], np.int64)
    length_N = length_S[label_N]
    picture_P = np.repeat(np.arange(len(label_N)), length_N)
    within_P = np.arange(len(picture_P)) - np.repeat(np.cumsum(length_N) - length_N, length_N)
    return picture_P, flat[np.repeat(first_S[label_N], length_N) + within_P]


def count_classes(label_N: IntArray, sets: Sets | None, num_classes: int) -> IntArray:
    """(K,) how many of the pictures have each class."""
    return np.bincount(pairs_of(label_N, sets)[1], minlength=num_classes).astype(np.int64)


def members_SK(sets: Sets, num_classes: int) -> NDArray[np.bool_]:
    """Which classes each set has."""
    found_SK = np.zeros((len(sets), num_classes), np.bool_)
    set_P, class_P = pairs_of(np.arange(len(sets)), sets)
    found_SK[set_P, class_P] = True
    return found_SK


def name_of(label: int, class_names: Sequence[str], sets: Sets | None) -> str:
    """What people call a label: its class, or all classes of its set."""
    return class_names[label] if sets is None else " + ".join(class_names[k] for k in sets[label]) or NO_CLASS
