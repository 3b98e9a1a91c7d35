"""Stratified splits by thresholds on keyed hashes, so that adding pictures moves no old one.

A picture has three hashes, of (seed, its group or else its own key), as shares of 2^64. With the first below test_fraction it is
a test picture, of the others those whose second one is below val_fraction are val. So the shares of a class are exact only up to
chance (10 % of 1,000 pictures are 100 with a deviation of 9), which is the price of a split that depends on no other picture. Only a
class to which the thresholds give nothing of a part takes its smallest hash for that part; such a forced one can move when the
class grows.

Pictures of several classes are split by the same hashes: each class has about its share in each part, and one picture at least.

Shape letters: C classes, N pictures of the training part, U units: groups, or single pictures where there are none; P pairs of a
picture and a class that it has.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from visiontune.data.label_sets import Sets, pairs_of
from visiontune.errors import UserError, plural

IntArray = NDArray[np.int64]
Codes = NDArray[np.uint8]
Hashes = NDArray[np.uint64]

TRAIN, VAL, TEST, LEFT_OUT = 0, 1, 2, 3
_ROUNDING = 1e-9
_ROUNDS = 8


def split_rows(
    labels_N: IntArray,
    keys: Sequence[str],
    groups: Sequence[str] | None,
    class_names: Sequence[str],
    *,
    seed: int,
    val_fraction: float | None,
    test_fraction: float | None,
    max_pictures: int | None = None,
    sets: Sets | None = None,
) -> Codes:
    """TRAIN, VAL, TEST or LEFT_OUT for each picture; None for a fraction: the source has that part itself.

    The test comes first, so that it stays the same pictures whatever max_pictures and val_fraction are, but for a class of so
    few that train or val would stay empty. `max_pictures` keeps those with the smallest third hashes (of their own keys), in proportion
    to the classes. Every class that has pictures gets at least one in each part. Raises UserError for a class that has too few, or
    too few groups, for that, and for a max_pictures too small for it.
    """
    parts = [code for code, fraction in ((TEST, test_fraction), (VAL, val_fraction)) if fraction is not None]
    has = Members(labels_N, sets, len(class_names))
    counts_C = has.counts(np.ones(len(keys), np.bool_))
    refuse_small(counts_C, class_names, 1 + len(parts), lambda label: [keys[row] for row in has.pictures(label)])
    hashes_3N = _hashes(keys if groups is None else groups, seed)
    unit_N = np.arange(len(keys)) if groups is None else _numbers(groups)
    code_N = np.zeros(len(keys), np.uint8)
    if test_fraction is not None:
        code_N[_below(hashes_3N[TEST], test_fraction)] = TEST
        fill_parts(code_N, has, unit_N, hashes_3N, class_names, (TEST, TRAIN))
    if max_pictures is not None:
        # Single pictures, so that the number is exact: what is left of a group still stays together.
        pick_N = hashes_3N[TRAIN] if groups is None else _hashes(keys, seed)[TRAIN]
        least = len(parts) - (test_fraction is not None) + 1
        if sets is None:
            _leave_out(code_N, labels_N, pick_N, class_names, max_pictures, least=least)
        else:
            _leave_out_of_many(code_N, has, pick_N, class_names, max_pictures, least=least)
    if val_fraction is not None:
        code_N[(code_N == TRAIN) & _below(hashes_3N[VAL], val_fraction)] = VAL
    fill_parts(code_N, has, unit_N, hashes_3N, class_names, (*parts, TRAIN))
    return code_N


def refill_parts(
    code_N: Codes,
    labels_N: IntArray,
    keys: Sequence[str],
    groups: Sequence[str] | None,
    class_names: Sequence[str],
    *,
    seed: int,
    parts: Sequence[int],
    sets: Sets | None = None,
) -> None:
    """`fill_parts` over what is left after some pictures turned out to be bad, in place. Raises UserError where that can't be."""
    unit_N = np.arange(len(keys)) if groups is None else _numbers(groups)
    has = Members(labels_N, sets, len(class_names))
    fill_parts(code_N, has, unit_N, _hashes(keys if groups is None else groups, seed), class_names, parts)


class Members:
    """Which pictures have which classes."""

    def __init__(self, labels_N: IntArray, sets: Sets | None, num_classes: int) -> None:
        self._num_classes = num_classes
        self._picture_P, self._class_P = pairs_of(labels_N, sets)

    def counts(self, is_chosen_N: NDArray[np.bool_]) -> IntArray:
        """(C,) how many of the chosen pictures have each class."""
        found_C = np.bincount(self._class_P[is_chosen_N[self._picture_P]], minlength=self._num_classes)
        return found_C.astype(np.int64)

    def pictures(self, label: int) -> IntArray:
        """Those that have a class, ascending."""
        found: IntArray = self._picture_P[self._class_P == label]
        return found


def fill_parts(code_N: Codes, has: Members, unit_N: IntArray, hashes_3N: Hashes, class_names: Sequence[str], parts: Sequence[int]) -> None:
    """Move units, in place, until every class has pictures in each of `parts`. Raises UserError where that can't be."""
    for _ in range(_ROUNDS):
        lacking = [(part, label) for part in parts for label in _lacking(code_N, has, part)]
        if not lacking:
            return
        for part, label in lacking:
            _give_one(code_N, has, unit_N, hashes_3N[part], part, label, parts)
    names = ", ".join(repr(class_names[label]) for label in sorted({label for _, label in lacking})[:5])
    rule = f"every class must have pictures of at least {len(parts)} groups to be in each part of the split"
    raise UserError(f"{rule}, but that can't be done for {names}")


def refuse_small(counts_C: IntArray, class_names: Sequence[str], num_parts: int, names_of: Callable[[int], Sequence[str]]) -> None:
    """Raise UserError for classes that have pictures, but fewer than there are parts; `names_of` a class are those of its pictures."""
    small = [label for label, count in enumerate(counts_C.tolist()) if 0 < count < num_parts]
    if small:
        told = ", ".join(f"{class_names[label]!r} has {counts_C[label]} ({', '.join(names_of(label))})" for label in small[:5])
        more = f" and {plural(len(small) - 5, 'class')} more" if len(small) > 5 else ""
        rule = f"every class must have at least {num_parts} training pictures to be split, but {told}{more}"
        raise UserError(f"{rule}; add pictures of such a class or take it out")


def refuse_few(counts_C: IntArray, max_pictures: int | None, least: int) -> None:
    """Raise UserError for a max_pictures that is too few for `least` (1 or 2) of each class."""
    fewest = int(np.minimum(counts_C, least).sum())
    if max_pictures is not None and max_pictures < min(fewest, int(counts_C.sum())):
        word = {1: "one", 2: "two"}[least]
        raise UserError(f"data.max_pictures must be at least {fewest}, {word} for each class, but got {max_pictures}")


def quota(counts_C: IntArray, num: int, *, least: int) -> IntArray:
    """`num` pictures in proportion to the classes, by largest remainders; `least` or all of each class."""
    base_C = np.minimum(counts_C, least)
    above_C = np.maximum(num * counts_C / counts_C.sum() - base_C, 0.0)
    exact_C = base_C + above_C * (num - base_C.sum()) / max(float(above_C.sum()), _ROUNDING)
    floor_C: IntArray = np.floor(exact_C + _ROUNDING).astype(np.int64)
    largest = np.argsort(floor_C - exact_C, kind="stable")[: max(num - int(floor_C.sum()), 0)]
    floor_C[largest] += 1
    return np.minimum(floor_C, counts_C)


def _hashes(keys: Sequence[str], seed: int) -> Hashes:
    """(3, N): row TEST decides about the test, row VAL about val, row TRAIN about max_pictures."""
    salt = seed.to_bytes(8, "little")
    digests = (hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=24, key=salt).digest() for key in keys)
    return np.frombuffer(b"".join(digests), "<u8").reshape(-1, 3).T.astype(np.uint64)


def _below(hash_N: Hashes, fraction: float) -> NDArray[np.bool_]:
    return hash_N < np.uint64(fraction * 2.0**64)


def _numbers(groups: Sequence[str]) -> IntArray:
    known: dict[str, int] = {}
    return np.array([known.setdefault(group, len(known)) for group in groups], np.int64)


def _leave_out(code_N: Codes, labels_N: IntArray, pick_N: Hashes, class_names: Sequence[str], max_pictures: int, *, least: int) -> None:
    count_C = np.bincount(labels_N[code_N == TRAIN], minlength=len(class_names)).astype(np.int64)
    if max_pictures >= count_C.sum():
        return
    refuse_few(count_C, max_pictures, least)
    quota_C = quota(count_C, max_pictures, least=least)
    # By class, then by hash: what stands beyond its class's quota goes.
    rows = np.flatnonzero(code_N == TRAIN)
    rows = rows[np.lexsort((pick_N[rows], labels_N[rows]))]
    rank_N = np.arange(len(rows)) - np.repeat(np.cumsum(count_C) - count_C, count_C)
    code_N[rows[rank_N >= quota_C[labels_N[rows]]]] = LEFT_OUT


def _leave_out_of_many(code_N: Codes, has: Members, pick_N: Hashes, class_names: Sequence[str], max_pictures: int, *, least: int) -> None:
    """Keep the smallest hashes, after the smallest `least` of each class, which has no quota where pictures have several."""
    rows = np.flatnonzero(code_N == TRAIN)
    if max_pictures >= len(rows):
        return
    by_class = [np.intersect1d(has.pictures(label), rows) for label in range(len(class_names))]
    first = [found[pick_N[found].argsort()[:least]] for found in by_class]
    needed = np.unique(np.concatenate(first)).astype(np.int64)
    if len(needed) > max_pictures:
        word = {1: "one", 2: "two"}[least]
        raise UserError(f"data.max_pictures must be at least {len(needed)}, {word} for each class, but got {max_pictures}")
    others = np.setdiff1d(rows, needed)
    code_N[others[pick_N[others].argsort()[max_pictures - len(needed) :]]] = LEFT_OUT


def _lacking(code_N: Codes, has: Members, part: int) -> IntArray:
    return np.flatnonzero((has.counts(code_N != LEFT_OUT) > 0) & (has.counts(code_N == part) == 0))


def _give_one(code_N: Codes, has: Members, unit_N: IntArray, hash_N: Hashes, part: int, label: int, parts: Sequence[int]) -> None:
    """Move one unit of this class to `part`: that with the smallest hash in the first of train, val, test that has two, if one has."""
    for donor in sorted(set(parts) - {part}):
        rows = has.pictures(label)
        rows = rows[code_N[rows] == donor]
        if len(np.unique(unit_N[rows])) >= 2:
            unit = unit_N[rows[hash_N[rows].argmin()]]
            code_N[(unit_N == unit) & (code_N == donor)] = part
            return
