"""The first screen of a report: who won, how good it is, what it cost, what to do next."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from visiontune.errors import plural
from visiontune.inference.intervals import wilson_interval
from visiontune.results.report.subject import ReportSubject
from visiontune.results.report.words import IN_WORDS, between, cost, count, figure, size
from visiontune.results.screens.text import duration, number


@dataclass(frozen=True)
class Fact:
    """One figure of the first screen: its name, the figure, and what is to be known of it."""

    name: str
    figure: str
    more: str = ""


@dataclass(frozen=True)
class Answer:
    """`sentence` is the whole answer; `next_steps` are sentences, `commands` what they are done with, by what they do."""

    sentence: str
    facts: tuple[Fact, ...]
    next_steps: tuple[str, ...]
    commands: tuple[tuple[str, str], ...]


def answer_of(subject: ReportSubject) -> Answer:
    """Of a study with a trial that has a value."""
    facts = (*_test(subject), *_validation(subject), *_search(subject), *_network(subject))
    next_steps = () if subject.why is None else subject.why.next_search
    return Answer(_sentence(subject), facts, next_steps, tuple(_commands(subject)))


def _sentence(subject: ReportSubject) -> str:
    study, best = subject.study, subject.study.best
    assert best is not None
    if subject.winner is None:
        begun = f"{plural(study.num_begun, 'trial')} so far"
        reached = f"{figure(subject.metric, best.value)} {_metric(subject)} after {plural(best.epoch, 'epoch')}"
        return f"The search has not ended: {begun}, of which trial {best.number} is the best, with {reached}."
    winner, network = subject.winner, subject.winner.recipe["model"]["name"]
    right = _test_counts(subject)
    if right is not None:
        share = figure("test_top1", right[0] / right[1])
        return f"Trial {winner.number} has won: its {network} gets {share} of {right[1]:,} test pictures right."
    if (tested := subject.test.get("metrics", {}).get("test_map")) is not None:
        return f"Trial {winner.number} has won: its {network} has {figure('test_top1', tested)} test mean average precision."
    fresh = subject.fresh
    value, seeds = (winner.value, "") if fresh is None else (fresh.mean, f" over {plural(fresh.num_seeds, 'fresh seed')}")
    return f"Trial {winner.number} has won: its {network} has {figure(subject.metric, value)} {_metric(subject)}{seeds}."


def _metric(subject: ReportSubject) -> str:
    return IN_WORDS.get(subject.metric, subject.metric)


def _test_counts(subject: ReportSubject) -> tuple[int, int] | None:
    """How many test pictures the kept weights get right, of how many."""
    if not subject.test.get("support") or not subject.test["confusion"]:
        return None
    return sum(row[label] for label, row in enumerate(subject.test["confusion"])), sum(subject.test["support"])


def _test(subject: ReportSubject) -> Iterator[Fact]:
    counts = _test_counts(subject)
    if counts is not None:
        interval = between("test_top1", *wilson_interval(*counts))
        num, met = f"over {plural(counts[1], 'picture')}", subject.study.num_tests
        often = f", which a winner has met {plural(met, 'time')}" if met > 1 else ""
        yield Fact("test accuracy", figure("test_top1", counts[0] / counts[1]), f"95 % interval {interval}, {num}{often}")
    elif (found := subject.test.get("metrics", {}).get("test_map")) is not None:
        f1 = figure("test_top1", subject.test["metrics"]["test_macro_f1"])
        yield Fact("test mean average precision", figure("test_top1", found), f"F1 {f1}, mean over classes at their thresholds")


def _validation(subject: ReportSubject) -> Iterator[Fact]:
    name, fresh = _metric(subject), subject.fresh
    shown = subject.winner or subject.study.best
    assert shown is not None
    best = figure(subject.metric, shown.value)
    if fresh is None:
        yield Fact(
            name, best, f"the best of {plural(subject.study.num_begun, 'trial')}, which flatters it: not trained again on fresh seeds"
        )
        return
    ends = between(subject.metric, fresh.low, fresh.high)
    interval = f"95 % interval of the mean {ends}, " if ends else ""
    chance = next((one.probability for one in subject.study.candidates if one.number == shown.number), None)
    rivals = len(subject.study.candidates)
    is_best = (
        f"; the best of {rivals} recipes with probability {chance:.0%}"
        if chance is not None and rivals > 1 and not subject.study.objective.costs
        else ""
    )
    yield Fact(
        name, figure(subject.metric, fresh.mean), f"{interval}over {plural(fresh.num_seeds, 'fresh seed')}; {best} in the search{is_best}"
    )


def _search(subject: ReportSubject) -> Iterator[Fact]:
    study = subject.study
    spent = {name: sum(trial.costs.get(name, 0.0) for trial in study.trials) for name in ("train_s", "gpu_hours", "price")}
    epochs = plural(sum(trial.epoch for trial in study.trials), "epoch")
    epochs += (
        f" (with retrainings {study.spent.get('epochs', 0):.0f}, forecast {study.forecast['epochs']})"
        if study.forecast.get("epochs")
        else ""
    )
    more = [epochs, *([f"{duration(spent['train_s'])} of training"] if spent["train_s"] else [])]
    more += [f"{number(spent['gpu_hours'])} GPU hours"] if spent["gpu_hours"] else []
    more += [f"a price of {number(spent['price'])}"] if spent["price"] else []
    yield Fact("the search", plural(study.num_begun, "trial"), ", ".join(more))


def _network(subject: ReportSubject) -> Iterator[Fact]:
    trial = subject.winner or subject.study.best
    assert trial is not None
    if "num_parameters" not in trial.costs:
        return
    more = [f"{count(trial.costs['multiply_adds'])} multiply-adds a picture"] if "multiply_adds" in trial.costs else []
    file = subject.folder.winner_weights
    if subject.winner is not None and file.exists():
        more.append(f"a file of {size(file.stat().st_size)}")
    more += [f"{cost('latency_ms', trial.costs['latency_ms'])} a picture"] if "latency_ms" in trial.costs else []
    yield Fact("the network", f"{count(trial.costs['num_parameters'])} parameters", ", ".join(more))


def _commands(subject: ReportSubject) -> Iterator[tuple[str, str]]:
    name = subject.study.name
    if subject.winner is None:
        yield "see how it stands", f"visiontune show {name}"
        return
    if subject.folder.winner_weights.exists():
        yield "ask it about your own pictures", f"visiontune predict {name} PICTURES"
        yield "try it on another labelled set", f"visiontune evaluate {name} DATA"
        yield "take it away", f"visiontune export {name}"
