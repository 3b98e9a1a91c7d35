"""The one train loop. It knows neither Ray nor MLflow: a notebook and a worker of a cluster run the same lines.

Every random choice is keyed by (training seed, epoch, picture), so that a run resumed from the state after any epoch is, on
a CPU, equal to the last bit to one that was never interrupted.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from visiontune.errors import Diverged, UserError
from visiontune.models.lp_ft import begins_phase
from visiontune.models.transfer import train_mode
from visiontune.spec.complete_recipe import completed
from visiontune.spec.declarations.fingerprint import keyed_seed
from visiontune.spec.declarations.trial_recipe import TrialRecipe
from visiontune.spec.tables.preprocessings import AS_PRETRAINED
from visiontune.training.arithmetic import Arithmetic
from visiontune.training.evaluate import measure
from visiontune.training.fresh_statistics import refresh_statistics
from visiontune.training.input.epoch_order import IntArray
from visiontune.training.input.preprocessing import Preprocessing
from visiontune.training.ranks import ONE_RANK, Ranks
from visiontune.training.setup import Setup, set_up
from visiontune.training.synced_batch_norm import synced_batch_norm

if TYPE_CHECKING:
    from visiontune.data.store.store import Store

State = dict[str, Any]
History = list[dict[str, Any]]
# Reading the loss waits for a GPU to catch up; on a CPU it costs nothing.
_STEPS_BETWEEN_CHECKS = {"cpu": 1, "cuda": 50}


@dataclass(frozen=True)
class Epoch:
    """The result of one epoch. `epoch` counts from 1; metrics are train_loss, the val_ ones, lr (the last step's), epoch_s, and
    data_wait_share, the share of epoch_s in which the loop waited for pictures (on a GPU that still computes: an upper bound).

    train_loss is the mean cross-entropy of the pictures that were trained on, without weights, smoothing and penalties, so that it
    compares between recipes. `time_ms` is the wall clock at the end. `is_last` says that training ends here: the full length, or early
    stopping. `pictures` says how the training pictures are made, by whom and why; `arithmetic` in which precision the network computes, in
    which it is to be evaluated too, with `num_at_once` pictures at most, as so many are known to fit.
    `model` (with averaged weights where the recipe averages, and with batch normalisation's statistics of the weights that it has) takes
    what `preprocessing` gives; it and what `state()` gives are live: use them before the next epoch. Those of the last epoch stay.
    """

    epoch: int
    metrics: dict[str, float]
    time_ms: int
    is_last: bool
    pictures: str
    arithmetic: Arithmetic
    num_at_once: int
    model: nn.Module
    preprocessing: Preprocessing
    state: Callable[[], State]


def train(
    recipe: TrialRecipe,
    store: Store,
    *,
    device: str = "cpu",
    resume: Mapping[str, Any] | None = None,
    micro_batch: int = 0,
    use_val: bool = False,
    ranks: Ranks = ONE_RANK,
) -> Iterator[Epoch]:
    """Train for recipe.training["num_epochs"] epochs and yield each; `resume` is the state of an earlier one, to go on after it.

    `micro_batch` takes the place of the recipe's, where memory allows no more, and leaves it the same recipe; 0: the recipe's own.
    `use_val` trains on the validation pictures too, of which the val_ figures then say nothing.
    As one of several `ranks`, where rank 0's `resume` counts, this trains on its share of every batch; epochs are the same on all.
    Where a phase of the recipe begins, training goes on as from a checkpoint of the epoch before, which it may be.
    Raises Diverged, UserError where `resume` is of another recipe, and what `set_up` raises.
    """
    resume = ranks.from_first(resume)
    if resume and resume["fingerprint"] != recipe.up_to(resume["epoch"]).fingerprint:
        raise UserError(f"a checkpoint of recipe {resume['fingerprint']} can't continue recipe {recipe.fingerprint}")
    fitting = _with_micro_batch(completed(recipe), micro_batch)
    store = replace(store, train_idx=np.union1d(store.train_idx, store.val_idx)) if use_val else store
    prepare = partial(_set_up, store=store, device=torch.device(device), ranks=ranks)
    num_epochs, history = fitting.training["num_epochs"], list(resume["history"]) if resume else []
    setup = prepare(fitting.at(len(history) + 1), epoch=max(1, len(history)), resume=resume)
    for epoch in range(len(history) + 1, num_epochs + 1):
        if not ranks.goes_on():
            return
        if begins_phase(setup.network, epoch, num_epochs):
            setup = prepare(fitting.at(epoch), epoch=epoch, before=setup)
        val_losses = tuple(past["metrics"]["val_loss"] for past in history)
        if is_over(fitting, val_losses):
            return
        metrics = _epoch(setup, fitting, epoch, val_losses, ranks)
        history.append({"epoch": epoch, "metrics": metrics, "time_ms": time.time_ns() // 1_000_000})
        ended = is_over(fitting, (*val_losses, metrics["val_loss"]))
        how, state = (setup.train_set.how, setup.arithmetic, setup.num_at_once), partial(_state, recipe, setup, history)
        yield Epoch(epoch, metrics, history[-1]["time_ms"], ended, *how, setup.network, setup.preprocessing, state)
        if ended:
            return  # with what was measured in the network, for whoever keeps it
        if fitting.changes_after(epoch):
            setup = prepare(fitting.at(epoch + 1), epoch=epoch, resume=state())
        else:
            setup.stepper.exchange()


def _set_up(
    recipe: TrialRecipe,
    *,
    store: Store,
    device: torch.device,
    epoch: int,
    resume: Mapping[str, Any] | None = None,
    before: Setup | None = None,
    ranks: Ranks,
) -> Setup:
    """All that trains from this epoch on: anew, out of a checkpoint, or from what stood `before` where another phase begins."""
    weights = resume["model"] if resume else None
    fitted = Preprocessing.of(resume["preprocessing"]) if resume and resume["preprocessing"] else None
    kept = {"network": before.network, "fitted": before.preprocessing} if before is not None else {"fitted": fitted}
    with Arithmetic.of(recipe.training, device).set_flags():
        setup = set_up(recipe, store, device, weights, epoch=epoch, ranks=ranks, **kept)
    if resume:
        setup.stepper.load_state_dict(resume["stepper"])
        setup.stepper.exchange()
    return setup


def _epoch(setup: Setup, recipe: TrialRecipe, epoch: int, val_losses: tuple[float, ...], ranks: Ranks) -> dict[str, float]:
    """Train for one epoch, and leave the network as it was measured. Raises Diverged."""
    started, waited_s, stepper, seed = time.perf_counter(), _waited_s(setup), setup.stepper, recipe.training["seed"]
    torch.manual_seed(keyed_seed(seed, "epoch", epoch, *ranks.key))  # dropout's
    with setup.arithmetic.set_flags(), synced_batch_norm(setup.tail, ranks):
        total, lr = _train_epoch(setup, setup.order(seed, epoch), epoch, val_losses, ranks)
    stepper.end_epoch(epoch)
    stepper.exchange()
    with setup.arithmetic.evaluating():
        with synced_batch_norm(setup.tail, ranks):
            refresh_statistics(setup.tail, setup.statistics_set.batches(setup.order(seed, 0), setup.statistics_bounds, epoch))
        found = measure(stepper.model, setup.val_set, setup.num_at_once, use_full_metrics=recipe.training["use_full_metrics"])
    val, train_loss = ranks.from_first(found), total.item() / setup.bounds[-1]
    if not math.isfinite(train_loss + val["loss"]):
        raise Diverged(epoch)
    epoch_s = time.perf_counter() - started
    share = (_waited_s(setup) - waited_s) / epoch_s
    named = {f"val_{name}": value for name, value in val.items()}
    return {"train_loss": train_loss, **named, "lr": lr, "epoch_s": epoch_s, "data_wait_share": share}


def _train_epoch(setup: Setup, order_N: IntArray, epoch: int, val_losses: tuple[float, ...], ranks: Ranks) -> tuple[Tensor, float]:
    """Every step of an epoch: the sum of its pictures' losses, and the last step's learning rate. Raises Diverged."""
    train_mode(setup.tail)
    device = setup.train_set.device
    total, sizes = torch.zeros((), device=device), np.diff(setup.bounds).tolist()
    batches = zip(setup.train_set.batches(order_N, setup.bounds, epoch), sizes, strict=True)
    for step, ((x_NCHW, y_N), num) in enumerate(batches, (epoch - 1) * setup.steps_per_epoch):
        lr = setup.peak_lr * setup.schedule(step, val_losses)
        total += setup.stepper.step(x_NCHW, y_N, lr, step, num) * len(y_N)
        if step % _STEPS_BETWEEN_CHECKS[device.type] == 0 and not math.isfinite(ranks.summed(total).item()):
            raise Diverged(epoch)
    return ranks.summed(total), lr


def _with_micro_batch(recipe: TrialRecipe, micro_batch: int) -> TrialRecipe:
    """Without CUDA graphs, whose gradients can't be added up."""
    changed = {"micro_batch": micro_batch, "compile_mode": "default"}
    return replace(recipe, training={**recipe.training, **changed}) if micro_batch else recipe


def is_over(recipe: TrialRecipe, val_losses: Sequence[float]) -> bool:
    """Whether training ends after epochs of these losses: its full length, or no new lowest for early_stop_epochs."""
    patience: int = recipe.regularization["early_stop_epochs"]
    num_since_best = len(val_losses) - 1 - val_losses.index(min(val_losses)) if val_losses else 0
    longest: int = recipe.training["num_epochs"]
    return len(val_losses) >= longest or 0 < patience <= num_since_best


def _waited_s(setup: Setup) -> float:
    return setup.train_set.waited_s + setup.val_set.waited_s


def _state(recipe: TrialRecipe, setup: Setup, history: History) -> State:
    """Weights are those that were evaluated; where they are averages, those in training are in the stepper's state."""
    return {
        "fingerprint": recipe.up_to(history[-1]["epoch"]).fingerprint,
        "epoch": history[-1]["epoch"],
        "history": list(history),
        "model": dict(setup.network.state_dict()),
        # The others are fitted again from the store; these may have come out of a file that is gone.
        "preprocessing": dict(setup.preprocessing.state_dict()) if recipe.preprocessing["name"] == AS_PRETRAINED else {},
        "stepper": setup.stepper.state_dict(),
    }
