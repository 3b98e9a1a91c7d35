"""Test-time augmentation: a network's mean probabilities over several views of each picture. Nothing is trained for it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from visiontune.errors import nearest
from visiontune.spec.space.sections import TEST_TIMES
from visiontune.spec.tables.several_labels import NO_TEST_TIME
from visiontune.training.evaluate import Model

Views = Callable[[Tensor], Iterator[Tensor]]
PAD_SHARE = 1 / 8
"""Of a side, as the 4 of 32 pixels of pad-and-crop, and nearly the 224 of 256 of Krizhevsky et al. 2012."""


def flip(x_NCHW: Tensor) -> Iterator[Tensor]:
    """As it is, and mirrored."""
    yield x_NCHW
    yield x_NCHW.flip(-1)


def ten_crops(x_NCHW: Tensor) -> Iterator[Tensor]:
    """The middle and four corners of the picture with an eighth of each side reflected around it, each mirrored too.

    They are as large as the picture, so that any network takes them.
    """
    height, width = x_NCHW.shape[-2:]
    high, wide = (max(1, round(PAD_SHARE * side)) for side in (height, width))
    padded_NCHW = F.pad(x_NCHW, (wide, wide, high, high), mode="reflect")
    for top, left in ((high, wide), (0, 0), (0, 2 * wide), (2 * high, 0), (2 * high, 2 * wide)):
        yield from flip(padded_NCHW[..., top : top + height, left : left + width])


VIEWS: dict[str, Views] = {"flip": flip, "ten_crops": ten_crops}
"""By `confirm.test_time`."""


def problem_of_test_time(test_time: str, preprocessing: Mapping[str, Any], *, has_many: bool = False) -> str | None:
    """Why a recipe can't be tested so, as one sentence; None if it can."""
    if test_time not in TEST_TIMES:
        return f"test_time must be one of these views, but got {test_time!r}; {nearest(test_time, TEST_TIMES)}"
    if test_time != "none" and has_many:
        return f"{NO_TEST_TIME}; nearest is none"
    if test_time != "none" and preprocessing["name"] == "pca_whitening":
        return f"{test_time} needs pictures, which preprocessing pca_whitening does not leave; nearest is none"
    return None


def over_views(model: Model, views: Views) -> Model:
    """A model whose scores are logarithms of the mean of `model`'s probabilities; it must be in evaluation mode."""

    def averaged(x_NCHW: Tensor) -> Tensor:
        log_p_VNK = torch.stack([model(view).float().log_softmax(1) for view in views(x_NCHW)])
        return log_p_VNK.logsumexp(0) - math.log(len(log_p_VNK))

    return averaged
