"""Whose epochs made a trial's weights, where trials of a population went on from each other's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from visiontune.tuning.records.phase import Phase
from visiontune.tuning.records.records import TrialRecord


@dataclass(frozen=True)
class Segment:
    """Epochs of one trial, after `low` up to `high`."""

    number: int
    low: int
    high: int


def begun(trial: TrialRecord) -> Phase:
    """What a trial was begun with."""
    return trial.phases[0] if trial.phases else Phase(0, None, trial.params, trial.recipe, trial.fingerprint)


def phase_before(trial: TrialRecord, epoch: int) -> Phase:
    """The phase in which a trial trained that epoch: a decision after the epoch says nothing of it."""
    taken = [phase for phase in trial.phases[1:] if phase.source is not None and phase.epoch < epoch]
    return taken[-1] if taken else begun(trial)


def lineage(trials: Mapping[int, TrialRecord], number: int, epoch: int) -> list[Segment]:
    """The epochs that a trial's weights after `epoch` come from, in order; its own alone where it took no other's."""
    if epoch == 0:
        return []
    phase = phase_before(trials[number], epoch)
    before = [] if phase.source is None else lineage(trials, phase.source, phase.epoch)
    return [*before, Segment(number, phase.epoch, epoch)]


def schedule_of(trial: TrialRecord) -> str:
    """What a trial took from others, in one line; "" for one that took nothing."""
    return "; ".join(str(phase) for phase in trial.phases if phase.source is not None)
