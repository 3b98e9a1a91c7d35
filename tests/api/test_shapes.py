"""Pictures of 24 x 32 pixels all the way: ingest, training, evaluation, prediction, a graph; and what a square's [n, n] is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import visiontune
from visiontune.exports.graph import WholePicture
from visiontune.inference.classifier import load_weights_file

RECIPE = {
    "data": {"source": "folder", "image_size": [24, 32], "val_fraction": 0.2, "test_fraction": 0.2},
    "model": {"name": "lenet5"},
    "optimizer": {"name": "adam", "lr": 0.003},
    "augmentation": {"policy": "fixed", "PadAndCrop": {}, "mixing": "cutmix"},
    "training": {"batch_size": 16, "num_epochs": 3},
}
BRIGHT = {"left": np.s_[:, :24], "right": np.s_[:, 24:], "top": np.s_[:18]}
"""Classes that a transposed picture would mix up."""


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for name, part in BRIGHT.items():
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for number in range(30):
            picture = rng.integers(0, 140, (36, 48, 3), dtype=np.uint8)
            picture[part] += 100
            Image.fromarray(picture).save(tmp_path / "pictures" / name / f"{number}.png")
    return tmp_path / "pictures"


@pytest.mark.heavy
def test_a_network_learns_pictures_that_are_no_squares_and_files_are_made_into_them(pictures: Path, tmp_path: Path) -> None:
    weights = tmp_path / "w.safetensors"
    result = visiontune.fit(RECIPE, [f"data.path={pictures}"], out=weights, device="cpu", studies_dir=tmp_path)
    data = visiontune.ingest({**RECIPE["data"], "path": str(pictures)}, studies_dir=tmp_path, progress=False)  # type: ignore[dict-item]
    assert data.store.images_NHWC.shape[1:] == (24, 32, 3) and data.section["image_size"] == [24, 32]
    classifier = load_weights_file(weights, "made")
    assert classifier.image_size == (24, 32) == classifier.preprocessing.values.image_size
    found = visiontune.evaluate(weights, studies_dir=tmp_path)
    assert found.metrics["top1"] == pytest.approx(result.metrics["val_top1"]) and result.metrics["test_top1"] > 0.9
    files = [pictures / name / "0.png" for name in BRIGHT]
    stored = [classifier.picture_of(file.read_bytes()) for file in files]
    assert {one.tobytes() for one in stored} <= {one.tobytes() for one in data.store.images_NHWC}
    assert [one.class_name for one in visiontune.predict(weights, files, studies_dir=tmp_path)] == [*BRIGHT]
    whole = torch.from_numpy(np.stack([np.asarray(Image.open(file)) for file in files]))
    with torch.no_grad():
        torch.testing.assert_close(WholePicture(classifier)(whole), classifier.logits(np.stack(stored)), atol=1e-3, rtol=0)


def test_a_list_of_two_equal_sides_is_the_square(tmp_path: Path) -> None:
    square = visiontune.load_recipe(RECIPE, ["data.path=x", "data.image_size=32"])
    assert square.fingerprint == visiontune.load_recipe(RECIPE, ["data.path=x", "data.image_size=[32, 32]"]).fingerprint
    wide = visiontune.load_recipe(RECIPE, ["data.path=x"])
    assert wide.data["image_size"] == [24, 32] and wide.fingerprint != square.fingerprint


def test_a_network_s_cost_is_that_of_the_shape() -> None:
    """A convolution's multiply-adds go with the area; the same area turned over costs the same."""
    costs = [visiontune.profile("resnet18", image_size=size, num_classes=10).multiply_adds for size in (64, (64, 128), (128, 64))]
    assert costs[1] == costs[2] == pytest.approx(2 * costs[0], rel=1e-4)
    with pytest.raises(visiontune.UserError, match="image_size must be an int from 1 to 1000000, but got 0"):
        visiontune.profile("resnet18", image_size=(64, 0), num_classes=10)
