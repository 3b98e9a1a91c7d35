"""What a worker writes of a confirmation, without Ray."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from opened_splits import ON_CPU
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
    again = evaluate(network, store, "test", preprocessing=before, arithmetic=ON_CPU)
    assert {f"test_{name}": value for name, value in again.items()} == saved["metrics"]
    assert saved["metrics"].items() <= report.metrics.items()


@pytest.mark.parametrize("number", [0, 1])
def test_the_test_is_measured_in_the_precision_of_validation(number: int, tmp_path: Path) -> None:
    store = make_store()
    same = replace(store, test_idx=store.val_idx)
    leg = Leg(f"confirmation.x.{number}", number, make_recipe(num_epochs=1, precision="bf16"), 0, is_confirmation=True)
    *_, report = run_leg(leg, same, StudyFolder(tmp_path), "cpu")
    assert (report.metrics["test_loss"], report.metrics["test_top1"]) == (report.metrics["val_loss"], report.metrics["val_top1"])


def test_the_others_leave_their_figures_only(tmp_path: Path) -> None:
    *_, report = run_leg(
        Leg("confirmation.x.1", 1, make_recipe(num_epochs=1), 0, is_confirmation=True), make_store(), StudyFolder(tmp_path), "cpu"
    )
    assert {"test_top1", "test_loss"} <= set(report.metrics)
    assert not list(tmp_path.glob("winner*"))
