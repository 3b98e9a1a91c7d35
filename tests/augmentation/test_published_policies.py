"""Policies with a paper's name against torchvision's own: op by op at every level, and what whole policies draw."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from timm.data import create_transform
from torch._subclasses.fake_tensor import FakeTensorMode
from torchvision.transforms import v2

from visiontune.augmentation.engines.device_exact_ops import apply_exact_on_device
from visiontune.augmentation.engines.exact_ops import NAMES, apply_exact
from visiontune.augmentation.policies.by_timm import transform_of_string
from visiontune.augmentation.policies.published import AUGMIX, IDENTITY, RANDAUGMENT, TRIVIALAUGMENT, OpSpace
from visiontune.augmentation.policy import Policy, build_policy, on_device
from visiontune.errors import UserError
from visiontune.spec.declarations.timm_strings import settle_auto_augment
from visiontune.spec.parse import load_recipe
from visiontune.spec.space.sections import RECIPE
from visiontune.spec.space.space import fill

SIDE = 40
SEED = np.random.default_rng(0)
PICTURES = np.stack(
    [cv2.resize(SEED.integers(0, 256, (6, 6, 3), dtype=np.uint8), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC) for _ in range(4)]
)
"""Smooth, as photographs are: where nearest pixels tie, the other one is much like it."""
PEERS: dict[str, tuple[OpSpace, Any, int]] = {
    "randaugment": (RANDAUGMENT, v2.RandAugment(), 31),
    "trivialaugment": (TRIVIALAUGMENT, v2.TrivialAugmentWide(), 31),
    "augmix": (AUGMIX, v2.AugMix(all_ops=False), 10),
}
THEIRS = {"Saturation": "Color", "Sharpen": "Sharpness"}
FLOAT_ERRORS = {("trivialaugment", "TranslateX", 15), ("trivialaugment", "TranslateY", 15)}
"""Where torchvision moves by 15 pixels for 15.999999."""


def made(policy: str, channels: int = 3, **args: Any) -> Policy:
    section = fill(RECIPE.fields["augmentation"].fields, {"policy": policy, **args})  # type: ignore[union-attr]
    built = build_policy(section, image_size=SIDE, channels=channels)
    assert built is not None
    return built


def levels(policy: str, name: str, height: int, width: int) -> Iterator[tuple[int, float, float]]:
    """Level, side and torchvision's magnitude."""
    _, peer, num = PEERS[policy]
    magnitudes, is_signed = peer._AUGMENTATION_SPACE[THEIRS.get(name, name)]
    values = magnitudes(num, height, width)
    for level in range(0, num, 1 if num == 10 else 3):
        for sign in (1.0, -1.0) if is_signed else (1.0,):
            yield level, sign, 0.0 if values is None else float(values[level]) * sign


@pytest.mark.parametrize("policy", PEERS)
@pytest.mark.parametrize("height", [SIDE, 26])
def test_each_op_at_each_level_and_side_is_torchvisions(policy: str, height: int) -> None:
    (space, peer, num), pictures = PEERS[policy], np.ascontiguousarray(PICTURES[:, :height])
    x_NCHW = torch.from_numpy(pictures).permute(0, 3, 1, 2)
    every = np.arange(len(pictures))
    for name in (one for one in space.names if one != IDENTITY):
        for level, sign, magnitude in levels(policy, name, height, SIDE):
            theirs_NCHW = peer._apply_image_or_video_transform(x_NCHW, THEIRS.get(name, name), magnitude, peer.interpolation, peer._fill)
            theirs = theirs_NCHW.permute(0, 2, 3, 1).numpy()
            side = height if name == "TranslateY" else SIDE
            strength_N = space.strengths(name, np.full(len(every), level / (num - 1)), np.full(len(every), sign), side)
            ours, there = pictures.copy(), torch.from_numpy(pictures.copy())
            apply_exact(name, ours, every, strength_N, str(peer.interpolation))
            apply_exact_on_device(name, there, every, strength_N, str(peer.interpolation))
            where = (policy, name, level)
            if where in FLOAT_ERRORS:
                continue
            for found in (ours, there.numpy()):
                differs = np.abs(found.astype(int) - theirs) > 1
                assert differs.mean() < (0.03 if name[:5] in ("Shear", "Rotat") else 0.01), (where, sign, differs.mean())
            change = [float(np.abs(one.astype(int) - pictures).mean()) for one in (ours, theirs)]
            assert change[0] == pytest.approx(change[1], rel=0.03, abs=0.05), (where, sign)


@pytest.mark.parametrize("policy", PEERS)
def test_whole_policies_change_pictures_as_much_as_torchvisions(policy: str) -> None:
    many = np.repeat(PICTURES, 150, axis=0)
    ours = made(policy)(many, seed=0, epoch=1, index_N=np.arange(len(many)))
    torch.manual_seed(0)
    x_NCHW = torch.from_numpy(many).permute(0, 3, 1, 2)
    theirs = torch.stack([PEERS[policy][1](x_CHW) for x_CHW in x_NCHW]).permute(0, 2, 3, 1).numpy()
    change = [np.abs(one.astype(int) - many).mean((1, 2, 3)) for one in (ours, theirs)]
    low, high = (np.quantile(one, [0.1, 0.3, 0.5, 0.7, 0.9]) for one in change)
    assert np.abs(low - high).max() < 0.15 * high.max(), (low, high)


@pytest.mark.parametrize("policy", PEERS)
@pytest.mark.parametrize("channels", [1, 3])
def test_on_a_device_a_published_policy_gives_the_same_pictures(policy: str, channels: int) -> None:
    pictures = np.ascontiguousarray(np.repeat(PICTURES, 10, axis=0)[..., :channels])
    first, there, lacking = on_device(made(policy, channels))
    assert first is None and there is not None and lacking == ()
    index_N = np.arange(len(pictures))
    ours = made(policy, channels)(pictures, seed=1, epoch=2, index_N=index_N)
    found = there(torch.from_numpy(pictures), seed=1, epoch=2, index_N=index_N).numpy()
    assert (np.abs(found.astype(int) - ours) > 2).mean() < 0.01 and (ours != pictures).any((1, 2, 3)).mean() > 0.6


@pytest.mark.parametrize("policy", PEERS)
def test_a_winner_of_an_older_version_goes_on_to_mean_its_softer_draws(policy: str) -> None:
    """A complete recipe without the argument that only the published entries have; a person's own short recipe has the paper's."""
    short = {
        "data": {"source": "digits"},
        "model": {"name": "lenet5"},
        "optimizer": {"name": "sgd", "lr": 0.1},
        "training": {"num_epochs": 1},
    }
    mine = load_recipe({**short, "augmentation": {"policy": policy, "flip_probability": 0.5}})
    assert mine.augmentation["policy"] == policy and "interpolation" in mine.augmentation
    older = {key: value for key, value in mine.augmentation.items() if key != "interpolation"}
    read = load_recipe({**mine.to_dict(), "augmentation": {key: value for key, value in older.items() if value is not None}})
    assert read.augmentation["policy"] == f"soft_{policy}" and "interpolation" not in read.augmentation
    stored = build_policy(older, image_size=SIDE, channels=3)
    soft = build_policy(read.augmentation, image_size=SIDE, channels=3)
    assert stored is not None and soft is not None and stored.steps == soft.steps
    assert load_recipe(mine.to_dict()).augmentation == mine.augmentation


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("text", ["rand-m9-mstd0.5-inc1", "rand-m7-n3-p0.7-mmax8-t3a", "augmix-m5-w4-d2", "original-mstd0.5", "3a"])
def test_timms_strings_are_timms_own_transforms_for_the_same_seed(text: str, channels: int) -> None:
    """Built as timm's create_transform builds it; global random numbers stay as they were."""
    pictures, index_N = np.ascontiguousarray(np.repeat(PICTURES, 3, axis=0)[..., :channels]), np.arange(12) * 5
    policy = made("timm", channels, auto_augment=text)
    random.seed(1)
    np.random.seed(1)
    ours = policy(pictures, seed=4, epoch=7, index_N=index_N)
    assert (random.random(), np.random.rand()) == (random.Random(1).random(), np.random.RandomState(1).rand())
    whole = create_transform(SIDE, is_training=True, auto_augment=text, color_jitter=None, hflip=0.0, interpolation="random")
    [theirs] = (one for one in whole.transforms if "auto_augment" in type(one).__module__)
    policy.ops.stream.rekey(4, 7, "timm")
    for row, index in enumerate(index_N.tolist() if channels == 3 else ()):
        policy.ops.stream.seek(index)
        seed = int(policy.ops.stream.generator.integers(1 << 32))
        random.seed(seed)
        np.random.seed(seed)
        found = np.asarray(theirs(Image.fromarray(pictures[row])))
        np.testing.assert_array_equal(ours[row], found)
    assert (ours != pictures).any((1, 2, 3)).mean() > 0.3


WRONG = (
    "rand-m9-foo1",
    "rand-m",
    "rand-m9-m8",
    "randd-m9",
    "augmix-n3",
    "original-m5",
    "rand-m9-tall",
    "rand-m9-p7",
    "rand-mstdinf",
    "rand-p.7",
)


@pytest.mark.parametrize("text", WRONG)
def test_strings_that_timm_would_not_read_whole_are_refused_with_the_grammar(text: str) -> None:
    with pytest.raises(UserError, match=r"after|must be as timm's"):
        settle_auto_augment(text, "")


def test_three_augment_is_deit_iiis_of_torchvisions_ops() -> None:
    """A third each of the three, as much change as torchvision's own ops in that order make, and the same on a device."""
    many = np.repeat(PICTURES, 150, axis=0)
    policy = made("three_augment", flip_probability=0.0)
    ours = policy(many, seed=0, epoch=1, index_N=np.arange(len(many)))
    kinds = [v2.RandomGrayscale(1.0), v2.RandomSolarize(128, 1.0), v2.GaussianBlur(13, (0.1, 2.0))]
    peer = v2.Compose([v2.RandomChoice(kinds), v2.ColorJitter(0.3, 0.3, 0.3)])
    torch.manual_seed(0)
    theirs = torch.stack([peer(x_CHW) for x_CHW in torch.from_numpy(many).permute(0, 3, 1, 2)]).permute(0, 2, 3, 1).numpy()
    low, high = (np.quantile(np.abs(one.astype(int) - many).mean((1, 2, 3)), [0.1, 0.3, 0.5, 0.7, 0.9]) for one in (ours, theirs))
    assert np.abs(low - high).max() < 0.1 * high.max(), (low, high)
    first, there, lacking = on_device(policy)
    assert first is None and there is not None and lacking == ()
    found = there(torch.from_numpy(many[:60]), seed=0, epoch=1, index_N=np.arange(60)).numpy()
    assert (np.abs(found.astype(int) - ours[:60]) > 1).mean() < 0.01


@pytest.mark.parametrize("name", NAMES)
def test_no_exact_op_waits_for_a_gpus_values(name: str) -> None:
    """Tensors without memory stand for pictures, and refuse to be read."""
    with FakeTensorMode(allow_non_fake_inputs=True):
        apply_exact_on_device(name, torch.zeros(20, 16, 16, 3, dtype=torch.uint8), np.arange(0, 20, 2), np.full(10, 2.0))


def test_timms_strongest_posterizing_is_black_and_no_error() -> None:
    """Pillow refuses to keep no bits, which timm asks for at magnitude 10."""
    black = np.zeros_like(PICTURES)
    [posterize] = (op for op in transform_of_string("rand-m10-p1.0-inc1", SIDE, 3).ops if op.name == "PosterizeIncreasing")
    assert all(np.array_equal(np.asarray(posterize(Image.fromarray(one))), none) for one, none in zip(PICTURES, black, strict=True))
