"""Every op of the device engine, on the device: the CPU's own pictures, as near as its tests there ask for."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from device_ops import EXACT, NEAR, changed
from made_pictures import photographs

from visiontune.augmentation.engines.device import DEVICE
from visiontune.training.arithmetic import Arithmetic, exactly

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
