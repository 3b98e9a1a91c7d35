"""Pictures on their way to the network: values against the formula, order and grouping against their key."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from tiny import make_store
from torch import nn
from torch.utils.data import BatchSampler

from visiontune.data.store.store import Store
from visiontune.models.frozen_body import Body
from visiontune.training.input import batches
from visiontune.training.input import open_pictures as opening
from visiontune.training.input.epoch_order import batch_bounds, copies, shuffled, whole_batches
from visiontune.training.input.fit_preprocessing import fit_preprocessing
from visiontune.training.input.open_pictures import open_pictures
from visiontune.training.input.preprocessing import Preprocessing

CPU = torch.device("cpu")


def standardized(store: Store) -> Preprocessing:
    return fit_preprocessing({"name": "standardize", "colour": "stored"}, store)


class Shifting:
    """A policy that tells what it was called with: adds (seed + epoch + index) to every pixel."""

    crop = None

    def __call__(self, images_NHWC: Any, *, seed: int, epoch: int, index_N: Any) -> Any:
        return (images_NHWC + (seed + epoch + index_N).astype(np.uint8)[:, None, None, None]).astype(np.uint8)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("is_resident", [True, False])
def test_values_are_normalised_by_channel(channels: int, is_resident: bool) -> None:
    store = make_store(channels=channels)
    opened = open_pictures(store, store.val_idx, CPU, preprocessing=standardized(store))
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
    opened = open_pictures(store, store.train_idx, CPU, preprocessing=standardized(store))
    ((x_NCHW, _),) = opened.batches(np.arange(len(opened)), [0, len(opened)])
    assert torch.allclose(x_NCHW.mean((0, 2, 3)), torch.zeros(3), atol=1e-4)
    assert torch.allclose(x_NCHW.std((0, 2, 3)), torch.ones(3), atol=1e-3)


@pytest.mark.parametrize("chunk_bytes", [1, 4 * 256 * 10, 4 * 256 * 33, 1 << 20])
def test_how_pictures_are_grouped_changes_nothing(chunk_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    store = make_store()
    whole = open_pictures(store, store.train_idx, CPU, preprocessing=standardized(store))
    bounds = batch_bounds(len(whole), 7)
    expected = list(whole.batches(shuffled(len(whole), 3, 2), bounds))
    monkeypatch.setattr(batches, "_CHUNK_PICTURES_BYTES", chunk_bytes)
    monkeypatch.setattr(opening, "_RESIDENT_BYTES", {})
    in_chunks = open_pictures(store, store.train_idx, CPU, preprocessing=standardized(store))
    assert whole.resident is not None and in_chunks.resident is None
    got = list(in_chunks.batches(shuffled(len(whole), 3, 2), bounds))
    assert len(got) == len(expected) == len(bounds) - 1
    for (a, b), (c, d) in zip(got, expected, strict=True):
        assert torch.equal(a, c) and torch.equal(b, d)


@pytest.mark.parametrize("chunk_bytes", [1, 1 << 20])
def test_a_policy_is_keyed_by_the_stores_own_index(chunk_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "_CHUNK_PICTURES_BYTES", chunk_bytes)
    store = replace(make_store(), mean_C=np.zeros(1, np.float32), std_C=np.full(1, 1 / 255, np.float32))
    opened = open_pictures(store, store.train_idx, CPU, policy=Shifting(), seed=100, preprocessing=standardized(store))  # type: ignore[arg-type]
    order_N = shuffled(len(opened), 0, 1)
    x_NCHW = torch.cat([x for x, _ in opened.batches(order_N, batch_bounds(len(opened), 8), epoch=5)])
    rows = store.train_idx[order_N]
    expected = (store.images_NHWC[rows].astype(int) + (105 + rows)[:, None, None, None]) % 256
    assert np.allclose(x_NCHW.numpy().transpose(0, 2, 3, 1), expected, atol=1e-3)


@pytest.mark.parametrize("num", [1, 2, 3, 63, 64, 65, 66, 128, 129, 1000])
@pytest.mark.parametrize("batch_size", [1, 2, 3, 64])
def test_batches_are_those_of_torchs_own_sampler(num: int, batch_size: int) -> None:
    def sampled(*, drop_last: bool) -> list[int]:
        return [len(rows) for rows in BatchSampler(range(num), batch_size, drop_last)]

    assert [high - low for low, high in pairwise(batch_bounds(num, batch_size))] == sampled(drop_last=False)
    trained_on = [high - low for low, high in pairwise(whole_batches(num, batch_size))]
    assert trained_on == (sampled(drop_last=True) or [num]), "a split smaller than a batch is one batch"


def test_order_is_a_function_of_its_key() -> None:
    orders = {(seed, epoch): tuple(shuffled(50, seed, epoch)) for seed in (0, 1) for epoch in (1, 2)}
    assert len(set(orders.values())) == 4
    np.random.seed(5)
    assert tuple(shuffled(50, 0, 1)) == orders[0, 1] and sorted(orders[0, 1]) == list(range(50))


def test_copies_are_counted() -> None:
    order_N = np.random.default_rng(0).integers(0, 5, 100)
    expected = [order_N[:place].tolist().count(entry) for place, entry in enumerate(order_N.tolist())]
    assert copies(order_N).tolist() == expected
    assert copies(np.arange(7)[::-1].copy()).tolist() == [0] * 7 and len(copies(np.arange(0))) == 0


@pytest.mark.parametrize("chunk_bytes", [1, 1 << 20])
def test_a_repeated_picture_is_augmented_by_the_number_of_its_copy(chunk_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "_CHUNK_PICTURES_BYTES", chunk_bytes)
    store = replace(make_store(), mean_C=np.zeros(1, np.float32), std_C=np.full(1, 1 / 255, np.float32))
    opened = open_pictures(store, store.train_idx, CPU, policy=Shifting(), preprocessing=standardized(store))  # type: ignore[arg-type]
    order_N = np.array([5, 2, 5, 5, 2, 8])
    x_NCHW = torch.cat([x for x, _ in opened.batches(order_N, [0, 2, 4, 6], epoch=1)])
    keys = store.train_idx[order_N] + 90 * np.array([0, 0, 1, 2, 1, 0])
    expected = (store.images_NHWC[store.train_idx[order_N]].astype(int) + (1 + keys)[:, None, None, None]) % 256
    assert np.allclose(x_NCHW.numpy().transpose(0, 2, 3, 1), expected, atol=1e-3)


def test_copies_differ_under_a_real_policy_and_are_the_same_when_drawn_again() -> None:
    from visiontune.augmentation.policy import build_policy

    store = make_store()
    ops = {"Affine": {"probability": 1.0, "magnitude": 0.5}, "GaussNoise": {"probability": 1.0, "magnitude": 0.5}}
    order_N = np.array([4] * 6 + [9, 1])

    def draw(bounds: list[int], order_N: Any = order_N) -> torch.Tensor:
        policy = build_policy({"policy": "fixed", **ops}, image_size=16, channels=1)
        opened = open_pictures(store, store.train_idx, CPU, policy=policy, seed=3, preprocessing=standardized(store))
        return torch.cat([x for x, _ in opened.batches(order_N, bounds, epoch=2)])

    drawn = draw([0, 4, 8])
    assert len({tuple(x.flatten().tolist()) for x in drawn}) == len(drawn)
    assert torch.equal(draw([0, 1, 2, 8]), drawn)
    assert torch.equal(draw([0, 3], order_N[[6, 7, 0]]), drawn[[6, 7, 0]])  # the first copy is the picture of other epochs' orders


@pytest.mark.parametrize("is_flat", [False, True])
@pytest.mark.parametrize("has_policy", [False, True])
def test_a_frozen_body_takes_the_place_of_pixels(is_flat: bool, has_policy: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    parts: list[nn.Module] = [nn.Conv2d(1, 4, 3, stride=2), nn.BatchNorm2d(4), nn.Dropout(0.5), *([nn.Flatten()] if is_flat else [])]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        body = Body(parts)
    calls: list[int] = []
    body.register_forward_pre_hook(lambda _, inputs: calls.append(len(inputs[0])))
    monkeypatch.setattr(batches, "_CHUNK_PICTURES_BYTES", 4 * 256 * 20)
    store = make_store()
    given: Any = {"policy": Shifting() if has_policy else None, "preprocessing": standardized(store)}
    opened = open_pictures(store, store.train_idx, CPU, **given, body=body)
    order_N, bounds = shuffled(len(opened), 0, 1), batch_bounds(len(opened), 16)
    body.train()
    got = [list(opened.batches(order_N, bounds, epoch=1)) for _ in range(2)]
    num_calls = len(calls)
    again = open_pictures(store, store.train_idx, CPU, **given, body=body)
    assert (opened.resident is None) == has_policy == (again.resident is None)
    assert max(calls) <= 32 and (has_policy or len(calls) == num_calls + 1)  # once for all trials: only its size is looked at again

    plain = open_pictures(store, store.train_idx, CPU, **given)
    for (features, y_N), (x_NCHW, expected_N) in zip(got[1], plain.batches(order_N, bounds, epoch=1), strict=True):
        assert torch.allclose(features, body(x_NCHW), atol=1e-5) and torch.equal(y_N, expected_N)
        assert not features.requires_grad and (is_flat or features.is_contiguous(memory_format=torch.channels_last))


def test_whoever_evaluates_in_bf16_gets_the_same_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "_RESIDENT_BYTES", {})
    store = make_store(size=8)
    zca = fit_preprocessing({"name": "zca", "colour": "stored", "whitening_eps": 0.01}, store)
    opened = open_pictures(store, store.val_idx, CPU, preprocessing=zca)
    ((plain, _),) = opened.batches(np.arange(len(opened)), [0, len(opened)])
    with torch.autocast("cpu", torch.bfloat16):
        ((half, _),) = opened.batches(np.arange(len(opened)), [0, len(opened)])
    assert half.dtype == torch.float32 and torch.equal(half, plain)
