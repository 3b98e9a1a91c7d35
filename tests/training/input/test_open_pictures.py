"""What stays on a device, as what, and who augments there changes no batch. torch's CPU stands for a GPU."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from opened_splits import CPU, one_epoch, opened, same
from tiny import make_store
from torch import Tensor

from visiontune.data.store.store import Store
from visiontune.training.input import batches
from visiontune.training.input import open_pictures as opening
from visiontune.training.input.fit_preprocessing import fit_preprocessing
from visiontune.training.input.open_pictures import open_pictures


def test_bytes_on_the_device_give_the_same_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    floats = opened(make_store(channels=3), None)
    monkeypatch.setattr(opening, "_KEPT_AS_BYTES", {"cpu"})
    kept = opened(make_store(channels=3), None)
    assert kept.resident is not None and kept.resident[0].dtype == torch.uint8 and "as bytes" in kept.how
    assert same(one_epoch(kept, 1), one_epoch(floats, 1))


MOVES = {"policy": "fixed", "D4": {"probability": 0.7}, "PadAndCrop": {"probability": 1.0}, "Posterize": {"probability": 0.5}}


def moving(store: Store, **section: Any) -> Any:
    from visiontune.augmentation.policy import build_policy

    return build_policy(section, image_size=store.images_NHWC.shape[1], channels=store.images_NHWC.shape[3])


def test_a_device_augments_as_the_cpu_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ops that move and look up are equal to the bit, copies of one picture are keyed apart."""
    store = make_store(channels=3)
    by_the_cpu = opened(store, moving(store, **MOVES))
    monkeypatch.setattr(opening, "_AUGMENTING", {"cpu"})
    there = opened(store, moving(store, **MOVES))
    assert there.how == "all 54 pictures stay on cpu as bytes and are augmented there"
    assert by_the_cpu.resident is None and same(one_epoch(there, 2), one_epoch(by_the_cpu, 2))
    monkeypatch.setattr(batches, "_CHUNK_PICTURES_BYTES", 20_000)
    assert same(one_epoch(there, 2), one_epoch(by_the_cpu, 2)) and not same(one_epoch(there, 1), one_epoch(there, 2))
    assert same(one_epoch(opened(store, moving(store, **MOVES), seed=4), 1), one_epoch(there, 1)) is False


def test_a_device_augments_what_is_streamed_to_it_as_the_cpu_does(monkeypatch: pytest.MonkeyPatch) -> None:
    store = make_store(channels=3)
    by_the_cpu = one_epoch(opened(store, moving(store, **MOVES)), 2)
    monkeypatch.setattr(opening, "_AUGMENTING", {"cpu"})
    monkeypatch.setattr(opening, "_RESIDENT_BYTES", {"cpu": 1000})
    streamed = opened(store, moving(store, **MOVES))
    assert streamed.resident is None and streamed.how == "54 pictures are made in this process: as told; they are augmented on cpu"
    for chunk_bytes in (batches._CHUNK_PICTURES_BYTES, 20_000, 15_000):  # the last are 4 pictures, half a batch
        monkeypatch.setattr(batches, "_CHUNK_PICTURES_BYTES", chunk_bytes)
        assert same(one_epoch(streamed, 2), by_the_cpu)


def test_what_has_no_form_there_comes_first_and_from_the_cpu(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    store = make_store(channels=3)
    section = {"policy": "fixed", "VerticalFlip": {"probability": 0.5}, "Emboss": {"probability": 0.5}, "D4": {"probability": 0.5}}
    by_the_cpu = one_epoch(opened(store, moving(store, **section)), 1)
    monkeypatch.setattr(opening, "_AUGMENTING", {"cpu"})
    with caplog.at_level("INFO"):
        both = opened(store, moving(store, **section))
    assert "no form for a GPU of Emboss: the CPU does VerticalFlip, Emboss, and the GPU D4" in caplog.text
    assert both.resident is None and both.how.endswith("as told; they are augmented on cpu after VerticalFlip, Emboss")
    assert same(one_epoch(both, 1), by_the_cpu)


def test_a_device_hands_what_it_augmented_to_a_frozen_body(monkeypatch: pytest.MonkeyPatch) -> None:
    from visiontune.models.frozen_body import Body

    store = make_store(channels=3)
    preprocessing = fit_preprocessing({"name": "standardize", "colour": "stored"}, store)

    def features() -> list[tuple[Tensor, Tensor]]:
        body = Body([torch.nn.AvgPool2d(2)])
        given = {"preprocessing": preprocessing, "policy": moving(store, **MOVES), "body": body, "num_workers": 0}
        return one_epoch(open_pictures(store, store.train_idx, CPU, **given), 1)

    expected = features()
    monkeypatch.setattr(opening, "_AUGMENTING", {"cpu"})
    assert same(features(), expected) and expected[0][0].shape[-1] == 8
