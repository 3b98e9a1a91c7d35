"""The loops that GPUs are measured against: their pictures are crops and mirrors, and they learn, with halved weights too."""

from __future__ import annotations

import pytest
import torch
from tiny import model_section
from torch import Tensor
from torch.nn import functional as F

from gpu import BASE
from parts.gpu_pictures import made_store, streamed
from peers.gpu_loops import MARGIN, Resident, halved, train
from visiontune.models.build import build_model
from visiontune.spec.parse import load_recipe
from visiontune.training.input.fit_preprocessing import fit_preprocessing
from visiontune.training.input.open_pictures import open_pictures


def resident(*, is_training: bool, dtype: torch.dtype = torch.float32) -> Resident:
    store = made_store(120, 16)
    images, labels = (torch.from_numpy(one[store.train_idx]) for one in (store.images_NHWC, store.labels_N))
    scale = [torch.from_numpy(one) for one in (store.mean_C, store.std_C)]
    return Resident(images, labels, *scale, is_training=is_training, dtype=dtype)


def test_a_batch_is_of_crops_and_mirrors_in_channels_last_memory() -> None:
    whole, moved = resident(is_training=False), resident(is_training=True)
    padded = F.pad(whole.x_NCHW, 4 * (MARGIN,), "reflect")
    windows = padded.unfold(2, 16, 1).unfold(3, 16, 1).permute(0, 2, 3, 1, 4, 5).reshape(len(padded), -1, 3 * 256)
    crops = torch.cat([windows, windows.reshape(*windows.shape[:2], 3, 16, 16).flip(4).flatten(2)], 1)
    seen: list[Tensor] = []
    for x_NCHW, y_N in moved.batches(32):
        assert x_NCHW.shape == (32, 3, 16, 16) and x_NCHW.is_contiguous(memory_format=torch.channels_last)
        for x_CHW, label in zip(x_NCHW, y_N, strict=True):
            found = (crops[whole.y_N == label] == x_CHW.flatten()).all(2).any(1)
            assert found.any()
            seen.append(x_CHW)
    assert len(seen) == 96 // 32 * 32


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=str)
def test_halved_weights_learn_as_whole_ones(dtype: torch.dtype) -> None:
    """At a rate by which ten epochs get there. The mean's gradients would be smaller by the batch."""
    network = build_model(model_section("cnn", width=8, depth=2), num_classes=10, in_channels=3, image_size=16, seed=0)
    network = halved(network) if dtype == torch.float16 else network
    assert {one.dtype for one in network.parameters()} == {torch.float32, dtype}
    train_set, val_set = (resident(is_training=is_training, dtype=dtype) for is_training in (True, False))
    torch.manual_seed(0)
    given = {"batch_size": 16, "lr": 0.05, "num_epochs": 10}
    *_, (_, top1) = train(network, lambda: train_set.batches(16), 6, lambda: val_set.batches(16), **given)
    assert top1 > 0.9


def test_pictures_that_are_streamed_stay_nowhere() -> None:
    """So that JPEGs are decoded in each epoch, as the peer's are."""
    store = made_store(80, 8)
    given = {"preprocessing": fit_preprocessing(load_recipe(BASE).preprocessing, store)}
    with streamed():
        assert open_pictures(store, store.val_idx, torch.device("cpu"), **given).resident is None
    assert open_pictures(store, store.val_idx, torch.device("cpu"), **given).resident is not None
