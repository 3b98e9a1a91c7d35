"""Every batched op against albumentations: equal pictures, parameters of the same distribution, any grouping."""

from __future__ import annotations

from itertools import product
from typing import Any

import cv2
import numpy as np
import pytest
from made_pictures import photographs, transform_of
from scipy import stats

from visiontune.augmentation.engines import batched, random_colour, random_geometry
from visiontune.augmentation.engines.batched import BATCHED, engine_of, left_to_reference
from visiontune.augmentation.engines.reference import apply_each
from visiontune.augmentation.keyed_random import Stream, bounded, halves
from visiontune.spec.declarations.image_size import ImageSize, image_size
from visiontune.spec.tables.ops import COLOUR_OPS, OPS, TURNING

SHAPES: tuple[tuple[ImageSize, int], ...] = ((8, 1), (16, 3), (32, 1), (33, 3), ((24, 41), 3))
CASES = [
    (name, size, channels)
    for name, (size, channels) in product(BATCHED, SHAPES)
    if (channels == 3 or name not in COLOUR_OPS) and (isinstance(size, int) or name not in TURNING)
]


def applied(name: str, apply: batched.Batched, pictures: np.ndarray, magnitude: float, index: np.ndarray, key: int = 3) -> np.ndarray:
    transform, stream = transform_of(name, magnitude, image_size(pictures.shape[1:3])), Stream()
    transform.set_random_state(stream.generator, stream.py_random)
    stream.rekey(key, 1, name)
    out = pictures.copy()
    apply(transform, stream, out, np.arange(len(pictures)), index)
    return out


@pytest.mark.parametrize(("name", "size", "channels"), CASES)
def test_equal_to_the_transforms_own_call(name: str, size: ImageSize, channels: int) -> None:
    """The same generators handed to albumentations give the same pixels; few pictures and many are drawn for in two ways."""
    for magnitude, num in ((0.15, 24), (0.8, 24), (1.0, 140)):
        pictures = photographs(num, size, channels)
        index = np.random.default_rng(size).integers(0, 1 << 40, num)
        ours = applied(name, BATCHED[name], pictures, magnitude, index)
        np.testing.assert_array_equal(ours, applied(name, apply_each, pictures, magnitude, index))


@pytest.mark.parametrize("name", BATCHED)
def test_extreme_pictures_too(name: str) -> None:
    channels = 3
    flat = [np.full((8, 8, channels), value, np.uint8) for value in (0, 1, 128, 254, 255)]
    upper = np.arange(8)[:, np.newaxis, np.newaxis] < 4
    two = [np.where(upper, a, b).astype(np.uint8).repeat(8, 1) for a, b in ((0, 255), (254, 255), (7, 9))]
    pictures = np.stack([*flat, *(np.broadcast_to(one, (8, 8, channels)) for one in two)])
    index = np.arange(len(pictures))
    np.testing.assert_array_equal(applied(name, BATCHED[name], pictures, 1.0, index), applied(name, apply_each, pictures, 1.0, index))


@pytest.mark.parametrize("name", BATCHED)
def test_grouping_and_order_change_nothing(name: str) -> None:
    pictures, index = photographs(150, 12, 3), np.random.default_rng(0).permutation(5000)[:150]
    whole = applied(name, BATCHED[name], pictures, 0.9, index)
    order = np.random.default_rng(1).permutation(150)
    for rows in np.array_split(order, [3, 4, 20]):
        np.testing.assert_array_equal(applied(name, BATCHED[name], pictures[rows], 0.9, index[rows]), whole[rows])


@pytest.mark.parametrize("name", BATCHED)
def test_other_rows_are_left_alone(name: str) -> None:
    pictures = photographs(10, 9, 3)
    transform, stream, out = transform_of(name, 1.0, 9), Stream(), pictures.copy()
    transform.set_random_state(stream.generator, stream.py_random)
    stream.rekey(0, 0, name)
    BATCHED[name](transform, stream, out, np.array([7, 2]), np.array([5, 9]))
    rest = np.setdiff1d(np.arange(10), [2, 7])
    np.testing.assert_array_equal(out[rest], pictures[rest])


def changes(pictures: np.ndarray, out: np.ndarray) -> np.ndarray:
    """A number for each picture by which to compare distributions: how much is changed, and to which side."""
    return (out.astype(float) * np.linspace(1, 2, out[0].size).reshape(out[0].shape)).mean((1, 2, 3)) - pictures.mean((1, 2, 3))


@pytest.mark.filterwarnings("ignore:ks_2samp:RuntimeWarning")
@pytest.mark.parametrize("name", BATCHED)
def test_parameters_have_albumentations_own_distribution(name: str) -> None:
    """Two samples of changes to one picture: ours, and those of albumentations with its own generators and seed."""
    one = photographs(1, 12, 3)
    same = np.repeat(one, 400, axis=0)
    ours = changes(same, applied(name, BATCHED[name], same, 1.0, np.arange(400)))
    transform = transform_of(name, 1.0, 12)
    transform.set_random_seed(11)
    theirs = changes(same, np.stack([transform(image=picture)["image"] for picture in same]))
    assert stats.ks_2samp(ours, theirs).pvalue > 1e-3


def test_a_wrong_distribution_would_be_seen() -> None:
    same = np.repeat(photographs(1, 12, 3), 400, axis=0)
    strong, weaker = (changes(same, applied("Brightness", BATCHED["Brightness"], same, m, np.arange(400))) for m in (1.0, 0.7))
    assert stats.ks_2samp(strong, weaker).pvalue < 1e-3


def test_engines_are_chosen_by_name_and_what_is_lacking_is_said() -> None:
    assert engine_of("Affine") is BATCHED["Affine"]
    assert engine_of("Affine", "albumentations") is apply_each
    assert engine_of("Emboss") is apply_each
    assert left_to_reference(["Affine", "Emboss", "CLAHE", "Emboss"]) == ("Emboss", "CLAHE")
    assert {*BATCHED} <= {*OPS.entries}


def test_words_are_numpys_own() -> None:
    stream = Stream()
    stream.rekey(1, 2, "x")
    index = np.random.default_rng(0).integers(0, 1 << 50, 300)
    words = stream.words(index, 9)
    for row in (0, 7, 299):
        stream.seek(int(index[row]))
        raw = stream.generator.bit_generator.random_raw(9)
        np.testing.assert_array_equal(words[row], raw)
    np.testing.assert_array_equal(stream.words(index[:20], 9), words[:20])
    uniforms = stream.uniforms(index, 3)
    stream.seek(int(index[4]))
    np.testing.assert_array_equal(uniforms[4], stream.generator.random(3))


@pytest.mark.parametrize("num", [1, 2, 3, 7, 1000])
def test_bounded_numbers_are_numpys_own(num: int) -> None:
    stream = Stream()
    stream.rekey(0, num)
    index = np.arange(200)
    drawn, is_sure = bounded(halves(stream.words(index, 1))[:, 0], num)
    for row in index[is_sure].tolist():
        stream.seek(row)
        assert drawn[row] == stream.generator.integers(0, num, size=1)[0]
    # Whatever numpy would draw again is among what is not sure.
    halves_that_may_repeat = np.arange(4, dtype=np.uint64)
    assert not bounded(halves_that_may_repeat, 5)[1][0]


def test_numbers_of_python_random_are_one_uniform_each() -> None:
    stream = Stream()
    stream.rekey(0, 0, "x")
    stream.seek(8)
    expected = np.floor(stream.generator.random(3) * 7).astype(int).tolist()
    stream.seek(8)
    assert [stream.py_random.randint(10, 16) - 10 for _ in range(3)] == expected


def test_what_is_not_sure_is_left_to_the_transform(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 2^32 words a few make numpy draw again: here half of them are said to."""
    shuffles = random_colour._shuffles

    def half_sure(half_K: Any, num: Any) -> tuple[np.ndarray, np.ndarray]:
        drawn, _ = bounded(half_K, num)
        return np.zeros_like(drawn), np.arange(len(drawn)) % 2 == 0

    def half_shuffled(half_KW: Any, num: int) -> tuple[np.ndarray, np.ndarray]:
        order_KN, _ = shuffles(half_KW, num)
        is_sure = np.arange(len(order_KN)) % 2 == 0
        return np.where(is_sure[:, np.newaxis], order_KN, 0), is_sure

    pictures, index = photographs(20, 16, 3), np.arange(20)
    monkeypatch.setattr(random_geometry, "bounded", half_sure)
    monkeypatch.setattr(random_colour, "_shuffles", half_shuffled)
    for name, odd in (("CoarseDropout", slice(1, None, 2)), ("ColorJitter", slice(None))):
        expected = applied(name, apply_each, pictures, 0.8, index)
        np.testing.assert_array_equal(applied(name, BATCHED[name], pictures, 0.8, index)[odd], expected[odd])


def test_opencv_threads_change_nothing() -> None:
    before = cv2.getNumThreads()
    pictures, index = photographs(30, 64, 3), np.arange(30)
    try:
        cv2.setNumThreads(1)
        single = {name: applied(name, BATCHED[name], pictures, 0.9, index) for name in ("Affine", "GaussNoise", "Hue")}
        cv2.setNumThreads(2)
        for name, out in single.items():
            np.testing.assert_array_equal(applied(name, BATCHED[name], pictures, 0.9, index), out)
    finally:
        cv2.setNumThreads(before)
