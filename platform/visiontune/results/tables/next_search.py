"""What to search next: at most three sentences computed from a study, each with its evidence; none where chance could say as much.

Chance is the hypergeometric one: how often so many of the best trials (or of those that failed, or were left at the first rung) would
share a value if values were dealt to the trials at random. It is held below ALPHA, divided by how many values are looked at.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from visiontune.results.screens.text import number
from visiontune.spec.declarations.brackets import first_rung
from visiontune.spec.declarations.declare import Arg
from visiontune.spec.declarations.domains import Choice
from visiontune.spec.reading.items_reader import declared_at
from visiontune.spec.space.sections import SPACE
from visiontune.spec.space.space import Space
from visiontune.tuning.importance.importance import MIN_FIT, MIN_VALUES, Importance, space_of
from visiontune.tuning.importance.param_cells import ParamCells, SpaceCells
from visiontune.tuning.importance.param_places import is_ordered
from visiontune.tuning.proposals.lessons import UNUSABLE
from visiontune.tuning.ranking.ranking import full_epochs, is_usable, ranked
from visiontune.tuning.records.records import StudyRecord, TrialRecord

ALPHA = 0.05

MIN_BEST = 5
"""Trials that are called the best; a tenth of all, where that is more."""

MOST = 0.6
"""Of the best trials that have a param, those at one end of its range from which on more of it may be better."""

NUM_NAMED = 3
"""Params or values in one sentence."""


def next_search(study: StudyRecord, importance: Importance) -> tuple[str, ...]:
    """At most three sentences: what to drop, what to widen, what to fix; or one that nothing can be said yet.

    The study's plugins must be in use. Raises UserError where its space is none that a file can have today.
    """
    space = space_of(study)
    drops = _sentence("Drop", [*_failing(study, space), *_left_behind(study, space)])
    if importance.num_values < MIN_VALUES:
        return (*drops, f"Too few trials to say more: {importance.num_values} have a value, {MIN_VALUES} are needed for anything.")
    found = (*drops, *_sentence("Widen", _at_an_end(study, space, importance)), *_fixable(study, importance))
    if found and importance.fit >= MIN_FIT:
        return found
    told = f"of the variance of {importance.num_values} trials' values {max(0.0, importance.fit):.0%} can be told from their params"
    return (*found, f"Too few trials to say more: {told}.")


def _sentence(verb: str, parts: Iterable[str]) -> tuple[str, ...]:
    found = [*parts]
    return (f"{verb} {'; '.join(found[:NUM_NAMED])}.",) if found else ()


@dataclass(frozen=True)
class _Value:
    """One value of a choice without order, with the trials that have its param, and which of them have it."""

    said: str
    having: list[TrialRecord]
    own: list[TrialRecord]


def _values(trials: Sequence[TrialRecord], space: Space) -> list[_Value]:
    found = []
    for name, domain, _ in space.domains():
        having = [trial for trial in trials if name in trial.params]
        for value in domain.choices if isinstance(domain, Choice) and not is_ordered(domain) else ():
            own = [trial for trial in having if trial.params[name] == value]
            if own and len(own) < len(having):
                found.append(_Value(f"{name}={number(value)}", having, own))
    return found


def _failing(study: StudyRecord, space: Space) -> Iterator[str]:
    """Choices of which every trial could not be built, did not fit in memory or diverged."""
    trials = [trial for trial in study.trials if _has_failed(trial) or is_usable(trial)]
    values = _values(trials, space)
    for value in values:
        num_failed = sum(map(_has_failed, value.having))
        if all(map(_has_failed, value.own)) and chance(len(value.having), num_failed, len(value.own), len(value.own)) < ALPHA / len(values):
            rest = len(value.having) - len(value.own)
            yield f"{value.said}: all of its {len(value.own)} trials failed, of the other {rest} {num_failed - len(value.own)}"
    yield from _failing_ends(trials, space)


def _failing_ends(trials: Sequence[TrialRecord], space: Space) -> Iterator[str]:
    """Ends of ranges beyond which every trial failed."""
    ranges = [name for name, domain, _ in space.domains() if not isinstance(domain, Choice)]
    for name in ranges:
        having = [trial for trial in trials if name in trial.params]
        usable = [trial.params[name] for trial in having if not _has_failed(trial)]
        for side, end, is_beyond in (("below", min, operator.lt), ("above", max, operator.gt)) if usable else ():
            last, failed = end(usable), len(having) - len(usable)
            num = sum(is_beyond(trial.params[name], last) for trial in having)
            if num and chance(len(having), failed, num, num) < ALPHA / (2 * len(ranges)):
                rest = len(having) - num
                yield f"{name} {side} {number(last)}: all {num} trials there failed, of the other {rest} {failed - num}"


def _has_failed(trial: TrialRecord) -> bool:
    return trial.state == "failed" and trial.kind in UNUSABLE


def _left_behind(study: StudyRecord, space: Space) -> Iterator[str]:
    """Choices of which no trial was promoted from the first rung, where of others many were."""
    rung = study.rungs[0]
    trials = [trial for trial in study.trials if rung < study.rungs[-1] and _is_settled(trial, study)]
    values = _values(trials, space)
    for value in values:
        on = sum(trial.epoch > rung for trial in value.having)
        num, num_own = len(value.having), len(value.own)
        if not any(trial.epoch > rung for trial in value.own) and chance(num, num - on, num_own, num_own) < ALPHA / len(values):
            yield f"{value.said}: none of its {num_own} trials was promoted from epoch {rung}, of the other {num - num_own} {on} were"


def _is_settled(trial: TrialRecord, study: StudyRecord) -> bool:
    """Whether it began at the first rung and was promoted from it or was not."""
    if not is_usable(trial) or full_epochs(trial) != study.rungs[-1] or first_rung(trial.number, study.brackets) > 0:
        return False
    return trial.epoch > study.rungs[0] or trial.state == "pruned" or (study.ending is not None and trial.epoch == study.rungs[0])


def _at_an_end(study: StudyRecord, space: Space, importance: Importance) -> Iterator[str]:
    """Ranges that matter, where most of the best trials lie at an end that is not the last value which the program takes."""
    usable = [trial for trial in ranked(study.trials, study.objective) if is_usable(trial)]
    best, params = usable[: max(MIN_BEST, len(usable) // 10)], {one.name: one for one in importance.params}
    cells = SpaceCells(space)
    places_NP = cells.places(trial.params for trial in usable)
    for column, param in enumerate(cells.params):
        if not is_ordered(param.domain) or param.num < 3 or params[param.name].verdict != "matters":
            continue
        cells_N = param.of(places_NP[:, column])
        for end in (0, param.num - 1):
            num, num_best = int((cells_N >= 0).sum()), int((cells_N[: len(best)] >= 0).sum())
            at, at_best = int((cells_N == end).sum()), int((cells_N[: len(best)] == end).sum())
            wider = _wider(param, is_high=end > 0)
            is_most = num_best >= MIN_BEST and at_best >= MOST * num_best
            if wider and is_most and chance(num, at, num_best, at_best) < ALPHA / (2 * len(cells.params)):
                said = "highest" if end else "lowest"
                yield f"{wider}: {at_best} of the best {num_best} trials are in the {said} {_piece(param)}, of all {num} {at}"


def _piece(param: ParamCells) -> str:
    num = param.domain.num_values()
    return f"{param.num}th of its range" if num is None or num > param.num else f"of its {num} values"


def _wider(param: ParamCells, *, is_high: bool) -> str:
    """What to search in place of the domain, empty where the program takes nothing beyond its end."""
    domain, path = param.domain, param.name.split(".")
    limits = [arg for _, arg in declared_at(path, SPACE.fields) if isinstance(arg, Arg)]
    ends: Sequence[float] = sorted(domain.choices) if isinstance(domain, Choice) else (domain.low, domain.high)
    low, high, is_whole = ends[0], ends[-1], all(isinstance(end, int) for end in ends)
    is_log = isinstance(domain, Choice) or domain.log
    if is_log and low > 0:
        beyond = high * (high / low) ** (1 / 3) if is_high else low / (high / low) ** (1 / 3)
    else:
        beyond = high + (high - low) / 2 if is_high else low - (high - low) / 2
    rounded = float(f"{beyond:.1g}")
    bounds = [arg.high if is_high else arg.low for arg in limits]
    for bound in (bound for bound in bounds if bound is not None):
        rounded = min(rounded, bound) if is_high else max(rounded, bound)
    new = round(rounded) if is_whole else rounded
    if new <= high if is_high else new >= low:
        return ""
    return f"{param.name} {'up' if is_high else 'down'} to about {number(new)} (now {number(high if is_high else low)})"


def _fixable(study: StudyRecord, importance: Importance) -> tuple[str, ...]:
    """Params that do not matter, with the best trial's values."""
    best = study.best.params if study.best is not None else {}
    idle = [one for one in reversed(importance.params) if one.verdict == "does not matter" and one.name in best]
    if not idle:
        return ()
    named = ", ".join(f"{one.name}={number(best[one.name])}" for one in idle[:NUM_NAMED])
    most = max(one.total for one in idle[:NUM_NAMED])
    more = f", and so with {len(idle) - NUM_NAMED} more" if len(idle) > NUM_NAMED else ""
    return (f"Fix {named}{more}: interactions included, no one explains more than {math.ceil(100 * most)}% of the variance.",)


def chance(num: int, num_special: int, num_drawn: int, at_least: int) -> float:
    """That of `num_drawn` out of `num` at least so many are among the `num_special`, drawn without looking.

    >>> chance(10, 5, 2, 2), chance(4, 1, 1, 1), chance(3, 3, 0, 0)
    (0.2222222222222222, 0.25, 1.0)
    """
    ways = range(at_least, min(num_special, num_drawn) + 1)
    return sum(math.comb(num_special, k) * math.comb(num - num_special, num_drawn - k) for k in ways) / math.comb(num, num_drawn)
