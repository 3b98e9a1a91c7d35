"""A machine of a simulated cluster, on a made clock, and what its workers report: values in a closed form."""

from __future__ import annotations

import math
from dataclasses import dataclass

from visiontune.spec.declarations.trial_recipe import TrialRecipe
from visiontune.tuning.records.leg import Leg, Report

NOTICED_S, FROZEN_S = 25.0, 75.0
"""After which Ray knows that a killed node is gone, whose workers are seen to die at once; and a frozen one with its workers."""


@dataclass
class Machine:
    """`slots` workers with one CPU each. `loses`: the share of legs that lose their worker there. A leg starts after `start_s`.

    With `boots_s` it comes that long after legs wait, not at `comes_s`. It goes at `goes_s`: killed, with `notice_s` so long before, or
    frozen until `thaws_s`, when its workers say what they were about to.
    """

    name: str
    slots: int = 1
    loses: float = 0.0
    epoch_s: float = 10.0
    start_s: float = 5.0
    comes_s: float = 0.0
    goes_s: float = math.inf
    boots_s: float | None = None
    notice_s: float = 0.0
    thaws_s: float = 0.0

    def __post_init__(self) -> None:
        if self.boots_s is not None:
            self.comes_s = math.inf

    @property
    def lost_s(self) -> float:
        """When its workers are seen to be gone; never for one that thaws before that."""
        frozen_s = self.goes_s + FROZEN_S
        return self.goes_s if not self.thaws_s else frozen_s if self.thaws_s > frozen_s else math.inf

    @property
    def known_s(self) -> float:
        """Until when it counts as up."""
        return self.lost_s + (0.0 if self.thaws_s else NOTICED_S)

    def is_up(self, now_s: float) -> bool:
        """Whether its workers work."""
        return self.comes_s <= now_s and not (self.goes_s <= now_s and (now_s < self.thaws_s or self.lost_s < math.inf))


def curve(recipe: TrialRecipe, epoch: int) -> float:
    """Best at a rate of 0.01; diverges above 0.5; later epochs are better."""
    lr = float(recipe.optimizer["lr"])
    return math.nan if lr > 0.5 else 1.0 - abs(math.log10(lr) + 2) / 4 - 0.3 / epoch


def answer(leg: Leg, epoch: int) -> Report:
    """What a worker reports after an epoch."""
    if leg.is_test:
        return Report(0, {"test_top1": 0.5, "test_loss": 1.0}, time_ms=0, is_last=True)
    value = curve(leg.recipe, epoch)
    metrics = {"val_top1": value, "val_loss": -value, "train_loss": 0.0, "lr": 0.0, "epoch_s": 0.0}
    return Report(epoch, metrics, 1_700_000_000_000 + epoch, checkpoint_bytes=5, is_last=epoch == leg.recipe.training["num_epochs"])
