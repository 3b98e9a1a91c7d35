"""Stratified splits: how many pictures of each class a part gets, then which ones.

Shape letters: C classes, N pictures of the training file, K rows of a part. The sizes follow from the counts alone, so
that a file can be checked before any picture is decoded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from visiontune.spec.errors import UserError

IntArray = NDArray[np.int64]
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Sizes:
    """Pictures of each class by part; `test_C` is all zero where the source has a test file of its own."""

    train_C: IntArray
    val_C: IntArray
    test_C: IntArray


def plan_sizes(
    counts_C: IntArray, class_names: Sequence[str], *, val_fraction: float, test_fraction: float | None, max_pictures: int | None
) -> Sizes:
    """Share the training file out: first the test (None: there is one), then at most `max_pictures`, val_fraction of them for val.

    Every class that has pictures gets at least one in each part. Raises UserError for a class that is too small for that.
    """
    num_parts = 2 if test_fraction is None else 3
    _refuse_small(counts_C, class_names, num_parts)
    test_C = np.zeros_like(counts_C) if test_fraction is None else _share(counts_C, test_fraction, keep=2)
    rest_C = counts_C - test_C
    if max_pictures is not None and max_pictures < rest_C.sum():
        least = int(np.minimum(rest_C, 2).sum())
        if max_pictures < least:
            raise UserError(f"data.max_pictures must be at least {least}, two for each class, but got {max_pictures}")
        rest_C = quota(rest_C, max_pictures, least=2)
    val_C = _share(rest_C, val_fraction, keep=1)
    return Sizes(rest_C - val_C, val_C, test_C)


def choose_rows(labels_N: IntArray, sizes: Sizes, seed: int) -> tuple[IntArray, IntArray, IntArray]:
    """Rows of train, val and test, each in ascending order; a function of labels, sizes and seed."""
    parts: tuple[list[IntArray], ...] = ([], [], [])
    for label in range(len(sizes.train_C)):
        rows = np.random.default_rng([seed, label]).permutation(np.flatnonzero(labels_N == label))
        # The test comes first, so that it stays the same pictures whatever max_pictures and val_fraction are.
        ends = np.cumsum([sizes.test_C[label], sizes.val_C[label], sizes.train_C[label]])
        test, val, train, _ = np.split(rows, ends)
        for part, chosen in zip(parts, (train, val, test), strict=True):
            part.append(chosen)
    train_K, val_K, test_K = (np.sort(np.concatenate(part)).astype(np.int64) for part in parts)
    return train_K, val_K, test_K


def quota(counts_C: IntArray, num: int, *, least: int) -> IntArray:
    """`num` pictures in proportion to the classes, by largest remainders; `least` or all of each class."""
    base_C = np.minimum(counts_C, least)
    above_C = np.maximum(num * counts_C / counts_C.sum() - base_C, 0.0)
    exact_C = base_C + above_C * (num - base_C.sum()) / max(float(above_C.sum()), _ROUNDING)
    floor_C: IntArray = np.floor(exact_C + _ROUNDING).astype(np.int64)
    largest = np.argsort(floor_C - exact_C, kind="stable")[: max(num - int(floor_C.sum()), 0)]
    floor_C[largest] += 1
    return np.minimum(floor_C, counts_C)


def _share(counts_C: IntArray, fraction: float, *, keep: int) -> IntArray:
    num = max(round(fraction * int(counts_C.sum())), int((counts_C > 0).sum()))
    return np.minimum(quota(counts_C, num, least=1), np.maximum(counts_C - keep, 0))


def _refuse_small(counts_C: IntArray, class_names: Sequence[str], num_parts: int) -> None:
    small = [f"{name!r} has {count}" for name, count in zip(class_names, counts_C, strict=True) if 0 < count < num_parts]
    if small:
        more = f" and {len(small) - 5} classes more" if len(small) > 5 else ""
        raise UserError(f"every class must have at least {num_parts} training pictures to be split, but {', '.join(small[:5])}{more}")
