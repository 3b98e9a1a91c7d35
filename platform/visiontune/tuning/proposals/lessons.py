"""What the sampler learns from: a function over the study's trials, kept apart from what the trials did.

Values from a ninth of the full budget on count, each trial's latest, but of the first rung only where that is a third. A model over
the first rung takes trials that learn slowly at first for bad ones and sometimes never leaves a bad region; values at the full budget
alone come too late to be of use (CONTRIBUTING.md has the tables). What could not be built, did not fit in memory, diverged or cost more
than the study allows is a violated constraint: TPE then avoids it, and no value is made up.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from optuna.trial import FrozenTrial, TrialState, create_trial

from visiontune.spec.space.study_spec import StudySpec
from visiontune.tuning.ranking.several_objectives import cost_logs
from visiontune.tuning.records.records import CONSTRAINT

UNUSABLE = frozenset({"infeasible", "diverged", CONSTRAINT})

MOST_GOOD = 25
"""Of the values that TPE models as good, as in Optuna."""


def lesson(
    trial: FrozenTrial, notes: dict[str, Any], rungs: Sequence[int], pauses: Sequence[int], costs: Sequence[str] = ()
) -> FrozenTrial | None:
    """The trial as the sampler may see it, with the sampler's own system attributes `notes`; None where it may not see it.

    A trial that has not ended counts as it was at the last of its `pauses` that it reached, so that an interruption changes nothing.
    `costs` that are objectives follow its value, as logarithms.
    """
    known: dict[str, Any] = {"params": trial.params, "distributions": trial.distributions, "system_attrs": notes}
    if trial.state is TrialState.FAIL:
        if trial.user_attrs.get("end", {}).get("kind") in UNUSABLE:
            return create_trial(state=TrialState.PRUNED, constraints={"usable": 1.0}, **known)
        return None
    reached = trial.intermediate_values if trial.state.is_finished() else trial.intermediate_values.keys() & {*pauses, rungs[-1]}
    epoch = max(reached, default=0)
    if not does_count(epoch, rungs) and trial.state is not TrialState.COMPLETE:
        return None
    logs = cost_logs(trial.user_attrs.get("costs", {}), costs)
    if logs is None:
        return None
    return create_trial(state=TrialState.COMPLETE, values=[trial.intermediate_values[epoch], *logs], constraints={"usable": 0.0}, **known)


def does_count(epoch: int, rungs: Sequence[int]) -> bool:
    """Whether a value at this epoch says something about the full budget, which is the last of the rungs."""
    return 3 * epoch >= rungs[-1] or (9 * epoch >= rungs[-1] and (len(rungs) == 1 or epoch > rungs[0]))


def counting_share(spec: StudySpec) -> Fraction:
    """How many of all trials get as far as to count: one in reduction_factor for each rung that a trial must be promoted from."""
    least = next(place for place, rung in enumerate(spec.rungs) if does_count(rung, spec.rungs))
    counting = (size * Fraction(1, spec.budget.reduction_factor ** max(0, least - first)) for first, size in enumerate(spec.brackets))
    return sum(counting, Fraction(0)) / sum(spec.brackets)
