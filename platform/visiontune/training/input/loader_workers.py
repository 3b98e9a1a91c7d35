"""Pictures of a store, read and augmented by their keys; and processes that do so ahead of their use.

A request is (index_N, key_N, epoch), and what it gives, images_NHWC uint8, is a function of it alone.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from visiontune.augmentation.of_store import augmented
from visiontune.data.ingest.worker_pool import START, end_with

if TYPE_CHECKING:
    from visiontune.augmentation.policy import Policy
    from visiontune.data.store.store import Store

Request = tuple[NDArray[np.int64], NDArray[np.int64], int]

NUM_AHEAD = 2
"""Requests that are queued for each worker, torch's own default."""
# A worker that hangs becomes an error, and the trial is handed out again.
_TIMEOUT_S = 600


@dataclass(frozen=True)
class Maker:
    """Reads pictures of a store and augments them by their keys; a torch dataset over requests."""

    store: Store
    policy: Policy | None
    seed: int

    def __getitem__(self, request: Request) -> Tensor:
        index_N, key_N, epoch = request
        if self.policy is None:
            return torch.from_numpy(self.store.read(index_N, self.store.image_size))
        return torch.from_numpy(augmented(self.policy, self.store, index_N, key_N, seed=self.seed, epoch=epoch))

    def __reduce__(self) -> tuple[Any, ...]:
        """A started (not forked) worker maps the same file; pictures are never copied to it."""
        if self.store.path.is_file():
            return _reopened, (self.store.path, self.policy, self.seed)
        return Maker, (self.store, self.policy, self.seed)


class Workers:
    """Processes that make pictures ahead of their use, from the first call on until this object is gone or this process is.

    Raises OSError where they can't be started, RuntimeError where one dies.
    """

    def __init__(self, maker: Maker, num: int, *, use_pinned: bool = False) -> None:
        from torch.utils.data import DataLoader

        self._requests: list[Request] = []
        self._made: Any = None
        self._loader: Any = DataLoader(
            maker,  # type: ignore[arg-type]
            batch_size=None,
            sampler=self._requests,
            num_workers=num,
            persistent_workers=True,
            prefetch_factor=NUM_AHEAD,
            pin_memory=use_pinned,
            worker_init_fn=partial(_begin, os.getpid()),
            multiprocessing_context=START,
            timeout=_TIMEOUT_S,
            generator=torch.Generator(),  # each epoch draws a seed: from the default one it would move dropout's stream
        )

    def __call__(self, requests: Sequence[Request]) -> Iterator[Tensor]:
        """images_NHWC of each, in order. A call gives up what the one before it has not taken."""
        self._requests[:] = requests
        self._made = iter(self._loader)
        return self._made  # type: ignore[no-any-return]

    def close(self) -> None:
        """End the processes. Without it they end with this object, but where that is left to the garbage collector after 5 s."""
        if self._made is not None:
            self._made._shutdown_workers()


def _begin(parent: int, worker: int) -> None:
    import cv2

    cv2.setNumThreads(0)  # the cores are the other workers'
    end_with(parent)  # torch's own workers look only between two requests, and every 5 s


def _reopened(path: Path, policy: Policy | None, seed: int) -> Maker:
    from visiontune.data.store.store import Store

    return Maker(Store.open(path), policy, seed)
