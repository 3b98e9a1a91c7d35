"""A study as a table and as JSON, in the order of the one ranking (tuning/ranking/), with what passed each rung and what failed."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from itertools import pairwise
from typing import Any

from visiontune.errors import plural
from visiontune.results.screens.text import aligned, cut, number, recipe_line
from visiontune.results.tables.strict_json import strict
from visiontune.results.tables.trial_costs import bounded
from visiontune.results.tables.winner_lines import Estimate, race_json
from visiontune.spec.declarations.brackets import first_rung
from visiontune.spec.reading.value_reader import listed
from visiontune.tuning.ranking.constraints import shown
from visiontune.tuning.ranking.front import front_of_study
from visiontune.tuning.ranking.ranking import full_epochs, ranked
from visiontune.tuning.records.records import CONSTRAINT, StudyRecord, TrialRecord

MIN_AGREEING = 8
"""Trials at two rungs, below which their rank correlation is noise: its standard error is about 1 / sqrt(n - 1)."""


def leaderboard(study: StudyRecord, n: int = 10, width: int | None = None, costs: Sequence[str] | None = None) -> str:
    """The `n` best trials with the params in which trials differ, rungs, failures, best recipe; lines of trials are cut at `width`.

    `costs` have a column each; by default those that the study's constraints bound, and its objectives.
    """
    costs = bounded(study) if costs is None else costs
    if not study.trials:
        return f"study {study.name}: no trials yet"
    trials = ranked(study.trials, study.objective)
    names = short_names(differing(study.trials))
    are_several = len({trial.node for trial in study.trials} - {""}) > 1
    header = ("trial", "state", study.objective.metric, "epoch", *costs, *(("node",) if are_several else ()), "reason", "params")
    table = aligned([header, *(_cells(trial, study.objective.metric, names, costs, has_node=are_several) for trial in trials[:n])])
    lines = [f"study {study.name}: {_counts(study)}", *(_cut(line, width) for line in table)]
    if len(trials) > n:
        lines.append(f"... and {len(trials) - n} more")
    lines += ["", *rung_lines(study), *failure_lines(study), *source_lines(study)]
    if study.best is not None:
        value = f"{study.objective.metric} {number(study.best.value)} after {plural(study.best.epoch, 'epoch')}"
        lines.append(f"best: trial {study.best.number}, {value}")
        lines.append(f"  {recipe_line(study.best.recipe)}")
    return "\n".join([*lines, *(_cut(line, width) for line in front_lines(study, names, n))])


def front_lines(study: StudyRecord, names: Mapping[str, str], n: int) -> list[str]:
    """The first `n` trials of the front, the cheapest first; nothing with one objective."""
    if not study.objective.costs:
        return []
    front = front_of_study(study)
    those = f"{len(front)} trial{'s'[len(front) == 1 :]} that no other beats"
    said = f"front of {listed(study.objective.names)}: {those} in one without being worse in another"
    rows = [("trial", *study.objective.names, "params"), *(_front_cells(trial, study, names) for trial in front[:n])]
    return [said, *(aligned(rows) if front else []), *([f"... and {len(front) - n} more"] if len(front) > n else [])]


def _front_cells(trial: TrialRecord, study: StudyRecord, names: Mapping[str, str]) -> tuple[str, ...]:
    return str(trial.number), number(trial.value), *(shown(trial.costs[name]) for name in study.objective.costs), _params(trial, names)


def _cut(line: str, width: int | None) -> str:
    return line if width is None else cut(line, width)


def _cells(trial: TrialRecord, metric: str, names: Mapping[str, str], costs: Sequence[str], *, has_node: bool) -> tuple[str, ...]:
    found = (shown(trial.costs[name]) if name in trial.costs else "-" for name in costs)
    value = str(Estimate.of(trial.repeats, metric) or number(trial.value))
    return (
        str(trial.number),
        trial.state,
        value,
        str(trial.epoch),
        *found,
        *((trial.node or "-",) if has_node else ()),
        trial.reason or "-",
        _params(trial, names),
    )


def _params(trial: TrialRecord, names: Mapping[str, str]) -> str:
    return " ".join(f"{short}={number(trial.params[key])}" for key, short in names.items() if key in trial.params)


def _counts(study: StudyRecord) -> str:
    states = Counter(trial.state for trial in study.trials if trial.kind != CONSTRAINT)
    counts = [f"{states[state]} {state}" for state in ("complete", "running", "waiting", "pruned", "failed") if states[state]]
    wanted = f"of {study.num_trials} " if study.num_trials is not None and study.num_trials >= study.num_begun else ""
    refused = len(study.trials) - study.num_begun
    beside = f"; {refused} more recipe{'s'[refused == 1 :]} cost too much" if refused else ""
    return f"{study.num_begun} {wanted}trials: " + ", ".join(counts) + beside


def differing(trials: Iterable[TrialRecord]) -> list[str]:
    """Keys of params that not all trials share with one value, in the order in which they first appear."""
    trials = list(trials)
    keys = dict.fromkeys(key for trial in trials for key in trial.params)
    return [key for key in keys if any(trial.params.get(key, _ABSENT) != trials[0].params.get(key, _ABSENT) for trial in trials)]


_ABSENT = object()


def short_names(keys: Sequence[str]) -> dict[str, str]:
    """Each dotted key with its shortest tail that no other key ends in.

    >>> short_names(["optimizer.lr", "model.name", "optimizer.name"])
    {'optimizer.lr': 'lr', 'model.name': 'model.name', 'optimizer.name': 'optimizer.name'}
    """

    def tails(key: str) -> list[str]:
        parts = key.split(".")
        return [".".join(parts[-length:]) for length in range(1, len(parts) + 1)]

    seen = Counter(tail for key in keys for tail in tails(key))
    return {key: next((tail for tail in tails(key) if seen[tail] == 1), key) for key in keys}


def passed(study: StudyRecord) -> list[tuple[int, int, int]]:
    """(rung's epoch, trials that reached it, trials that went on beyond it) for every rung below the full budget.

    Of a bracket that begins higher, or of a smaller full budget, trials are not compared there, and do not count.
    """
    counts = []
    for place, rung in enumerate(study.rungs[:-1]):
        furthest = [trial.epoch for trial in _of_full_budget(study) if first_rung(trial.number, study.brackets) <= place]
        counts.append((rung, sum(epoch >= rung for epoch in furthest), sum(epoch > rung for epoch in furthest)))
    return counts


def _of_full_budget(study: StudyRecord) -> list[TrialRecord]:
    return [trial for trial in study.trials if full_epochs(trial) == study.rungs[-1]]


def rung_lines(study: StudyRecord) -> list[str]:
    """One line for each rung, with how far its ranking agrees with that of the next; the last one is the full budget."""
    agreeing = dict(zip(study.rungs, (_agreement(study, *pair) for pair in pairwise(study.rungs)), strict=False))
    lines = [f"rung {rung}: {reached} reached it, {on} passed{agreeing[rung]}" for rung, reached, on in passed(study)]
    full = sum(trial.epoch >= study.rungs[-1] for trial in _of_full_budget(study))
    if 0 < study.highest_rung < study.rungs[-1]:
        lines.append(f"promoted up to {plural(study.highest_rung, 'epoch')}: more did not change the ranking (pasha)")
    if study.lowest_rung > study.rungs[0]:
        lines.append(f"compared from {plural(study.lowest_rung, 'epoch')} on: ranks before say too little of those after (adaptive_rungs)")
    if num := sum(phase.source is not None for trial in study.trials for phase in trial.phases):
        taken = f"{num} times a trial went on from another's weights" if num > 1 else "once a trial went on from another's weights"
        lines.append(f"{taken}: its params are those since then, and its recipe says what was before")
    return [*lines, f"full budget of {plural(study.rungs[-1], 'epoch')}: {full} reached it"]


def agreement(study: StudyRecord, low: int, high: int) -> tuple[float, int]:
    """Spearman's rank correlation of the values at two rungs, over the trials that have both, and how many these are; NaN for under three.

    Those that went on are the better ones at the lower rung, among whom ranks agree less than among all.
    """
    pairs = ((trial.values.get(low, math.nan), trial.values.get(high, math.nan)) for trial in _of_full_budget(study))
    both = [pair for pair in pairs if all(map(math.isfinite, pair))]  # one that diverged at a rung has no rank there
    if len(both) < 3 or any(len({*side}) < 2 for side in zip(*both, strict=True)):
        return math.nan, len(both)
    return statistics.correlation(*(_ranks(side) for side in zip(*both, strict=True))), len(both)


def _ranks(values: Sequence[float]) -> list[float]:
    """From 1; equal values share the mean of theirs. SciPy's would cost half a second of imports for each summary."""
    ordered = sorted(values)
    places = {value: place for place, value in enumerate(ordered)}  # of equals the last
    counts = Counter(ordered)
    return [places[value] + 1 - (counts[value] - 1) / 2 for value in values]


def _agreement(study: StudyRecord, low: int, high: int) -> str:
    """Nothing for so few trials that it would say nothing."""
    found, num = agreement(study, low, high)
    if num < MIN_AGREEING or math.isnan(found):
        return ""
    said = f"; of {num} that reached epoch {high} too, ranks agree by {found:.2f}"
    is_low = found < 0.5 and low == study.rungs[0] and not study.lowest_rung  # a lowest rung that may rise looks after itself
    return said + (f": below one half, budget.min_epochs={high} would compare later" if is_low else "")


def failures(study: StudyRecord) -> dict[str, int]:
    """Failed trials by kind, most frequent first."""
    return dict(Counter(trial.kind or "crashed" for trial in study.trials if trial.state == "failed").most_common())


def failure_lines(study: StudyRecord) -> list[str]:
    """Nothing when none failed, else one line."""
    found = failures(study)
    return ["failures: " + ", ".join(f"{count} {kind}" for kind, count in found.items())] if found else []


def sources(study: StudyRecord) -> dict[str, list[TrialRecord]]:
    """Trials by who proposed them, best first."""
    found: dict[str, list[TrialRecord]] = {}
    for trial in ranked(study.trials, study.objective):
        if trial.proposed_by:
            found.setdefault(trial.proposed_by.partition(":")[0], []).append(trial)
    return dict(sorted(found.items(), key=lambda pair: min(trial.number for trial in pair[1])))


def source_lines(study: StudyRecord) -> list[str]:
    """One line for each source of proposals: how many trials, and how far the best of them got."""
    return [f"proposed by {name}: {len(trials)}, {_best_of(trials[0])}" for name, trials in sources(study).items()]


def _best_of(trial: TrialRecord) -> str:
    if trial.value is None:
        return "none of them with a value"
    return f"the best trial {trial.number}, {number(trial.value)} after {plural(trial.epoch, 'epoch')}"


def to_json(study: StudyRecord) -> dict[str, Any]:
    """The study as JSON can carry it, trials best first; a value that is not finite becomes null."""
    content: dict[str, Any] = {
        "study": study.name,
        "objective": asdict(study.objective),
        "num_trials": study.num_trials,
        "driver": None if study.driver is None else study.driver.to_dict(),
        "num_interrupted": study.num_interrupted,
        "ending": None if study.ending is None else asdict(study.ending),
        "best": study.best.number if study.best is not None else None,
        "front": [trial.number for trial in front_of_study(study)],
        "rungs": [{"epochs": rung, "num_reached": reached, "num_passed": on} for rung, reached, on in passed(study)],
        "failures": failures(study),
        "spent": dict(study.spent),
        "forecast": dict(study.forecast),
        "proposed_by": {name: {"num_trials": len(trials), "best": trials[0].number} for name, trials in sources(study).items()},
        "confirmations": [asdict(one) for one in study.confirmations],
        **race_json(study),
        "trials": [asdict(trial) for trial in ranked(study.trials, study.objective)],
    }
    clean = strict(content)
    assert isinstance(clean, dict)
    return clean
