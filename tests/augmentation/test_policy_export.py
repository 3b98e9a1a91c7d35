"""Policies carried away: albumentations reads them back to the last bit; torchvision's code runs and equals ours, op by op."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import albumentations as alb
import numpy as np
import pytest
import torch
from tiny import section

from visiontune.augmentation.export.albumentations_files import albumentations_text, pipeline
from visiontune.augmentation.export.exportable import transform_of
from visiontune.augmentation.export.policy_files import constant_steps, export_policy
from visiontune.augmentation.export.torchvision_code import torchvision_code
from visiontune.augmentation.export.torchvision_ops import CODES
from visiontune.augmentation.keyed_random import Stream
from visiontune.augmentation.policy import build_policy
from visiontune.augmentation.policy_steps import Chance, Ramp
from visiontune.data.picture.shape import fit
from visiontune.errors import UserError
from visiontune.spec.tables.ops import OPS

SIZE = 32
RANDOM = np.random.default_rng(0)
NOISE_HWC = RANDOM.integers(0, 256, (SIZE, SIZE, 3), np.uint8)
SMOOTH_HWC = np.clip(
    128 + 90 * np.sin(np.arange(SIZE)[:, None, None] / 5 + np.arange(3)) * np.cos(np.arange(SIZE)[None, :, None] / 7), 0, 255
).astype(np.uint8)
SPOT_HWC = SMOOTH_HWC // 2
SPOT_HWC[:4, :4] = 255
"""Without light values but for a highlight, as photographs have them."""
FIXED = {
    "HorizontalFlip": {"probability": 0.5},
    "Affine": {"probability": 0.7, "magnitude": 0.4},
    "PadAndCrop": {"probability": 1.0, "magnitude": 0.5},
    "GaussNoise": {"probability": 0.3, "magnitude": 0.6},
}


def augmentation(policy: str, **args: Any) -> dict[str, Any]:
    return section("augmentation", {"policy": policy, **args})


def given(name: str, magnitude: float) -> dict[str, float]:
    return {"probability": 1.0, "magnitude": magnitude} if "magnitude" in OPS.entries[name].args else {"probability": 1.0}


def exported(suffix: str, policy: str, num_epochs: int = 5, **args: Any) -> str:
    return export_policy(augmentation(policy, **args), image_size=SIZE, channels=3, num_epochs=num_epochs, suffix=suffix, title="A policy.")


def loaded(text: str, suffix: str, folder: Path) -> Any:
    path = folder / f"policy{suffix}"
    path.write_text(text)
    return alb.load(path, data_format="json" if suffix == ".json" else "yaml")


@pytest.mark.heavy
@pytest.mark.parametrize("suffix", [".yaml", ".json"])
@pytest.mark.parametrize(
    ("policy", "args"),
    [
        ("fixed", FIXED),
        ("soft_randaugment", {"flip_probability": 0.5}),
        ("soft_trivialaugment", {}),
        ("autoaugment", {"crop_magnitude": 0.5}),
    ],
)
def test_what_albumentations_loads_draws_the_same_pictures_for_the_same_seed(
    suffix: str, policy: str, args: dict[str, Any], tmp_path: Path
) -> None:
    again = loaded(exported(suffix, policy, **args), suffix, tmp_path)
    made = build_policy(augmentation(policy, **args), image_size=SIZE, channels=3, num_epochs=5)
    assert made is not None
    ours = pipeline(constant_steps(made.steps), SIZE)
    drawn = set()
    for seed in range(30):
        ours.set_random_seed(seed)
        again.set_random_seed(seed)
        picture = ours(image=NOISE_HWC)["image"]
        assert np.array_equal(again(image=NOISE_HWC)["image"], picture)
        drawn.add(picture.tobytes())
    assert len(drawn) > 10  # it is not always the same


@pytest.mark.parametrize("name", OPS.entries)
@pytest.mark.filterwarnings("ignore:Argument")
def test_every_op_is_read_back_and_is_the_policys_own(name: str) -> None:
    """The transform out of the file, given the policy's stream, makes what the policy makes."""
    text = albumentations_text(pipeline([Chance(name, 1.0, Ramp(0.6))], SIZE), ".json")
    (transform,) = alb.from_dict(json.loads(text)).transforms
    policy = build_policy(augmentation("fixed", **{name: given(name, 0.6)}), image_size=SIZE, channels=3)
    assert policy is not None
    stream = Stream()
    transform.set_random_state(stream.generator, stream.py_random)
    for index in (0, 7):
        stream.rekey(3, 2, name)
        stream.seek(index)
        theirs = transform(image=SMOOTH_HWC)["image"]
        ours = policy(SMOOTH_HWC[np.newaxis], seed=3, epoch=2, index_N=np.array([index]))[0]
        assert np.array_equal(ours, theirs)


def test_probabilities_and_shares_are_those_of_the_policy(tmp_path: Path) -> None:
    content = json.loads(exported(".json", "fixed", **FIXED))["transform"]["transforms"]
    assert [one["p"] for one in content] == [0.5, 0.7, 1.0, 0.3]
    one_of = json.loads(exported(".json", "soft_trivialaugment"))["transform"]["transforms"][0]
    assert one_of["__class_fullname__"] == "OneOf" and len(one_of["transforms"]) == 13
    strengths = [kind for kind in one_of["transforms"] if kind["__class_fullname__"] == "OneOf"]
    assert {len(kind["transforms"]) for kind in strengths} == {31}
    assert len(json.loads(exported(".json", "soft_randaugment", num_ops=3))["transform"]["transforms"]) == 3


@pytest.mark.parametrize(
    ("suffix", "policy", "args", "said"),
    [
        (".yaml", "none", {}, "nothing to export"),
        (".json", "augmix", {}, "augmix can't be said in it; export to .py"),
        (".json", "randaugment", {}, "done at one strength to a random side; export to .py"),
        (".py", "timm", {}, "create_transform(auto_augment='rand-m9-mstd0.5-inc1')"),
        (".yaml", "autoaugment_published", {}, "export to .py"),
        (".yaml", "randaugment", {"magnitude": 0.2, "final_magnitude": 0.8}, "from 0.2 to 0.8"),
        (".json", "fixed", {"Rotate": {"probability": 0.5, "magnitude": 0.1, "final_magnitude": 0.9}}, "from 0.1 to 0.9"),
        (".txt", "randaugment", {}, ".yaml"),
        (
            ".py",
            "fixed",
            {"Rotate": {"magnitude": 0.5}, "ElasticTransform": {"magnitude": 0.5}, "HueSaturationValue": {"magnitude": 0.1}},
            "ElasticTransform, HueSaturationValue",
        ),
    ],
)
def test_what_a_form_cannot_say_is_refused_in_one_sentence(suffix: str, policy: str, args: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError) as error:
        exported(suffix, policy, **args)
    assert said in str(error.value) and len(str(error.value).splitlines()) == 1


def test_published_policies_are_torchvisions_own_in_code() -> None:
    lines = {
        "randaugment": "v2.RandAugment(2, 9, 31, interpolation=v2.InterpolationMode.NEAREST)",
        "trivialaugment": "v2.TrivialAugmentWide(interpolation=v2.InterpolationMode.NEAREST)",
        "augmix": "v2.AugMix(3, 3, -1, 1.0, all_ops=False, interpolation=v2.InterpolationMode.BILINEAR)",
    }
    for policy, line in lines.items():
        assert line in exported(".py", policy)
    assert "v2.RandAugment(1, 1234, 10001," in exported(".py", "randaugment", num_ops=1, magnitude=0.1234)


def test_mixing_is_no_part_of_it_and_the_file_says_so() -> None:
    assert "Without mixing cutmix" in exported(".yaml", "fixed", mixing="cutmix", **FIXED)
    assert "set_random_seed" in exported(".yaml", "fixed", **FIXED)


def code_of(name: str, transform: Any) -> dict[str, Any]:
    """The module that would stand in a file with this one transform."""
    code = CODES[type(transform).__name__](transform, SIZE)
    assert code is not None
    whole = torchvision_code([Chance(one, 1.0, Ramp(0.5)) for one in HELPED], SIZE)
    made: dict[str, Any] = {}
    exec(
        whole.partition("\ntransform = ")[0] + f"\nfrom torchvision.transforms import v2\ntransform = v2.Compose([v2.ToImage(), {code}])",
        made,
    )
    return made


HELPED = ("Affine", "GaussNoise", "Sharpen", "GaussianBlur", "Posterize", "Transpose", "Equalize", "AutoContrast")


def both(name: str, transform: Any, picture_HWC: Any) -> tuple[Any, Any]:
    ours = transform(image=picture_HWC)["image"]
    theirs = code_of(name, transform)["transform"](picture_HWC).permute(1, 2, 0).numpy()
    return ours.astype(int), theirs.astype(int)


PINNED = {
    "Affine": alb.Affine(
        rotate=(17, 17),
        shear={"x": (9, 9), "y": (-5, -5)},
        translate_percent={"x": (0.1, 0.1), "y": (-0.2, -0.2)},
        scale={"x": (0.8, 0.8), "y": (1.2, 1.2)},
        p=1.0,
    ),
    "ShearX": alb.Affine(shear={"x": (15, 15), "y": (0.0, 0.0)}, p=1.0),
    "TranslateY": alb.Affine(translate_percent={"x": (0.0, 0.0), "y": (0.2, 0.2)}, p=1.0),
    "Rotate": alb.Rotate(limit=(-23, -23), p=1.0),
    "Brightness": alb.ColorJitter((1.3, 1.3), (1.0, 1.0), (1.0, 1.0), (0.0, 0.0), p=1.0),
    "Contrast": alb.ColorJitter((1.0, 1.0), (0.4, 0.4), (1.0, 1.0), (0.0, 0.0), p=1.0),
    "Saturation": alb.ColorJitter((1.0, 1.0), (1.0, 1.0), (1.7, 1.7), (0.0, 0.0), p=1.0),
    "RandomGamma": alb.RandomGamma(gamma_limit=(180, 180), p=1.0),
    "Equalize": alb.Equalize(p=1.0),
    "AutoContrast": alb.AutoContrast(method="pil", p=1.0),
    "InvertImg": alb.InvertImg(p=1.0),
    "ToGray": alb.ToGray(p=1.0),
    "Solarize": alb.Solarize(threshold_range=(0.4, 0.4), p=1.0),
    "Hue": alb.ColorJitter((1.0, 1.0), (1.0, 1.0), (1.0, 1.0), (0.2, 0.2), p=1.0),
    "Posterize": alb.Posterize(num_bits=(3, 3), p=1.0),
    "GaussianBlur": alb.GaussianBlur(sigma_limit=(1.3, 1.3), blur_limit=0, p=1.0),
    "Sharpen": alb.Sharpen(alpha=(0.3, 0.3), lightness=(1.0, 1.0), p=1.0),
    "HorizontalFlip": alb.HorizontalFlip(p=1.0),
    "VerticalFlip": alb.VerticalFlip(p=1.0),
    "Transpose": alb.Transpose(p=1.0),
}


TOLERANCE = {"Hue": 4}
"""Levels of 255. OpenCV keeps a hue in 180 steps."""


@pytest.mark.parametrize("name", PINNED)
def test_torchvisions_code_makes_the_same_picture_for_the_same_numbers(name: str) -> None:
    for picture_HWC in (NOISE_HWC, SMOOTH_HWC, SPOT_HWC):
        ours, theirs = both(name, PINNED[name], picture_HWC)
        assert np.abs(ours - theirs).max() <= TOLERANCE.get(name, 1)
        assert np.abs(ours - picture_HWC).max() > 0


def drawn(name: str, magnitude: float, picture_HWC: Any, num: int) -> tuple[list[Any], list[Any]]:
    """Pictures of an op in the policy and of its code."""
    policy = build_policy(augmentation("fixed", **{name: given(name, magnitude)}), image_size=SIZE, channels=3)
    assert policy is not None
    ours = policy(np.repeat(picture_HWC[np.newaxis], num, 0), seed=0, epoch=1, index_N=np.arange(num))
    transform = code_of(name, transform_of(name, magnitude, SIZE))["transform"]
    torch.manual_seed(0)
    return list(ours), [transform(picture_HWC).permute(1, 2, 0).numpy() for _ in range(num)]


@pytest.mark.parametrize("name", ["RandomRotate90", "D4", "ChannelShuffle"])
def test_torchvisions_code_draws_the_same_pictures(name: str) -> None:
    ours, theirs = ({picture.tobytes() for picture in pictures} for pictures in drawn(name, 1.0, NOISE_HWC, 80))
    assert ours == theirs and len(ours) > 3


@pytest.mark.parametrize("magnitude", [0.1, 0.5, 1.0])
def test_a_crop_of_a_padded_picture_is_one_of_the_same_ones(magnitude: float) -> None:
    pad = round(SIZE * magnitude / 4)
    padded = np.pad(NOISE_HWC, ((pad, pad), (pad, pad), (0, 0)))
    places = [(top, left) for top in range(2 * pad + 1) for left in range(2 * pad + 1)]
    possible = {padded[top : top + SIZE, left : left + SIZE].tobytes() for top, left in places}
    ours, theirs = drawn("PadAndCrop", magnitude, NOISE_HWC, 40)
    assert {picture.tobytes() for picture in (*ours, *theirs)} <= possible


@pytest.mark.parametrize("magnitude", [0.05, 0.3, 0.65, 1.0])
def test_holes_have_the_same_size(magnitude: float) -> None:
    white = np.full((SIZE, SIZE, 3), 255, np.uint8)
    ours, theirs = ({int((picture == 0).sum()) for picture in pictures} for pictures in drawn("CoarseDropout", magnitude, white, 20))
    assert ours == theirs == {3 * int(SIZE * magnitude / 2) ** 2}


@pytest.mark.parametrize(("name", "picture"), [("Erasing", 255), ("GaussNoise", 128)])
def test_drawn_strengths_are_spread_alike(name: str, picture: int) -> None:
    """Erased shares and deviations of noise: equal deciles, as far as 400 draws tell."""
    before = np.full((SIZE, SIZE, 3), picture, np.uint8)
    ours, theirs = (
        np.quantile([(one.astype(float) - before).std() for one in pictures], [0.1, 0.3, 0.5, 0.7, 0.9])
        for pictures in drawn(name, 0.7, before, 400)
    )
    assert np.abs(ours - theirs).max() < 0.1 * ours.max()


def test_a_resized_crop_is_opencvs_and_ranges_are_ours() -> None:
    import cv2

    ours = transform_of("RandomResizedCrop", 0.6, SIZE)
    theirs = code_of("RandomResizedCrop", ours)["transform"].transforms[1]
    assert (tuple(theirs.scale), tuple(theirs.ratio)) == (tuple(ours.scale), tuple(ours.ratio))
    place = {"top": 3, "left": 7, "height": 20, "width": 15}
    made = theirs.transform(torch.from_numpy(NOISE_HWC).permute(2, 0, 1), place).permute(1, 2, 0).numpy()
    expected = cv2.resize(NOISE_HWC[3:23, 7:22], (SIZE, SIZE), interpolation=ours.interpolation)
    assert np.abs(made.astype(int) - expected).max() <= 1


def test_a_photograph_is_made_smaller_as_an_ingest_makes_it() -> None:
    """Interpolation alone takes 2 of 16 x 16 pixels of noise; the mean over all of them is near grey."""
    photograph_HWC = RANDOM.integers(0, 256, (16 * SIZE, 16 * SIZE, 3), np.uint8)
    whole = {"crop_scale_min": 1.0, "crop_scale_max": 1.0, "crop_ratio_min": 1.0, "crop_ratio_max": 1.0}
    text = exported(".json", "none", crop="random_resized", **whole)
    made = alb.from_dict(json.loads(text))(image=photograph_HWC)["image"]
    assert np.abs(made.astype(int) - fit(photograph_HWC, (SIZE, SIZE), 3)).max() <= 1


def test_ranges_of_colour_are_ours() -> None:
    ours = transform_of("ColorJitter", 0.8, SIZE)
    theirs = code_of("ColorJitter", ours)["transform"].transforms[1]
    for kind in ("brightness", "contrast", "saturation", "hue"):
        assert tuple(getattr(theirs, kind)) == tuple(getattr(ours, kind))


@pytest.mark.parametrize(
    ("args", "invert"),
    [({"num_chains": 1, "chain_depth": 1, "augmix_alpha": 0.5}, True), pytest.param({"severity": 7}, False, marks=pytest.mark.heavy)],
)
def test_augmix_mixes_as_much(args: dict[str, Any], invert: bool) -> None:
    """How far pictures are from what they were: equal deciles, as far as 1,000 draws tell; of inverted ones that is Beta's share alone."""
    policy = build_policy(augmentation("soft_augmix", **args), image_size=SIZE, channels=3, num_epochs=5)
    assert policy is not None
    made: dict[str, Any] = {}
    exec(exported(".py", "soft_augmix", **args), made)
    transform = made["transform"]
    before = np.zeros((SIZE, SIZE, 3), np.uint8) if invert else SMOOTH_HWC
    if invert:
        transform.transforms[1].op = made["v2"].RandomInvert(p=1.0)
        shares = np.random.default_rng(0).beta(0.5, 0.5, 1000)
        ours = list(np.rint(255 * shares)[:, None, None, None] * np.ones_like(before))
    else:
        ours = list(policy(np.repeat(before[np.newaxis], 1000, 0), seed=0, epoch=1, index_N=np.arange(1000)))
    torch.manual_seed(0)
    theirs = [transform(before).permute(1, 2, 0).numpy() for _ in range(1000)]
    far, near = (
        np.quantile([np.abs(one.astype(float) - before).mean() for one in pictures], [0.1, 0.3, 0.5, 0.7, 0.9])
        for pictures in (ours, theirs)
    )
    assert np.abs(far - near).max() < 0.1 * far.max()


POLICIES: dict[str, dict[str, Any]] = {
    "fixed": FIXED,
    "randaugment": {"num_ops": 2, "flip_probability": 0.5, "crop_magnitude": 0.5},
    "soft_randaugment": {},
    "trivialaugment": {},
    "soft_trivialaugment": {},
    "autoaugment": {"sub1_probability1": 0.0, "sub1_probability2": 0.0},
    "autoaugment_published": {"preset": "svhn"},
    "augmix": {"crop_magnitude": 0.5},
    "soft_augmix": {},
    "three_augment": {},
}


@pytest.mark.heavy
def test_the_files_run_without_this_package(tmp_path: Path) -> None:
    for policy, args in POLICIES.items():
        (tmp_path / f"made_{policy}.py").write_text(exported(".py", policy, **args))
    code = f"""\
import importlib, pickle, sys, numpy, torch
picture = numpy.random.default_rng(0).integers(0, 256, (32, 32, 3), numpy.uint8)
for name in {list(POLICIES)}:
    transform = importlib.import_module("made_" + name).transform
    transform = pickle.loads(pickle.dumps(transform))  # as a DataLoader's workers get it
    made = [transform(picture) for _ in range(20)]
    assert all(one.shape == (3, 32, 32) and one.dtype == torch.uint8 for one in made), name
    assert len({{one.numpy().tobytes() for one in made}}) > 5, name
assert not {{"visiontune", "albumentations"}} & {{name.partition(".")[0] for name in sys.modules}}
"""
    told = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert told.returncode == 0, told.stderr
