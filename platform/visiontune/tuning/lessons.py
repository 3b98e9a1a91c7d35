"""What the sampler learns from: a function over the study's trials, kept apart from what the trials did.

Only values at the full budget count. In a rehearsal on 3,360 recorded curves a model that also read early rungs took
trials that learn slowly at first for bad ones and sometimes never left a bad region (CONTRIBUTING.md has the table). What could not
be built, did not fit in memory or diverged is a violated constraint: TPE then avoids it, and no value is made up.
"""

from __future__ import annotations

from typing import Any

from optuna.trial import FrozenTrial, TrialState, create_trial

MIN_VALUES = 10
"""Full-budget values before a model-based sampler proposes; at random until then."""

UNUSABLE = frozenset({"infeasible", "diverged"})


def lesson(trial: FrozenTrial, notes: dict[str, Any]) -> FrozenTrial | None:
    """The trial as the sampler may see it, with the sampler's own system attributes `notes`; None where it may not see it."""
    known: dict[str, Any] = {"params": trial.params, "distributions": trial.distributions, "system_attrs": notes}
    if trial.state is TrialState.COMPLETE:
        return create_trial(state=TrialState.COMPLETE, value=trial.value, constraints={"usable": 0.0}, **known)
    if trial.state is TrialState.FAIL and trial.user_attrs.get("end", {}).get("kind") in UNUSABLE:
        return create_trial(state=TrialState.PRUNED, constraints={"usable": 1.0}, **known)
    return None
