"""Two digits in a picture: learned far above chance, its thresholds in the weights, and all that answers says the same classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.metrics import average_precision_score

import visiontune
from visiontune.errors import UserError
from visiontune.training.train_recipe import fit_recipe
from visiontune.training.weights_metadata import read_metadata

NUM = 700


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, dict[str, float]]:
    """Pictures with none, one or two digits of 0 to 4 side by side, in a table, and the weights of a small network."""
    root = tmp_path_factory.mktemp("pairs")
    digits, random = load_digits(n_class=5), np.random.default_rng(0)
    rows = ["path,label"]
    for number in range(NUM):
        picture = random.integers(0, 60, (8, 16), np.uint8)
        places = [place for place in (0, 8) if random.random() < 0.7]
        chosen = random.integers(len(digits.images), size=len(places))
        for place, digit in zip(places, chosen, strict=True):
            picture[:, place : place + 8] = digits.images[digit] * 15
        cv2.imwrite(str(root / f"{number}.png"), picture)
        rows.append(f"{number}.png,{'|'.join(str(digits.target[digit]) for digit in chosen)}")
    (root / "pairs.csv").write_text("\n".join(rows))
    data = {"source": "manifest", "path": str(root / "pairs.csv"), "labels": "many", "image_size": [8, 16], "val_fraction": 0.2}
    recipe = visiontune.load_recipe(
        {
            "data": data,
            "model": {"name": "cnn", "width": 12, "depth": 2},
            "optimizer": {"name": "adamw", "lr": 0.01},
            "augmentation": {"mixing": "cutmix", "mixing_probability": 0.3},
            "training": {"num_epochs": 8, "batch_size": 32},
        }
    )
    result = fit_recipe(recipe, root / "cache", device="cpu", out=root / "pairs.safetensors")
    return root, root / "pairs.safetensors", result.metrics


@pytest.mark.heavy
def test_a_network_learns_several_classes_and_everything_answers_with_its_thresholds(trained: Any) -> None:
    root, weights, metrics = trained
    metadata = read_metadata(weights)
    assert metadata is not None and metadata.thresholds is not None and len(metadata.thresholds) == 5
    assert metrics["test_map"] > 0.85 and metrics["test_macro_f1"] > 0.75  # saying the same of all: .3

    found = visiontune.evaluate(weights, studies_dir=root)
    assert found.top1_interval is None and found.metrics["map"] == pytest.approx(metrics["val_map"], abs=1e-6)
    assert "val" in found.what and found.classes.threshold == pytest.approx(metadata.thresholds)

    files = sorted(root.glob("*.png"))[:60]
    said = list(visiontune.predict(weights, files, studies_dir=root))
    truth = dict(row.split(",") for row in (root / "pairs.csv").read_text().splitlines()[1:])
    p_NK = np.zeros((60, 5))
    for row, one in enumerate(said):
        assert len(one.classes) == 5 and [*one.probabilities] == sorted(one.probabilities, reverse=True)
        at = [metadata.thresholds[metadata.class_names.index(name)] for name in one.classes]
        assert one.predicted == tuple(name for name, p, least in zip(one.classes, one.probabilities, at, strict=True) if p >= least)
        p_NK[row, [int(name) for name in one.classes]] = one.probabilities
    is_NK = np.array([[str(k) in truth[Path(one.path).name].split("|") for k in range(5)] for one in said])
    assert average_precision_score(is_NK, p_NK, average="macro") > 0.7

    frame = visiontune.predict(weights, files, studies_dir=root).to_pandas()
    assert list(frame.columns)[:4] == ["path", "predicted", "class", "probability"] and len(frame.columns) == 2 + 2 * 5 + 1
    assert frame["predicted"].tolist() == ["|".join(one.predicted) for one in said]

    visiontune.export(weights, "onnx", out=root / "pairs.onnx", studies_dir=root)
    again = list(visiontune.predict(root / "pairs.onnx", files, studies_dir=root))
    assert [one.predicted for one in again] == [one.predicted for one in said]
    for wrong in ({"calibrated": True}, {"test_time": "flip"}):
        with pytest.raises(UserError, match=r"several classes|knows several|labels is many"):
            visiontune.predict(weights, files, studies_dir=root, **wrong)
