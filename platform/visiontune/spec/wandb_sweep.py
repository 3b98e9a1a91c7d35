"""A sweep of Weights & Biases as parts of a search-space file (docs.wandb.ai/guides/sweeps/sweep-config-keys)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from visiontune.errors import Problem

METRICS = {
    **dict.fromkeys(
        ("val_acc", "val_accuracy", "valid_acc", "accuracy", "acc", "val_top1", "eval_accuracy", "top1"), ("val_top1", "maximize")
    ),
    **dict.fromkeys(("val_loss", "valid_loss", "eval_loss", "loss"), ("val_loss", "minimize")),
}
SAMPLERS = {"bayes": "tpe", "random": "random", "grid": "grid"}
UNUSED = ("program", "command", "name", "description", "project", "entity", "imageuri", "job")
"""Keys that say how W&B starts and shows a sweep, and nothing of the search."""
_KNOWN = ("method", "metric", "parameters", "early_terminate", "run_cap", *UNUSED)


def is_sweep(content: Any) -> bool:
    """Whether a file's content is one."""
    return isinstance(content, Mapping) and isinstance(content.get("parameters"), Mapping)


def read_sweep(content: Mapping[str, Any], file: str) -> tuple[dict[str, Any], dict[str, Any], list[Problem]]:
    """(domains and constants by name, sections of the study, what can't be said)."""
    problems = [Problem(file, 0, key, "is no key of a sweep that is known here") for key in content if key not in _KNOWN]
    params = {name: domain for name, domain in _params(content["parameters"], "", file, problems) if domain is not None}
    study: dict[str, Any] = {"sampler": {"name": SAMPLERS.get(str(content.get("method", "bayes")), "tpe"), "seed": 0}}
    if content.get("method", "bayes") not in SAMPLERS:
        problems.append(Problem(file, 0, "method", f"must be one of {', '.join(SAMPLERS)}, but got {content['method']!r}"))
    if content.get("run_cap"):
        study["budget"] = {"num_trials": content["run_cap"]}
    if metric := content.get("metric"):
        study["objective"] = _objective(metric, file, problems)
    if early := content.get("early_terminate"):
        study["trial_scheduler"] = {"name": "asha"}
        study["budget"] = {**study.get("budget", {}), **_rungs(early, file, problems)}
    return params, study, problems


def _objective(metric: Mapping[str, Any], file: str, problems: list[Problem]) -> dict[str, str]:
    name, goal = str(metric.get("name")), metric.get("goal", "minimize")
    ours, way = METRICS.get(name.lower().replace("/", "_"), ("", ""))
    if not ours or way != goal:
        known = "val_top1 (maximize) and val_loss (minimize)"
        problems.append(Problem(file, 0, "metric", f"{name} to {goal} is no objective that is known here; give its nearest of {known}"))
    return {"metric": ours}


def _rungs(early: Mapping[str, Any], file: str, problems: list[Problem]) -> dict[str, Any]:
    """W&B's Hyperband stops at brackets min_iter * eta^k; an iteration is what a run logs, taken for an epoch."""
    eta = early.get("eta", 3)
    if early.get("type") != "hyperband" or early.get("strict") or "min_iter" not in early:
        problems.append(
            Problem(file, 0, "early_terminate", "must be {type: hyperband, min_iter: N, eta: N}; other kinds have no counterpart")
        )
    return {"min_epochs": early.get("min_iter", 1), "reduction_factor": eta}


def _params(parameters: Mapping[str, Any], prefix: str, file: str, problems: list[Problem]) -> Iterator[tuple[str, Any]]:
    for name, said in parameters.items():
        where = f"parameters.{prefix}{name}"
        if isinstance(said, Mapping) and isinstance(said.get("parameters"), Mapping):
            yield from _params(said["parameters"], f"{prefix}{name}.", file, problems)
        elif isinstance(said, Mapping):
            yield f"{prefix}{name}", _domain(said, Problem(file, 0, where, ""), problems)
        else:
            problems.append(Problem(file, 0, where, f"must be a mapping with value, values or min and max, but got {said!r}"))


def _domain(said: Mapping[str, Any], place: Problem, problems: list[Problem]) -> Any:
    """A domain as files of ours have it, a constant, or None with a problem."""
    low, high, q = said.get("min"), said.get("max"), said.get("q")
    kind = said.get("distribution") or _default_kind(said)
    if kind == "constant" and "value" in said:
        return said["value"]
    if kind == "categorical" and "values" in said:
        return {"choice": list(said["values"])}
    if isinstance(low, int | float) and isinstance(high, int | float):
        if kind == "int_uniform":
            return {"int": [low, high]}
        if kind == "uniform":
            return {"float": [float(low), float(high)]}
        if kind == "log_uniform_values":
            return {"float": [float(low), float(high)], "log": True}
        if kind == "log_uniform":  # of exponents of e
            return {"float": [math.exp(low), math.exp(high)], "log": True}
        if kind == "q_uniform":
            q = 1 if q is None else q
            is_whole = all(float(one).is_integer() for one in (low, high, q))
            return {"int": [int(low), int(high)], "step": int(q)} if is_whole else {"float": [float(low), float(high)], "step": float(q)}
    rule = f"a distribution {kind} of {dict(said)} has no counterpart; int, float (uniform or log) and choice are what there is"
    problems.append(Problem(place.file, 0, place.where, rule))
    return None


def _default_kind(said: Mapping[str, Any]) -> str:
    if "probabilities" in said:
        return "categorical_w_probabilities"
    if "values" in said:
        return "categorical"
    if "value" in said:
        return "constant"
    return "int_uniform" if all(isinstance(said.get(end), int) for end in ("min", "max")) else "uniform"
