"""What a worker reports and writes, and what becomes of a leg that fails, without Ray."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from opened_splits import ON_CPU
from safetensors.torch import load_file
from tiny import make_recipe, make_store, model_section
from torch import Tensor

from visiontune.data.store.store import Store
from visiontune.errors import MachineFault, UnfitMachine
from visiontune.filesystem.checkpoint_files import states_in
from visiontune.filesystem.study_folder import StudyFolder
from visiontune.spec.declarations.trial_recipe import TrialRecipe
from visiontune.training.evaluate import evaluate
from visiontune.training.input.preprocessing import Preprocessing
from visiontune.training.lead_ranks import train_by_ranks
from visiontune.training.loop import train
from visiontune.training.setup import make_network
from visiontune.training.step import Stepper
from visiontune.training.weights_file import load_weights, split_weights
from visiontune.training.weights_metadata import read_metadata
from visiontune.tuning.legs.run_leg import Worker, run_leg
from visiontune.tuning.records.leg import Leg, Report

CNN = model_section("cnn", norm="batch")


def confirm(recipe: TrialRecipe, store: Store, path: Path, **more: Any) -> tuple[Report, Report]:
    """The last report of a training, and that of its test out of the weights that it left."""
    train = Leg("confirmation.x.000", 0, recipe, 0, is_confirmation=True, weights="confirmation.x.000")
    *_, trained = run_leg(train, store, StudyFolder(path), "cpu")
    (tested,) = run_leg(replace(train, key="test", is_test=True, **more), store, StudyFolder(path), "cpu")
    assert trained.is_last and tested.is_last and not trained.failure and not tested.failure
    return trained, tested


def test_a_leg_on_train_and_val_trains_on_both_and_its_weights_say_so(tmp_path: Path) -> None:
    """As one whose store had them all among its training pictures; a search's own weights say that they were not."""
    store, recipe = make_store(size=8), make_recipe(num_epochs=2)
    leg = Leg("confirmation.x.with_val", 0, recipe, 0, is_confirmation=True, weights="both", use_val=True)
    *_, report = run_leg(leg, store, StudyFolder(tmp_path), "cpu")
    *_, expected = train(recipe, replace(store, train_idx=np.sort(np.concatenate([store.train_idx, store.val_idx]))))
    assert report.metrics["train_loss"] == expected.metrics["train_loss"]
    tested = run_leg(replace(leg, key="test", is_test=True, is_winner=True), store, StudyFolder(tmp_path), "cpu")
    assert [one.failure for one in tested] == [""]
    for file in (StudyFolder(tmp_path).confirmed_weights("both"), tmp_path / "winner.safetensors"):
        assert (said := read_metadata(file)) is not None and said.use_val
    confirm(recipe, store, tmp_path, is_winner=True)
    assert (said := read_metadata(tmp_path / "winner.safetensors")) is not None and not said.use_val


def test_the_winners_test_leaves_weights_and_a_table_that_agree(tmp_path: Path) -> None:
    store, zca = make_store(size=8), {"preprocessing": {"name": "zca", "whitening_eps": 0.1}}
    recipe = make_recipe(num_epochs=2, sections=zca)
    trained, report = confirm(recipe, store, tmp_path, is_winner=True)
    assert not any(name.startswith("test_") for name in trained.metrics)

    saved = json.loads((tmp_path / "winner_test.json").read_text())
    assert saved["classes"] == list(store.class_names) and np.sum(saved["confusion"]) == len(store.test_idx)
    assert np.trace(saved["confusion"]) / len(store.test_idx) == pytest.approx(report.metrics["test_top1"])
    before = Preprocessing.of(split_weights(load_file(tmp_path / "winner.safetensors"))[1])
    network = make_network(recipe, store, before, torch.device("cpu"))
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
        assert [one.epoch for one in states_in(folder.checkpoint(0))] == ([2] if known > 1 else [])
    shutil.copytree(folder.checkpoint(0), folder.checkpoint(1))
    reports.close()
    assert [one.epoch for one in states_in(folder.checkpoint(0))] == [4, 2], "a worker that is let go writes what it has"
    for known, number in ((4, 1), (3, 0)):
        said = list(run_leg(Leg(f"{number:05d}", 0, recipe, known), store, folder, "cpu", checkpoint_every_s=1e6))
        assert [report.epoch for report in said] == list(range(known + 1, 7)) and said[-1].is_last
        assert all(report.metrics["val_loss"] == every[report.epoch] for report in said)


@pytest.mark.parametrize("is_winner", [True, False])
def test_the_test_is_measured_as_validation_was(is_winner: bool, tmp_path: Path) -> None:
    """Out of the weights that the training left, to the last bit, batch normalisation's statistics too."""
    store = make_store()
    same = replace(store, test_idx=store.val_idx)
    trained, tested = confirm(make_recipe(CNN, num_epochs=1, precision="bf16"), same, tmp_path, is_winner=is_winner)
    assert all(tested.metrics[f"test_{name}"] == trained.metrics[f"val_{name}"] for name in ("loss", "top1"))
    assert {"winner.safetensors", "winner_test.json"} <= {path.name for path in tmp_path.glob("*")} or not is_winner


def test_a_test_whose_weights_are_gone_trains_them_again(tmp_path: Path) -> None:
    store, recipe = make_store(), make_recipe(num_epochs=2)
    before, tested = confirm(recipe, store, tmp_path)
    shutil.rmtree(tmp_path / "confirmed")
    leg = Leg("test", 0, recipe, 0, is_confirmation=True, weights="confirmation.x.000", is_test=True)
    *_, again = run_leg(leg, store, StudyFolder(tmp_path), "cpu")
    assert tested.metrics.items() <= again.metrics.items() and again.metrics["val_loss"] == before.metrics["val_loss"]


def test_the_mean_of_one_networks_weights_twice_is_that_network(tmp_path: Path) -> None:
    """But for rounding, with the statistics that its last epoch took; of a recipe from before a key too."""
    store, recipe = make_store(), make_recipe(CNN, num_epochs=1)
    recipe = replace(recipe, training={key: value for key, value in recipe.training.items() if key != "compile_mode"})
    trained, _ = confirm(recipe, store, tmp_path)
    leg = Leg("mean", 0, recipe, 0, is_confirmation=True, weights="mean", averaged=("confirmation.x.000",) * 2)
    (mean,) = run_leg(leg, store, StudyFolder(tmp_path), "cpu")
    assert mean.metrics["val_loss"] == pytest.approx(trained.metrics["val_loss"], rel=1e-5)


MEMORY = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 23.64 GiB")
ILLEGAL = torch.AcceleratorError("CUDA error: an illegal memory access was encountered\nSearch for `cudaErrorIllegalAddress'")


def steps_that(monkeypatch: pytest.MonkeyPatch, fail: Callable[[int, int], Exception | None]) -> list[tuple[int, int]]:
    """Steps as (pictures at a time, number) that fail where there is an error for them."""
    seen: list[tuple[int, int]] = []
    original = Stepper.step

    def step(self: Stepper, x_NCHW: Tensor, y_N: Tensor, lr: float, number: int, num_pictures: int = 0) -> Tensor:
        seen.append((self._micro_batch or len(y_N), number))
        if (error := fail(*seen[-1])) is not None:
            raise error
        return original(self, x_NCHW, y_N, lr, number, num_pictures)

    monkeypatch.setattr(Stepper, "step", step)
    return seen


def test_out_of_memory_halves_the_micro_batch_and_goes_on_from_the_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """LeNet-5 has no batch normalisation: gradients are the same, so the curve is that of an undisturbed trial."""
    recipe, store = make_recipe(num_epochs=3, batch_size=18), make_store()  # 54 pictures: three steps an epoch
    undisturbed = list(run_leg(Leg("00000", 0, recipe, 0), store, StudyFolder(tmp_path), "cpu"))
    seen = steps_that(monkeypatch, lambda size, number: MEMORY if size > 9 and number == 4 else None)
    reports = list(run_leg(Leg("00001", 1, recipe, 0), store, StudyFolder(tmp_path), "cpu"))
    assert seen == [(18, 0), (18, 1), (18, 2), (18, 3), (18, 4), *((9, number) for number in range(3, 9))]
    assert [(report.epoch, report.micro_batch, report.is_last) for report in reports] == [(1, 0, False), (2, 9, False), (3, 9, True)]
    losses = [[report.metrics["train_loss"] for report in one] for one in (reports, undisturbed)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


class Share:
    """Of a made-up GPU."""

    def __init__(self, *, is_whole: bool) -> None:
        self.was_whole = lambda: is_whole


@pytest.mark.heavy
def test_out_of_memory_again_is_the_recipes_only_where_the_share_was_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    leg, store = Leg("00000", 0, make_recipe(num_epochs=1), 0), make_store()
    seen = steps_that(monkeypatch, lambda *_: MEMORY)
    for share in (None, Share(is_whole=True)):
        [report] = run_leg(leg, store, StudyFolder(tmp_path), "cpu", share=share)  # type: ignore[arg-type]
        assert report.failure == "infeasible" and report.reason.startswith("does not fit in memory: CUDA out of memory")
    assert seen == [(16, 0), (8, 0)] * 2
    with pytest.raises(MachineFault, match=f"^{socket.gethostname()}: other processes hold"):
        list(run_leg(leg, store, StudyFolder(tmp_path), "cpu", share=Share(is_whole=False)))  # type: ignore[arg-type]
    del seen[:]
    [report] = run_leg(replace(leg, micro_batch=8), store, StudyFolder(tmp_path), "cpu")  # halved in an earlier leg
    assert report.failure == "infeasible" and seen == [(8, 0)]


def test_a_file_that_one_machine_lacks_is_that_machines_fault(tmp_path: Path) -> None:
    """Weights in a file, which the driver has and this node has not: no recipe's fault, and none had begun."""
    recipe = make_recipe(num_epochs=1)
    recipe = replace(recipe, transfer={**recipe.transfer, "regime": "fine_tune", "weights": str(tmp_path / "gone.safetensors")})
    with pytest.raises(UnfitMachine, match=f"^{socket.gethostname()}: there is no file of weights"):
        list(run_leg(Leg("00000", 0, recipe, 0), make_store(), StudyFolder(tmp_path), "cpu"))


def test_a_follower_that_does_not_start_is_no_fault_of_the_trial(tmp_path: Path) -> None:
    """Three such machines, and it was given up though no step of it was made."""
    why = "worker 2 of 2 failed as it started: there is no store.arrow"
    train = partial(train_by_ranks, num=2, start=lambda meeting: SimpleNamespace(lost=lambda: why, end=lambda: None))
    with pytest.raises(UnfitMachine, match=f"^{socket.gethostname()}: {why}$"):
        list(run_leg(Leg("00000", 0, make_recipe(), 0), make_store(), StudyFolder(tmp_path), "cpu", train=train))


def test_a_broken_gpu_is_the_machines_fault_and_not_the_trials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps_that(monkeypatch, lambda *_: ILLEGAL)
    with pytest.raises(MachineFault, match=f"^{socket.gethostname()}: CUDA error: an illegal memory access was encountered$"):
        list(run_leg(Leg("00000", 0, make_recipe(), 0), make_store(), StudyFolder(tmp_path), "cpu"))


@pytest.mark.heavy
def test_a_process_with_a_broken_gpu_ends() -> None:
    """Though its thread would go on, as Ray's does."""
    program = """
import time, torch
from visiontune.tuning.legs import run_leg
def broken(*_, **__):
    raise run_leg.machine_fault("CUDA error: an illegal memory access was encountered")
    yield
run_leg.run_leg, run_leg.LINGER_S = broken, 0.5
try:
    next(run_leg.Worker(None, None).run(None))
except run_leg.MachineFault as error:
    print(error, flush=True)
time.sleep(60)
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=50)
    assert ended.returncode == 1 and "illegal memory access" in ended.stdout


@pytest.mark.skipif(torch.cuda.is_available(), reason="says what happens without a GPU")
def test_a_worker_without_the_gpu_that_it_was_given_trains_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("visiontune.tuning.legs.run_leg.LINGER_S", 1e6)
    seen = steps_that(monkeypatch, lambda *_: None)
    with pytest.raises(UnfitMachine, match="a GPU was asked for, but torch sees none"):
        next(Worker(make_store(), StudyFolder(tmp_path), num_gpus=1.0).run(Leg("00000", 0, make_recipe(), 0)))
    assert not seen
