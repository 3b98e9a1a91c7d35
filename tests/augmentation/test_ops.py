"""Conformance over every op of the table, against albumentations itself."""

from __future__ import annotations

import itertools
import warnings
from typing import Any

import cv2
import numpy as np
import pytest

from visiontune.augmentation import ops
from visiontune.augmentation.batched import BATCHED
from visiontune.augmentation.keyed import Stream
from visiontune.augmentation.policy import apply_each, problem_of
from visiontune.spec.tables.augmentation import OPS

WITH_MAGNITUDE = [name for name, op in OPS.entries.items() if "magnitude" in op.args]


def transform_of(name: str, magnitude: float, size: int = 32) -> Any:
    args = {"magnitude": magnitude} if "magnitude" in OPS.entries[name].args else {}
    return OPS.entries[name].load()(**args, image_size=size)


def photographs(num: int, size: int, channels: int) -> np.ndarray:
    """Smooth, colourful pictures: on white noise every warp is equally far away."""
    rng = np.random.default_rng(7)
    coarse_NHWC = rng.integers(0, 256, (num, 4, 4, channels), dtype=np.uint8)
    return np.stack([cv2.resize(c, (size, size), interpolation=cv2.INTER_CUBIC).reshape(size, size, channels) for c in coarse_NHWC])


def augmented(name: str, magnitude: float, pictures: np.ndarray) -> np.ndarray:
    transform, stream = transform_of(name, magnitude, pictures.shape[1]), Stream()
    transform.set_random_state(stream.generator, stream.py_random)
    stream.rekey(3, 1, name)
    index = np.arange(len(pictures))
    out = pictures.copy()
    BATCHED.get(name, apply_each)(transform, stream, out, index, index)
    return out


@pytest.mark.parametrize("name", OPS.entries)
def test_builders_take_what_the_table_declares_without_a_warning(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for magnitude in (0.0, 0.01, 0.5, 1.0):
            for size in (8, 32):
                transform = transform_of(name, magnitude, size)
                assert type(transform).__name__ == name
                assert transform.p == 1.0 and not transform.invalid_args


@pytest.mark.parametrize("name", OPS.entries)
def test_albumentations_refuses_unknown_arguments_of_the_built_class(name: str) -> None:
    own = type(transform_of(name, 0.5))
    needed = {"size": (8, 8)} if name == "RandomResizedCrop" else {}
    with pytest.raises(ValueError, match="magnitud"):
        own(**needed, magnitud=0.5, strict=True)


@pytest.mark.parametrize("name", WITH_MAGNITUDE)
@pytest.mark.parametrize("channels", [1, 3])
def test_magnitude_0_is_the_identity(name: str, channels: int) -> None:
    pictures = photographs(8, 32, channels)
    np.testing.assert_array_equal(augmented(name, 0.0, pictures), pictures)


@pytest.mark.parametrize("name", WITH_MAGNITUDE)
def test_distance_grows_with_magnitude(name: str) -> None:
    pictures = photographs(96, 32, 3)
    distances = [np.abs(augmented(name, m, pictures).astype(int) - pictures).mean() for m in (0.0, 0.25, 0.5, 0.75, 1.0)]
    assert all(low < high for low, high in itertools.pairwise(distances)), distances


def test_flip_is_the_mirror() -> None:
    pictures = photographs(4, 8, 3)
    np.testing.assert_array_equal(augmented("HorizontalFlip", 1.0, pictures), pictures[:, :, ::-1])


@pytest.mark.parametrize(
    ("name", "size", "channels"),
    [
        (name, size, channels)
        for name in OPS.entries
        for size, channels in ((8, 1), (16, 3), (32, 1), (33, 3))
        if problem_of({"policy": "fixed", name: {}}, channels) is None
    ],
)
def test_equals_the_transforms_own_apply_with_the_params_it_drew(name: str, size: int, channels: int) -> None:
    """Batched or not: the same generators handed to albumentations give the same params and the same pixels."""
    pictures = photographs(24, size, channels)
    ours = augmented(name, 0.8, pictures)
    transform, stream = transform_of(name, 0.8, size), Stream()
    transform.set_random_state(stream.generator, stream.py_random)
    stream.rekey(3, 1, name)
    for index, picture in enumerate(pictures):
        stream.seek(index)
        called = transform(image=picture)["image"]
        np.testing.assert_array_equal(ours[index], called)
        np.testing.assert_array_equal(ours[index], transform.apply(picture, **transform.get_applied_params()))


def test_affine_stays_within_its_documented_ranges() -> None:
    transform = ops.affine(1.0, image_size=32)
    transform.set_random_seed(0)
    picture = photographs(1, 32, 3)[0]
    drawn = []
    for _ in range(300):
        transform(image=picture)
        drawn.append(transform.get_applied_params())
    degrees = np.array([params["rotate"] for params in drawn])
    scales = np.array([list(params["scale"].values()) for params in drawn])
    assert -30 <= degrees.min() < -25 and 25 < degrees.max() <= 30
    assert 0.7 <= scales.min() < 0.75 and 1.25 < scales.max() <= 1.3


def test_full_magnitude_hole_is_half_the_side() -> None:
    white = np.full((4, 32, 32, 1), 255, np.uint8)
    assert ((augmented("CoarseDropout", 1.0, white) == 0).sum(axis=(1, 2, 3)) == 16 * 16).all()
