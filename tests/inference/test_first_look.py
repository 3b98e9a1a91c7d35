"""Files that a network never met: what is refused, mapped or said of them before it answers. An instrument of 12 bits is the measure."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
from made_classifier import made_classifier

from visiontune.data.picture.bad_picture import BadPicture
from visiontune.data.picture.depth import DEEP, eight_bits
from visiontune.errors import UserError
from visiontune.inference.classifier import Classifier
from visiontune.inference.find_pictures import Given
from visiontune.inference.first_look import look_first
from visiontune.inference.predict import with_depth
from visiontune.training.weights_metadata import Originals, WeightsMetadata

RNG = np.random.default_rng(0)
SIDES = {"min": 8, "median": 8, "max": 8}


def deep(top: int, size: int = 8, dtype: Any = np.uint16) -> bytes:
    values = RNG.integers(0, top, (size, size)).astype(dtype)
    values[0, 0] = top
    return cv2.imencode(".png", values)[1].tobytes()


def grey(size: int = 8) -> bytes:
    return deep(200, size, np.uint8)


def colour() -> bytes:
    return cv2.imencode(".png", RNG.integers(0, 256, (8, 8, 3), np.uint8))[1].tobytes()


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return made_classifier(8, 1, name="lenet5")[0]


def knowing(
    classifier: Classifier, ends: tuple[float, float] = DEEP, *, has_eight_bits: bool = True, asked: Any = "auto"
) -> WeightsMetadata:
    known = classifier.metadata
    recipe = replace(known.recipe, data={**known.recipe.data, "depth": asked})
    form, originals = replace(known.form, low=ends[0], high=ends[1]), Originals(has_eight_bits, SIDES, SIDES)
    return replace(known, recipe=recipe, form=form, originals=originals)


def looked(files: list[bytes], metadata: WeightsMetadata) -> tuple[WeightsMetadata, str]:
    metadata, notes = look_first([Given(str(number), lambda file=file: file) for number, file in enumerate(files)], metadata)  # type: ignore[misc]
    return metadata, "\n".join(notes)


def test_a_range_that_training_never_had_is_refused_with_the_way_out(classifier: Classifier) -> None:
    with pytest.raises(
        UserError, match=r"80 of the first 80 pictures have more than 8 bits, with values from 0 to 4,000.*`depth=\(0, 4095\)`"
    ):
        looked([deep(4000) for _ in range(80)], knowing(classifier))
    with pytest.raises(UserError, match=r"range of the training pictures, 0 to 4,095, but .* to 60,000; `depth=\(0, 65535\)` maps them"):
        looked([deep(60_000), grey()], knowing(classifier, (0, 4095), has_eight_bits=False))


@pytest.mark.parametrize(
    ("files", "ends", "has_eight_bits", "asked", "depth", "said"),
    [
        ([deep(60_000), deep(4000)], DEEP, True, "auto", DEEP, "its pictures had 8 bits"),
        ([deep(4000)], DEEP, True, 16, DEEP, ""),
        ([deep(4000)], DEEP, False, "auto", DEEP, "which makes them dark: `depth=(0, 4095)`"),
        ([deep(4000)], (0, 4095), False, "auto", (0, 4095), ""),
        ([deep(4000), deep(5000)], (0, 4095), False, "auto", (0, 4095), "what lies beyond is cut off"),
        ([deep(5000)], (1000, 2000), False, [1000, 2000], (1000, 2000), ""),
        ([grey()], (0, 4095), False, "auto", (0, 4095), "have 8 bits, taken as they are"),
        ([grey(), colour()], DEEP, True, "auto", None, "1 of the 2 pictures is in colour"),
        ([grey(8), grey(40)], DEEP, True, "auto", None, "far from the size of the training pictures (8 x 8 pixels), such as 40 x 40"),
        ([grey(8), grey(5)], DEEP, True, "auto", None, "1 of the 2 pictures is enlarged to 8 x 8, such as 5 x 5"),
        ([grey(), b"no picture"], DEEP, True, "auto", None, ""),
    ],
)
def test_what_differs_is_said(
    classifier: Classifier, files: list[bytes], ends: Any, has_eight_bits: bool, asked: Any, depth: Any, said: str
) -> None:
    metadata, notes = looked(files, knowing(classifier, ends, has_eight_bits=has_eight_bits, asked=asked))
    assert metadata.depth == depth and said in notes.replace("the network's pictures", "its pictures") and bool(notes) == bool(said)


def test_a_picture_that_comes_later_is_mapped_as_asked_or_a_problem(classifier: Classifier) -> None:
    known = classifier.knowing(knowing(classifier))
    with pytest.raises(BadPicture, match=r"has values from \d+ to 4,000, and the network's pictures had 8 bits: depth says"):
        known.picture_of(file := deep(4000))
    values = cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(with_depth(known, (0, 4095)).picture_of(file)[:, :, 0], eight_bits(values, (0, 4095)))
    with pytest.raises(UserError, match="depth must be LOW HIGH with LOW < HIGH, but got 4095 0"):
        with_depth(known, (4095, 0))
    assert WeightsMetadata.from_strings(known.metadata.to_strings()) == known.metadata
