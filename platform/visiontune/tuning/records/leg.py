"""What goes to a worker and what comes back: a leg and its reports, frozen."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from visiontune.spec.declarations.trial_recipe import TrialRecipe


@dataclass(frozen=True)
class Leg:
    """Work for one worker. `key` names the checkpoint folder; epochs up to `known_epochs` need not be reported. `has_checkpoint`: the
    driver sees one there, so that a worker which sees none is on a machine at fault, and does not start over.

    `micro_batch` is the recipe's, halved where memory allowed no more in an earlier leg; 0: as the recipe says. `bounds` are those
    of costs that the worker is to measure before the first epoch, infinite for objectives without one.
    A confirmation is a recipe trained again (retraining_queue.py): its weights stay in the study's folder under the name `weights`, and it
    is not tested. That is a leg of its own, `is_test`, which trains only where those weights are gone; by `test_time` as well; with
    `is_winner` they become the study's. `averaged`: names of weights of which it makes the mean, in place of training. `use_val`: on
    train and val together.
    """

    key: str
    number: int
    recipe: TrialRecipe
    known_epochs: int
    is_confirmation: bool = False
    micro_batch: int = 0
    test_time: str = "none"
    bounds: Mapping[str, float] = field(default_factory=dict)
    weights: str = ""
    is_test: bool = False
    is_winner: bool = False
    averaged: Sequence[str] = ()
    use_val: bool = False
    num_repeats: int = 1
    is_folded: bool = False
    has_checkpoint: bool = False


@dataclass(frozen=True)
class Report:
    """What a worker reports after an epoch; with `failure` (infeasible, diverged, constraint, crashed, storage, full) there is a reason.

    `is_last`: training ended with this epoch, at its full length or by early stopping. `micro_batch` as in a leg, `costs` as measured
    before the first epoch. `place`: with the first report of a leg, where it is trained: node, num_threads, gpu; `note`: with the
    same one, what was wrong with its checkpoint.
    """

    epoch: int
    metrics: Mapping[str, float]
    time_ms: int
    checkpoint_bytes: int = 0
    failure: str = ""
    reason: str = ""
    is_last: bool = False
    micro_batch: int = 0
    costs: Mapping[str, float] = field(default_factory=dict)
    place: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""


def device_of(place: Mapping[str, Any]) -> str:
    """The name of the GPU that a leg was trained on, or cpu."""
    return str(place.get("gpu") or "cpu")


def pack(leg: Leg | None) -> str:
    """A leg as one string, which Tune has no reason to flatten into file names."""
    return "" if leg is None else json.dumps({**vars(leg), "recipe": leg.recipe.to_dict()})


def unpack(text: str) -> Leg | None:
    """The inverse of `pack`."""
    if not text:
        return None
    content = json.loads(text)
    return Leg(**{**content, "recipe": TrialRecipe(**content["recipe"])})
