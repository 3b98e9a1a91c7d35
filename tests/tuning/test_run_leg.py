"""What a worker reports and writes, without Ray."""

from __future__ import annotations

import json
import shutil
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


def test_epochs_that_a_kill_took_are_trained_again_and_not_said_again(tmp_path: Path) -> None:
    """At a rung the state is on the disk before the report; the study knew two epochs more, which no disk had."""
    store, recipe, folder = make_store(), make_recipe(num_epochs=6), StudyFolder(tmp_path)
    every = {report.epoch: report.metrics["val_loss"] for report in run_leg(Leg("whole", 0, recipe, 0), store, folder, "cpu")}
    reports = run_leg(Leg("00000", 0, recipe, 0), store, folder, "cpu", rungs=(2,), checkpoint_every_s=1e6)
    for known in (1, 2, 3, 4):
        assert next(reports).epoch == known
        assert [path.name for path in folder.checkpoint(0).glob("*")] == (["epoch-000002.ckpt"] if known > 1 else [])
    shutil.copytree(folder.checkpoint(0), folder.checkpoint(1))
    reports.close()
    assert [path.name for path in folder.checkpoint(0).glob("*")] == ["epoch-000004.ckpt"], "a worker that is let go writes what it has"
    for known, number in ((4, 1), (3, 0)):
        said = list(run_leg(Leg(f"{number:05d}", 0, recipe, known), store, folder, "cpu", checkpoint_every_s=1e6))
        assert [report.epoch for report in said] == list(range(known + 1, 7)) and said[-1].is_last
        assert all(report.metrics["val_loss"] == every[report.epoch] for report in said)


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
