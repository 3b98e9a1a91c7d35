"""A network that can't memorise one batch can't learn at all, whatever the search then varies."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from visiontune.spec.declarations.trial_recipe import TrialRecipe
from visiontune.training.checks.check import Check
from visiontune.training.checks.training_steps import finite, make_step, model_words, unregularized
from visiontune.training.setup import set_up

if TYPE_CHECKING:
    from visiontune.data.store.store import Store

BATCH, NEAR_ZERO = 32, 0.05
NUM_STEPS, LIMIT_S = 300, 8.0
RATES = (1e-3, 1e-4)
"""Adam's usual rate and, for what explodes there, a tenth of it."""


@dataclass(frozen=True)
class Attempt:
    """The losses at one learning rate, and how long they took."""

    lr: float
    losses: tuple[float, ...]
    took_s: float

    @property
    def is_done(self) -> bool:
        return self.losses[-1] <= NEAR_ZERO

    @property
    def is_cut(self) -> bool:
        """Whether the time limit ended it."""
        return not self.is_done and len(self.losses) < NUM_STEPS and math.isfinite(self.losses[-1])


def overfit(model: str, recipe: TrialRecipe, store: Store, device: torch.device) -> Check:
    """Adam on one batch of 32 until the loss is 0.05, for at most 300 steps or 8 s at each of two rates.

    Raises what is in `training_steps.FAILURES` for a recipe that can't be set up or trained.
    """
    attempts: list[Attempt] = []
    for lr in RATES:
        attempts.append(_attempt(recipe, store, device, lr))
        if attempts[-1].is_done or attempts[-1].is_cut:
            break
    best = min(attempts, key=lambda attempt: finite(attempt.losses[-1]) or math.inf)
    loss, num = best.losses[-1], min(BATCH, len(store.train_idx))
    said = (
        f"loss {loss:.2g} on {num} pictures after {len(best.losses)} steps of Adam at {best.lr:g} ({best.took_s:.1f} s); "
        "regularisation, dropout and augmentation off"
    )
    figures = {"model": model_words(recipe), "loss": finite(loss), "first_loss": finite(best.losses[0]), "num_steps": len(best.losses)}
    return Check(f"one batch: {model}", *_verdict(best, model_words(recipe), said), {**figures, "lr": best.lr})


def _verdict(best: Attempt, what: str, said: str) -> tuple[str, str, str]:
    if best.is_done:
        return "ok", said, ""
    if best.is_cut:
        return "look", said, f"{what}: not at {NEAR_ZERO} in {LIMIT_S:g} s, too slow on this machine to tell"
    if best.losses[-1] <= best.losses[0] / 2:
        return "look", said, f"{what}: it falls, but not to {NEAR_ZERO}: it learns slowly, or equal pictures have several labels"
    return "bad", said, f"{what}: gradients vanish or explode, or the pictures are not what they seem: look at the checks of step 0"


def _attempt(recipe: TrialRecipe, store: Store, device: torch.device, lr: float) -> Attempt:
    started, losses = time.perf_counter(), []
    step = make_step(set_up(unregularized(recipe, BATCH, lr), store, device), recipe.training["seed"], is_one_batch=True)
    while True:
        losses.append(step(lr))
        took_s = time.perf_counter() - started
        if not NEAR_ZERO < losses[-1] < math.inf or len(losses) == NUM_STEPS or took_s > LIMIT_S:
            return Attempt(lr, tuple(losses), took_s)
