"""Conformance over every op of the table, against albumentations itself and against what magnitudes promise."""

from __future__ import annotations

import inspect
import itertools
import subprocess
import sys
import warnings
from pathlib import Path

import albumentations as alb
import numpy as np
import pytest
from made_pictures import digits, photographs, transform_of

from visiontune.augmentation.engines.reference import apply_each
from visiontune.augmentation.keyed_random import Stream
from visiontune.augmentation.op_builders import colour, geometry, texture
from visiontune.augmentation.policy import problem_of, problem_of_turning
from visiontune.errors import UserError
from visiontune.spec.declarations.image_size import image_size
from visiontune.spec.parse import load_recipe, load_study
from visiontune.spec.tables import policies
from visiontune.spec.tables.ops import COLOUR_OPS, FORMER_ARGS, FORMER_OPS, LABEL_CHANGING, OPS, TURNING

WITH_MAGNITUDE = [name for name, op in OPS.entries.items() if "magnitude" in op.args]
WITHOUT = [name for name in OPS.entries if name not in WITH_MAGNITUDE]
OURS = {"ShearX": "Affine", "ShearY": "Affine", "TranslateX": "Affine", "TranslateY": "Affine", "PadAndCrop": "Sequential"}
OURS |= dict.fromkeys(("Brightness", "Contrast", "Saturation", "Hue"), "ColorJitter")
"""Ops whose names albumentations doesn't have, and what they are made of."""
MAGNITUDES = (1 / 3, 2 / 3, 1.0)


def augmented(name: str, magnitude: float, pictures: np.ndarray) -> np.ndarray:
    transform, stream = transform_of(name, magnitude, image_size(pictures.shape[1:3])), Stream()
    transform.set_random_state(stream.generator, stream.py_random)
    stream.rekey(3, 1, name)
    index = np.arange(len(pictures))
    out = pictures.copy()
    apply_each(transform, stream, out, index, index)
    return out


def distance(name: str, magnitude: float, pictures: np.ndarray) -> float:
    return float(np.abs(augmented(name, magnitude, pictures).astype(int) - pictures).mean())


def made(channels: int) -> np.ndarray:
    """Colour pictures are made, grey ones are digits."""
    return photographs(32, 32, 3) if channels == 3 else digits(32, 32)


def suiting(names: list[str]) -> list[tuple[str, int]]:
    return [(name, channels) for name in names for channels in (1, 3) if channels == 3 or name not in COLOUR_OPS]


def test_at_least_thirty_ops_and_the_lectures_own_among_them() -> None:
    assert len(OPS.entries) >= 75
    assert {"HorizontalFlip", "RandomResizedCrop", "HueSaturationValue", "GaussNoise"} <= {*OPS.entries}
    assert policies.OPS is OPS


def test_every_picture_only_transform_of_albumentations_is_in_the_table_or_named_as_left_out() -> None:
    listed = sys.modules["visiontune.spec.tables.ops"].__doc__ or ""
    own = [one for one in vars(alb).values() if inspect.isclass(one) and issubclass(one, alb.ImageOnlyTransform)]
    missing = [one.__name__ for one in own if one.__name__ not in OPS.entries and one.__name__ not in listed]
    assert missing in ([], ["ImageOnlyTransform"])


@pytest.mark.parametrize("name", OPS.entries)
def test_builders_take_what_the_table_declares_without_a_warning(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for magnitude in (0.0, 0.01, 0.5, 1.0):
            for size in (8, 32, 224):
                transform = transform_of(name, magnitude, size)
                is_weak = magnitude < 0.5 or (size == 8 and magnitude < 1)  # less than a pixel
                assert type(transform).__name__ in (name, OURS.get(name), "NoOp" if is_weak else "")
                assert transform.p == 1.0 and not getattr(transform, "invalid_args", ())


@pytest.mark.parametrize("name", [name for name in OPS.entries if name not in OURS])
def test_albumentations_refuses_unknown_arguments_of_the_built_class(name: str) -> None:
    needed = {"RandomResizedCrop": {"size": (8, 8)}, "RandomSizedCrop": {"size": (8, 8), "min_max_height": (4, 8)}, "CropAndPad": {"px": 1}}
    with pytest.raises((ValueError, TypeError), match="magnitud"):
        geometry.always(type(transform_of(name, 1.0)), **needed.get(name, {}), magnitud=0.5)


def test_every_builder_is_in_the_table() -> None:
    helpers = {"always", "nothing", "around_zero"}
    built = {
        f"{module.__name__}:{name}"
        for module in (geometry, colour, texture)
        for name, one in vars(module).items()
        if inspect.isfunction(one) and one.__module__ == module.__name__ and not name.startswith("_") and name not in helpers
    }
    assert built == {op.builder for op in OPS.entries.values()}


@pytest.mark.parametrize(("name", "channels"), suiting(WITH_MAGNITUDE))
def test_magnitude_0_changes_nothing_and_distance_grows_with_magnitude(name: str, channels: int) -> None:
    pictures = made(channels)
    np.testing.assert_array_equal(augmented(name, 0.0, pictures), pictures)
    distances = [0.0, *(distance(name, magnitude, pictures) for magnitude in MAGNITUDES)]
    assert all(low < high for low, high in itertools.pairwise(distances)), distances


@pytest.mark.parametrize(("name", "channels"), suiting(WITHOUT))
def test_ops_without_a_magnitude_change_pictures(name: str, channels: int) -> None:
    assert distance(name, 1.0, made(channels)) > 1


@pytest.mark.heavy
@pytest.mark.parametrize(("name", "channels"), suiting([*OPS.entries]))
def test_small_odd_and_read_only_pictures_keep_their_shape(name: str, channels: int) -> None:
    for pictures in (digits(2), photographs(2, 33, channels), photographs(2, (24, 41), channels)):
        size = image_size(pictures.shape[1:3])
        if pictures.shape[3] == channels and (isinstance(size, int) or name not in TURNING):
            one = pictures[0]
            one.flags.writeable = False
            out = transform_of(name, 1.0, size)(image=one)["image"]
            assert out.shape == one.shape and out.dtype == np.uint8


@pytest.mark.parametrize(("name", "channels"), suiting(WITH_MAGNITUDE))
def test_magnitude_0_leaves_pictures_of_other_shapes_too(name: str, channels: int) -> None:
    pictures = photographs(2, (24, 41), channels)
    np.testing.assert_array_equal(augmented(name, 0.0, pictures), pictures)


@pytest.mark.parametrize("name", sorted(TURNING))
def test_ops_that_turn_by_90_degrees_are_refused_on_pictures_that_are_no_squares(name: str) -> None:
    section = {"policy": "fixed", name: {"probability": 0.5}}
    assert f"augmentation.{name} swaps height and width" in str(problem_of_turning(section, (24, 32)))
    assert problem_of_turning(section, 32) is None


@pytest.mark.parametrize("name", sorted(COLOUR_OPS))
def test_colour_ops_are_refused_on_grey_pictures(name: str) -> None:
    assert "3 channels" in str(problem_of({"policy": "fixed", name: {}}, 1))
    assert problem_of({"policy": "fixed", name: {}}, 3) is None


def test_lists_of_names_are_names_of_the_table() -> None:
    assert {*OPS.entries} >= COLOUR_OPS and {*OPS.entries} >= LABEL_CHANGING
    assert not {*FORMER_OPS} & {*OPS.entries}
    assert not {*FORMER_ARGS} & {arg for op in OPS.entries.values() for arg in op.args}
    for said in FORMER_OPS.values():
        assert any(word.strip("`") in OPS.entries or word in ("section", "`mixing`") for word in said.split()), said


def test_what_changes_labels_of_digits_is_listed() -> None:
    """A turned digit is nearer to another class's mean than before: flips and turns of the set are among LABEL_CHANGING."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    means = np.stack([images[labels == k].mean(0) for k in range(10)])

    def right(name: str) -> float:
        pictures = (images[:300] * (255 / 16)).astype(np.uint8).reshape(-1, 8, 8, 1)
        moved = augmented(name, 1.0, pictures).reshape(-1, 64) * (16 / 255)
        return float((((moved[:, np.newaxis] - means) ** 2).sum(2).argmin(1) == labels[:300]).mean())

    for name in ("HorizontalFlip", "VerticalFlip", "Transpose", "RandomRotate90", "D4", "RandomGridShuffle"):
        assert right(name) < 0.7 < right("Brightness") and name in LABEL_CHANGING


RECIPE = """
data: {source: digits}
model: {name: lenet5}
optimizer: {name: sgd, lr: 0.1}
training: {num_epochs: 1}
augmentation: {policy: fixed, %s}
"""


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("IAAAffine: {}", ["IAAAffine", "albumentations 2 calls Affine"]),
        ("Cutout: {}", ["albumentations 2 calls CoarseDropout"]),
        ("ShiftScaleRotate: {}", ["visiontune has Affine"]),
        ("GaussNoise: {var_limit: [10, 50]}", ["'var_limit'", "std_range", "magnitude", "choices: probability"]),
        ("HorizontalFlip: {p: 0.5}", ["called probability"]),
        ("Affine: {rotate: 30}", ["sets by magnitude"]),
        ("Affine: {magnitud: 1}", ["nearest is 'magnitude'"]),
        ("Afine: {}", ["nearest is 'Affine'"]),
        ("Affine: {magnitude: 1.5}", ["from 0 to 1", "nearest is 1"]),
    ],
)
def test_wrong_names_and_arguments_are_refused_with_what_replaces_them(tmp_path: Path, written: str, said: list[str]) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text(RECIPE % written)
    with pytest.raises(UserError) as caught:
        load_recipe(file)
    assert all(word in str(caught.value) for word in said), caught.value


def test_names_of_ops_in_a_branch_of_a_choice_are_refused_alike(tmp_path: Path) -> None:
    file = tmp_path / "space.yaml"
    head = "study: a\ndata: {source: digits}\nbudget: {num_trials: 2, min_epochs: 1, max_epochs: 3}\nspace:\n"
    body = (
        "  model: {name: lenet5}\n  optimizer: {name: sgd, lr: 0.1}\n  augmentation: {policy: {choice: {none: {}, fixed: {Cutout: {}}}}}\n"
    )
    file.write_text(head + body)
    with pytest.raises(UserError, match=r"space.yaml:7: .*fixed.Cutout: unknown key 'Cutout', which albumentations 2 calls CoarseDropout"):
        load_study(file)


def test_names_of_ops_as_values_are_refused_alike(tmp_path: Path) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text(RECIPE.replace("policy: fixed, %s", "policy: autoaugment, sub1_op1: Cutout"))
    with pytest.raises(UserError, match="'Cutout', which albumentations 2 calls CoarseDropout"):
        load_recipe(file)


def test_flip_is_the_mirror_and_turns_are_turns() -> None:
    pictures = photographs(24, 8, 3)
    np.testing.assert_array_equal(augmented("HorizontalFlip", 1.0, pictures), pictures[:, :, ::-1])
    np.testing.assert_array_equal(augmented("VerticalFlip", 1.0, pictures), pictures[:, ::-1])
    np.testing.assert_array_equal(augmented("Transpose", 1.0, pictures), pictures.swapaxes(1, 2))
    turns = [np.rot90(pictures, k, axes=(1, 2)) for k in range(4)]
    eight = [*turns, *(turn[:, :, ::-1] for turn in turns)]
    for name, group in (("RandomRotate90", turns), ("D4", eight)):
        out = augmented(name, 1.0, pictures)
        found = {next(k for k, one in enumerate(group) if np.array_equal(one[row], out[row])) for row in range(24)}
        assert len(found) >= len(group) - 1


def test_pad_and_crop_is_a_shift_within_its_range() -> None:
    pictures = photographs(200, 16, 1)
    out = augmented("PadAndCrop", 0.5, pictures)
    padded = np.pad(pictures, ((0, 0), (2, 2), (2, 2), (0, 0)))
    shifts = [(y, x) for y in range(5) for x in range(5)]
    found = [[s for s in shifts if np.array_equal(padded[k, s[0] : s[0] + 16, s[1] : s[1] + 16], out[k])] for k in range(200)]
    assert all(found) and len({one[0] for one in found}) == 25


def test_affine_stays_within_its_documented_ranges() -> None:
    transform = geometry.affine(1.0, image_size=32)
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


def test_brightness_contrast_and_saturation_are_pillows_factors() -> None:
    """RandAugment's ops are Pillow's: the same factors on the same pictures."""
    from PIL import Image, ImageEnhance

    pictures = {"Brightness": ImageEnhance.Brightness, "Contrast": ImageEnhance.Contrast, "Saturation": ImageEnhance.Color}
    picture = photographs(1, 16, 3)[0]
    for name, enhance in pictures.items():
        transform = transform_of(name, 1.0, 16)
        for seed in range(5):
            transform.set_random_seed(seed)
            ours = transform(image=picture)["image"]
            factor = transform.get_applied_params()[name.lower()]
            assert 0.1 <= factor <= 1.9
            theirs = np.asarray(enhance(Image.fromarray(picture)).enhance(factor))
            np.testing.assert_allclose(ours.astype(int), theirs.astype(int), atol=2)


def test_nothing_asks_a_server_and_the_table_is_cheap() -> None:
    code = (
        "import os, sys\n"
        f"sys.path[:0] = {[entry for entry in sys.path if entry]!r}\n"
        "from visiontune.spec.tables.ops import OPS\n"
        "assert not {'albumentations', 'torch', 'cv2', 'numpy'} & set(sys.modules)\n"
        "import visiontune.augmentation\n"
        "assert os.environ['NO_ALBUMENTATIONS_UPDATE'] == '1'\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={})
