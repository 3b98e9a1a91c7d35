"""Start points out of earlier studies: the few of their best recipes that are good together, by rank, mapped to a space.

A recipe of one study was not tried in the others: there it has the rank of the trial that lies nearest to it. Chosen is by rank, since
values of other pictures, metrics and budgets can't be compared.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from visiontune.errors import Problem, UserError, nearest, plural
from visiontune.filesystem.study_folder import StudiesFolder
from visiontune.spec.declarations.domains import Choice, Domain, FixedParams
from visiontune.spec.declarations.fingerprint import flatten
from visiontune.spec.space.fit_recipe import Fitted, fit_to_space
from visiontune.spec.space.space import Space
from visiontune.spec.space.study_spec import StudySpec
from visiontune.spec.space.tree_walk import recipe_key
from visiontune.tuning.proposals.portfolio import greedy_portfolio
from visiontune.tuning.proposals.start_recipes import StartPoint
from visiontune.tuning.ranking.ranking import is_usable, ranked
from visiontune.tuning.records.records import StudyRecord, TrialRecord
from visiontune.tuning.study.read_study import read_study
from visiontune.tuning.study.study_place import refuse_elsewhere

SIZE = 4
"""Start points that are taken from earlier studies; bad ones then cost little."""

NUM_BEST = 8
"""Recipes of each study among which is chosen, of its best quarter."""

MIN_TRIALS = 4
"""Trials with a value without which a study says nothing of ranks."""


class Elsewhere(Protocol):
    """Studies that lie in no folder here."""

    def names(self) -> Sequence[str]:
        """The newest ones. Raises UserError where it can't be asked."""

    def read(self, name: str) -> StudyRecord | None:
        """As far as start points need it; None where there is no such study. Raises UserError."""


@dataclass(frozen=True)
class _Candidate:
    study: StudyRecord
    trial: TrialRecord
    fitted: Fitted


def earlier_points(
    spec: StudySpec, studies: StudiesFolder, say: Callable[[str], None] = lambda text: None, elsewhere: Elsewhere | None = None
) -> list[StartPoint]:
    """The best few, in the order in which to try them; `say` is told of each study that has too little in common with the space.

    Of studies of one name that of the folder counts, not the one elsewhere.

    Raises UserError with all that is wrong with studies that the file names; with auto they are passed over.
    """
    found = list(_studies(spec, studies, elsewhere, say))
    candidates = [one for study in found for one in _candidates(study, spec.space)]
    for study in found:
        if not any(one.study is study for one in candidates):
            say(f"study {study.name} gives no recipe: too little of its best ones is in this space")
    if not candidates:
        return []
    unlike: dict[frozenset[tuple[str, Any]], _Candidate] = {}
    for one in candidates:  # what is the same here would take a place of the few, and be tried once
        unlike.setdefault(frozenset(one.fitted.params.items()), one)
    candidates = list(unlike.values())
    places = {recipe_key(name, given) for name, _, given in spec.space.domains()}
    tried = [[_at(places, trial) for trial in ranked(study.trials, study.objective)] for study in found]
    ranks_TN = np.array([[_rank_in(trials, one, spec.space) for one in candidates] for trials in tried])
    chosen = greedy_portfolio(ranks_TN, SIZE)
    return [_point(candidates[number], ranks_TN[:, number]) for number in chosen]


def check_studies(spec: StudySpec, studies: StudiesFolder, elsewhere: Elsewhere | None = None) -> None:
    """Raise UserError with all that is wrong with the earlier studies that the file names."""
    if spec.start.studies not in ("none", "auto"):
        for _ in _studies(spec, studies, elsewhere):
            pass


def _studies(
    spec: StudySpec, studies: StudiesFolder, elsewhere: Elsewhere | None, say: Callable[[str], None] = lambda text: None
) -> Iterator[StudyRecord]:
    wanted, here = spec.start.studies, [name for name in studies.names() if name != spec.study]
    if wanted == "none":
        return
    there = _names_there(elsewhere, say) if wanted == "auto" or set(wanted) - set(here) else []
    known = [*here, *(name for name in there if name not in here and name != spec.study)]
    problems: list[Problem] = []
    for name in known if wanted == "auto" else wanted:
        try:
            yield _fit(
                _read(name, studies, str(spec.storage["url"])) if name in here else _read_there(name, elsewhere, studies, known), spec
            )
        except UserError as error:
            problems += [Problem("", 0, "start.studies", problem.rule) for problem in error.problems]
    if problems and wanted != "auto":
        raise UserError(*problems)


def _names_there(elsewhere: Elsewhere | None, say: Callable[[str], None]) -> Sequence[str]:
    try:
        return elsewhere.names() if elsewhere is not None else []
    except UserError as error:
        say(str(error))
        return []


def _read(name: str, studies: StudiesFolder, url: str) -> StudyRecord:
    folder = studies.study(name)
    return read_study(folder, "journal" if folder.journal.is_file() else url)


def _read_there(name: str, elsewhere: Elsewhere | None, studies: StudiesFolder, known: Sequence[str]) -> StudyRecord:
    found = None if elsewhere is None else elsewhere.read(name)
    if found is None:
        refuse_elsewhere(studies, name)
        where = f"{studies.path}{'' if elsewhere is None else ' nor in MLflow'}"
        raise UserError(f"no earlier study {name!r} in {where}" + (f"; {nearest(name, known)}" if known else ", nor any other"))
    return found


def _fit(study: StudyRecord, spec: StudySpec) -> StudyRecord:
    """The study, where it says something of this one. Raises UserError."""
    if study.objective.mode != spec.objective.mode:
        got = f"{study.objective.metric} is better when it is {'higher' if study.objective.mode == 'max' else 'lower'}"
        raise UserError(f"study {study.name} was searched the other way, as {got}: its best are not this study's; leave it out")
    num = sum(is_usable(trial) for trial in study.trials)
    if num < MIN_TRIALS:
        raise UserError(f"study {study.name} has {num} trials with a value, and it takes {MIN_TRIALS} to say what is good; leave it out")
    return study


def _candidates(study: StudyRecord, space: Space) -> Iterator[_Candidate]:
    """The best trials of which more than half of what varies in the space can be kept, the optimizer too, without which a rate is none."""
    trials = ranked((trial for trial in study.trials if is_usable(trial)), study.objective)
    for trial in trials[: min(NUM_BEST, max(1, len(trials) // 4))]:
        fitted = fit_to_space(space, flatten(trial.recipe))
        has_optimizer = space.resolve(FixedParams(fitted.params))["optimizer"]["name"] == trial.recipe["optimizer"]["name"]
        if has_optimizer and fitted.num_kept > fitted.num_moved:
            yield _Candidate(study, trial, fitted)


def _at(places: Collection[str], trial: TrialRecord) -> dict[str, Any]:
    """What a trial has at the keys that vary."""
    return {key: value for key, value in flatten(trial.recipe).items() if key in places}


def _rank_in(trials: Sequence[Mapping[str, Any]], one: _Candidate, space: Space) -> float:
    """0 for the best of a study's trials, which stand first, to 1 for the worst: that of the nearest, which in its own study is itself."""
    domains, asked = _domains_of(one, space), flatten(one.trial.recipe)

    def distance(at: int) -> float:
        return sum(_apart(domain, trials[at].get(key), asked.get(key)) for key, domain in domains.items())

    return min(range(len(trials)), key=distance) / max(1, len(trials) - 1)


def _domains_of(one: _Candidate, space: Space) -> dict[str, Domain]:
    """By keys of the recipe; where a key has several, as a rate of each optimizer, that of the candidate."""
    domains = [(name, recipe_key(name, given), domain) for name, domain, given in space.domains()]
    keys = {key: domain for _, key, domain in domains}
    return keys | {key: domain for name, key, domain in domains if name in one.fitted.params}


def _apart(domain: Domain, a: Any, b: Any) -> float:
    """From 0 to 1: of numbers by the width of the domain, on its own scale; of others whether they differ."""
    if a == b:
        return 0.0
    if isinstance(domain, Choice) or not all(isinstance(one, int | float) for one in (a, b)) or (domain.log and min(a, b) <= 0):
        return 1.0
    scale = math.log if domain.log else float
    return min(1.0, abs(scale(a) - scale(b)) / (scale(domain.high) - scale(domain.low)))


def _point(one: _Candidate, ranks_T: Iterable[float]) -> StartPoint:
    study, trial = one.study, one.trial
    ranks = [float(rank) for rank in ranks_T]
    others = f", in the best {100 * sum(ranks) / len(ranks):.0f} % of {len(ranks)} studies by its neighbours" if len(ranks) > 1 else ""
    reason = (
        f"study {study.name}: trial {trial.number}, {study.objective.metric} {trial.value:.4g} after {plural(trial.epoch, 'epoch')}{others}"
    )
    return StartPoint(f"study.{study.name}.{trial.fingerprint}", reason, one.fitted.params, one.fitted.said)
