"""A study of Optuna's, of whatever program, read for its distributions and its best params."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from visiontune.errors import Problem, UserError, first_line, nearest

_NUM_BEST = 3


@dataclass(frozen=True)
class ForeignStudy:
    """Domains by the names of params, as files of ours have them; the best finished trials' params, best first; what can't be said."""

    name: str
    is_maximized: bool
    domains: dict[str, Any]
    best: tuple[dict[str, Any], ...]
    problems: tuple[Problem, ...]


def read_foreign_study(path: Path, name: str | None = None) -> ForeignStudy:
    """Out of a journal file or a SQLite file. Raises UserError for another file, and where it holds several studies and none is named."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with path.open("rb") as file:
        is_sqlite = file.read(15) == b"SQLite format 3"
    try:  # read-only, as tables would be made in a database that is none of Optuna's
        url = f"sqlite:///file:{quote(str(path.resolve()))}?mode=ro&uri=true"
        storage: Any = optuna.storages.RDBStorage(url) if is_sqlite else JournalStorage(JournalFileBackend(str(path)))
        names = optuna.get_all_study_names(storage)
    except Exception as error:  # SQLAlchemy's, json's and Optuna's own
        raise UserError(f"{path} is no storage of Optuna's: {first_line(error)}") from error
    if not names:
        raise UserError(f"{path} is no storage of Optuna's, or holds no study")
    if (name is None and len(names) > 1) or (name is not None and name not in names):
        said = f"no study {name!r}; {nearest(name, names)}" if name is not None else f"{len(names)} studies: {', '.join(names)}"
        raise UserError(f"{path} holds {said}" + ("" if name is not None else "; name one by `study=NAME`"))
    study = optuna.load_study(study_name=name or names[0], storage=storage)
    if len(study.directions) > 1:
        raise UserError(f"study {study.study_name} has {len(study.directions)} objectives, and a space has one")
    trials = study.get_trials(deepcopy=False)
    if not any(trial.distributions for trial in trials):
        raise UserError(f"study {study.study_name} in {path} has no trial with params")
    is_max = study.direction == optuna.study.StudyDirection.MAXIMIZE
    done = sorted((t for t in trials if t.state == TrialState.COMPLETE), key=lambda t: -t.values[0] if is_max else t.values[0])
    domains, problems = _domains([trial.distributions for trial in trials], str(path))
    return ForeignStudy(study.study_name, is_max, domains, tuple(dict(trial.params) for trial in done[:_NUM_BEST]), tuple(problems))


def _domains(found: list[dict[str, BaseDistribution]], file: str) -> tuple[dict[str, Any], list[Problem]]:
    domains, problems = dict[str, Any](), list[Problem]()
    for name in dict.fromkeys(key for one in found for key in one):
        own = [one[name] for one in found if name in one]
        if any(one != own[0] for one in own[1:]):
            problems.append(
                Problem(file, 0, name, f"was asked of several ranges, such as {own[0]} and {next(o for o in own if o != own[0])}")
            )
        else:
            domains[name] = _plain(own[0])
    return domains, problems


def _plain(one: BaseDistribution) -> Any:
    if isinstance(one, FloatDistribution):
        more: dict[str, Any] = {"log": True} if one.log else {} if one.step is None else {"step": one.step}
        return {"float": [one.low, one.high], **more}
    if isinstance(one, IntDistribution):
        more = {"log": True} if one.log else {} if one.step == 1 else {"step": one.step}
        return {"int": [one.low, one.high], **more}
    assert isinstance(one, CategoricalDistribution)
    return {"choice": list(one.choices)}
