"""The device engine against albumentations, on torch's CPU: the same draws, and the same pictures as near as its rules say."""

from __future__ import annotations

from itertools import product
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from device_ops import EXACT, NEAR, changed
from made_pictures import photographs
from scipy import stats
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from visiontune.augmentation.apply_ops import Ops
from visiontune.augmentation.engines import device_colour_spaces, device_geometry, random_geometry
from visiontune.augmentation.engines.batched import BATCHED
from visiontune.augmentation.engines.device import DEVICE, left_to_cpu
from visiontune.augmentation.engines.device_colour_spaces import grey_of, hsv_of, rgb_of
from visiontune.augmentation.keyed_random import bounded
from visiontune.augmentation.policy import Policy, build_policy, on_device
from visiontune.spec.declarations.image_size import ImageSize
from visiontune.spec.space.sections import RECIPE
from visiontune.spec.space.space import fill
from visiontune.spec.tables.ops import COLOUR_OPS, OPS, TURNING
from visiontune.spec.tables.policies import DRAWN_OPS

# Widths are multiples of 32: what a row has beyond one, OpenCV makes of HSV by another rounding.
SHAPES: tuple[tuple[ImageSize, int], ...] = ((32, 1), (64, 3), ((24, 64), 3))
CASES = [
    (name, size, channels)
    for name, (size, channels) in product(NEAR, SHAPES)
    if (channels == 3 or name not in COLOUR_OPS) and (isinstance(size, int) or name not in TURNING)
]


@pytest.mark.parametrize(("name", "size", "channels"), CASES)
def test_near_to_the_transforms_own_call(name: str, size: ImageSize, channels: int) -> None:
    for magnitude, num in ((0.15, 24), (1.0, 140)):
        pictures = photographs(num, size, channels)
        index = np.random.default_rng(size).integers(0, 1 << 40, num)
        theirs = changed(name, pictures, magnitude, index, is_device=False).astype(int)
        difference = np.abs(changed(name, pictures, magnitude, index) - theirs)
        most, share = NEAR[name]
        assert difference.max() <= most and (difference > 0).mean() <= share
        assert (difference < np.abs(pictures - theirs)).any() or np.array_equal(pictures, theirs)


def test_every_batched_op_has_a_form_here() -> None:
    assert {*DEVICE} == {*BATCHED} == {*NEAR, "GaussNoise"}
    assert left_to_cpu(["Affine", "Emboss", "CLAHE", "Emboss"]) == ("Emboss", "CLAHE")


@pytest.mark.parametrize("name", EXACT)
def test_extreme_pictures_too(name: str) -> None:
    flat = [np.full((8, 8, 3), value, np.uint8) for value in (0, 1, 128, 254, 255)]
    upper = np.arange(8)[:, np.newaxis, np.newaxis] < 4
    two = [np.where(upper, a, b).astype(np.uint8).repeat(8, 1) for a, b in ((0, 255), (254, 255), (7, 9))]
    pictures = np.stack([*flat, *(np.broadcast_to(one, (8, 8, 3)) for one in two)])
    index = np.arange(len(pictures))
    np.testing.assert_array_equal(changed(name, pictures, 1.0, index), changed(name, pictures, 1.0, index, is_device=False))


@pytest.mark.parametrize("name", DEVICE)
def test_grouping_order_and_other_rows_change_nothing(name: str) -> None:
    pictures, index = photographs(150, 12, 3), np.random.default_rng(0).permutation(5000)[:150]
    whole = changed(name, pictures, 0.9, index)
    for rows in np.array_split(np.random.default_rng(1).permutation(150), [3, 4, 20]):
        np.testing.assert_array_equal(changed(name, pictures[rows], 0.9, index[rows]), whole[rows])
    out = changed(name, pictures, 0.9, index[[7, 2]], rows=np.array([7, 2]))
    np.testing.assert_array_equal(out[[7, 2]], whole[[7, 2]])
    np.testing.assert_array_equal(np.delete(out, [2, 7], 0), np.delete(pictures, [2, 7], 0))


def test_noise_has_albumentations_own_distribution() -> None:
    """Of the values that are added, over pictures of one mid grey, and of their deviation from picture to picture."""
    grey = np.full((300, 16, 16, 3), 128, np.uint8)
    ours = changed("GaussNoise", grey, 0.6, np.arange(300)).astype(int) - 128
    theirs = changed("GaussNoise", grey, 0.6, np.arange(300), is_device=False).astype(int) - 128
    assert stats.ks_2samp(ours.std((1, 2, 3)), theirs.std((1, 2, 3))).pvalue > 1e-3
    np.testing.assert_allclose(ours.std((1, 2, 3)), theirs.std((1, 2, 3)), rtol=0.15, atol=0.3)
    strong = theirs.std((1, 2, 3)) > 8  # where whole values are fine enough
    scaled = [(noise[strong] / noise[strong].std((1, 2, 3), keepdims=True)).ravel() for noise in (ours, theirs)]
    for moment in (np.mean, stats.skew, stats.kurtosis):
        assert abs(moment(scaled[0]) - moment(scaled[1])) < 0.05
    assert abs(np.corrcoef(ours[:, 0, :, 0].ravel(), ours[:, 1, :, 0].ravel())[0, 1]) < 0.05


def test_noise_differs_between_pictures_and_keys() -> None:
    grey = np.full((4, 16, 16, 3), 128, np.uint8)
    one, other = changed("GaussNoise", grey, 1.0, np.arange(4)), changed("GaussNoise", grey, 1.0, np.arange(4, 8))
    assert len({picture.tobytes() for picture in (*one, *other)}) == 8


def test_colour_spaces_are_opencvs() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (512, 256, 3), dtype=np.uint8)
    tensor = torch.from_numpy(rgb)
    np.testing.assert_array_equal(hsv_of(tensor).numpy(), cv2.cvtColor(rgb, cv2.COLOR_RGB2HSV))
    np.testing.assert_array_equal(grey_of(tensor[None])[0, ..., 0].numpy(), cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY))
    hsv = rgb.copy()
    hsv[..., 0] %= 180
    difference = rgb_of(torch.from_numpy(hsv)).numpy().astype(int) - cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
    assert np.abs(difference).max() <= 1 and (difference != 0).mean() < 0.001


def test_what_is_not_sure_is_left_to_the_transform(monkeypatch: pytest.MonkeyPatch) -> None:
    def never_sure(half_K: Any, num: Any) -> tuple[np.ndarray, np.ndarray]:
        drawn, _ = bounded(half_K, num)
        return np.zeros_like(drawn), np.zeros(len(drawn), bool)

    pictures, index = photographs(20, 16, 3), np.arange(20)
    expected = changed("CoarseDropout", pictures, 0.8, index, is_device=False)
    monkeypatch.setattr(random_geometry, "bounded", never_sure)
    np.testing.assert_array_equal(changed("CoarseDropout", pictures, 0.8, index), expected)


def policy_of(**section: Any) -> Policy:
    filled = fill(RECIPE.fields["augmentation"].fields, section)  # type: ignore[union-attr]
    policy = build_policy(filled, image_size=32, channels=3, num_epochs=4)
    assert policy is not None
    return policy


WHOLE = {
    "fixed": {"policy": "fixed", "HorizontalFlip": {"probability": 0.5}, "PadAndCrop": {"probability": 1.0, "magnitude": 0.5}},
    "soft_randaugment": {"policy": "soft_randaugment", "num_ops": 2, "magnitude": 0.6, "flip_probability": 0.5},
    "soft_trivialaugment": {"policy": "soft_trivialaugment"},
    "autoaugment": {"policy": "autoaugment", "sub1_op1": "Hue", "sub1_probability1": 1.0, "sub1_magnitude1": 1.0},
    "soft_augmix": {"policy": "soft_augmix"},
}


@pytest.mark.parametrize("section", WHOLE.values(), ids=WHOLE)
def test_whole_policies_are_the_same_on_both(section: dict[str, Any]) -> None:
    policy, pictures, index = policy_of(**section), photographs(96, 32, 3), np.arange(96) * 7
    first, there, lacking = on_device(policy)
    assert first is None and there is not None and lacking == ()
    before = torch.from_numpy(pictures.copy())
    ours = there(before, seed=5, epoch=2, index_N=index).numpy().astype(int)
    difference = np.abs(ours - policy(pictures, seed=5, epoch=2, index_N=index))
    # One level may become many where a later op inverts above a threshold or makes a histogram flat.
    assert difference.mean() < 0.3 and np.median(difference) == 0
    np.testing.assert_array_equal(before.numpy(), pictures)


def test_the_cpu_does_a_policy_up_to_the_last_op_that_is_lacking_and_the_device_the_rest() -> None:
    sometimes = {"probability": 0.5}
    policy = policy_of(policy="fixed", PadAndCrop=sometimes, Emboss=sometimes, HorizontalFlip=sometimes, Posterize=sometimes)
    first, there, lacking = on_device(policy)
    assert first is not None and there is not None and lacking == ("Emboss",)
    assert first.names == ("PadAndCrop", "Emboss") and there.names == ("HorizontalFlip", "Posterize")
    pictures, keys = photographs(40, 32, 3), {"seed": 1, "epoch": 2, "index_N": np.arange(40) * 3}
    np.testing.assert_array_equal(there(torch.from_numpy(first(pictures, **keys)), **keys).numpy(), policy(pictures, **keys))
    published = policy_of(policy="autoaugment_published", preset="cifar10", flip_probability=0.5)
    first, there, lacking = on_device(published)
    assert first is not None and first.steps == published.steps and there is None and lacking == ("torchvision's AutoAugment",)


class Calls(TorchDispatchMode):
    """Counts what torch is told to do, views too."""

    num = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.num += 1
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("policy", ["trivialaugment", "soft_trivialaugment", "soft_augmix"])
def test_calls_follow_the_kinds_of_ops_and_not_pictures_or_magnitudes(policy: str) -> None:
    """soft_trivialaugment took 10,325 calls for 682 pictures where those of one magnitude were changed together."""
    there = on_device(policy_of(policy=policy)).there
    assert there is not None
    num_steps = 1 if "augmix" not in policy else 9
    found = []
    for num in (200, 700):
        pictures = torch.from_numpy(photographs(num, 8, 3))
        with Calls() as calls:
            there(pictures, seed=0, epoch=1, index_N=np.arange(num))
        found.append(calls.num)
    assert max(found) < 40 * len(there.steps[-1].names) * num_steps and abs(found[0] - found[1]) < 0.1 * found[0]


@pytest.mark.parametrize("name", [name for name in DRAWN_OPS if "magnitude" in OPS.entries[name].args])
def test_several_magnitudes_together_are_each_by_itself(name: str) -> None:
    """By all three engines, to the bit; nothing is done at magnitude 0."""
    pictures, index = photographs(200, 16, 3), np.arange(200) * 3
    kinds = [(name, magnitude) for magnitude in (0.0, 0.1, 0.5, 1.0)]
    which = np.random.default_rng(0).integers(0, 4, 200)
    for engine in ("batched", "albumentations", "device"):
        together, apart = (torch.from_numpy(pictures.copy()) if engine == "device" else pictures.copy() for _ in range(2))
        ops = Ops(16, engine)
        ops.apply_drawn(kinds, which, together, np.arange(200), index, 3)  # type: ignore[arg-type]
        for number, kind in enumerate(kinds):
            ops.apply(*kind, apart, np.flatnonzero(which == number), index, 3)  # type: ignore[arg-type]
        np.testing.assert_array_equal(np.asarray(together), np.asarray(apart))


@pytest.mark.parametrize("name", DEVICE)
def test_no_op_waits_for_a_gpus_values(name: str) -> None:
    """Tensors without memory stand for pictures, and refuse to be read: neither a value nor a size may depend on them."""
    with FakeTensorMode(allow_non_fake_inputs=True):
        Ops(16, "device").apply(name, 0.7, torch.zeros(20, 16, 16, 3, dtype=torch.uint8), np.arange(0, 20, 2), np.arange(20), 3)  # type: ignore[arg-type]


class Sent(TorchDispatchMode):
    """Counts tensors that get from the CPU to another device."""

    num = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        given = [one.device.type for one in args if isinstance(one, torch.Tensor)]
        self.num += isinstance(made, torch.Tensor) and made.device.type != "cpu" and "cpu" in given
        return made


@pytest.mark.parametrize("name", DEVICE)
def test_no_op_sends_a_gpu_what_it_would_wait_for(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only to_device pins what it sends. torch.tensor sends a number that is told a device, past what a dispatch mode sees."""

    def pinned(values: Any, device: torch.device) -> torch.Tensor:
        return torch.empty(values.shape, dtype=torch.as_tensor(values[:0]).dtype, device=device)

    def tensor(*args: Any, device: Any = None, **more: Any) -> torch.Tensor:
        assert device is None, "torch.tensor waits for a GPU"
        return made(*args, **more)

    made = torch.tensor
    for module in (device_geometry, device_colour_spaces):
        monkeypatch.setattr(module, "to_device", pinned)
    monkeypatch.setattr("visiontune.augmentation.to_device.to_device", pinned)
    monkeypatch.setattr(torch, "tensor", tensor)
    pictures = torch.zeros(20, 16, 16, 3, dtype=torch.uint8, device="meta")
    with Sent() as sent:
        Ops(16, "device").apply(name, 0.7, pictures, np.arange(0, 20, 2), np.arange(20), 3)  # type: ignore[arg-type]
    assert sent.num == 0


@pytest.mark.parametrize("policy", ["soft_trivialaugment", "three_augment"])
def test_no_policy_waits_for_a_gpus_values(policy: str) -> None:
    """Where ops of several magnitudes, or several kinds of ops, come together."""
    there = on_device(policy_of(policy=policy)).there
    assert there is not None
    with FakeTensorMode(allow_non_fake_inputs=True):
        there(torch.zeros(200, 32, 32, 3, dtype=torch.uint8), seed=0, epoch=1, index_N=np.arange(200))
