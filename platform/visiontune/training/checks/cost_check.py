"""What an epoch takes, measured over a few real steps of each network, and what the search then takes beside its budget."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from visiontune.data.store.store import Store
from visiontune.errors import plural
from visiontune.filesystem.cgroup import num_cpus
from visiontune.spec.declarations.trial_recipe import TrialRecipe
from visiontune.spec.space.epoch_forecast import CONFIRM_S, MARGIN, cost, num_in_turn, num_retrainings
from visiontune.spec.space.slots import settled_cpus, slots_of
from visiontune.spec.space.study_spec import StudySpec
from visiontune.training.checks.check import Check
from visiontune.training.checks.training_steps import make_step
from visiontune.training.setup import set_up

MEASURE_S, MOST_STEPS = 2.0, 30

START_S = 10.0
"""About what the digits search takes before its first epoch on 2 cores; a cluster that has to start machines takes longer."""

FORWARD_SHARE = 1 / 3
"""Of a training step's time, what its forward pass takes; validation is that alone, and so are batch normalisation's statistics."""


def measure_epoch_s(recipe: TrialRecipe, store: Store, device: torch.device) -> float:
    """Seconds of an epoch with its validation, by at most MOST_STEPS steps at a rate of 0; the very first, which pays for kernels, is
    left out. Of pictures in full, where some epochs have smaller ones. Raises what `set_up` does.
    """
    setup = set_up(replace(recipe, training={**recipe.training, "resize": "none"}), store, device)
    step = make_step(setup, recipe.training["seed"])
    step(0.0)
    started, num = time.perf_counter(), 0
    while num < MOST_STEPS and (not num or time.perf_counter() - started < MEASURE_S):
        step(0.0)
        num += 1
    step_s = (time.perf_counter() - started) / num
    num_forward = len(store.val_idx) + setup.statistics_bounds[-1]
    return step_s * float(setup.steps_per_epoch + FORWARD_SHARE * num_forward / recipe.training["batch_size"])


def cost_check(spec: StudySpec, epoch_s: Mapping[str, float], num_workers: int) -> Check:
    """The forecast by seconds of an epoch of each network, with so many workers."""
    mean_s = statistics.fmean(epoch_s.values())
    full_s, num_again = mean_s * spec.budget.max_epochs, num_retrainings(spec)
    fastest, slowest = (choose(epoch_s, key=lambda name: epoch_s[name]) for choose in (min, max))
    said = f"an epoch takes {_seconds(epoch_s[fastest])} with {fastest}"
    said += f", {_seconds(epoch_s[slowest])} with {slowest}" if slowest != fastest else ""
    figures: dict[str, Any] = {"epoch_s": dict(epoch_s), "num_workers": num_workers, "trial_s": full_s * spec.num_repeats}
    expected = cost(spec).expected_epochs
    if expected is not None:
        whole_s = (expected * mean_s + num_again * full_s) / num_workers
        work = f"{plural(expected, 'epoch')} and some {plural(num_again, 'retraining')}" if num_again else plural(expected, "epoch")
        said += f"; {work} on {num_workers} worker{'s'[num_workers == 1 :]}: {_seconds(whole_s)} of training"
        figures |= {"search_s": whole_s, "gpu_hours": whole_s / 3600 * num_workers * gpus_here(spec) * spec.resources.workers_per_trial}
        said += f", {figures['gpu_hours']:.2g} GPU hours" if figures["gpu_hours"] else ""
    if spec.budget.hours is None:
        return Check("cost", "ok", said, figures=figures)
    return _within(spec, spec.budget.hours * 3600, mean_s, num_workers, said, figures)


def _within(spec: StudySpec, limit_s: float, mean_s: float, num_workers: int, said: str, figures: Mapping[str, Any]) -> Check:
    """Whether one trial in full, and finding the winner, have room in the hours of the budget; a search uses half of them for a trial."""
    in_turn = num_in_turn(spec, num_retrainings(spec), num_workers)
    confirm_s = in_turn * mean_s * spec.budget.max_epochs + math.ceil(int(spec.confirm["num_seeds"]) / num_workers) * CONFIRM_S
    full_s = MARGIN * mean_s * spec.budget.max_epochs * spec.num_repeats
    need_s = START_S + max(2 * full_s, full_s + confirm_s)
    said += f"; {_seconds(limit_s)} have room for {max(0.0, limit_s - START_S) / mean_s * num_workers:.0f} epochs"
    if limit_s >= need_s:
        return Check("cost", "ok", said, figures=figures)
    said += f"; to start takes {START_S:g} s, one trial in full {_seconds(full_s)}, finding the winner {_seconds(confirm_s)}"
    room_s = (limit_s - START_S) / 2
    fits = max((rung for rung in spec.rungs[:-1] if MARGIN * rung * mean_s <= room_s), default=0)
    hint = f"budget.hours={1.1 * need_s / 3600:.2g}" + (f", or budget.max_epochs={fits}" if fits else "")
    return Check("cost", "look", said, hint, figures)


def workers_here(spec: StudySpec) -> int:
    """Trials that this machine has room for, by its processors or its GPUs."""
    most, gpus = spec.resources.max_concurrent_trials, gpus_here(spec)
    if isinstance(most, int):
        return most
    fits = num_cpus() // cpus_here(spec)
    fits = min(fits, slots_of(torch.cuda.device_count(), gpus)) if gpus else fits
    return max(1, fits // spec.resources.workers_per_trial)


def cpus_here(spec: StudySpec) -> int:
    """What a trial would get of this machine's processors."""
    return settled_cpus(spec.resources, gpus_here(spec), [(num_cpus(), torch.cuda.device_count())])


def gpus_here(spec: StudySpec) -> float:
    """What a trial would get of this machine's GPUs; 0 where it has none."""
    gpus = spec.resources.gpus_per_trial
    return (1.0 if isinstance(gpus, str) else gpus) if torch.cuda.is_available() else 0.0


def _seconds(seconds: float) -> str:
    return f"{seconds:.2g} s" if seconds < 100 else f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} hours"
