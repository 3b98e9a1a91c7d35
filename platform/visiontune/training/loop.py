"""The one train loop. It knows neither Ray nor MLflow: a notebook and a worker of a cluster run the same lines.

Every random choice is keyed by (training seed, epoch, picture), so that a run resumed from the state after any epoch is, on
a CPU, equal to the last bit to one that was never interrupted.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from visiontune.models.build import build_model
from visiontune.spec.declare import chosen
from visiontune.spec.errors import UserError
from visiontune.spec.recipe import TrialRecipe, keyed_seed
from visiontune.spec.tables.optimizers import OPTIMIZERS
from visiontune.spec.tables.schedules import LR_SCHEDULES
from visiontune.training.evaluate import measure
from visiontune.training.optimizers import Optimizer
from visiontune.training.penalties import add_penalties, decayed_parameters
from visiontune.training.pictures import batch_bounds, open_pictures, shuffled
from visiontune.training.schedules import LrSchedule

if TYPE_CHECKING:
    from visiontune.data.store import Store

State = dict[str, Any]
# Reading the loss waits for a GPU to catch up; on a CPU it costs nothing.
_STEPS_BETWEEN_CHECKS = {"cpu": 1, "cuda": 50}


class Diverged(Exception):
    """The loss became NaN or infinite in `epoch`."""

    def __init__(self, epoch: int) -> None:
        super().__init__(f"the loss became NaN or infinite in epoch {epoch}")
        self.epoch = epoch


@dataclass(frozen=True)
class Epoch:
    """What one epoch came to. `epoch` counts from 1; metrics are train_loss, val_loss, val_top1, lr (the last step's), epoch_s.

    train_loss is cross-entropy without penalties, so that it compares between recipes. `time_ms` is the wall clock at the
    end. `model` and what `state()` gives are live: use them before the next epoch is asked for.
    """

    epoch: int
    metrics: dict[str, float]
    time_ms: int
    is_last: bool
    model: nn.Module
    state: Callable[[], State]


def train(recipe: TrialRecipe, store: Store, *, device: str = "cpu", resume: Mapping[str, Any] | None = None) -> Iterator[Epoch]:
    """Train for recipe.training["num_epochs"] epochs and yield each; `resume` is the state of an earlier one, to go on after it.

    Raises Diverged, and UserError where `resume` is of another recipe.
    """
    num_epochs, seed = recipe.training["num_epochs"], recipe.training["seed"]
    l1, l2 = recipe.regularization["l1"], recipe.regularization["l2"]
    place = torch.device(device)

    train_set = open_pictures(store, store.train_idx, place, _policy(recipe, store), seed)
    val_set = open_pictures(store, store.val_idx, place)
    bounds = batch_bounds(len(train_set), recipe.training["batch_size"])
    model = _model(recipe, store, seed).to(place).to(memory_format=torch.channels_last)
    weights = decayed_parameters(model)
    optimizer = _optimizer(recipe, model, weights)
    schedule = _schedule(recipe, steps_per_epoch=len(bounds) - 1)
    history = _restore(resume, recipe, model, optimizer) if resume else []

    for epoch in range(len(history) + 1, num_epochs + 1):
        started = time.perf_counter()
        torch.manual_seed(keyed_seed(seed, "epoch", epoch))  # dropout's
        val_losses = tuple(past["metrics"]["val_loss"] for past in history)
        order_N = shuffled(len(train_set), seed, epoch)

        model.train()
        total = torch.zeros((), device=place)
        for step, (x_NCHW, y_N) in enumerate(train_set.batches(order_N, bounds, epoch), (epoch - 1) * (len(bounds) - 1)):
            loss = F.cross_entropy(model(x_NCHW), y_N)
            loss.backward()  # type: ignore[no-untyped-call]
            add_penalties(weights, l1, l2)
            lr = recipe.optimizer["lr"] * schedule(step, val_losses)
            optimizer.step(lr)
            total += loss.detach() * len(y_N)
            if step % _STEPS_BETWEEN_CHECKS[place.type] == 0 and not math.isfinite(total.item()):
                raise Diverged(epoch)

        val = measure(model, val_set)
        train_loss = total.item() / len(train_set)
        if not math.isfinite(train_loss + val["loss"]):
            raise Diverged(epoch)
        metrics = {"train_loss": train_loss, "val_loss": val["loss"], "val_top1": val["top1"], "lr": lr}
        metrics["epoch_s"] = time.perf_counter() - started
        history.append({"epoch": epoch, "metrics": metrics, "time_ms": time.time_ns() // 1_000_000})
        yield Epoch(epoch, metrics, history[-1]["time_ms"], epoch == num_epochs, model, lambda: _state(recipe, model, optimizer, history))


def is_over(recipe: TrialRecipe, val_losses: Sequence[float]) -> bool:
    """Whether training ends after epochs of these losses: its full length, or no new lowest for early_stop_epochs."""
    patience = recipe.regularization["early_stop_epochs"]
    num_since_best = len(val_losses) - 1 - val_losses.index(min(val_losses)) if val_losses else 0
    return len(val_losses) >= recipe.training["num_epochs"] or 0 < patience <= num_since_best


def _model(recipe: TrialRecipe, store: Store, seed: int) -> nn.Module:
    _, image_size, _, channels = store.images_NHWC.shape
    sizes = {"num_classes": len(store.class_names), "in_channels": channels, "image_size": image_size}
    return build_model(recipe.model, **sizes, seed=keyed_seed(seed, "weights"))


def _policy(recipe: TrialRecipe, store: Store) -> Any:
    if recipe.augmentation["policy"] == "none":
        return None
    from visiontune.augmentation.policy import build_policy  # albumentations: 4 s, paid by who augments

    _, image_size, _, channels = store.images_NHWC.shape
    return build_policy(recipe.augmentation, image_size=image_size, channels=channels)


def _optimizer(recipe: TrialRecipe, model: nn.Module, weights: list[Tensor]) -> Optimizer:
    entry, args = chosen(OPTIMIZERS, recipe.optimizer, "name")
    params = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer: Optimizer = entry.load()(params, weights, **args)
    return optimizer


def _schedule(recipe: TrialRecipe, steps_per_epoch: int) -> LrSchedule:
    entry, args = chosen(LR_SCHEDULES, recipe.schedule, "name")
    schedule: LrSchedule = entry.load()(steps_per_epoch=steps_per_epoch, num_epochs=recipe.training["num_epochs"], **args)
    return schedule


def _state(recipe: TrialRecipe, model: nn.Module, optimizer: Optimizer, history: list[dict[str, Any]]) -> State:
    return {
        "fingerprint": recipe.fingerprint,
        "epoch": history[-1]["epoch"],
        "history": list(history),
        "model": dict(model.state_dict()),
        "optimizer": optimizer.state_dict(),
        "schedule": {"val_losses": [past["metrics"]["val_loss"] for past in history]},
    }


def _restore(state: Mapping[str, Any], recipe: TrialRecipe, model: nn.Module, optimizer: Optimizer) -> list[dict[str, Any]]:
    if state["fingerprint"] != recipe.fingerprint:
        raise UserError(f"a checkpoint of recipe {state['fingerprint']} can't continue recipe {recipe.fingerprint}")
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    return list(state["history"])
