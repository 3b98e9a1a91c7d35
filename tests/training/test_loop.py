"""The loop against a plain one written with torch's own parts, and against itself: interrupted, elsewhere, run away."""

from __future__ import annotations

import copy
import math
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from places import HELPERS, PLATFORM
from tiny import make_recipe, make_store, model_section

from visiontune.data.store.store import Store
from visiontune.errors import Diverged, UserError
from visiontune.models.build import build_model
from visiontune.spec.declarations.fingerprint import keyed_seed
from visiontune.spec.declarations.trial_recipe import TrialRecipe
from visiontune.training import checkpoint
from visiontune.training.loop import Epoch, train
from visiontune.training.several_networks import train_repeats

AUGMENTED = {"policy": "fixed", "HorizontalFlip": {"probability": 0.5}, "RandomBrightnessContrast": {"probability": 0.7, "magnitude": 0.4}}
RECIPES = {
    "sgd with momentum": make_recipe(model_section("lenet5", dropout=0.3), num_epochs=4),
    "adamw on batch norm": make_recipe(
        model_section("cnn", "prelu", width=4, depth=2, dropout=0.2), "adamw", regularization={"l1": 1e-4, "l2": 1e-3}, num_epochs=4
    ),
    "plateau": make_recipe(
        None, "sgd", "plateau", schedule_args={"patience_epochs": 0, "factor": 0.5}, optimizer_args={"lr": 0.3}, num_epochs=5
    ),
    "warm-up and cosine": make_recipe(
        None, "adam", "cosine", schedule_args={"warmup_epochs": 2}, optimizer_args={"lr": 3e-3}, num_epochs=5
    ),
    "augmented": make_recipe(None, "sgd", augmentation=AUGMENTED, num_epochs=3),
}


def figures(epoch: Epoch) -> dict[str, float]:
    return {name: value for name, value in epoch.metrics.items() if name not in ("epoch_s", "data_wait_share")}


def weights(epoch: Epoch) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in epoch.model.state_dict().items()}


def same(a: Any, b: Any) -> bool:
    return set(a) == set(b) and all(torch.equal(a[name], b[name]) for name in a)


def plain_loop(recipe: TrialRecipe, store: Store) -> torch.nn.Module:
    """The same training as a tutorial writes it: torch.optim.SGD, the whole set as one tensor."""
    seed = recipe.training["seed"]
    model = build_model(recipe.model, num_classes=3, in_channels=1, image_size=16, seed=keyed_seed(seed, "weights"))
    images = store.images_NHWC[store.train_idx].astype(np.float32) / 255
    x_NCHW = torch.from_numpy((images - store.mean_C) / store.std_C).permute(0, 3, 1, 2)
    y_N = torch.from_numpy(store.labels_N[store.train_idx])
    optimizer = torch.optim.SGD(model.parameters(), lr=recipe.optimizer["lr"], momentum=0.9)
    for epoch in range(1, recipe.training["num_epochs"] + 1):
        order = torch.from_numpy(np.random.default_rng([seed, epoch]).permutation(len(y_N)))
        for rows in order.split(recipe.training["batch_size"])[:3]:  # what is left of 54 pictures is left out
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(x_NCHW[rows]), y_N[rows]).backward()
            optimizer.step()
    return model


def test_equals_a_plain_loop() -> None:
    recipe, store = make_recipe(model_section("lenet5", "elu")), make_store()
    *_, last = train(recipe, store)
    reference = plain_loop(recipe, store).state_dict()
    for name, tensor in last.model.state_dict().items():
        assert torch.allclose(tensor, reference[name], atol=1e-4), name


def test_learns_and_tells_the_truth() -> None:
    epochs = list(train(make_recipe(num_epochs=8, seed=1), make_store(num=240)))
    assert [epoch.epoch for epoch in epochs] == list(range(1, 9))
    assert set(epochs[0].metrics) == {"train_loss", "val_loss", "val_top1", "lr", "epoch_s", "data_wait_share"}
    assert all(0 < epoch.metrics["data_wait_share"] < 1 for epoch in epochs)
    assert epochs[-1].metrics["val_top1"] > 0.9 > 0.6 > epochs[-1].metrics["train_loss"]
    assert epochs[0].metrics["train_loss"] < 3 * math.log(3)
    assert [epoch.time_ms for epoch in epochs] == sorted(epoch.time_ms for epoch in epochs)


def test_reports_the_last_steps_rate() -> None:
    recipe = make_recipe(None, "sgd", "step", schedule_args={"step_epochs": 1, "gamma": 0.5}, optimizer_args={"lr": 0.04})
    assert [epoch.metrics["lr"] for epoch in train(recipe, make_store())] == pytest.approx([0.04, 0.02, 0.01])


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("num_before", [1, 2])
def test_resumed_run_is_equal_to_the_last_bit(name: str, num_before: int, tmp_path: Path) -> None:
    recipe, store = RECIPES[name], make_store()
    whole = [(figures(epoch), weights(epoch)) for epoch in train(recipe, store)]

    interrupted = train(recipe, store)
    for _ in range(num_before):
        epoch = next(interrupted)
        checkpoint.save(tmp_path, epoch.epoch, epoch.state())
    interrupted.close()
    torch.manual_seed(1234)  # another process has another history of random numbers
    resumed = list(train(recipe, store, resume=checkpoint.load_newest(tmp_path)))

    assert [epoch.epoch for epoch in resumed] == list(range(num_before + 1, len(whole) + 1))
    assert [figures(epoch) for epoch in resumed] == [seen for seen, _ in whole[num_before:]]
    assert same(resumed[-1].model.state_dict(), whole[-1][1])
    history = resumed[-1].state()["history"]
    assert [past["epoch"] for past in history] == list(range(1, len(whole) + 1))
    assert [past["metrics"]["val_loss"] for past in history] == [seen["val_loss"] for seen, _ in whole]


PHASES = (
    {"after_epoch": 1, "optimizer.lr": 0.017, "model.dropout": 0.25},
    {"after_epoch": 2, "optimizer.lr": 0.01, "loss.label_smoothing": 0.2},
)


@pytest.mark.parametrize(("name", "num_before"), [("adamw on batch norm", 1), *((name, 2) for name in RECIPES)])
def test_a_recipe_with_phases_goes_on_from_weights_of_the_one_that_it_was_until_then(name: str, num_before: int, tmp_path: Path) -> None:
    """Trained whole, or from a checkpoint of the recipe without what comes later: equal to the last bit."""
    recipe, store = replace(RECIPES[name], phases=PHASES), make_store()
    whole = [(figures(epoch), weights(epoch)) for epoch in train(recipe, store)]
    before = train(recipe.up_to(num_before), store)
    for _ in range(num_before):
        checkpoint.save(tmp_path, (epoch := next(before)).epoch, epoch.state())
    state = checkpoint.load_newest(tmp_path)
    assert state is not None and state["fingerprint"] == recipe.up_to(num_before).fingerprint != recipe.fingerprint
    resumed = [(figures(epoch), weights(epoch)) for epoch in train(recipe, store, resume=state)]
    assert [seen for seen, _ in resumed] == [seen for seen, _ in whole[num_before:]] and same(resumed[-1][1], whole[-1][1])
    plain = [weights(epoch) for epoch in train(RECIPES[name], store)]
    assert same(plain[0], whole[0][1]) and not same(plain[1], whole[1][1])


def test_a_changed_rate_is_the_optimizers() -> None:
    """Plain SGD, one step an epoch, from the same weights: a step at three times the rate is three times as long."""
    recipe = make_recipe(optimizer_args={"lr": 0.01, "momentum": 0.0}, batch_size=len(make_store().train_idx), num_epochs=2)
    steps = []
    for phases in ((), ({"after_epoch": 1, "optimizer.lr": 0.03},)):
        first, second = ((weights(epoch), epoch.metrics["lr"]) for epoch in train(replace(recipe, phases=phases), make_store()))
        steps.append({key: second[0][key] - first[0][key] for key in first[0] if first[0][key].is_floating_point()})
    for key, step in steps[0].items():
        assert torch.allclose(3 * step, steps[1][key], atol=1e-6), key
    assert (first[1], second[1]) == (0.01, 0.03)


def test_several_networks_change_with_their_recipe() -> None:
    recipe, store = replace(make_recipe(num_epochs=3), phases=PHASES), make_store()
    whole = [figures(epoch) for epoch in train_repeats(recipe, store, num=2)]
    state = next(train_repeats(recipe.up_to(1), store, num=2)).state()
    assert [figures(epoch) for epoch in train_repeats(recipe, store, num=2, resume=state)] == whole[1:]


def test_plateau_recipe_above_drops_its_rate() -> None:
    rates = [epoch.metrics["lr"] for epoch in train(RECIPES["plateau"], make_store())]
    assert rates[0] == 0.3 and rates[-1] < rates[0]


def test_killed_in_the_middle_of_an_epoch(tmp_path: Path) -> None:
    """Work after the checkpoint, half an epoch of it, leaves no trace in what is resumed."""
    recipe, store = RECIPES["adamw on batch norm"], make_store()
    whole = [weights(epoch) for epoch in train(recipe, store)]
    interrupted = train(recipe, store)
    epoch = next(interrupted)
    checkpoint.save(tmp_path, epoch.epoch, epoch.state())
    with torch.no_grad():
        for parameter in epoch.model.parameters():
            parameter.add_(1.0)
    *_, last = train(recipe, store, resume=checkpoint.load_newest(tmp_path))
    assert same(last.model.state_dict(), whole[-1])


def test_a_finished_run_has_nothing_left_to_do() -> None:
    recipe, store = make_recipe(num_epochs=1), make_store()
    (only,) = train(recipe, store)
    assert list(train(recipe, store, resume=copy.deepcopy(only.state()))) == []


def test_state_of_another_recipe_is_refused() -> None:
    recipe, store = make_recipe(num_epochs=1), make_store()
    (only,) = train(recipe, store)
    other = replace(recipe, training={**recipe.training, "seed": 9})
    with pytest.raises(UserError, match=f"checkpoint of recipe {recipe.fingerprint} can't continue recipe {other.fingerprint}"):
        next(train(other, store, resume=only.state()))


def test_depends_on_the_seed_and_on_nothing_else() -> None:
    store, recipe = make_store(), RECIPES["sgd with momentum"]
    torch.manual_seed(1)
    np.random.seed(1)
    first = [figures(epoch) for epoch in train(recipe, store)]
    torch.manual_seed(2)
    np.random.seed(2)
    assert [figures(epoch) for epoch in train(recipe, store)] == first
    other = replace(recipe, training={**recipe.training, "seed": 1})
    assert figures(next(train(other, store))) != first[0]


@pytest.mark.parametrize("lr", [1e6, 1e30])
def test_a_loss_that_runs_away_ends_the_run(lr: float) -> None:
    run = train(make_recipe(None, optimizer_args={"lr": lr, "momentum": 0.0}), make_store())
    with pytest.raises(Diverged, match="epoch 1") as caught:
        for epoch in run:
            assert all(math.isfinite(value) for value in epoch.metrics.values())
    copied = pickle.loads(pickle.dumps(caught.value))  # as one from another process is
    assert (copied.epoch, str(copied)) == (caught.value.epoch, str(caught.value)) and copied.epoch == 1


@pytest.mark.parametrize(("batch_size", "num_seen"), [(16, 48), (32, 32), (54, 54), (64, 54)])
def test_the_loss_is_of_the_whole_batches_that_were_trained_on(batch_size: int, num_seen: int) -> None:
    """At a rate of next to nothing it is the first network's; 54 pictures."""
    store, recipe = make_store(), make_recipe(num_epochs=1, batch_size=batch_size, optimizer_args={"lr": 1e-30})
    (epoch,) = train(recipe, store)
    rows = store.train_idx[np.random.default_rng([0, 1]).permutation(54)[:num_seen]]
    x_NHWC = ((store.images_NHWC[rows] / 255 - store.mean_C) / store.std_C).astype(np.float32)
    logits_NK = epoch.model(torch.from_numpy(x_NHWC).permute(0, 3, 1, 2))
    expected = torch.nn.functional.cross_entropy(logits_NK, torch.from_numpy(store.labels_N[rows]))
    assert epoch.metrics["train_loss"] == pytest.approx(expected.item(), rel=1e-5)


def test_penalty_shrinks_weights_and_stays_out_of_the_loss() -> None:
    store = make_store()
    free, held = (list(train(make_recipe(None, regularization={"l2": l2}, num_epochs=6), store))[-1] for l2 in (0.0, 0.5))
    norm = [sum(p.square().sum().item() for p in epoch.model.parameters() if p.ndim >= 2) for epoch in (free, held)]
    assert norm[1] < norm[0] / 4
    assert held.metrics["train_loss"] < 1.5 * math.log(3)  # the penalty alone would be far above


IMPORTS = """
import sys
sys.path[:0] = {paths!r}
from tiny import make_recipe, make_store
from visiontune.training import checkpoint
from visiontune.training.loop import train
for optimizer in ("sgd", "adam", "adamw"):
    list(train(make_recipe(None, optimizer, num_epochs=1), make_store()))
heavy = ("albumentations", "ray", "mlflow", "optuna", "sklearn", "torchmetrics")
print([name for name in heavy if name in sys.modules])
"""


@pytest.mark.heavy
def test_a_worker_imports_no_heavy_library_for_a_plain_recipe() -> None:
    """But torch's compiler, which torch.optim brings along."""
    paths = [str(HELPERS), str(PLATFORM)]
    done = subprocess.run([sys.executable, "-c", IMPORTS.format(paths=paths)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
