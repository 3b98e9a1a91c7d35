"""Orders of an epoch's pictures and their cut into batches, all keyed: order_N counts within a split and may repeat."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

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
    """Where batches begin and end. The last one may be short, but a single picture left over joins the batch before it.

    Alone it would break batch normalisation, and dropping it would leave a picture out of every epoch.
    """
    bounds = [*range(0, num, batch_size), num]
    if batch_size > 1 and len(bounds) > 2 and bounds[-1] - bounds[-2] == 1:
        del bounds[-2]
    return bounds


def shuffled(num: int, seed: int, epoch: int) -> IntArray:
    """A random order of `num` pictures, keyed."""
    return np.random.default_rng([seed, epoch]).permutation(num)


def order_of_rank(order_N: IntArray, rank: int, num_ranks: int) -> IntArray:
    """What worker `rank` of several in one trial takes: torch's DistributedSampler over a given order.

    Every num_ranks-th entry; all get equally many, for which the order's first entries are repeated at its end.

    >>> order_of_rank(np.array([5, 3, 8]), rank=1, num_ranks=2).tolist()
    [3, 5]
    """
    num = -(-len(order_N) // num_ranks)
    return np.resize(order_N, num * num_ranks)[rank::num_ranks]


def chunks_of(bounds: Sequence[int], num_at_once: int) -> Iterator[list[int]]:
    """`bounds` cut into runs of whole batches of about `num_at_once` pictures; neighbouring runs share a bound."""
    chunk = [bounds[0]]
    for bound in bounds[1:]:
        if len(chunk) > 1 and bound - chunk[0] > num_at_once:
            yield chunk
            chunk = [chunk[-1]]
        chunk.append(bound)
    yield chunk
