"""RandomResizedCrop before a policy, out of the whole picture, against torchvision's own draws; the same for any batch and process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from opened_splits import one_epoch, opened, same
from picture_files import png, write
from scipy import stats
from torchvision.transforms import v2

from visiontune.augmentation.policy import Policy, build_policy, on_device
from visiontune.augmentation.sheet_pictures import Draw, pick, whole_policy
from visiontune.data.prepare import prepare
from visiontune.data.store.store import Store
from visiontune.errors import UserError
from visiontune.training.input import open_pictures as opening
from visiontune.training.input.loader_workers import Maker

NUM = 3000
DEFAULTS = {"crop_scale_min": 0.08, "crop_scale_max": 1.0, "crop_ratio_min": 3 / 4, "crop_ratio_max": 4 / 3}
RANGES: dict[str, dict[str, float]] = {
    "the defaults": {},
    "narrow": {"crop_scale_min": 0.3, "crop_scale_max": 0.5, "crop_ratio_min": 0.9, "crop_ratio_max": 2.0},
}


def policy_of(size: int = 16, **section: Any) -> Policy:
    section = {"policy": "fixed" if "HorizontalFlip" in section else "none", "crop": "random_resized", **DEFAULTS, **section}
    policy = build_policy(section, image_size=size, channels=3)
    assert policy is not None and policy.crop is not None
    return policy


@pytest.mark.parametrize("shape", [(375, 500), (300, 40)])
@pytest.mark.parametrize("ranges", RANGES)
def test_areas_ratios_and_places_are_distributed_as_torchvisions(shape: tuple[int, int], ranges: str) -> None:
    """The second shape often has no crop in ten tries: then the largest one in the middle is taken."""
    given = RANGES[ranges]
    policy = policy_of(**given)
    assert policy.crop is not None
    index_N = np.arange(NUM)
    box_N4 = policy.crop.boxes(policy.ops, np.tile(shape, (NUM, 1)), index_N, seed=3, epoch=2)
    top, left, bottom, right = box_N4.T
    assert (top >= 0).all() and (left >= 0).all() and (bottom <= shape[0]).all() and (right <= shape[1]).all()
    theirs = v2.RandomResizedCrop(
        16,
        scale=(given.get("crop_scale_min", 0.08), given.get("crop_scale_max", 1.0)),
        ratio=(given.get("crop_ratio_min", 3 / 4), given.get("crop_ratio_max", 4 / 3)),
    )
    torch.manual_seed(0)
    picture = [torch.zeros(1, *shape)]
    drawn = [theirs.make_params(picture) for _ in range(NUM)]
    y, x, height, width = (np.array([one[name] for one in drawn]) for name in ("top", "left", "height", "width"))
    for ours, expected in (
        ((bottom - top) * (right - left), height * width),
        ((right - left) / (bottom - top), width / height),
        (top, y),
        (left, x),
    ):
        assert stats.ks_2samp(ours, expected).pvalue > 1e-3


def test_pictures_are_the_same_for_any_batch_and_another_for_each_epoch() -> None:
    pictures = np.random.default_rng(1).integers(0, 256, (40, 16, 16, 3), dtype=np.uint8)
    index_N = np.random.default_rng(2).permutation(1000)[:40]
    policy = policy_of(HorizontalFlip={"probability": 0.5})
    whole = policy(pictures, seed=5, epoch=2, index_N=index_N)
    other = policy_of(HorizontalFlip={"probability": 0.5})
    for rows in np.array_split(np.random.default_rng(3).permutation(40), 5):
        np.testing.assert_array_equal(other(pictures[rows], seed=5, epoch=2, index_N=index_N[rows]), whole[rows])
    assert not np.array_equal(policy(pictures, seed=5, epoch=3, index_N=index_N), whole)


def test_a_device_crops_as_the_cpu_does() -> None:
    """Within interpolation, of smooth pictures."""
    coarse = np.random.default_rng(1).integers(0, 256, (20, 4, 4, 3), dtype=np.uint8)
    smooth = np.stack([cv2.resize(one, (16, 16), interpolation=cv2.INTER_CUBIC) for one in coarse])
    policy = policy_of()
    there = on_device(policy).there
    assert there is not None
    index_N = np.arange(20)
    ours, theirs = (one(images, seed=1, epoch=1, index_N=index_N) for one, images in ((policy, smooth), (there, torch.from_numpy(smooth))))
    assert np.abs(ours.astype(int) - theirs.numpy()).max() <= 2 and not np.array_equal(ours, smooth)


@pytest.mark.parametrize("kind", ["raw", "encoded"])
def test_training_sees_all_of_a_picture_and_validation_its_middle(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wide pictures that are red at one end and blue at the other, which no square in the middle shows."""
    wide = np.full((100, 300, 3), 90, np.uint8)
    wide[:, :90], wide[:, -90:] = (255, 0, 0), (0, 0, 255)
    contents = [png(np.roll(wide, number, 0)) for number in range(12)]
    path = write(tmp_path / "train.parquet", contents, np.arange(12) % 2)
    data = {"source": "parquet", "train": str(path), "image_size": 72, "frame": "crop", "store": kind, "duplicates": "keep"}
    store = Store.open(prepare(data, tmp_path))
    maker = Maker(store, policy_of(72), 0)
    rows = np.arange(12)
    seen = np.concatenate([maker[rows, rows, epoch].numpy() for epoch in range(1, 9)]).reshape(-1, 3).astype(int)
    assert ((seen[:, 0] - seen[:, 2]) > 200).any() and ((seen[:, 2] - seen[:, 0]) > 200).any()
    sample = pick(store, 12)
    section = {"policy": "none", "crop": "random_resized", **DEFAULTS}
    np.testing.assert_array_equal(whole_policy(sample, Draw("epoch 3", section, 3, 9)), maker[sample.index_N, sample.index_N, 3])
    middle = store.read(rows, 72).astype(int)
    assert np.abs(middle[..., 0] - middle[..., 2]).max() < 90
    np.testing.assert_array_equal(maker[rows[5:7], rows[5:7], 3], maker[rows, rows, 3][5:7])
    cropped_and_flipped = policy_of(72, HorizontalFlip={"probability": 0.5})
    by_the_cpu = one_epoch(opened(store, cropped_and_flipped), 2)
    monkeypatch.setattr(opening, "_AUGMENTING", {"cpu"})
    there = opened(store, cropped_and_flipped)
    assert there.policy is not None and there.how.endswith("they are augmented on cpu after RandomResizedCrop")
    assert there.policy.names == ("HorizontalFlip",) and same(one_epoch(there, 2), by_the_cpu)


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"crop_scale_min": 0.6, "crop_scale_max": 0.5}, "`crop_scale_min <= crop_scale_max` must hold"),
        ({"crop_ratio_min": 2.0}, "`crop_ratio_min <= crop_ratio_max` must hold"),
    ],
)
def test_what_can_not_be_drawn_is_said(section: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        policy_of(**section, HorizontalFlip={"probability": 0.5})
