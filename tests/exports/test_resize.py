"""A graph's resizing against OpenCV's, by which a store is made, whatever the picture's size."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from visiontune.data.picture.frame import in_frame
from visiontune.data.picture.shape import centre_crop, fit
from visiontune.data.picture.stored_form import Form
from visiontune.exports import resize
from visiontune.exports.resize import centred, squashed

SIZES = ((1, 1), (8, 8), (13, 200), (20, 13), (32, 32), (40, 33), (33, 40), (64, 64), (96, 32), (375, 500), (512, 700))


def is_same(given: torch.Tensor, expected: np.ndarray, share: float = 0.002) -> bool:
    """But for one value in 500, which lies between two whole numbers; interpolation in another order differs in 60."""
    off_HWC = np.abs(given[0].permute(1, 2, 0).numpy() - expected.astype(np.float32))
    return off_HWC.max() <= 1 and np.mean(off_HWC > 0) <= share


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_a_graph_shapes_pictures_as_a_store_does(height: int, width: int) -> None:
    picture = np.random.default_rng(height).integers(0, 256, (height, width, 3), dtype=np.uint8)
    x_NCHW = torch.from_numpy(picture)[None].permute(0, 3, 1, 2).float()
    for size in ((16, 16), (32, 32), (80, 80), (24, 32), (50, 21)):
        assert is_same(squashed(x_NCHW, size), fit(picture, size, 3)), size
        assert is_same(centred(x_NCHW, size), centre_crop(picture, size)), size


@pytest.mark.parametrize("frame", ["crop", "pad", "squash"])
def test_a_graph_frames_pictures_as_a_store_does(frame: str) -> None:
    """Of sides in simple ratios (96 to 32, 32 to 24) more means lie between two whole numbers."""
    for height, width in SIZES:
        picture = np.random.default_rng(height).integers(0, 256, (height, width, 3), dtype=np.uint8)
        x_NCHW = torch.from_numpy(picture)[None].permute(0, 3, 1, 2).float()
        for size in ((16, 16), (32, 24), (80, 80)):
            assert is_same(resize.fitted(x_NCHW, size, frame), in_frame(picture, size, 3, frame), 0.02), (height, width, size)
            form = Form("raw", (8, 8), size, 3, is_resized=True, frame=frame)
            assert is_same(resize.shrunk(x_NCHW, size, frame), form.seen(form.apply(picture))), (height, width, size)
