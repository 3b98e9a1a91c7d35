"""Rules that tie several keys of a study together. A rule is checked only where each of its keys is right by itself."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from visiontune.errors import plural
from visiontune.spec.declarations.depth_rule import problem_of_depth
from visiontune.spec.declarations.domains import Float
from visiontune.spec.reading.condition_rules import ConditionRules
from visiontune.spec.reading.label_rules import label_rules
from visiontune.spec.reading.population_rules import population_rules
from visiontune.spec.reading.section_reader import Reader
from visiontune.spec.reading.value_reader import BAD
from visiontune.spec.space.space import Space
from visiontune.spec.space.study_spec import Budget, rungs_of
from visiontune.spec.tables.metrics import METRICS
from visiontune.spec.tables.search import SAMPLERS, SEVERAL, TRIAL_SCHEDULERS
from visiontune.spec.yaml.yaml_node import Node

NAME = "[A-Za-z0-9][A-Za-z0-9._-]{0,63}"


def check_study(reader: Reader, tree: Mapping[str, Any], root: Node) -> None:
    """Add broken rules to the reader's problems; `tree` is the study with its defaults filled in."""
    if reader.problems.none_under("space"):
        ConditionRules(reader.problems, reader.nodes, Space(tree["space"])).check()
    rules = (*_name(tree), *_mode(tree), *_target(tree), *_budget(tree), *_workers(tree))
    rules += (*_grid(reader, tree), *_warmup(reader, tree), *_views(reader, tree), *_register(tree), *_weights(tree))
    rules = (*rules, *_repeats(reader, tree), *_objectives(tree), *_depth(tree), *label_rules(reader, tree))
    rules += (*population_rules(tree, is_space_right=reader.problems.none_under("space")),)
    for needed, where, rule in rules:
        if reader.problems.none_under(*needed):
            reader.problems.add(reader.nodes.get(where) or reader.nodes.get(where.rpartition(".")[0]) or root, where, rule)


def num_epochs_near(min_epochs: int, max_epochs: int, reduction_factor: int) -> int:
    """The full budget nearest to max_epochs that is min_epochs * reduction_factor^k."""
    low = min_epochs
    while low * reduction_factor <= max_epochs:
        low *= reduction_factor
    high = low * reduction_factor
    return high if high - max_epochs < abs(max_epochs - low) and high <= 100_000 else low


Rule = tuple[tuple[str, ...], str, str]
"""The keys that must be right for it to be checked, where it is broken, what is broken."""


def _name(tree: Mapping[str, Any]) -> Iterator[Rule]:
    name = tree["study"]
    if not isinstance(name, str):
        return
    if not re.fullmatch(NAME, name):
        near = re.sub(r"[^A-Za-z0-9._-]+", "_", name).strip("._-")[:64] or "study"
        rule = "a name has 1 to 64 letters, digits, '.', '_' and '-' and starts with a letter or digit"
        yield ("study",), "study", f"{rule}, but got {name!r}; nearest is {near!r}"
    elif name.startswith("mlflow.db"):
        yield ("study",), "study", f"the name {name!r} belongs to the database beside the studies; choose another"


def _register(tree: Mapping[str, Any]) -> Iterator[Rule]:
    name, num_seeds = tree["register"], tree["confirm"]["num_seeds"]
    if isinstance(name, str) and not re.fullmatch(NAME, name):
        near = re.sub(r"[^A-Za-z0-9._-]+", "_", name).strip("._-")[:64] or "model"
        rule = "a name has 1 to 64 letters, digits, '.', '_' and '-' and starts with a letter or digit"
        yield ("register",), "register", f"{rule}, but got {name!r}; nearest is {near!r}"
    elif isinstance(name, str) and num_seeds == 0:
        rule = "a model is registered once its winner is confirmed, but confirm.num_seeds is 0; nearest is 1"
        yield ("register", "confirm.num_seeds"), "register", rule


def _depth(tree: Mapping[str, Any]) -> Iterator[Rule]:
    depth = tree["data"]["depth"]
    if depth is not BAD and (rule := problem_of_depth(depth)) is not None:
        yield ("data.depth",), "data.depth", rule


def _weights(tree: Mapping[str, Any]) -> Iterator[Rule]:
    confirm = tree["confirm"]
    needed = tuple(f"confirm.{key}" for key in ("num_seeds", "weights", "use_val"))
    if not any(one is BAD for one in confirm.values()) and (problem := problem_of_kept(confirm)):
        yield needed, f"confirm.{problem[0]}", problem[1]


def problem_of_kept(confirm: Mapping[str, Any]) -> tuple[str, str] | None:
    """A key of a section confirm that could only be ignored beside the others, and why; None where there is none."""
    num_seeds, is_mean = confirm["num_seeds"], confirm["weights"] == "soup"
    if confirm["use_val"] and num_seeds == 0:
        return "use_val", "the winner is trained once more after it was confirmed, but num_seeds is 0; nearest is false"
    if confirm["use_val"] and is_mean:
        return "weights", "soup is the mean of the seeds' networks, but use_val keeps one that is trained after them; nearest is best_seed"
    if is_mean and num_seeds < 2:
        return "weights", f"soup is the mean of two seeds or more, but num_seeds is {num_seeds}; nearest is best_seed"
    return None


def _mode(tree: Mapping[str, Any]) -> Iterator[Rule]:
    metric, mode = tree["objective"]["metric"], tree["objective"]["mode"]
    better = METRICS.get(metric)
    if mode is not None and better is not None and mode != better:
        rule = f"{metric} is better when it is {'higher' if better == 'max' else 'lower'}, but got {mode!r}; nearest is {better!r}"
        yield ("objective",), "objective.mode", rule


def _objectives(tree: Mapping[str, Any]) -> Iterator[Rule]:
    """Who compares trials by one objective alone has no part in a search for several."""
    costs = tree["objective"]["costs"]
    for section, table in (("sampler", SAMPLERS), ("trial_scheduler", TRIAL_SCHEDULERS)):
        able, name = [key for key, entry in table.entries.items() if SEVERAL in entry.traits], tree[section]["name"]
        if costs and costs is not BAD and name in table.entries and name not in able:
            said = f"{name} knows one objective, but the study has {1 + len(costs)}: {', '.join((tree['objective']['metric'], *costs))}"
            yield (f"{section}.name", "objective"), f"{section}.name", f"{said}; nearest is {able[0]!r}; choices: {', '.join(able)}"


def _target(tree: Mapping[str, Any]) -> Iterator[Rule]:
    target, metric = tree["budget"]["stop_at"], tree["objective"]["metric"]
    if not isinstance(target, float) or metric not in METRICS:
        return
    low, high = (0.0, math.inf) if metric.endswith("loss") else (0.0, 1.0)
    if not low <= target <= high:
        said = "is never below 0" if metric.endswith("loss") else "lies between 0 and 1"
        yield (
            ("budget.stop_at", "objective.metric"),
            "budget.stop_at",
            f"{metric} {said}, but got {target:g}; nearest is {min(max(target, low), high):g}",
        )


def _budget(tree: Mapping[str, Any]) -> Iterator[Rule]:
    budget = tree["budget"]
    low, high, factor = (budget[key] for key in ("min_epochs", "max_epochs", "reduction_factor"))
    needed = ("budget.min_epochs", "budget.max_epochs", "budget.reduction_factor", "trial_scheduler.name")
    if not all(isinstance(number, int) for number in (low, high, factor)):
        return
    name, got = tree["trial_scheduler"]["name"], f"but got min_epochs={low}, max_epochs={high}"
    if low > high:
        yield needed, "budget.max_epochs", f"`min_epochs <= max_epochs` must hold, {got}; nearest is {low}"
    elif name in TRIAL_SCHEDULERS.entries and rungs_of(name, Budget(low, high, factor))[-1] != high:
        near = num_epochs_near(low, high, factor)
        rungs = ", ".join(str(rung) for rung in Budget(low, near, factor).rungs)
        rule = f"{name} needs max_epochs = min_epochs * reduction_factor^k, {got}, reduction_factor={factor}"
        yield needed, "budget.max_epochs", f"{rule}; nearest max_epochs is {near} (rungs {rungs})"


def _workers(tree: Mapping[str, Any]) -> Iterator[Rule]:
    num, gpus = tree["resources"]["workers_per_trial"], tree["resources"]["gpus_per_trial"]
    if isinstance(num, int) and num > 1 and isinstance(gpus, float) and gpus % 1:
        rule = f"each of {num} workers takes whole GPUs, but got {gpus:g}; nearest is {max(1, round(gpus))}"
        yield ("resources",), "resources.gpus_per_trial", rule


def _repeats(reader: Reader, tree: Mapping[str, Any]) -> Iterator[Rule]:
    """What several networks of one trial can't be."""
    repeats, folds, workers = tree["budget"]["repeats"], tree["data"].get("folds", 1), tree["resources"]["workers_per_trial"]
    if not isinstance(repeats, int) or not isinstance(folds, int) or max(repeats, folds) == 1:
        return
    key, needed = "budget.repeats" if repeats > 1 else "data.folds", ("budget.repeats", "data.folds")
    if min(repeats, folds) > 1:
        rule = f"a fold is a repeat on pictures of its own, but got folds={folds} and repeats={repeats}; leave one of them out"
        yield needed, key, rule
    if isinstance(workers, int) and workers > 1:
        rule = f"several networks of a trial are trained by one worker, but got {workers}; nearest is 1"
        yield (*needed, "resources"), "resources.workers_per_trial", rule
    if reader.problems.none_under("space") and any(Space(tree["space"]).values("regularization.early_stop_epochs")):
        rule = "networks of one trial end together, so early_stop_epochs must be 0 where a trial has several"
        yield (*needed, "space"), "space.regularization.early_stop_epochs", rule


def _grid(reader: Reader, tree: Mapping[str, Any]) -> Iterator[Rule]:
    if tree["sampler"]["name"] != "grid":
        return
    for name, domain, _ in Space(tree["space"]).domains():
        if isinstance(domain, Float) and domain.step is None:
            rule = f"the grid sampler needs a step for every float, but got [{domain.low}, {domain.high}] without one"
            yield ("sampler.name",), f"space.{name}", rule


def _views(reader: Reader, tree: Mapping[str, Any]) -> Iterator[Rule]:
    """Principal components are no pixels: mirrored, they are those of no picture."""
    if tree["confirm"]["test_time"] in ("none", BAD) or not reader.problems.none_under("space", "confirm"):
        return
    if "pca_whitening" in Space(tree["space"]).values("preprocessing.name"):
        rule = f"{tree['confirm']['test_time']} needs pictures, which preprocessing pca_whitening does not leave; nearest is none"
        yield ("confirm.test_time",), "confirm.test_time", rule


def _warmup(reader: Reader, tree: Mapping[str, Any]) -> Iterator[Rule]:
    """A schedule that can never reach its peak would make every other argument of it useless.

    Long ends of a domain may lie beyond the budget, so that a file can be tried with a smaller one.
    """
    longest, where = tree["budget"]["max_epochs"], "space.schedule"
    if not isinstance(longest, int) or not reader.problems.none_under(where, "budget.max_epochs"):
        return
    shortest: dict[str, Mapping[str, Any]] = {}
    for corner in Space(tree["space"]).corners("schedule"):
        shortest[corner["name"]] = min(corner, shortest.get(corner["name"], corner), key=lambda one: _warmup_share(one, longest))
    for section in shortest.values():
        if rule := problem_of_warmup(section, longest):
            yield (where,), where, rule


def problem_of_warmup(schedule: Mapping[str, Any], num_epochs: int) -> str | None:
    """Why the schedule never reaches its peak in so many epochs; None if it does."""
    if (share := _warmup_share(schedule, num_epochs)) < 1:
        return None
    rule = f"{schedule['name']}: warm-up must end before the full budget of {plural(num_epochs, 'epoch')}, but takes {share * num_epochs:g}"
    return f"{rule}; nearest is {num_epochs - 1}"


def _warmup_share(schedule: Mapping[str, Any], num_epochs: int) -> float:
    return float(schedule.get("warmup_share") or (schedule.get("warmup_epochs") or 0) / num_epochs)
