"""What each trial of a study costs: what is recorded of it, and what its recipe says; and which trials no other beats."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from visiontune.errors import UserError, nearest
from visiontune.results.tables.winner_lines import estimate_of
from visiontune.spec.declarations.image_size import image_size
from visiontune.spec.declarations.trial_recipe import TrialRecipe
from visiontune.spec.tables.costs import COSTS, SPENT_COSTS
from visiontune.tuning.ranking.front import front_of_study
from visiontune.tuning.ranking.several_objectives import fronts
from visiontune.tuning.records.records import StudyRecord, TrialRecord

if TYPE_CHECKING:
    import pandas as pd

NAMES = (*COSTS, *SPENT_COSTS)


def with_costs(study: StudyRecord, only: Collection[int] | None = None) -> StudyRecord:
    """The study with what is known of every trial's recipe, or of these, among its costs. Its plugins are in use.

    Raises UserError where the study does not know its pictures, as one of before 0.2, and they can't be read.
    """
    if not study.trials:
        return study
    from visiontune.training.known_costs import known_costs

    sizes = _sizes(study)

    def known(trial: TrialRecord) -> Mapping[str, float]:
        try:
            return known_costs(TrialRecipe(**trial.recipe), **sizes)
        except (RuntimeError, ValueError):
            return {}  # the trial failed by it

    trials = tuple(
        replace(trial, costs={**known(trial), **trial.costs}) if only is None or trial.number in only else trial for trial in study.trials
    )
    best, winner = (next((one for one in trials if of is not None and one.number == of.number), None) for of in (study.best, study.winner))
    return replace(study, trials=trials, best=best, winner=winner)


def _sizes(study: StudyRecord) -> dict[str, Any]:
    pictures = study.pictures
    if "image_size" in pictures:
        return {"image_size": image_size(pictures["image_size"]), "channels": pictures["channels"], "num_classes": len(pictures["classes"])}
    from visiontune.data.prepare import describe

    info = describe(study.trials[0].recipe["data"])
    return {"image_size": info.image_size, "channels": info.channels, "num_classes": info.num_classes}


def bounded(study: StudyRecord) -> list[str]:
    """Costs that the study's constraints bound, and those that are objectives."""
    return [name for name in COSTS if f"constraints.{name}" in study.identity or name in study.objective.costs]


def told(study: StudyRecord) -> list[str]:
    """Costs that some trial has and that are not 0 for all, in the order of their tables."""
    return [name for name in NAMES if any(trial.costs.get(name) for trial in study.trials)]


def total_lines(study: StudyRecord) -> list[str]:
    """One line with what the training of all trials took; nothing before any took something."""
    total = {name: sum(trial.costs.get(name, 0.0) for trial in study.trials) for name in SPENT_COSTS}
    if not total["train_s"]:
        return []
    said = [f"{total['train_s'] / 3600:.3g} h"]
    said += [f"{total['gpu_hours']:.3g} GPU hours"] if total["gpu_hours"] else []
    said += [f"a price of {total['price']:.3g}"] if total["price"] else []
    return [f"training of all trials took {', '.join(said)}; confirmations not counted"]


def front(points: Sequence[tuple[float, float]], *, is_higher_better: bool) -> list[int]:
    """Places of the (cost, value) pairs that no other beats in one without being worse in the other, the cheapest first.

    Of equal pairs all are there.

    >>> front([(1, 0.5), (2, 0.4), (3, 0.9), (3, 0.8)], is_higher_better=True)
    [0, 2]
    """
    sign = -1.0 if is_higher_better else 1.0
    losses = {place: (cost, sign * value) for place, (cost, value) in enumerate(points)}
    return fronts(losses)[0] if losses else []


def front_of(study: StudyRecord, cost: str) -> list[TrialRecord]:
    """Of the complete trials those that no other beats in value and in this cost, the cheapest first.

    Raises UserError for a cost that none of them has.
    """
    trials = measured(study.trials, cost)
    if not trials:
        rule = f"no complete trial of study {study.name} has the cost {cost}"
        raise UserError(f"{rule}; {nearest(cost, told(study))}")
    pairs = [(trial.costs[cost], trial.value or 0.0) for trial in trials]
    return [trials[place] for place in front(pairs, is_higher_better=study.objective.mode == "max")]


def cost_rows(study: StudyRecord) -> pd.DataFrame:
    """All costs that are known, by trial; the study has them."""
    import pandas as pd

    index = pd.Index([trial.number for trial in study.trials], name="number")
    return pd.DataFrame([dict(trial.costs) for trial in study.trials], index=index, columns=told(study))


def front_rows(study: StudyRecord, trials: pd.DataFrame) -> pd.DataFrame:
    """Of a table of trials by number those of the study's front, in its order, with a column for each cost that is an objective.

    `fresh_mean`, `fresh_low` and `fresh_high` are the metric on fresh seeds with its 95 % interval, NaN where there are none.
    """
    front = front_of_study(study)
    found = trials.loc[[trial.number for trial in front]]
    by_number = {one.number: estimate_of(one.confirmations, study.objective.metric) for one in study.candidates}
    fresh = [by_number.get(trial.number) for trial in front]
    means = {f"fresh_{end}": [getattr(one, end) if one else None for one in fresh] for end in ("mean", "low", "high")}
    costs = {name: [trial.costs[name] for trial in front] for name in study.objective.costs}
    return found.assign(**costs, **means).astype(dict.fromkeys(means, float))


def measured(trials: Iterable[TrialRecord], cost: str) -> list[TrialRecord]:
    """The complete trials that have a value and this cost."""
    return [trial for trial in trials if trial.state == "complete" and trial.value is not None and cost in trial.costs]
