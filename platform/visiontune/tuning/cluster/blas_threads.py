"""How many threads numpy's linear algebra takes in a driver."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """One, while the block runs.

    Ray forks while pictures are made ready in another thread. A fork ends OpenBLAS's threads, and the next product makes new ones; a fork
    that meets one which is not up yet waits for it for good, holding Python's lock (seen on a busy machine, OpenBLAS 0.3.31).
    """
    import numpy  # noqa: F401 (only libraries that are there get the limit)
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, user_api="blas"):
        yield
