"""Everything that may be wrong with what a search under simulated weather left: its study, its runs in MLflow, its use of the machines.

One worker reports in the order of an undisturbed search, so that its study must be that one's to the last state; several must come to
the same trials, each with its own curve.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from optuna.trial import FrozenTrial

from parts.simulated_cluster import RESTART_S, Cluster
from parts.simulated_machine import FROZEN_S, curve
from parts.simulated_weather import ETA, Weather, searched, spec_of, undisturbed
from visiontune.spec.declarations.trial_recipe import TrialRecipe
from visiontune.tuning.study.read_confirmations import results_of
from visiontune.tuning.study.study_storage import Storage


@dataclass
class Outcome:
    """Of one search. `lost` and `doubled` count trials and epochs, of the study and of MLflow; `problems` say what else is wrong."""

    problems: list[str]
    lost: int
    doubled: int
    repeated: int
    faults: Counter[str]


def outcome_of(weather: Weather) -> Outcome:
    """Run the search and look at everything that it left."""
    cluster, kind = weather.cluster, (weather.rule, weather.num_trials, weather.num_seeds)
    storage, fatal = searched(spec_of(*kind), cluster)
    trials, calm = storage.trials(), undisturbed(*kind)
    problems = [f"the search can't go on: {fatal}"] * bool(fatal)
    problems += [*_trial_problems(trials), *_mlflow_problems(cluster, trials), *_slot_problems(cluster)]
    if weather.rule == "asha":
        problems += _promotion_problems(trials)
    if [trial.params for trial in trials] != [trial.params for trial in calm.trials()]:
        problems.append("the trials are others than those of an undisturbed search")
    if sum(one.slots for one in cluster.machines) == 1 and not fatal:
        problems += other_than(calm, storage)
    lost, doubled = _lost(cluster, trials, weather.num_trials), _doubled(cluster)
    faults = Counter(worker=sum(cluster.losses.values()), driver=cluster.num_kills, wiped=sum(at < cluster.now_s for at in cluster.wiped_s))
    return Outcome(problems, lost, doubled, cluster.repeated, faults)


def _trial_problems(trials: list[FrozenTrial]) -> Iterator[str]:
    for trial in trials:
        epochs = sorted(trial.intermediate_values)
        recipe = TrialRecipe(**trial.user_attrs["recipe"])
        if epochs != list(range(1, len(epochs) + 1)):
            yield f"trial {trial.number} has the epochs {epochs}"
        if any(value != curve(recipe, epoch) for epoch, value in trial.intermediate_values.items()):
            yield f"trial {trial.number} has values of another"
        if trial.user_attrs.get("end", {}).get("kind") not in (None, "", "diverged"):
            yield f"trial {trial.number} is blamed: {trial.user_attrs['end']}"


def _mlflow_problems(cluster: Cluster, trials: list[FrozenTrial]) -> Iterator[str]:
    """Epochs of the study that MLflow lacks. It has one more of each killed driver, where another driver promotes other trials."""
    said, known = _said(cluster), {(trial.number, epoch) for trial in trials for epoch in trial.intermediate_values}
    if known - said.keys() or len(said.keys() - known) > cluster.num_kills:
        yield f"MLflow and the study differ in {sorted(said.keys() ^ known)}"


def _said(cluster: Cluster) -> Counter[tuple[int, int]]:
    """How often MLflow was told of each epoch."""
    return Counter((event["number"], event["epoch"]) for event in cluster.events if event["event"] == "epoch")


def _slot_problems(cluster: Cluster) -> Iterator[str]:
    """A sound slot is idle beside a leg that may take it only until the next look, or while the leg waits for another machine's end."""
    waits_s = FROZEN_S * len(cluster.machines) + (RESTART_S + 5.0) * cluster.num_kills
    if cluster.idle_slot_s > 5.0 * sum(cluster.losses.values()) + waits_s:
        yield f"slots were idle for {cluster.idle_slot_s:.0f} s beside work"


def _promotion_problems(trials: list[FrozenTrial]) -> Iterator[str]:
    """At the end the best floor(n / eta) of every rung have gone on."""
    values = {trial.number: trial.intermediate_values for trial in trials if trial.user_attrs.get("end", {}).get("kind") != "diverged"}
    for rung in (1, 3):
        there = sorted((number for number in values if rung in values[number]), key=lambda number: (-values[number][rung], number))
        best = there[: len(there) // ETA]
        if left := [number for number in best if max(values[number]) == rung]:
            yield f"trials {left} are among the best at rung {rung}, and wait there"


def other_than(calm: Storage, storage: Storage) -> Iterator[str]:
    """What differs from an undisturbed search: params, values by epoch, states, confirmations."""
    for trial, other in zip(calm.trials(), storage.trials(), strict=False):
        if (trial.params, trial.state, trial.intermediate_values) != (other.params, other.state, other.intermediate_values):
            yield f"trial {trial.number} is {other.state.name} at {len(other.intermediate_values)} epochs, undisturbed {trial.state.name}"
    if _confirmed(calm) != _confirmed(storage):
        yield "the confirmations are others than those of an undisturbed search"


def _confirmed(storage: Storage) -> str:
    """As text: a figure that is not known is NaN, which equals nothing once it was read from a file."""
    return str(results_of(storage.attributes(), "confirmation."))


def _lost(cluster: Cluster, trials: list[FrozenTrial], num_trials: int) -> int:
    """Trials that are missing, and epochs that the study or MLflow misses."""
    said = _said(cluster)
    gaps = sum(max(trial.intermediate_values, default=0) - len(trial.intermediate_values) for trial in trials)
    silent = sum((trial.number, epoch) not in said for trial in trials for epoch in trial.intermediate_values)
    return max(0, num_trials - len(trials)) + gaps + silent


def _doubled(cluster: Cluster) -> int:
    """Epochs that MLflow was told of twice, beside the one that each killed driver had told and not written to the study."""
    said = _said(cluster)
    return max(0, sum(said.values()) - len(said) - cluster.num_kills)
