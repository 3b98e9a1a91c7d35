"""What the check says of a network is what building and running it for real says."""

from __future__ import annotations

import pytest
import torch

from visiontune.models.build import build_model
from visiontune.models.check import num_parameters, problem_of

COMMON = {"activation": "relu", "init": "he_normal", "dropout": 0.0}
SECTIONS = [
    *({"name": "cnn", "width": 2, "depth": depth, "kernel_size": kernel, **COMMON} for depth in (1, 3, 5) for kernel in (1, 7)),
    {"name": "lenet5", "width": 1, **COMMON},
]


def runs(section: dict[str, object], size: int, batch: int = 2) -> bool:
    try:
        build_model(section, num_classes=3, in_channels=1, image_size=size, seed=0)(torch.randn(batch, 1, size, size))
    except (RuntimeError, ValueError):
        return False
    return True


@pytest.mark.parametrize("section", SECTIONS, ids=lambda s: "-".join(str(v) for v in s.values()))
@pytest.mark.parametrize("size", [4, 7, 8, 16, 31, 33])
def test_agrees_with_a_real_run(section: dict[str, object], size: int) -> None:
    assert (problem_of(section, num_classes=3, in_channels=1, image_size=size) is None) == runs(section, size)


@pytest.mark.parametrize(("depth", "size", "smallest"), [(5, 16, 32), (5, 31, 32), (8, 20, 256), (3, 4, 8)])
def test_names_the_smallest_picture(depth: int, size: int, smallest: int) -> None:
    section = {"name": "cnn", "width": 2, "depth": depth, "kernel_size": 3, **COMMON}
    problem = problem_of(section, num_classes=3, in_channels=1, image_size=size)
    assert problem is not None and f"pictures of {size} px" in problem and problem.endswith(f"have {smallest} px")


def test_a_batch_of_one_is_too_little_for_normalisation_of_one_pixel() -> None:
    section = {"name": "resnet18", "stem": "large", **COMMON}
    said = [problem_of(section, num_classes=3, in_channels=1, image_size=16, batch_size=batch) for batch in (1, 2, 64)]
    assert (
        said[0] is not None and said[0].endswith("16 px in batches of one; the smallest that work have 33 px") and said[1:] == [None, None]
    )
    with pytest.raises(ValueError, match="more than 1 value per channel"):  # torch's own rule
        torch.nn.BatchNorm2d(512)(torch.randn(1, 512, 1, 1))


def test_leaves_random_numbers_alone() -> None:
    state = torch.get_rng_state()
    problem_of({"name": "cnn", "width": 3, "depth": 2, "kernel_size": 3, **COMMON}, num_classes=3, in_channels=1, image_size=8)
    assert torch.equal(torch.get_rng_state(), state)


def test_counts_parameters_without_memory() -> None:
    huge = {"name": "cnn", "width": 512, "depth": 8, "kernel_size": 7, **COMMON}
    assert num_parameters(huge, num_classes=10, in_channels=3, image_size=256) > 10**11
    lenet5 = {"name": "lenet5", "width": 1, **COMMON}
    assert num_parameters(lenet5, num_classes=10, in_channels=1, image_size=32) == 61_706
