"""How a search stands at a moment, for whoever looks on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from visiontune.tuning.records.records import TrialRecord


@dataclass(frozen=True)
class Snapshot:
    """How a search stands now. Legs, confirmations too, are `num_running` on a worker or `num_staged`, waiting for the cluster's
    resources, `waits_s` for how long none but such were out; trials are `num_waiting` at rungs. `num_nodes` are up, with `num_gpus`.
    Of the `num_trials` that are wanted `num_begun` were proposed so far. `phase` is
    a word or two for a person. `limits` and `spent` are by the keys of the budget; num_trials is None where no number is wanted.
    `lowest_rung` is where trials are compared first, 0 where that is fixed. `busy_share`: of the GPUs that are up, or of the processors
    where trials get none, what legs hold. `running_trials` and `staged_trials` are the numbers of those whose legs they are.
    """

    num_trials: int | None
    num_begun: int
    num_done: int
    num_running: int
    num_staged: int
    num_waiting: int
    num_pruned: int
    num_failed: int
    best: TrialRecord | None
    epochs_per_minute: float
    time_left_s: float | None
    elapsed_s: float
    phase: str
    limits: Mapping[str, float] = field(default_factory=dict)
    spent: Mapping[str, float] = field(default_factory=dict)
    lowest_rung: int = 0
    waits_s: float = 0.0
    num_nodes: int = 0
    num_gpus: float = 0.0
    busy_share: float = 0.0
    running_trials: tuple[int, ...] = ()
    staged_trials: tuple[int, ...] = ()
