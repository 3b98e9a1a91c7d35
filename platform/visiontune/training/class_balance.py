"""Classes of unequal size: the order of an epoch, which may leave out or repeat pictures, and the weights of the classes.

labels_N are those of the training split, int64; an order counts within that split and is a function of (seed, epoch).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from visiontune.spec.declarations.declare import chosen
from visiontune.spec.tables.balances import BALANCES, CLASS_WEIGHTS
from visiontune.training.input.epoch_order import IntArray, repeated, shuffled

FloatArray = NDArray[np.float64]
Order = Callable[[int, int], IntArray]
# Set apart from the key of the shuffle itself, (seed, epoch).
_CHOICE = 1


def build_order(balance: Mapping[str, Any], labels_N: IntArray, num_classes: int, num_copies: int = 1) -> Order:
    """(seed, epoch) -> order_N. Its length is the same in every epoch, but not that of the split where rare classes are filled up.

    With `num_copies` each picture comes so often in a row, and the order is no longer by it.
    """
    entry, args = chosen(BALANCES, balance, "name")
    order: Order = entry.load()([np.flatnonzero(labels_N == k) for k in range(num_classes)], **args)
    return order if num_copies == 1 else lambda seed, epoch: repeated(order(seed, epoch), num_copies)


def problem_of_copies(num_copies: int, policies: Sequence[str]) -> str | None:
    """Why pictures can't be repeated so under any of these policies, as one sentence; None if they can."""
    if num_copies == 1 or any(policy != "none" for policy in policies):
        return None
    return f"training.repeated_augmentation {num_copies} needs an augmentation policy by which copies differ, but the policy is none"


def every_once(rows_K: list[IntArray]) -> Order:
    """Every picture once."""
    num = sum(map(len, rows_K))
    return lambda seed, epoch: shuffled(num, seed, epoch)


def balanced(rows_K: list[IntArray]) -> Order:
    """Rounds of one picture of every class in random order: a batch of k rounds has every class k times, others k to k + 2 times.

    A class's own pictures come equally often too: all of them before one comes again.
    """
    num, present = sum(map(len, rows_K)), [rows for rows in rows_K if len(rows)]

    def order(seed: int, epoch: int) -> IntArray:
        generator = np.random.default_rng([seed, epoch, _CHOICE])
        num_rounds = -(-num // len(present))
        columns = [_repeated(rows, num_rounds, generator) for rows in present]
        return generator.permuted(np.stack(columns, 1), axis=1).ravel()[:num]

    return order


def oversample(rows_K: list[IntArray], *, strength: float) -> Order:
    """Every picture, and as many of each class again as fill `strength` of its gap to the largest class."""
    num, largest = sum(map(len, rows_K)), max(map(len, rows_K))
    added_K = [round(strength * (largest - len(rows))) for rows in rows_K]

    def order(seed: int, epoch: int) -> IntArray:
        generator = np.random.default_rng([seed, epoch, _CHOICE])
        again = [_repeated(rows, added, generator) for rows, added in zip(rows_K, added_K, strict=True) if len(rows)]
        row_N = np.concatenate([np.arange(num), *again])
        return row_N[shuffled(len(row_N), seed, epoch)]

    return order


def class_weights(balance: Mapping[str, Any], labels_N: IntArray, num_classes: int) -> Tensor | None:
    """weight_K float32 with mean 1 over the training pictures; None where all are 1. A class without pictures has 0."""
    entry, args = chosen(CLASS_WEIGHTS, balance, "class_weights")
    if not entry.builder:
        return None
    count_K = np.bincount(labels_N, minlength=num_classes).astype(np.float64)
    weight_K = np.where(count_K > 0, entry.load()(np.maximum(count_K, 1), **args), 0.0)
    return torch.from_numpy((weight_K * count_K.sum() / (weight_K @ count_K)).astype(np.float32))


def balanced_pos_weight(labels_N: IntArray, num_classes: int, members_SK: Tensor | None = None) -> Tensor:
    """(K,) float32, for each class the training pictures without it by those with it (1 at least), as torch's BCEWithLogitsLoss has it.

    `members_SK` says which classes each set has, where labels number sets.
    """
    members_SK = torch.eye(num_classes) if members_SK is None else members_SK
    count_K = torch.bincount(torch.from_numpy(labels_N), minlength=len(members_SK)).double() @ members_SK.double()
    return ((len(labels_N) - count_K) / count_K.clamp_min(1)).float()


def inverse_frequency(count_K: FloatArray) -> FloatArray:
    """1 / n."""
    return 1 / count_K


def effective_number(count_K: FloatArray, *, class_beta: float) -> FloatArray:
    """(1 - beta) / (1 - beta^n), with beta^n as exp(n log beta): beta near 1 would lose all digits."""
    with np.errstate(divide="ignore"):
        inverse_K: FloatArray = (1 - class_beta) / -np.expm1(count_K * np.log(class_beta))
    return inverse_K


def _repeated(rows: IntArray, num: int, generator: np.random.Generator) -> IntArray:
    """`num` of the rows: all of them as often as they fit, each time in another order, and then as many as are left to take."""
    passes = [generator.permutation(rows) for _ in range(-(-num // len(rows)))]
    return np.concatenate([rows[:0], *passes])[:num]
