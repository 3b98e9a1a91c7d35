"""Orders of an epoch's pictures and their cut into batches, all keyed: order_N counts within a split and may repeat."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]


def copies(order_N: IntArray) -> IntArray:
    """How many times each entry stood in the order before.

    >>> copies(np.array([3, 1, 3, 3, 1])).tolist()
    [0, 0, 1, 2, 1]
    """
    sorted_N = np.argsort(order_N, kind="stable")
    is_first_N = np.diff(order_N[sorted_N], prepend=-1) != 0
    starts = np.flatnonzero(is_first_N)
    copy_N = np.empty(len(order_N), np.int64)
    copy_N[sorted_N] = np.arange(len(order_N)) - starts[np.cumsum(is_first_N) - 1]
    return copy_N


def batch_bounds(num: int, batch_size: int) -> list[int]:
    """Where batches begin and end, for what needs every picture; the last one may be short."""
    return [*range(0, num, batch_size), num]


def whole_batches(num: int, batch_size: int) -> list[int]:
    """Where batches of one size begin and end, for training: what remains of an order is left out, in each epoch another part of the split.

    A split smaller than a batch is one batch.
    """
    return [*range(0, num + 1, batch_size)] if num >= batch_size else [0, num]


def shuffled(num: int, seed: int, epoch: int) -> IntArray:
    """A random order of `num` pictures, keyed."""
    return np.random.default_rng([seed, epoch]).permutation(num)


def repeated(order_N: IntArray, num_copies: int) -> IntArray:
    """As long as the order: its first pictures, each `num_copies` times in a row, as timm's RASampler has them on all devices together.

    >>> repeated(np.array([3, 1, 0, 2]), 3).tolist()
    [3, 3, 3, 1]
    """
    return order_N if num_copies == 1 else np.repeat(order_N[: -(-len(order_N) // num_copies)], num_copies)[: len(order_N)]


def share_of_rank(bounds: Sequence[int], rank: int, num_ranks: int) -> tuple[IntArray, list[int]]:
    """What worker `rank` of several in one trial takes: positions in an order, and the bounds of its share of each batch in them.

    Every num_ranks-th of a batch; a batch with fewer pictures than there are workers gives its first one to those who get none.

    >>> share_of_rank([0, 4, 7, 8], rank=1, num_ranks=2)
    (array([1, 3, 5, 7]), [0, 2, 3, 4])
    """
    shares = [np.arange(low, high)[rank::num_ranks] for low, high in pairwise(bounds)]
    shares = [share if len(share) else np.array([low]) for share, low in zip(shares, bounds[:-1], strict=True)]
    return np.concatenate([np.empty(0, np.int64), *shares]), [0, *np.cumsum([len(share) for share in shares]).tolist()]


def chunks_of(bounds: Sequence[int], num_at_once: int) -> Iterator[list[int]]:
    """`bounds` cut into runs of whole batches of about `num_at_once` pictures; neighbouring runs share a bound."""
    chunk = [bounds[0]]
    for bound in bounds[1:]:
        if len(chunk) > 1 and bound - chunk[0] > num_at_once:
            yield chunk
            chunk = [chunk[-1]]
        chunk.append(bound)
    yield chunk
