"""What a search will do, as far as its file says it: epochs, rungs, who proposes how many trials; what speaks against its first rung."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from visiontune.errors import plural
from visiontune.results.screens.text import amount
from visiontune.spec.declarations.domains import Choice
from visiontune.spec.reading.population_rules import num_groups
from visiontune.spec.reading.value_reader import listed
from visiontune.spec.space.changing import changing_params, fixed_params
from visiontune.spec.space.epoch_forecast import Cost
from visiontune.spec.space.fit_recipe import fit_to_space
from visiontune.spec.space.study_spec import StudySpec
from visiontune.spec.tables.costs import KNOWN_COSTS
from visiontune.spec.tables.search import LOWEST_RISES, RISES, TRIAL_SCHEDULERS, does_learn
from visiontune.tuning.preflight.get_ready import note_of_precision
from visiontune.tuning.proposals.lessons import counting_share
from visiontune.tuning.proposals.optuna_samplers import fitting_population
from visiontune.tuning.proposals.start_recipes import shortened
from visiontune.tuning.ranking.constraints import Draws, known_bounds, measured_bounds, shown

FEW_STEPS = 40
"""Fewer say little: ranks agree with the last ones by .5 after 8 to 32 steps, by .7 after 24 to 96 (benchmarks/last_batch.py)."""


def epochs(cost: Cost, spec: StudySpec) -> str:
    """How many it takes to train, and within what."""
    given = {unit: limit for unit, limit in spec.budget.limits.items() if unit != "num_trials"}
    limits = [amount(limit, unit) for unit, limit in given.items()]
    within = f"what {' and '.join(limits)} allow{'s' if [*given.values()] == [1] else ''}" if limits else ""
    if cost.expected_epochs is None:
        return within
    bound = "at most " if _rises(spec) else "at least " if _has(spec, LOWEST_RISES) else ""
    return f"{cost.worst_epochs} at worst, {bound}{cost.expected_epochs} expected" + (f", within {within}" if within else "")


def starts(spec: StudySpec) -> list[str]:
    """What is tried before all else, recipes with what of them the space does not have."""
    start = spec.start
    recipes = [one.name + shortened(fit_to_space(spec.space, one.values).said) for one in start.recipes]
    studies = start.studies if isinstance(start.studies, str) else ", ".join(start.studies)
    return [*recipes, *(f"{what} {name}" for what, name in (("portfolio", start.portfolio), ("studies", studies)) if name != "none")]


def rungs(spec: StudySpec) -> str:
    """Where trials are compared, and how many begin where."""
    if spec.is_population:
        points = f"{', '.join(map(str, spec.leg_ends[:-1]))} of {plural(spec.budget.max_epochs, 'epoch')}"
        return f"a population, of which the worst go on from the best ones' weights after {points}"
    listed = f"rungs at {', '.join(str(rung) for rung in spec.rungs)} epoch{'' if spec.rungs == (1,) else 's'}"
    if len(spec.brackets) > 1:
        sizes = [f"{size} at {rung}" for size, rung in zip(spec.brackets, spec.rungs, strict=True)]
        listed += f"; of {plural(sum(spec.brackets), 'trial')} {', '.join(sizes)} begin"
    if _has(spec, LOWEST_RISES) and len(spec.rungs) > 2:
        return f"{listed}, the lowest left out while ranks there say too little"
    return listed + (f", those above {spec.rungs[1]} if rankings ask for them" if _rises(spec) and len(spec.rungs) > 2 else "")


def population_lines(spec: StudySpec) -> tuple[str, ...]:
    """What a population explores, and what its trials keep, by which it falls into groups."""
    if not spec.is_population:
        return ()
    changing = changing_params(spec.space)
    lines = [f"{listed(changing)} {'changes' if len(changing) == 1 else 'change'} where a trial takes another's weights"]
    if fixed := fixed_params(spec.space):
        num = num_groups(spec.space, spec.budget.num_trials or 1)
        groups = f"{num} groups, in each of which trials go on from each other's weights" if num > 1 else "one group"
        lines.append(f"{listed(fixed)} {'stays' if len(fixed) == 1 else 'stay'} as drawn: {groups}")
    return tuple(lines)


def constraint_lines(spec: StudySpec, found: Draws | None) -> tuple[str, ...]:
    """What its constraints leave of a space, and which of them only trials can tell."""
    lines = []
    if found is not None:
        said = " and ".join(f"{name} <= {shown(bound)}" for name, bound in known_bounds(spec.constraints).items())
        lines.append(
            f"{said}: of {plural(found.num, 'recipe')} drawn at random {found.num_refused} cost more, and would be refused untrained"
        )
    if measured := measured_bounds(spec.constraints):
        said = " and ".join(f"{name} <= {shown(bound)}" for name, bound in measured.items())
        lines.append(f"{said}: measured by each trial before its first epoch")
    return tuple(lines)


def objective_lines(spec: StudySpec) -> tuple[str, ...]:
    """What trials are compared by, where that is more than a metric."""
    objective = spec.objective
    if not objective.costs:
        return ()
    how = {name: "known of a recipe" if name in KNOWN_COSTS else "measured before the first epoch" for name in objective.costs}
    costs = [f"{name} (min, {said})" for name, said in how.items()]
    return (f"by {listed([f'{objective.metric} ({objective.mode})', *costs])}; the winner is the best in {objective.metric}",)


def _rises(spec: StudySpec) -> bool:
    return _has(spec, RISES)


def _has(spec: StudySpec, trait: str) -> bool:
    return trait in TRIAL_SCHEDULERS.entries[spec.trial_scheduler["name"]].traits


def proposals(spec: StudySpec) -> str:
    """How many trials will come from where, as far as the file says it: what is known, what is blind, the model, draws at random."""
    known = "the tables' defaults" if spec.sampler["name"] != "grid" else ""
    if num := len(spec.start.recipes):
        known = f"{num} of the file" + (f", {known}" if known else "")
    if spec.sampler["name"] == "grid":
        return f"{known}{known and ', '}the grid's points in order"
    if not does_learn(spec.sampler["name"]):
        return f"{known}, then {_sampler(spec)}"
    num_blind, every = math.ceil(spec.sampler["num_startup"] / counting_share(spec)), spec.sampler["random_every"]
    blind = f", a Sobol sequence for {'at least' if _rises(spec) else 'about'} {plural(num_blind, 'trial')}" if num_blind else ""
    return f"{known}{blind}{_learnt(spec, num_blind, every)}"


def _learnt(spec: StudySpec, num_blind: int, every: int) -> str:
    """What the model proposes after so many trials without one."""
    most, known = spec.budget.num_trials, 1 + len(spec.start.recipes)
    if most is None:
        return f", then {_sampler(spec)}" + (f", but one in {every} at random" if every else "")
    left = most - known - num_blind
    if left <= 0:
        return f": {_sampler(spec)} has nothing to learn from before that, and proposes nothing of {most}"
    drawn = left // every if every else 0
    return f", then {left - drawn} of {most} by {_sampler(spec)}" + (f" and {drawn} at random" if drawn else "")


def _sampler(spec: StudySpec) -> str:
    """Its name, what it treats apart, and what it leaves to another."""
    name, domains = spec.sampler["name"], list(spec.space.domains())
    each = " for each branch" if any(given for _, _, given in domains) else ""
    num_choices = sum(isinstance(domain, Choice) for _, domain, _ in domains)
    if name == "cmaes":
        numbers = f"{len(domains) - num_choices} numbers by cmaes" + (f", a distribution{each}" if each else "")
        return f"{numbers}; choices by tpe" if num_choices else numbers
    if name == "nsga2":
        population = spec.sampler["population"]
        return f"nsga2, generations of {fitting_population(spec) if population == 'auto' else population} values{each}"
    if name == "gp" and each:
        return f"gp, a model{each}"
    return str(spec.sampler["class"] if name == "optuna" else name)


def doubts(spec: StudySpec, num_train: int) -> Iterator[str]:
    """What the budget has no room for; what makes the first rung a poor place to compare trials: few steps, a rate that warms up."""
    yield from _unmet(spec)
    size = max(one["batch_size"] for one in spec.space.corners("training"))
    if size > num_train:
        yield f"batches of {size} are more than the training split, about {plural(num_train, 'picture')}: a step is an epoch"
    if len(spec.rungs) == 1:
        return
    first, steps = spec.rungs[0], max(1, num_train // size)
    if first * steps < FEW_STEPS:
        why = f"under some {FEW_STEPS} values say little"
        yield f"the first rung is after {plural(first * steps, 'step')} of {size}: {why}; {_later_rung(spec.rungs, steps)}"
    longest = max(_warmup_epochs(one, spec.budget.max_epochs) for one in spec.space.corners("schedule"))
    if longest >= first:
        yield f"warm-up takes up to {longest:g} epochs, and the first rung is at {first}: trials are compared before their rate is reached"


def _later_rung(rungs: Sequence[int], steps: int) -> str:
    """The first with enough steps, as a setting; the last one compares no more trials."""
    later = next((rung for rung in rungs[:-1] if rung * steps >= FEW_STEPS), None)
    if later is None:
        return "no rung before the last is after so many: take smaller batches"
    return f"budget.min_epochs={later} is after {later * steps}"


def doubts_of_room(spec: StudySpec, num_cpus: int) -> Iterator[str]:
    """What a machine of so many processors has no room for; a cluster may."""
    cpus, workers = spec.resources.cpus_per_trial, spec.resources.workers_per_trial
    wanted = workers * (cpus if isinstance(cpus, int) else 1)
    if wanted > num_cpus:
        yield f"a trial takes {wanted} processors and this machine has {num_cpus}: it needs a cluster (`address=RAY`), or take less"


def doubts_of_gpu(spec: StudySpec, *, has_gpu: bool) -> Iterator[str]:
    """What a search refuses, or does otherwise than asked, on a machine where a trial gets no GPU; a cluster may have some."""
    gpus = spec.resources.gpus_per_trial
    if has_gpu:
        return
    if isinstance(gpus, float) and gpus > 0:
        yield f"a trial takes {gpus:g} GPUs and this machine has none: a search here is refused; take a cluster (`address=RAY`), or auto"
    if any(one["compile_mode"] != "default" for one in spec.space.corners("training")):
        yield "a compile_mode other than default is for CUDA graphs, and this machine has no GPU: a search here is refused"
    if note := note_of_precision(spec, {"gpu": 0.0}):
        yield note


def _unmet(spec: StudySpec) -> Iterator[str]:
    most, known = spec.budget.num_trials, len(spec.start.recipes) + 1
    if most is not None and known > most:
        room = f"there {'is' if most == 1 else 'are'} {plural(most, 'trial')}"
        yield f"{known} known recipes are to be tried, but {room}: the last ones are not; budget.num_trials={known}"
    if most is not None and spec.budget.patience is not None and spec.budget.patience >= most:
        yield f"a patience of {plural(spec.budget.patience, 'trial')} never ends a search of {most}"


def _warmup_epochs(schedule: Mapping[str, Any], max_epochs: int) -> float:
    return float((schedule.get("warmup_share") or 0.0) * max_epochs or schedule.get("warmup_epochs") or 0)
