"""`sampler: {name: optuna, class: ..., kwargs: {...}}`: any sampler with Optuna's interface that can be imported."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import optuna
from optuna.samplers import BaseSampler
from optuna.trial import TrialState, create_trial

from visiontune.errors import Problem, UserError, first_line, nearest
from visiontune.spec.space.study_spec import StudySpec

NUM_TRIED = 12
"""Values after which a class is tried: Optuna's own draw at random before ten."""


def optuna_sampler(spec: StudySpec, seed: int, **named: Any) -> BaseSampler:
    """The class with its kwargs, and the seed where it takes one; `sampler_problems` has told what is wrong with them."""
    return _build(load_class(named["class"]), named["kwargs"], seed)


def sampler_problems(spec: StudySpec) -> Iterator[Problem]:
    """What is wrong with the class and its kwargs; nothing for samplers of the table."""
    if spec.sampler["name"] != "optuna":
        return
    name, kwargs = str(spec.sampler["class"]), spec.sampler["kwargs"]
    try:
        kind = load_class(name)
    except ValueError as error:
        yield _problem(spec, "sampler.class", str(error))
        return
    found = [(f"sampler.kwargs.{key}", rule) for key, rule in _wrong_kwargs(kind, kwargs)]
    if not found:
        found = list(_unable(spec, kind, kwargs))
    for where, rule in found:
        yield _problem(spec, where, rule)


def _unable(spec: StudySpec, kind: type[BaseSampler], kwargs: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Whether it can be built, and propose for this space; whatever its authors raise."""
    try:
        sampler = _build(kind, kwargs, 0)
    except Exception as error:
        yield "sampler.kwargs", f"{kind.__name__} refuses them: {first_line(error)}"
        return
    try:
        _try(sampler, spec)
    except Exception as error:
        yield "sampler.class", f"{kind.__name__} can't propose for this space: {first_line(error)}"


def _try(sampler: BaseSampler, spec: StudySpec) -> None:
    """A proposal without values and one after NUM_TRIED, which another part of most samplers makes."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=sampler)
    _proposed(study, spec)
    study.sampler = optuna.samplers.RandomSampler(seed=0)
    for number in range(NUM_TRIED):
        study.tell(_proposed(study, spec), float(number))
    study.sampler = sampler
    _proposed(study, spec)


def _proposed(study: optuna.Study, spec: StudySpec) -> optuna.Trial:
    """Raises ValueError for a value outside its domain, among others."""
    trial = study.ask()
    spec.space.resolve(trial)
    create_trial(state=TrialState.RUNNING, params=trial.params, distributions=trial.distributions)
    return trial


def could_not_propose(spec: StudySpec, number: int, error: Exception) -> UserError:
    """Of a class that raised something in the middle of a search."""
    name = str(spec.sampler["class"])
    return UserError(_problem(spec, "sampler.class", f"{name} could not propose trial {number}: {first_line(error)}"))


@cache
def load_class(name: str) -> type[BaseSampler]:
    """A sampler's class by module.Class or path/NAME.py:Class. Raises ValueError with a sentence that says what it is instead."""
    file, colon, kind = name.rpartition(":")
    module, dot, last = name.rpartition(".")
    if not (file.endswith(".py") and kind.isidentifier()) and not (dot and last.isidentifier() and not colon):
        raise ValueError(f"must be module.Class or path/NAME.py:Class, but got {name!r}")
    try:
        loaded = _from_file(Path(file)) if colon else importlib.import_module(module)
    except Exception as error:  # a module may raise anything
        raise ValueError(f"{file or module} can't be imported: {first_line(error)}") from error
    wanted = kind if colon else last
    classes = ((key, one) for key, one in vars(loaded).items() if inspect.isclass(one) and one is not BaseSampler)
    samplers = [key for key, one in classes if issubclass(one, BaseSampler)]
    if wanted in samplers:
        return getattr(loaded, wanted)  # type: ignore[no-any-return]
    if hasattr(loaded, wanted):
        raise ValueError(f"must be a sampler (a subclass of optuna.samplers.BaseSampler), but {name} is none; {nearest(wanted, samplers)}")
    raise ValueError(f"{file or module} has no {wanted!r}; {nearest(wanted, samplers)}")


def _from_file(path: Path) -> ModuleType:
    found = importlib.util.spec_from_file_location(path.stem, path)
    if found is None or found.loader is None or not path.is_file():
        raise FileNotFoundError("there is no such file")
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def _wrong_kwargs(kind: type[BaseSampler], kwargs: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """(key, what is wrong) of each that the class does not take, and of each that it needs and does not get."""
    taken = inspect.signature(kind).parameters.values()
    named = {one.name: one for one in taken if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)}
    takes_any = any(one.kind is one.VAR_KEYWORD for one in taken)
    for key in kwargs:
        if key == "seed":
            yield key, "every proposal has a seed of its own; sampler.seed says which"
        elif key not in named and not takes_any:
            yield key, f"{kind.__name__} takes no {key!r}; {nearest(key, [one for one in named if one != 'seed'])}"
    for key, one in named.items():
        if one.default is one.empty and key not in kwargs and key != "seed":
            yield key, f"{kind.__name__} needs {key!r}"


def _build(kind: type[BaseSampler], kwargs: dict[str, Any], seed: int) -> BaseSampler:
    return kind(**kwargs, **({"seed": seed} if "seed" in inspect.signature(kind).parameters else {}))


def _problem(spec: StudySpec, where: str, rule: str) -> Problem:
    return spec.placed(UserError(Problem("", 0, where, rule))).problems[0]
