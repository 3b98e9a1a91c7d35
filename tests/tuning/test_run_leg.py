"""What a worker writes of a confirmation, without Ray."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file
from tiny import make_recipe, make_store

from visiontune.filesystem.study_folder import StudyFolder
from visiontune.training.evaluate import evaluate
from visiontune.training.input.preprocessing import Preprocessing
from visiontune.training.setup import make_network
from visiontune.training.weights_file import load_weights, split_weights
from visiontune.tuning.records import Leg
from visiontune.tuning.run_leg import run_leg


def test_the_first_confirmation_leaves_weights_and_a_table_that_agree(tmp_path: Path) -> None:
    store, zca = make_store(size=8), {"preprocessing": {"name": "zca", "whitening_eps": 0.1}}
    recipe = make_recipe(num_epochs=2, sections=zca)
    *_, report = run_leg(Leg("confirmation.x.0", 0, recipe, 0, is_confirmation=True), store, StudyFolder(tmp_path), "cpu")
    assert report.is_last and not report.failure

    saved = json.loads((tmp_path / "winner_test.json").read_text())
    assert saved["classes"] == list(store.class_names) and np.sum(saved["confusion"]) == len(store.test_idx)
    assert np.trace(saved["confusion"]) / len(store.test_idx) == pytest.approx(report.metrics["test_top1"])
    before = Preprocessing.of(split_weights(load_file(tmp_path / "winner.safetensors"))[1])
    network = make_network(recipe, store, before)
    load_weights(network, tmp_path / "winner.safetensors")
    again = evaluate(network, store, "test", preprocessing=before, device="cpu")
    assert {f"test_{name}": value for name, value in again.items()} == saved["metrics"]
    assert saved["metrics"].items() <= report.metrics.items()


def test_the_others_leave_their_figures_only(tmp_path: Path) -> None:
    *_, report = run_leg(
        Leg("confirmation.x.1", 1, make_recipe(num_epochs=1), 0, is_confirmation=True), make_store(), StudyFolder(tmp_path), "cpu"
    )
    assert {"test_top1", "test_loss"} <= set(report.metrics)
    assert not list(tmp_path.glob("winner*"))
