"""Every op of the device engine, on the device: the CPU's own pictures, as near as its tests there ask for."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from device_ops import EXACT, NEAR, changed
from made_pictures import photographs
from tiny import make_store

from visiontune.augmentation.engines.device import DEVICE
from visiontune.augmentation.engines.device_exact_ops import apply_exact_on_device
from visiontune.augmentation.engines.exact_ops import NAMES
from visiontune.augmentation.policy import build_policy
from visiontune.training.arithmetic import Arithmetic, exactly
from visiontune.training.input import open_pictures as opening
from visiontune.training.input.fit_preprocessing import fit_preprocessing
from visiontune.training.input.open_pictures import open_pictures

INDEX = np.random.default_rng(3).integers(0, 1 << 40, 140)


@pytest.mark.parametrize("name", DEVICE)
def test_an_op_on_a_gpu_gives_the_cpus_pictures(name: str) -> None:
    """Also where the recipe computes in TF32 and deterministically, as nothing of that is a picture's."""
    pictures = photographs(140, 64, 3)
    here = changed(name, pictures, 0.9, INDEX).astype(int)
    for arithmetic in (Arithmetic(torch.device("cuda"), "tf32"), Arithmetic(torch.device("cuda"), "bf16", use_deterministic=True)):
        with arithmetic.evaluating(), exactly(arithmetic.device):
            there = changed(name, pictures, 0.9, INDEX, device="cuda")
        difference = np.abs(there - here)
        most, share = NEAR.get(name, (1, 0.0))  # noise is the same hash on both
        # A GPU multiplies and adds in one go, so that what lies between two levels may go to the other one.
        assert difference.max() <= most and (difference > 0).mean() <= (share if name in EXACT else share + 0.005)
    assert (there != pictures).any()


@pytest.mark.parametrize("name", NAMES)
def test_an_op_at_a_stated_strength_gives_the_cpus_pictures(name: str) -> None:
    """Nearest pixels may tie, and a GPU then takes the other one."""
    pictures, rows = photographs(60, 32, 3), np.arange(60)
    strength = {"Posterize": np.arange(60) % 8 + 1.0, "Solarize": rows / 60, "Rotate": rows - 30.0}.get(name, 0.2 + rows / 40)
    found = []
    for device in ("cpu", "cuda"):
        there = torch.from_numpy(pictures).to(device, copy=True)
        with exactly(there.device):
            apply_exact_on_device(name, there, rows, strength)
        found.append(there.cpu().numpy().astype(int))
    assert (np.abs(found[0] - found[1]) > 1).mean() < 0.01 and (found[0] != pictures).any()


def test_pictures_that_are_streamed_are_augmented_there_as_those_that_stay(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """To the bit: flips, crops and tables."""
    store, sometimes = make_store(channels=3), {"probability": 0.7}
    section = {"policy": "fixed", "D4": sometimes, "PadAndCrop": sometimes, "Solarize": sometimes}
    policy = build_policy(section, image_size=store.image_size, channels=3)
    preprocessing = fit_preprocessing({"name": "standardize", "colour": "stored"}, store)
    monkeypatch.setattr(opening, "_AUGMENTING", {"cpu", "cuda"})

    def batches() -> tuple[bool, list[torch.Tensor]]:
        given = {"preprocessing": preprocessing, "policy": policy, "num_workers": 0}
        split = open_pictures(store, store.train_idx, torch.device(device), **given)
        return split.resident is None, [x.cpu() for x, _ in split.batches(np.arange(len(split)), [0, 20, len(split)], 2)]

    is_streamed, stay = batches()
    monkeypatch.setattr(opening, "_RESIDENT_BYTES", {})
    is_streamed_then, come = batches()
    assert (is_streamed, is_streamed_then) == (False, True)
    assert all(torch.equal(one, other) for one, other in zip(stay, come, strict=True))


@pytest.mark.parametrize("name", ["PadAndCrop", "Affine", "Equalize", "GaussNoise"])
def test_rows_are_changed_and_no_others(device: str, name: str) -> None:
    pictures = photographs(20, 16, 3)
    rows = np.array([7, 2])
    whole = changed(name, pictures, 0.9, INDEX[:20], device=device)
    some = changed(name, pictures, 0.9, INDEX[rows], rows=rows, device=device)
    np.testing.assert_array_equal(some[rows], whole[rows])
    np.testing.assert_array_equal(np.delete(some, rows, 0), np.delete(pictures, rows, 0))


@pytest.mark.parametrize("name", EXACT)
def test_extreme_pictures_are_the_cpus_to_the_bit(name: str) -> None:
    values = (0, 1, 128, 254, 255)
    pictures = np.stack([np.full((8, 8, 3), value, np.uint8) for value in values])
    pictures[:, :4] = 255 - pictures[:, :4] // 2
    index = INDEX[: len(values)]
    np.testing.assert_array_equal(changed(name, pictures, 1.0, index, device="cuda"), changed(name, pictures, 1.0, index))
