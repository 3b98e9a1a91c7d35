"""Sections of a report that tell of the search."""

from __future__ import annotations

from collections.abc import Sequence

from visiontune.errors import plural
from visiontune.results.plots.figure_table import figure_of
from visiontune.results.plots.params_plots import parallel_coordinates
from visiontune.results.plots.pareto import pareto
from visiontune.results.report.blocks import Block, Code, Plot, Table, Text
from visiontune.results.report.shown_trials import best_trials, said_of_shown
from visiontune.results.report.subject import ReportSubject
from visiontune.results.report.words import COST_WORDS, IN_WORDS, SHARES, between, cost, figure
from visiontune.results.screens.text import number
from visiontune.results.tables.importance_table import best_value, given, importance_lines
from visiontune.results.tables.leaderboard import differing, failure_lines, rung_lines, short_names, source_lines
from visiontune.results.tables.trial_costs import front_of, measured, told
from visiontune.results.tables.winner_lines import curse_of, estimate_of, kept_lines
from visiontune.tuning.records.records import Candidate, TrialRecord, test_figures_of

NUM_OPEN = 10
SCROLLED = 720
"""Pixels that a figure with panels side by side needs."""


def leaderboard(subject: ReportSubject) -> Sequence[Block]:
    """All trials, of very many those that rank first; the best open to see; and how trials went."""
    study, trials = subject.study, best_trials(subject.study)
    names = short_names(differing(study.trials))
    costs = [name for name in told(study) if name in ("num_parameters", "latency_ms", "train_s")]
    header = ("trial", "state", subject.metric, "epochs", *(COST_WORDS[name] for name in costs), "params")
    rows = [
        (
            str(trial.number),
            trial.state,
            figure(subject.metric, trial.value),
            str(trial.epoch),
            *(cost(name, trial.costs.get(name)) for name in costs),
            ", ".join(f"{short}={number(trial.params[key])}" for key, short in names.items() if key in trial.params),
        )
        for trial in trials
    ]
    numeric, long = (0, *range(2, 4 + len(costs))), (4 + len(costs),)
    caption = f"The best of {plural(len(study.trials), 'trial')}: those that got furthest first, by {subject.metric} within"
    behind = len(study.trials) - len(rows)
    cut = f"; {plural(behind, 'trial')} that rank behind these are left out" if behind else ""
    left = f"{plural(len(rows) - NUM_OPEN, 'more trial')}, in the same order{cut}"
    more = (Table("The other trials", header, rows[NUM_OPEN:], numeric, folded=left, long=long),) if len(rows) > NUM_OPEN else ()
    went = Text([*rung_lines(study), *failure_lines(study), *source_lines(study)], is_list=True)
    return Table(caption, header, rows[:NUM_OPEN], numeric, long=long), *more, went


def race(subject: ReportSubject) -> Sequence[Block] | None:
    """The best recipes on fresh seeds, and the winner seed by seed."""
    study, metric = subject.study, subject.metric
    if not study.confirmations:
        return None
    header = ("trial", "in the search", "seeds", "mean", "95 % interval", "search less mean", "best with")
    rows = [_candidate(subject, one) for one in study.candidates]
    caption = f"{metric} of the search's best recipes, trained again in full on fresh seeds that they share"
    race = (Table(caption, header, rows, range(len(header))),) if rows and not study.objective.costs else ()
    seeds = [
        (
            str(one.seed),
            figure(metric, one.val_value),
            figure("test_top1", one.test_figure[1]) if one.is_tested else "-",
            one.failure or "-",
        )
        for one in study.confirmations
    ]
    name = "test accuracy" if test_figures_of(study.tested)[0] == "top1" else "test mean average precision"
    by_seed = Table("The winner by seed", ("seed", metric, name, "failure"), seeds, (0, 1, 2))
    return *race, by_seed, Text([f"{line[:1].upper()}{line[1:]}." for line in kept_lines(study)])


def _candidate(subject: ReportSubject, one: Candidate) -> Sequence[str]:
    found, curse = estimate_of(one.confirmations, subject.metric), curse_of(one)
    ends = ("failed", "-") if found is None else (figure(subject.metric, found.mean), between(subject.metric, found.low, found.high) or "-")
    chance = "-" if one.probability is None else f"{one.probability:.0%}"
    less = "-" if curse is None else _difference(subject, curse)
    return str(one.number), figure(subject.metric, one.search_value), str(found.num_seeds if found else 0), *ends, less, chance


def curves(subject: ReportSubject) -> Sequence[Block]:
    """Learning curves, and what each rung let through."""
    best, study, name = subject.study.best, subject.study, IN_WORDS.get(subject.metric, subject.metric)
    assert best is not None
    says = (
        f"{name[:1].upper()}{name[1:]} by epoch, "
        f"a line for each of {plural(len(subject.shown.trials), 'trial')}; trial {best.number} "
        f"ends highest in the ranking with {figure(subject.metric, best.value)} after {plural(best.epoch, 'epoch')}. "
        f"Rungs are at {', '.join(map(str, study.rungs))} epochs."
    )
    own = [(str(epoch), figure(subject.metric, value)) for epoch, value in sorted(best.values.items())]
    table = Table(f"Trial {best.number} by epoch", ("epoch", subject.metric), own, (0, 1), folded="the best trial's curve as a table")
    says = " ".join(filter(None, (says, said_of_shown(study))))
    budget = f"Where the epochs went: {'; '.join(rung_lines(study))}."
    return Plot("curves", figure_of(subject.shown, "curves"), says), table, Plot("budget", figure_of(study, "budget"), budget)


def importance(subject: ReportSubject) -> Sequence[Block]:
    """What mattered, and to what each value leads."""
    if subject.why is None:
        return (Text([subject.why_no_importance]),)
    found = subject.why.importance
    if not found.params:
        return (Text(importance_lines(found)),)
    names = short_names([one.name for one in found.params])
    mattered = [names[one.name] for one in found.params if one.verdict == "matters"]
    says = f"What matters: {', '.join(mattered) if mattered else 'nothing that is known yet'}. The table below has every figure."
    rows = [
        (
            names[one.name] + (f" (under {given(one)})" if one.given else ""),
            f"{one.share:.0%}",
            f"{100 * one.low:.0f} to {100 * one.high:.0f} %",
            _difference(subject, one.effect),
            str(one.num_trials),
            number(best_value(one, found.mode)) if one.verdict == "matters" else "-",
            one.verdict,
        )
        for one in found.params
    ]
    header = ("param", "share", "90 % interval", "effect", "trials", "best near", "verdict")
    table = Table("Shares of the variance; effect is the best mean less the worst", header, rows, (1, 2, 3, 4), importance_lines(found)[0])
    marginals = f"For each param the mean {found.metric} over all else, by its value, with a 90 % interval."
    among, left = {trial.number for trial in subject.shown.trials}, said_of_shown(subject.study)
    lines = "A line for each trial through the values of its params."
    return (
        Plot("importance", figure_of(subject.study, "importance", found), says),
        table,
        Plot("marginals", figure_of(subject.study, "marginals", found), marginals, SCROLLED),
        Plot("parallel", parallel_coordinates(subject.study, [*names], among), " ".join(filter(None, (lines, left))), SCROLLED),
    )


def _difference(subject: ReportSubject, difference: float) -> str:
    return f"{100 * difference:.1f} points" if subject.metric in SHARES else number(difference)


def costs(subject: ReportSubject) -> Sequence[Block] | None:
    """The objective against what trials cost."""
    study = subject.shown
    wanted = [
        name for name in ("num_parameters", "latency_ms", "train_s") if len({t.costs[name] for t in measured(study.trials, name)}) > 1
    ]
    if not wanted:
        return None
    plots = []
    for name in wanted:
        front = front_of(study, name)
        ends = " and ".join(_on_front(subject, trial, name) for trial in front[:: max(1, len(front) - 1)])
        says = f"No trial is better and costs less than any of {plural(len(front), 'trial')} on the front, whose ends are {ends}."
        plots.append(Plot(f"pareto-{name.replace('_', '-')}", pareto(study, name), says))
    trials = front_of(study, wanted[0])
    shown = told(study)
    rows = [(str(t.number), figure(subject.metric, t.value), *(cost(name, t.costs.get(name)) for name in shown)) for t in trials]
    header = ("trial", subject.metric, *(COST_WORDS[name] for name in shown))
    caption = f"Trials that no other beats in {subject.metric} and {COST_WORDS[wanted[0]]}"
    left = said_of_shown(subject.study)
    return *plots, Table(caption, header, rows, range(len(header))), *((Text([left]),) if left else ())


def _on_front(subject: ReportSubject, trial: TrialRecord, name: str) -> str:
    return f"trial {trial.number} ({figure(subject.metric, trial.value)}, {COST_WORDS[name]} {cost(name, trial.costs[name])})"


def recipe(subject: ReportSubject) -> Sequence[Block]:
    """The winner's recipe to copy, or that of the best so far."""
    from visiontune.spec.yaml.yaml_writer import to_yaml

    best = subject.winner or subject.study.best
    assert best is not None
    text = subject.folder.winner.read_text() if subject.winner is not None else to_yaml(best.recipe)
    return Text(["It is trained again with visiontune train RECIPE.yaml."]), Code("recipe", text, "the recipe")
