"""Pictures on their way to the network: values against the formula, order and grouping against their key."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from tiny import make_store

from visiontune.training import pictures
from visiontune.training.pictures import batch_bounds, open_pictures, shuffled

CPU = torch.device("cpu")


class Shifting:
    """A policy that tells what it was called with: adds (seed + epoch + index) to every pixel."""

    def __call__(self, images_NHWC: Any, *, seed: int, epoch: int, index_N: Any) -> Any:
        return (images_NHWC + (seed + epoch + index_N).astype(np.uint8)[:, None, None, None]).astype(np.uint8)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("is_resident", [True, False])
def test_values_are_normalised_by_channel(channels: int, is_resident: bool) -> None:
    store = make_store(channels=channels)
    opened = open_pictures(store, store.val_idx, CPU)
    opened = opened if is_resident else replace(opened, resident=None)
    order_N = shuffled(len(opened), 0, 1)
    ((x_NCHW, y_N),) = opened.batches(order_N, [0, len(opened)])
    rows = store.val_idx[order_N]
    expected = (store.images_NHWC[rows] / 255.0 - store.mean_C) / store.std_C
    assert x_NCHW.dtype == torch.float32 and y_N.dtype == torch.int64
    assert np.allclose(x_NCHW.numpy().transpose(0, 2, 3, 1), expected, atol=1e-5)
    assert np.array_equal(y_N.numpy(), store.labels_N[rows])
    assert x_NCHW.is_contiguous(memory_format=torch.channels_last)


def test_training_pictures_have_mean_0_and_deviation_1() -> None:
    store = make_store(num=300, channels=3)
    opened = open_pictures(store, store.train_idx, CPU)
    ((x_NCHW, _),) = opened.batches(np.arange(len(opened)), [0, len(opened)])
    assert torch.allclose(x_NCHW.mean((0, 2, 3)), torch.zeros(3), atol=1e-4)
    assert torch.allclose(x_NCHW.std((0, 2, 3)), torch.ones(3), atol=1e-3)


@pytest.mark.parametrize("chunk_bytes", [1, 4 * 256 * 10, 4 * 256 * 33, 1 << 20])
def test_how_pictures_are_grouped_changes_nothing(chunk_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    store = make_store()
    whole = open_pictures(store, store.train_idx, CPU)
    bounds = batch_bounds(len(whole), 7)
    expected = list(whole.batches(shuffled(len(whole), 3, 2), bounds))
    monkeypatch.setattr(pictures, "_CHUNK_PICTURES_BYTES", chunk_bytes)
    monkeypatch.setattr(pictures, "_RESIDENT_BYTES", {})
    in_chunks = open_pictures(store, store.train_idx, CPU)
    assert whole.resident is not None and in_chunks.resident is None
    got = list(in_chunks.batches(shuffled(len(whole), 3, 2), bounds))
    assert len(got) == len(expected) == len(bounds) - 1
    for (a, b), (c, d) in zip(got, expected, strict=True):
        assert torch.equal(a, c) and torch.equal(b, d)


@pytest.mark.parametrize("chunk_bytes", [1, 1 << 20])
def test_a_policy_is_keyed_by_the_stores_own_index(chunk_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "_CHUNK_PICTURES_BYTES", chunk_bytes)
    store = replace(make_store(), mean_C=np.zeros(1, np.float32), std_C=np.full(1, 1 / 255, np.float32))
    opened = open_pictures(store, store.train_idx, CPU, Shifting(), seed=100)  # type: ignore[arg-type]
    order_N = shuffled(len(opened), 0, 1)
    x_NCHW = torch.cat([x for x, _ in opened.batches(order_N, batch_bounds(len(opened), 8), epoch=5)])
    rows = store.train_idx[order_N]
    expected = (store.images_NHWC[rows].astype(int) + (105 + rows)[:, None, None, None]) % 256
    assert np.allclose(x_NCHW.numpy().transpose(0, 2, 3, 1), expected, atol=1e-3)


@pytest.mark.parametrize("num", [1, 2, 3, 63, 64, 65, 66, 128, 129, 1000])
@pytest.mark.parametrize("batch_size", [1, 2, 3, 64])
def test_every_picture_is_in_one_batch_and_none_is_alone(num: int, batch_size: int) -> None:
    sizes = [high - low for low, high in pairwise(batch_bounds(num, batch_size))]
    assert sum(sizes) == num and batch_bounds(num, batch_size)[0] == 0
    assert all(size <= batch_size + 1 for size in sizes)
    if batch_size > 1 and num > 1:
        assert min(sizes) > 1


def test_order_is_a_function_of_its_key() -> None:
    orders = {(seed, epoch): tuple(shuffled(50, seed, epoch)) for seed in (0, 1) for epoch in (1, 2)}
    assert len(set(orders.values())) == 4
    np.random.seed(5)
    assert tuple(shuffled(50, 0, 1)) == orders[0, 1] and sorted(orders[0, 1]) == list(range(50))
