"""Regimes of transfer through the train loop: they resume, compute what is frozen once, and pay on real pictures.

The real ones are scikit-learn's digits at random places of a canvas of 16 x 16: what pretraining on 0 to 4 teaches about
strokes anywhere serves 5 to 9.
"""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny import make_recipe, make_store, model_section

from visiontune.data.store.store import Store
from visiontune.models import build, frozen_body
from visiontune.training.loop import train
from visiontune.training.setup import set_up
from visiontune.training.weights_file import save_weights

SIDE = 16
SEEDS = range(4)
MARGIN = 0.05
"""Of mean accuracy over SEEDS. Measured on little data: scratch .31, linear .43, multi_depth .44; on much: scratch .43,
fine_tune_last .59, freeze_first .55."""
SMALL = model_section("cnn", width=4)
REGIMES = [
    {"regime": "linear"},
    {"regime": "multi_depth", "num_depths": 2},
    {"regime": "fine_tune_last", "num_stages": 1},
    {"regime": "freeze_first", "num_frozen": 1},
]
LITTLE = {"num_each": 2, "num_epochs": 20, "batch_size": 10}
MUCH = {"num_each": 40, "num_epochs": 2, "batch_size": 20}


@cache
def moved_digits() -> tuple[np.ndarray, np.ndarray]:
    """(images_NHWC uint8, labels_N), each digit somewhere on its canvas."""
    from sklearn.datasets import load_digits

    data = load_digits()
    images_NHWC = np.zeros((len(data.images), SIDE, SIDE, 1), np.uint8)
    places = np.random.default_rng(5).integers(0, SIDE - 8 + 1, (len(data.images), 2))
    for image_HWC, digit_HW, (top, left) in zip(images_NHWC, data.images, places, strict=True):
        image_HWC[top : top + 8, left : left + 8, 0] = digit_HW * 255 // 16
    return images_NHWC, data.target.astype(np.int64)


def half(digits: Sequence[int], num_each: int, seed: int) -> Store:
    """`num_each` training pictures of each class and 300 others to validate on."""
    images_NHWC, target_N = moved_digits()
    keep = np.isin(target_N, digits)
    images_NHWC, labels_N = images_NHWC[keep], target_N[keep] - digits[0]
    order = np.random.default_rng(seed).permutation(len(labels_N))
    train_idx = np.sort(np.concatenate([order[labels_N[order] == k][:num_each] for k in range(len(digits))]))
    val_idx = np.setdiff1d(order, train_idx)[:300]
    unit = images_NHWC[train_idx] / 255
    statistics = {"mean_C": unit.mean((0, 1, 2)).astype(np.float32), "std_C": unit.std((0, 1, 2)).astype(np.float32)}
    names = tuple(map(str, digits))
    splits = {"train_idx": train_idx, "val_idx": val_idx, "test_idx": val_idx}
    return Store(Path("made"), f"{digits} {num_each} {seed}", names, images_NHWC, labels_N, **splits, **statistics)


def accuracy(transfer: dict[str, Any], num_each: int, **training: int) -> float:
    """Mean over seeds, with the better of two learning rates."""
    model = model_section("cnn", width=16, depth=3)
    means = []
    for lr in (0.03, 0.1):
        tops = []
        for seed in SEEDS:
            recipe = make_recipe(model, "sgd", "cosine", optimizer_args={"lr": lr}, sections={"transfer": transfer}, seed=seed, **training)
            *_, last = train(recipe, half(range(5, 10), num_each, seed))
            tops.append(last.metrics["val_top1"])
        means.append(np.mean(tops).item())
    return max(means)


@pytest.fixture
def weights(tmp_path: Path) -> dict[str, str]:
    """Of a CNN trained for an epoch."""
    *_, last = train(make_recipe(SMALL, num_epochs=1), make_store(seed=1))
    save_weights(last.model, tmp_path / "small.safetensors", preprocessing=last.preprocessing)
    return {"weights": str(tmp_path / "small.safetensors")}


@pytest.mark.parametrize("transfer", [{"regime": "scratch"}, *REGIMES], ids=lambda transfer: transfer["regime"])
def test_a_run_goes_on_to_the_last_bit_out_of_its_checkpoint_alone(
    transfer: dict[str, Any], weights: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is initialised again, frozen parts give their features anew, and the file of pretrained weights may be gone."""
    given = {} if transfer["regime"] == "scratch" else weights
    sections = {"transfer": {**transfer, **given}, "preprocessing": {"name": "as_pretrained"}}
    recipe = make_recipe({**SMALL, "use_lsuv": True}, regularization={"ema_decay": 0.9}, sections=sections)
    epochs, states = [], []
    for epoch in train(recipe, make_store()):
        epochs.append({name: tensor.clone() for name, tensor in epoch.model.state_dict().items()})
        states.append(copy.deepcopy(epoch.state()))
    monkeypatch.setattr(frozen_body, "_KEPT", OrderedDict())
    monkeypatch.delattr(build, "initialise")
    monkeypatch.delattr(build, "scale_to_unit_variance")
    Path(weights["weights"]).unlink()
    resumed = [epoch.model.state_dict() for epoch in train(recipe, make_store(), resume=states[0])][-1]
    assert all(torch.equal(tensor, resumed[name]) for name, tensor in epochs[-1].items())
    assert states[0]["model"].keys() == epochs[0].keys() == resumed.keys()


def test_frozen_parts_see_each_picture_once_for_all_trials(weights: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frozen_body, "_KEPT", OrderedDict())
    seen: list[int] = []
    forward = frozen_body.Body.forward
    monkeypatch.setattr(frozen_body.Body, "forward", lambda body, x: (seen.append(len(x)), forward(body, x))[1])
    store = make_store()
    for number in range(3):
        transfer = {"regime": "linear", **weights}
        list(train(make_recipe({**SMALL, "dropout": number / 4}, sections={"transfer": transfer}, seed=number), store))
    num_pictures = len(store.train_idx) + len(store.val_idx)
    assert num_pictures <= sum(seen) <= num_pictures + 6  # one more at each opening, for the size of its features


@pytest.mark.heavy
def test_each_regime_beats_training_from_scratch_on_the_other_half_of_the_digits(tmp_path: Path) -> None:
    model = model_section("cnn", width=16, depth=3)
    pretraining = make_recipe(model, "sgd", "cosine", optimizer_args={"lr": 0.05}, num_epochs=8, batch_size=32)
    *_, last = train(pretraining, half(range(5), 150, 0))
    assert last.metrics["val_top1"] > 0.95
    save_weights(last.model, tmp_path / "half.safetensors")
    weights = {"weights": str(tmp_path / "half.safetensors")}

    little = accuracy({"regime": "scratch"}, **LITTLE)
    much = accuracy({"regime": "scratch"}, **MUCH)
    assert accuracy({"regime": "linear", **weights}, **LITTLE) > little + MARGIN
    assert accuracy({"regime": "multi_depth", **weights, "num_depths": 3}, **LITTLE) > little + MARGIN
    assert accuracy({"regime": "fine_tune_last", **weights, "num_stages": 1}, **MUCH) > much + MARGIN
    assert accuracy({"regime": "freeze_first", **weights, "num_frozen": 1}, **MUCH) > much + MARGIN


def test_the_head_learns_alone_and_then_everything_as_if_begun_anew(weights: dict[str, str]) -> None:
    """The first epochs are those of regime `linear` to the last bit; what comes later moves every weight."""
    store = make_store()
    alone = make_recipe(SMALL, sections={"transfer": {"regime": "linear", **weights}}, num_epochs=4)
    recipe = make_recipe(SMALL, sections={"transfer": {"regime": "lp_ft", "head_epochs": 2, **weights}}, num_epochs=4)
    linear, states, seen = [], [], []
    for epoch in train(alone, store):
        linear.append({name: tensor.clone() for name, tensor in epoch.model.state_dict().items()})
    for epoch in train(recipe, store):
        states.append(copy.deepcopy(epoch.state()))
        seen.append(epoch.metrics)
        assert all(parameter.requires_grad for parameter in epoch.model.parameters()) == (epoch.epoch > 2)
    for number in (0, 1):
        assert all(torch.equal(tensor, linear[number][name]) for name, tensor in states[number]["model"].items())
    moved = {name for name, tensor in states[2]["model"].items() if not torch.equal(tensor, states[1]["model"][name])}
    assert moved == {name for name in states[2]["model"] if not name.endswith("num_batches_tracked")}  # which counts the pass alone
    for number in (0, 1, 2):  # within either phase and between both
        *_, last = train(recipe, store, resume=states[number])
        assert all(torch.equal(tensor, states[3]["model"][name]) for name, tensor in last.model.state_dict().items())


@pytest.mark.parametrize(("num_epochs", "head", "last"), [(10, {"head_share": 0.3}, 3), (3, {"head_epochs": 9}, 2), (1, {}, 0)])
def test_an_epoch_is_left_for_all_weights(num_epochs: int, head: dict[str, float], last: int, weights: dict[str, str]) -> None:
    transfer = {"regime": "lp_ft", **head, **weights}
    epochs = train(make_recipe(SMALL, sections={"transfer": transfer}, num_epochs=num_epochs, batch_size=64), make_store(num=30))
    assert [epoch.epoch for epoch in epochs if not next(epoch.model.parameters()).requires_grad] == [*range(1, last + 1)]


def test_fine_tuning_moves_the_head_and_deep_stages_faster(weights: dict[str, str]) -> None:
    transfer = {"regime": "fine_tune", **weights}
    slow = {"lr": 0.01, "head_lr_factor": 10.0, "layer_decay": 0.5, "momentum": 0.0}
    setup = set_up(make_recipe(SMALL, "sgd", optimizer_args=slow, sections={"transfer": transfer}), make_store(), torch.device("cpu"))
    factors = [group["lr_factor"] for group in setup.stepper._optimizer.param_groups]
    assert sorted({*factors}) == [0.125, 0.25, 0.5, 10.0]
