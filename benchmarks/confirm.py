"""What finding the winner on fresh seeds costs and gains: the race, other rules, in simulated studies and in three real ones.

    .venv/bin/python benchmarks/confirm.py
    .venv/bin/python benchmarks/confirm.py --recipes 16 --seeds 9

Simulated: 12 trials in full, true values normal with so many standard deviations of the seeds' noise; the three best of the search
run. "Gain" is the true value of the chosen one beyond the search's best in those deviations, "cost" trainings in full. Real: random recipes
of three spaces on digits (16 px), each trained on several seeds; each seed plays the search once, the others, in 30 orders, are the fresh
ones. Gains are means over all seeds of the recipe that is chosen beyond the search's best, in points of accuracy on val, by which it is
chosen, and on test. Cost: some 8 minutes on 2 cores.
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
import statistics
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.result import Result, arguments, parse
from visiontune.spec.declarations.domains import RandomParams
from visiontune.spec.declarations.fingerprint import keyed_seed
from visiontune.spec.declarations.trial_recipe import TrialRecipe
from visiontune.spec.parse import load_study, make_recipe
from visiontune.tuning.ranking.race import Runner, leader, next_runners

TOP, NUM_SEEDS, NUM_TRIALS, ORDERS = 3, 3, 12, 30
SPREADS = (0.5, 1.0, 2.0, 4.0)
LR = {"float": [0.003, 0.3], "log": True}
SGD = {"name": "sgd", "momentum": 0.9, "lr": LR}
SPACES: dict[str, dict[str, Any]] = {
    "cnn, sgd": {"model": {"name": "cnn", "width": 8, "dropout": {"float": [0.0, 0.5]}}, "optimizer": SGD},
    "lenet5, adamw": {
        "model": {"name": "lenet5", "activation": {"choice": ["relu", "elu", "tanh"]}},
        "optimizer": {"name": "adamw", "lr": {"float": [3e-4, 3e-2], "log": True}},
    },
    "residual cnn, augmented": {
        "model": {"name": "cnn", "width": 8, "block": "residual"},
        "optimizer": SGD,
        "augmentation": {"policy": {"choice": {"none": {}, "trivialaugment": {}}}},
    },
}
Values = NDArray[np.float64]
Rule = Callable[[Values, Values], tuple[int, int]]
"""Takes the search's values of the candidates, best first, and theirs on fresh seeds (candidates, seeds); gives choice and trainings."""


def search_alone(searched: Values, fresh: Values) -> tuple[int, int]:
    """What was done before: the search's best has its seeds."""
    return 0, NUM_SEEDS


def halving(searched: Values, fresh: Values) -> tuple[int, int]:
    """One seed for all, a second for the better two, the third for the better of these."""
    two = sorted(range(len(fresh)), key=lambda k: -fresh[k, 0])[:2]
    return max(two, key=lambda k: float(fresh[k, :2].mean())), len(fresh) + 2 + NUM_SEEDS - 2


def all_seeds(searched: Values, fresh: Values) -> tuple[int, int]:
    """Every seed for each."""
    return int(fresh[:, :NUM_SEEDS].mean(1).argmax()), NUM_SEEDS * len(fresh)


def race(searched: Values, fresh: Values) -> tuple[int, int]:
    """The program's."""
    runners = [Runner(float(value), {}) for value in searched]
    cost = 0
    while chosen := next_runners(runners, NUM_SEEDS):
        place = chosen[0]
        seed, cost = runners[place].next_seed, cost + 1
        runners[place] = Runner(runners[place].searched, {**runners[place].values, seed: float(fresh[place, seed])})
    return leader(runners) or 0, cost


RULES: dict[str, Rule] = {"search alone": search_alone, "halving": halving, "race": race, "all": all_seeds}


def simulated(num: int) -> dict[str, dict[str, float]]:
    """Gain and cost by spread and rule."""
    rows: dict[str, dict[str, float]] = {}
    for spread, (name, rule) in itertools.product(SPREADS, RULES.items()):
        generator, gains, costs = np.random.default_rng(1), [], []
        for _ in range(num):
            true = generator.normal(0, spread, NUM_TRIALS)
            searched = true + generator.normal(0, 1, NUM_TRIALS)
            best = np.argsort(-searched)[:TOP]
            fresh = true[best][:, None] + generator.normal(0, 1, (TOP, NUM_SEEDS))
            chosen, cost = rule(searched[best], fresh)
            gains.append(float(true[best][chosen] - true[best][0]))
            costs.append(float(cost))
        error = statistics.stdev(gains) / num**0.5
        rows[f"spread {spread:g}, {name}"] = {"gain": statistics.fmean(gains), "gain_se": error, "trainings": statistics.fmean(costs)}
    return rows


@dataclass(frozen=True)
class Job:
    """A recipe of a space, by its number, on a seed."""

    space: str
    number: int
    seed: int


def recipe_of(job: Job, epochs: int) -> TrialRecipe:
    """As a search's own random one would be."""
    tree = {
        "study": "confirm",
        "data": {"source": "digits", "image_size": 16, "val_fraction": 0.2},
        "budget": {"num_trials": 1, "min_epochs": epochs, "max_epochs": epochs},
        "space": {**SPACES[job.space], "schedule": {"name": "cosine"}, "training": {"batch_size": 64}},
    }
    spec = load_study(tree)
    recipe = make_recipe(spec, spec.space.resolve(RandomParams(keyed_seed(0, job.space, job.number))), 0)
    return TrialRecipe(**{**recipe.to_dict(), "training": {**recipe.training, "seed": keyed_seed(0, "seed", job.seed)}})


def run(store_path: Path, epochs: int, job: Job) -> tuple[Job, float, float]:
    """Top1 on val and on test after the last epoch; 0 where training diverged."""
    import torch

    from visiontune.data.store.store import Store
    from visiontune.errors import Diverged
    from visiontune.training.evaluate import evaluate
    from visiontune.training.loop import train

    torch.set_num_threads(1)
    store = Store.open(store_path)
    try:
        *_, last = train(recipe_of(job, epochs), store)
    except Diverged:
        return job, 0.0, 0.0
    how: dict[str, Any] = {"preprocessing": last.preprocessing, "arithmetic": last.arithmetic, "use_full_metrics": False}
    return job, last.metrics["val_top1"], evaluate(last.model, store, "test", **how)["top1"]


def row_of(val_RS: Values, test_RS: Values, rule: Rule) -> dict[str, float]:
    """Of one space; (recipes, seeds)."""
    generator, found = np.random.default_rng(0), []
    for searcher, _ in itertools.product(range(val_RS.shape[1]), range(ORDERS)):
        fresh = generator.permutation([seed for seed in range(val_RS.shape[1]) if seed != searcher])
        best = np.argsort(-val_RS[:, searcher], kind="stable")[:TOP]
        chosen, cost = rule(val_RS[best, searcher], val_RS[best][:, fresh])
        gain = [float(100 * (table[best[chosen]].mean() - table[best[0]].mean())) for table in (val_RS, test_RS)]
        curse = float(100 * (val_RS[best[0], searcher] - val_RS[best[0], fresh].mean()))
        found.append((*gain, float(cost), curse))
    val, test, costs, curses = (statistics.fmean(column) for column in zip(*found, strict=True))
    return {"val_gain_points": val, "test_gain_points": test, "trainings": costs, "winners_curse_points": curses}


def tables(found: Sequence[tuple[Job, float, float]], recipes: int, seeds: int) -> dict[str, dict[str, float]]:
    """A row for each space and rule."""
    rows: dict[str, dict[str, float]] = {}
    for space in {job.space: None for job, *_ in found}:
        val_RS, test_RS = np.zeros((recipes, seeds)), np.zeros((recipes, seeds))
        for job, val, test in found:
            if job.space == space:
                val_RS[job.number, job.seed], test_RS[job.number, job.seed] = val, test
        rows |= {f"{space}, {name}": row_of(val_RS, test_RS, rule) for name, rule in RULES.items()}
    return rows


def main() -> None:
    """Both tables, the trainings in processes of one thread."""
    parser = arguments(__doc__)
    parser.add_argument("--studies", type=int, default=1000, help="simulated ones")
    parser.add_argument("--recipes", type=int, default=12)
    parser.add_argument("--seeds", type=int, default=7)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--spaces", type=int, default=len(SPACES), help="the first so many")
    parser.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)))
    args = parse(parser, studies=3, recipes=3, seeds=4, epochs=1, spaces=1, processes=1)
    from visiontune.data.prepare import prepare

    result = Result("confirm", args, args.seeds, "seeds of each recipe", whole=args.spaces == len(SPACES))
    result.table("simulated", simulated(args.studies))
    spaces = list(SPACES)[: args.spaces]
    jobs = [Job(*one) for one in itertools.product(spaces, range(args.recipes), range(args.seeds))]
    with tempfile.TemporaryDirectory() as folder:
        work = partial(run, prepare(recipe_of(jobs[0], args.epochs).data, Path(folder)), args.epochs)
        with multiprocessing.get_context("spawn").Pool(args.processes) as pool:
            found = list(pool.imap_unordered(work, jobs, chunksize=4))
    result.table("studies", tables(found, args.recipes, args.seeds))
    result.write()


if __name__ == "__main__":
    main()
