"""`visiontune check FILE --run`: what to find out before a search, on the real pictures, in about a minute for small ones.

Recipes are drawn at random from the space, with the choice that is being checked held fixed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict
from typing import Any

import torch

from visiontune.data.store.store import Store
from visiontune.errors import first_line
from visiontune.spec.declarations.domains import Choice, Float, HeldParams
from visiontune.spec.declarations.fingerprint import keyed_seed
from visiontune.spec.declarations.trial_recipe import TrialRecipe
from visiontune.spec.parse import make_recipe
from visiontune.spec.space.study_spec import StudySpec
from visiontune.training.checks import data_checks
from visiontune.training.checks.check import Check
from visiontune.training.checks.cost_check import cost_check, cpus_here, measure_epoch_s, workers_here
from visiontune.training.checks.initial_checks import Start, measure_start, start_checks
from visiontune.training.checks.lr_range_test import NUM_STEPS, RangeTest, compare, range_test
from visiontune.training.checks.nearest_pictures import find_neighbours
from visiontune.training.checks.overfit_check import overfit
from visiontune.training.checks.training_steps import FAILURES, make_step, model_words, without_augmentation
from visiontune.training.setup import set_up
from visiontune.training.train_recipe import find_device

NUM_RECIPES, START_S = 3, 4.0
MAX_SWEEPS, SWEEP_S, FEWEST_STEPS = 8, 8.0, 30
Tell = Callable[[str], None]


def run_checks(spec: StudySpec, store: Store, *, tell: Tell = lambda name: None) -> Iterator[Check]:
    """All checks in turn; `tell` is called with the name of each before it runs."""
    device = torch.device(find_device("cpu" if spec.resources.gpus_per_trial == 0 else "auto"))
    torch.set_num_threads(cpus_here(spec))
    yield from _of_data(store, tell)
    for model in choices(spec, "model.name"):
        yield from _of_model(spec, model, store, device, tell)
    for number, held in enumerate(_sweeps(spec)):
        tell(f"learning rate: {' with '.join(held.values())}")
        yield _sweep(sample_recipe(spec, held, number), rates(spec, held), store, device)
    tell("cost")
    yield from _of_cost(spec, store, device)


def _of_cost(spec: StudySpec, store: Store, device: torch.device) -> Iterator[Check]:
    """Of the networks that can be trained; what can't was told before."""
    found: dict[str, float] = {}
    for model in choices(spec, "model.name"):
        with suppress(*FAILURES):
            found[model] = measure_epoch_s(sample_recipe(spec, {"model.name": model}, 0), store, device)
    if found:
        yield cost_check(spec, found, workers_here(spec))


def choices(spec: StudySpec, name: str) -> list[Any]:
    """What a dotted key such as model.name can be in the space, in all branches; its default where the file does not mention it."""
    return spec.space.values(name)


def sample_recipe(spec: StudySpec, held: dict[str, Any], number: int) -> TrialRecipe:
    """Recipe `number` of the space with these keys at these values, drawn at random otherwise, keyed by the study's seed."""
    seed = keyed_seed(spec.sampler["seed"], "check", number)
    return make_recipe(spec, spec.space.resolve(HeldParams(seed, held=_choosing(spec, held))), number)


def _choosing(spec: StudySpec, held: Mapping[str, Any]) -> dict[str, Any]:
    return spec.space.holding(held) or {}


def _of_data(store: Store, tell: Tell) -> Iterator[Check]:
    yield data_checks.class_counts(store)
    yield data_checks.dummy_score(store) if store.label_sets is None else data_checks.dummy_map(store)
    tell("neighbours")
    neighbours = find_neighbours(store)
    if store.label_sets is None:
        yield data_checks.neighbour_score(store, neighbours)
    tell("repeats")
    yield data_checks.repeats(store)
    yield data_checks.contradictions(store)
    yield data_checks.near_repeats(store, neighbours)


def _of_model(spec: StudySpec, model: str, store: Store, device: torch.device, tell: Tell) -> Iterator[Check]:
    tell(f"step 0: {model}")
    started = time.perf_counter()
    starts: list[Start] = []
    try:
        for number in range(NUM_RECIPES):
            if not starts or time.perf_counter() - started < START_S:
                starts.append(measure_start(sample_recipe(spec, {"model.name": model}, number), store, device))
        yield from start_checks(model, starts, len(store.class_names), has_many=store.label_sets is not None)
        tell(f"one batch: {model}")
        yield overfit(model, sample_recipe(spec, {"model.name": model}, 0), store, device)
    except FAILURES as error:
        yield _unbuilt(model, error)


def _sweeps(spec: StudySpec) -> list[dict[str, Any]]:
    """Each model with each optimizer; where there are over MAX_SWEEPS pairs, each optimizer and up to MAX_SWEEPS models at least once."""
    models, optimizers = choices(spec, "model.name"), choices(spec, "optimizer.name")
    meeting = {one: [model for model in models if _can_meet(spec, model, one)] for one in optimizers}
    meeting = {optimizer: found for optimizer, found in meeting.items() if found}
    pairs = [(model, optimizer) for optimizer, found in meeting.items() for model in found]
    if len(pairs) > MAX_SWEEPS:
        num, names = max(len(meeting), min(len(models), MAX_SWEEPS)), [*meeting]
        turns = [(k, names[k % len(names)]) for k in range(num)]
        pairs = list(dict.fromkeys((meeting[name][k % len(meeting[name])], name) for k, name in turns))
    return [{"model.name": model, "optimizer.name": optimizer} for model, optimizer in pairs]


def _can_meet(spec: StudySpec, model: str, optimizer: str) -> bool:
    """Whether conditions allow both at once."""
    return spec.space.holding({"model.name": model, "optimizer.name": optimizer}) is not None


def rates(spec: StudySpec, held: Mapping[str, Any]) -> tuple[str, float, float]:
    """The param that the rate is with these keys at these values, and its least and greatest value in the file."""
    chosen = _choosing(spec, held)
    for name, item, given in spec.space.places("optimizer.lr"):
        if all(chosen.get(key, value) == value for key, value in given.items()):
            ends = item.ends() if isinstance(item, Float | Choice) else (item,)
            if isinstance(item, Float | Choice) and item.when is not None and item.when.fails(held):
                ends = (item.when.otherwise,)
            return name, min(ends), max(ends)
    raise ValueError("a space without optimizer.lr")


def _sweep(recipe: TrialRecipe, in_file: tuple[str, float, float], store: Store, device: torch.device) -> Check:
    name = f"learning rate: {recipe.model['name']} with {recipe.optimizer['name']}"
    key, low, high = in_file
    try:
        test = sweep(without_augmentation(recipe), store, device, low=min(1e-6, low), high=max(10.0, high))
    except FAILURES as error:
        return _unbuilt(name, error)
    if isinstance(test, float):
        return Check(name, "look", f"a step takes {test:.1f} s here, too long for a sweep", "run the check where the trials will run")
    verdict, hint = compare(low, high, test, key)
    said = f"the loss falls by no more than it varies from batch to batch; the file has {_range(low, high)}"
    if test.suggested is not None:
        said = f"falls from {test.begins:.2g} on, until {test.edge:.2g}; search {_range(*test.suggested)}; the file has {_range(low, high)}"
    figures = {**asdict(test), "suggested": test.suggested, "file": (low, high), "model": model_words(recipe)}
    return Check(name, verdict, said, hint, figures)


def sweep(recipe: TrialRecipe, store: Store, device: torch.device, *, low: float, high: float) -> RangeTest | float:
    """A range test of 30 to 120 steps, in units of the recipe's optimizer.lr; or the seconds of a step, where 30 take over 24 s."""
    setup = set_up(recipe, store, device)
    step, factor = make_step(setup, recipe.training["seed"]), setup.peak_lr / recipe.optimizer["lr"]
    step(0.0)  # the first one pays for memory and kernels
    started = time.perf_counter()
    step(0.0)
    step_s = time.perf_counter() - started
    if step_s * FEWEST_STEPS > 3 * SWEEP_S:
        return step_s
    num_steps = min(NUM_STEPS, max(FEWEST_STEPS, int(SWEEP_S / step_s)))
    return range_test(lambda lr: step(lr * factor), low, high, num_steps)


def _unbuilt(name: str, error: Exception) -> Check:
    return Check(name, "bad", f"can't be set up or trained: {first_line(error)}", "take it out of the space, or give it what it needs")


def _range(low: float, high: float) -> str:
    return f"{low:.2g} to {high:.2g}" if low < high else f"{low:.2g}"
