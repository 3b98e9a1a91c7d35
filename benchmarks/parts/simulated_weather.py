"""What a cluster may do to a search, drawn at random, and the search itself, in memory."""

from __future__ import annotations

import math
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import optuna
from optuna.storages import InMemoryStorage
from optuna.study import StudyDirection

from parts.simulated_cluster import Cluster
from parts.simulated_machine import Machine
from visiontune.spec.parse import load_study
from visiontune.spec.space.study_spec import StudySpec
from visiontune.tuning.legs.placement import MAX_CRASHES
from visiontune.tuning.records.leg import Leg
from visiontune.tuning.study.study_storage import Storage

RULES: Mapping[str, Mapping[str, Any]] = {
    "asha": {"name": "asha"},
    "asha that stops": {"name": "asha", "stop": True},
    **{name: {"name": name} for name in ("hyperband", "pasha", "adaptive_rungs", "median", "none")},
}
ETA = 3


@dataclass
class Weather:
    """A search by that rule (of RULES) with so many trials and seeds of its confirmation, and its cluster."""

    rule: str
    num_trials: int
    num_seeds: int
    cluster: Cluster


def draw_weather(draw: Random) -> Weather:
    """By hypothesis' random numbers too, which then finds the smallest that breaks a rule."""
    is_alone = draw.random() < 0.3
    first = Machine("sound", epoch_s=draw.choice([3.0, 10.0]))
    others = [] if is_alone else [_machine(draw, number) for number in range(draw.randint(1, 5))]
    for one in [one for one in others if one.loses][MAX_CRASHES - 1 :]:
        one.loses = 0.0  # a trial that only ever meets so many sick machines can't be told from one that kills workers
    cluster = Cluster(
        [first, *others], seed=draw.randint(0, 10_000), save_every=draw.choice([1, 2, 4]), queue_s=draw.choice([0.0, 0.0, 15.0])
    )
    if is_alone and draw.random() < 0.5:
        cluster.kills = _now_and_then(cluster.seed)
    cluster.killed_at = sorted(draw.randint(1, 400) for _ in range(draw.choice([0, 1, 3])))
    cluster.wiped_s = [draw.uniform(0, 900) for _ in range(draw.choice([0, 0, 1, 2]))]
    cluster.says_twice = draw.choice([0.0, 0.0, 0.3])
    cluster.can_grow = any(one.boots_s is not None for one in others)
    return Weather(draw.choice([*RULES]), draw.randint(1, 12), draw.randint(0, 2), cluster)


def _now_and_then(seed: int) -> Callable[[Leg], bool]:
    """A tenth of all legs lose their worker, none of them so often that it is given up."""
    pick, lost = Random(seed), Counter[str]()

    def kills(leg: Leg) -> bool:
        lost[leg.key] += (is_lost := pick.random() < 0.1 and lost[leg.key] < MAX_CRASHES - 1)
        return is_lost

    return kills


def _machine(draw: Random, number: int) -> Machine:
    comes_s, stays_s = draw.choice([0.0, draw.uniform(0, 600)]), draw.choice([math.inf, draw.uniform(10, 900)])
    machine = Machine(f"m{number}", draw.randint(1, 4), draw.choice([0.0, 0.0, 0.0, 0.3, 1.0]), draw.choice([3.0, 10.0, 30.0]))
    machine.start_s, machine.comes_s, machine.goes_s = draw.uniform(1, 20), comes_s, comes_s + stays_s
    kind = draw.choice(["killed", "preempted", "frozen", "boots"])
    if kind == "preempted" and stays_s < math.inf:
        machine.notice_s = 5.0
    if kind == "frozen" and stays_s < math.inf:
        machine.thaws_s = machine.goes_s + draw.uniform(1, 200)
    if kind == "boots":
        machine.goes_s, machine.boots_s, machine.comes_s = math.inf, draw.uniform(5, 200), math.inf
    return machine


@cache
def spec_of(rule: str, num_trials: int, num_seeds: int) -> StudySpec:
    """A file in which a tenth of the rates diverge."""
    space = {
        "model": {"name": {"choice": {"lenet5": {"width": {"int": [1, 4]}}, "cnn": {"depth": {"int": [2, 3]}}}}},
        "optimizer": {"name": "adamw", "lr": {"float": [1e-4, 1.0], "log": True}},
    }
    budget = {"num_trials": num_trials, "min_epochs": 1, "max_epochs": 9, "reduction_factor": ETA}
    about = {
        "study": "weather",
        "data": {"source": "digits"},
        "sampler": {"name": "random", "seed": 1},
        "confirm": {"num_seeds": num_seeds},
    }
    return load_study({**about, "budget": budget, "trial_scheduler": RULES[rule], "space": space})


def searched(spec: StudySpec, cluster: Cluster) -> tuple[Storage, str]:
    """The study of a search on that cluster, in memory, and why it could not go on."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    memory = InMemoryStorage()
    study = memory, memory.create_new_study([StudyDirection.MAXIMIZE], spec.study)
    with tempfile.TemporaryDirectory(dir=_fast_folder()) as folder:
        run, storage = cluster.run(spec, Path(folder), study)
    return storage, run.fatal


@cache
def undisturbed(rule: str, num_trials: int, num_seeds: int) -> Storage:
    """The study of the same search on one machine of one worker, to which nothing happens."""
    return searched(spec_of(rule, num_trials, num_seeds), Cluster([Machine("sound")]))[0]


def _fast_folder() -> str | None:
    return "/dev/shm" if Path("/dev/shm").is_dir() else None
