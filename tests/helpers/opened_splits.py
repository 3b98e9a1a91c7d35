"""A split opened as a trial does, and an epoch of it to compare."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from visiontune.data.store.store import Store
from visiontune.training.arithmetic import Arithmetic
from visiontune.training.input.batches import Pictures
from visiontune.training.input.epoch_order import batch_bounds, shuffled
from visiontune.training.input.fit_preprocessing import fit_preprocessing
from visiontune.training.input.open_pictures import open_pictures

CPU = torch.device("cpu")
ON_CPU = Arithmetic(CPU)


def opened(store: Store, policy: Any, num_workers: int | None = 0, seed: int = 3) -> Pictures:
    preprocessing = fit_preprocessing({"name": "standardize", "colour": "stored"}, store)
    return open_pictures(store, store.train_idx, CPU, preprocessing=preprocessing, policy=policy, seed=seed, num_workers=num_workers)


def one_epoch(split: Pictures, epoch: int, batch_size: int = 8) -> list[tuple[Tensor, Tensor]]:
    order_N = shuffled(len(split) + 6, 1, epoch) % len(split)  # some pictures come twice
    return list(split.batches(order_N, batch_bounds(len(order_N), batch_size), epoch))


def same(got: list[tuple[Tensor, Tensor]], expected: list[tuple[Tensor, Tensor]]) -> bool:
    pairs = zip(got, expected, strict=True)
    return all(torch.equal(x, x_NCHW) and torch.equal(y, y_N) for (x, y), (x_NCHW, y_N) in pairs)
