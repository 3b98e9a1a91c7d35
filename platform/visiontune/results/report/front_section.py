"""The section of a report that tells of the front, where a study has several objectives."""

from __future__ import annotations

from collections.abc import Sequence

from visiontune.errors import plural
from visiontune.results.plots.pareto import pareto
from visiontune.results.report.blocks import Block, Plot, Table, Text
from visiontune.results.report.subject import ReportSubject
from visiontune.results.report.words import COST_WORDS, between, cost, figure
from visiontune.results.tables.winner_lines import estimate_of
from visiontune.spec.reading.value_reader import listed
from visiontune.tuning.ranking.front import front_of_study
from visiontune.tuning.records.records import TrialRecord


def front(subject: ReportSubject) -> Sequence[Block] | None:
    """The trials that no other beats in all objectives, with what some of them are worth on fresh seeds, beside each cost."""
    study, names = subject.study, subject.study.objective.costs
    trials = front_of_study(study) if names else []
    if not trials:
        return None
    is_known = any(one.confirmations for one in study.candidates)
    fresh = ("fresh seeds", "mean on these", "95 % interval") if is_known else ()
    header = ("trial", *(COST_WORDS[name] for name in names), f"{subject.metric} in the search", *fresh)
    rows = [
        (
            str(one.number),
            *(cost(name, one.costs[name]) for name in names),
            figure(subject.metric, one.value),
            *(_fresh(subject, one) if is_known else ()),
        )
        for one in trials
    ]
    those = f"{plural(len(trials), 'trial')} that no other beats in one of {listed(study.objective.names)} without being worse in another"
    plots = [Plot(f"front-{name.replace('_', '-')}", pareto(study, name, of_study=True), _says(subject, trials, name)) for name in names]
    return *plots, Table(f"The front: {those}", header, rows, range(len(header))), Text(_where(subject))


def _fresh(subject: ReportSubject, trial: TrialRecord) -> tuple[str, str, str]:
    own = next((one.confirmations for one in subject.study.candidates if one.number == trial.number), ())
    found = estimate_of(own, subject.metric)
    if found is None:
        return "-", "failed" if own else "-", "-"
    return str(found.num_seeds), figure(subject.metric, found.mean), between(subject.metric, found.low, found.high) or "-"


def _says(subject: ReportSubject, trials: Sequence[TrialRecord], name: str) -> str:
    ends = sorted(trials, key=lambda one: one.costs[name])
    told = " to ".join(
        f"trial {one.number} ({cost(name, one.costs[name])}, {figure(subject.metric, one.value)})" for one in ends[:: max(1, len(ends) - 1)]
    )
    bars = " Bars are the 95 % interval on fresh seeds, where a recipe was trained on them." if subject.study.candidates else ""
    reaches = "reaches from" if len(ends) > 1 else "is"
    return f"By {COST_WORDS[name]} the front {reaches} {told}.{bars}"


def _where(subject: ReportSubject) -> list[str]:
    chosen = len(subject.study.candidates)
    lines = [f"{plural(chosen, 'recipe')} spread over the front {'were' if chosen > 1 else 'was'} trained again."] if chosen else []
    return [*lines, "Recipes are files of the study's folder front/, as are the weights of those that were trained again."]
