"""Which proposals and which rungs find the best model soonest: rehearsed on recorded learning curves, many seeds.

    .venv/bin/python benchmarks/rehearsal.py                 # the first call records 288 curves: 3 to 6 minutes on 2 cores
    .venv/bin/python benchmarks/rehearsal.py --seeds 40      # curves are kept in a file under the temporary folder
    .venv/bin/python benchmarks/rehearsal.py --record-only

Recorded is every point of a grid (LeNet-5 and CNN, two widths each; SGD and AdamW; nine learning rates; two schedules; two batch
sizes), each trained for 27 epochs on 400 digits. The rehearsal then runs visiontune's own SearchRun, TrialQueue, samplers and
trial schedulers with four workers that look their epochs up, one unit of compute each; rungs 1, 3, 9, 27. Every proposal has a
curve of its own, except that a learning rate, which the samplers see as a continuous range, takes the nearest of the nine levels
(half a decade apart). The figure is the test accuracy of the model with the best validation accuracy so far; `by TPE` is the
share of proposals that a model made, the others were random.

The peer is the stock pair: Ray's own OptunaSearch and ASHAScheduler objects, driven as Tune drives them.
One table of curves, one kind of data: rehearse on your own before you rely on it.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import os
import statistics
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import machine

from visiontune.spec.fingerprint import fingerprint
from visiontune.spec.parse import load_study, make_recipe
from visiontune.spec.study_spec import StudySpec
from visiontune.spec.trial_recipe import TrialRecipe
from visiontune.tuning.records import Leg, Report

NUM_EPOCHS, NUM_WORKERS = 27, 4
LEVELS = tuple(round(10 ** (-4 + k / 2), 8) for k in range(9))
ENDS = (10**-4.25, 10**0.25)
CHANCE = 0.1
STOCK_STARTUP = 10  # random trials before Optuna's TPE, its default
SPACE = f"""
study: rehearsal
data: {{source: digits, max_pictures: 800, val_fraction: 0.5, test_fraction: 0.4, seed: 0}}
objective: {{metric: val_top1}}
budget: {{num_trials: 100000, min_epochs: 1, max_epochs: {NUM_EPOCHS}, reduction_factor: 3}}
confirm: {{num_seeds: 0}}
space:
  model:
    name: {{choice: {{lenet5: {{width: {{choice: [1, 2]}}}}, cnn: {{width: {{choice: [8, 16]}}, depth: 2}}}}}}
  optimizer:
    name: {{choice: {{sgd: {{momentum: 0.9}}, adamw: {{}}}}}}
    lr: {{float: [{ENDS[0]}, {ENDS[1]}], log: true}}
  schedule: {{name: {{choice: [cosine, constant]}}}}
  training: {{batch_size: {{choice: [32, 128]}}}}
"""

KINDS = {
    "random, no stopping": ("random", "none", False),
    "random, ASHA stops": ("random", "asha", True),
    "random, ASHA promotes": ("random", "asha", False),
    "TPE, no stopping": ("tpe", "none", False),
    "TPE, ASHA stops": ("tpe", "asha", True),
    "TPE, ASHA promotes (default)": ("tpe", "asha", False),
}
DEFAULT, STOCK = "TPE, ASHA promotes (default)", "stock pair: OptunaSearch + Ray's ASHA"

Curves = dict[str, list[tuple[float, float]]]
"""(val_top1, test_top1) by epoch, under the key of a recipe; shorter than 27 where training diverged."""


def make_spec(*overrides: str) -> StudySpec:
    """The space, written out and read as any file."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "rehearsal.yaml"
        file.write_text(SPACE)
        return load_study(file, overrides)


def key_of(recipe: TrialRecipe) -> str:
    """Equal for recipes that share a curve: all but the trial's seed, and the learning rate at its nearest level."""
    content = recipe.to_dict()
    lr = min(LEVELS, key=lambda level: abs(math.log(level / content["optimizer"]["lr"])))
    return fingerprint({**content, "optimizer": {**content["optimizer"], "lr": lr}, "training": {**content["training"], "seed": 0}})


def record(cache: Path, num_processes: int) -> Curves:
    """The curves of the whole grid, from the cache if it has them."""
    file = cache / f"visiontune-rehearsal-{fingerprint({'space': SPACE})}.json"
    if not file.exists():
        from visiontune.data.prepare import prepare
        from visiontune.spec.domains import FixedParams

        spec = make_spec(f"space.optimizer.lr={{choice: {list(LEVELS)}}}")
        recipes = [make_recipe(spec, spec.space.resolve(FixedParams(point)), k) for k, point in enumerate(spec.space.grid())]
        store = prepare(spec.data, cache / "visiontune-rehearsal-data")
        print(f"recording {len(recipes)} curves of {NUM_EPOCHS} epochs", flush=True)
        with multiprocessing.get_context("spawn").Pool(num_processes) as pool:
            curves = dict(pool.imap_unordered(partial(curve, store), [recipe.to_dict() for recipe in recipes], chunksize=4))
        file.with_suffix(".tmp").write_text(json.dumps(curves))
        file.with_suffix(".tmp").replace(file)
    return dict(json.loads(file.read_text()))


def curve(store_path: Path, content: dict[str, Any]) -> tuple[str, list[tuple[float, float]]]:
    """Train one recipe in full and test it after every epoch."""
    import torch

    from visiontune.data.store.store import Store
    from visiontune.training.evaluate import measure, open_split
    from visiontune.training.input.fit_preprocessing import fit_preprocessing
    from visiontune.training.loop import Diverged, train

    torch.set_num_threads(1)
    recipe, store = TrialRecipe(**content), Store.open(store_path)
    test = open_split(store, "test", fit_preprocessing(recipe.preprocessing, store), "cpu")
    points: list[tuple[float, float]] = []
    try:
        for epoch in train(recipe, store):
            points.append((epoch.metrics["val_top1"], measure(epoch.model, test)["top1"]))
    except Diverged:
        pass
    return key_of(recipe), points


@dataclass
class Best:
    """The test accuracy of the model with the best validation accuracy so far, after each unit of compute."""

    num_units: int
    history: list[float]
    value: float = -math.inf
    test: float = CHANCE

    def spend(self, point: tuple[float, float] | None) -> None:
        """One epoch of one trial; None where it diverged."""
        if point is not None and point[0] > self.value:
            self.value, self.test = point
        self.history.append(self.test)

    @property
    def is_over(self) -> bool:
        """Whether the compute is spent."""
        return len(self.history) >= self.num_units


def point_at(points: list[tuple[float, float]], epoch: int) -> tuple[float, float] | None:
    """What the curve says at an epoch from 1; None once it diverged."""
    return points[epoch - 1] if epoch <= len(points) else None


def rehearse(curves: Curves, kind: str, num_units: int, seed: int) -> tuple[list[float], float]:
    """One search by visiontune's SearchRun on a storage in memory; its history and the share of proposals by TPE."""
    from optuna.storages import InMemoryStorage
    from optuna.study import StudyDirection

    from visiontune.tuning.search_run import SearchRun
    from visiontune.tuning.study_storage import Storage

    sampler, scheduler, is_stopping = KINDS[kind]
    rule = f"trial_scheduler={{name: {scheduler}{', stop: true' if is_stopping else ''}}}"
    spec = make_spec(f"sampler.name={sampler}", f"sampler.seed={seed}", rule)
    memory = InMemoryStorage()
    storage = Storage(memory, memory.create_new_study([StudyDirection.MAXIMIZE], spec.study))
    session = SearchRun(spec, storage, Path("/nonexistent"), lambda event: None)
    session.num_slots = NUM_WORKERS
    best, legs = Best(num_units, []), dict[str, tuple[Leg, int]]()
    while not best.is_over:
        while (leg := session.next_leg()) is not None:
            legs[leg.key] = (leg, leg.known_epochs + 1)
        for key, (leg, epoch) in list(legs.items()):
            point = point_at(curves[key_of(leg.recipe)], epoch)
            best.spend(point)
            if session.report(key, Report(epoch, {"val_top1": point[0] if point else math.nan}, 0)):
                legs[key] = (leg, epoch + 1)
            else:
                del legs[key]
    by_tpe = [trial.user_attrs["proposed_by"].startswith("tpe") for trial in storage.trials()]
    return best.history[:num_units], statistics.fmean(by_tpe)


def rehearse_stock(curves: Curves, num_units: int, seed: int) -> tuple[list[float], float]:
    """One search by Ray's searcher and scheduler. What diverged has the accuracy of chance, as a user's own loop reports it."""
    from ray.tune.schedulers import ASHAScheduler
    from ray.tune.search.optuna import OptunaSearch

    from visiontune.spec.domains import FixedParams

    spec = make_spec()
    search = OptunaSearch(lambda trial: void(spec.space.resolve(trial)), metric="val_top1", mode="max", seed=seed)
    asha = ASHAScheduler(metric="val_top1", mode="max", max_t=NUM_EPOCHS, grace_period=1, reduction_factor=3)
    best, running, number = Best(num_units, []), dict[str, tuple[Any, list[tuple[float, float]]]](), 0
    while not best.is_over:
        while len(running) < NUM_WORKERS:
            name, number = str(number), number + 1
            params = search.suggest(name)
            trial = SimpleNamespace(trial_id=name, epoch=0)
            asha.on_trial_add(None, trial)
            running[name] = (trial, curves[key_of(make_recipe(spec, spec.space.resolve(FixedParams(params or {})), 0))])
        for name, (trial, points) in list(running.items()):
            trial.epoch += 1
            point = point_at(points, trial.epoch)
            best.spend(point)
            result = {"val_top1": point[0] if point else CHANCE, "training_iteration": trial.epoch}
            if asha.on_trial_result(None, trial, result) == "STOP":
                asha.on_trial_complete(None, trial, result)
                search.on_trial_complete(name, result)
                del running[name]
            else:
                search.on_trial_result(name, result)
    return best.history[:num_units], max(0, number - STOCK_STARTUP) / number


def void(_: Any) -> None:
    """OptunaSearch takes a returned dict for constants."""


def one(curves: Curves, num_units: int, job: tuple[str, int]) -> tuple[str, tuple[list[float], float]]:
    """A job of the pool."""
    import logging

    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    logging.getLogger("ray").setLevel(logging.ERROR)
    kind, seed = job
    return kind, rehearse_stock(curves, num_units, seed) if kind == STOCK else rehearse(curves, kind, num_units, seed)


def spread(values: list[float]) -> str:
    """Mean and standard error."""
    error = statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return f"{statistics.fmean(values):.4f} ({error:.4f})"


def first_reaching(histories: list[list[float]], value: float) -> int | None:
    """Units after which the mean over seeds is at least `value`."""
    means = (statistics.fmean(at) for at in zip(*histories, strict=True))
    return next((units for units, mean in enumerate(means, 1) if mean >= value), None)


def main() -> None:
    """Record once, rehearse every kind with every seed, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=24)
    parser.add_argument("--budgets", type=int, nargs="+", default=[100, 200, 400, 800], help="epochs of all trials together")
    parser.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()), help="folder of the recorded curves")
    parser.add_argument("--record-only", action="store_true")
    args = parser.parse_args()
    curves = record(args.cache, args.processes)
    if args.record_only:
        return
    kinds = [*KINDS, STOCK]
    jobs = [(kind, seed) for seed in range(args.seeds) for kind in kinds]
    found: dict[str, list[list[float]]] = {kind: [] for kind in kinds}
    shares: dict[str, list[float]] = {kind: [] for kind in kinds}
    with multiprocessing.get_context("spawn").Pool(args.processes) as pool:
        for kind, (history, share) in pool.imap_unordered(partial(one, curves, max(args.budgets)), jobs):
            found[kind].append(history)
            shares[kind].append(share)
    show(curves, found, {kind: statistics.fmean(values) for kind, values in shares.items()}, sorted(args.budgets))


def show(curves: Curves, found: dict[str, list[list[float]]], shares: dict[str, float], budgets: list[int]) -> None:
    """The table, and the compute that reaches what the stock pair ends with."""
    finals = sorted(points[-1][1] for points in curves.values() if len(points) == NUM_EPOCHS)
    quartiles = ", ".join(f"{finals[int(share * (len(finals) - 1))]:.3f}" for share in (0.0, 0.25, 0.5, 0.75, 1.0))
    print(machine.line(len(found[STOCK]), "seeds of each kind; in brackets the standard error of the mean"))
    print(f"{len(curves)} curves, {len(curves) - len(finals)} diverged; test accuracy after {NUM_EPOCHS} epochs, quartiles: {quartiles}")
    rows = [
        [kind, *(spread([history[budget - 1] for history in histories]) for budget in budgets), f"{100 * shares[kind]:.0f} %"]
        for kind, histories in found.items()
    ]
    print(machine.table(["proposals + rungs", *(f"{budget} units" for budget in budgets), "by TPE"], rows))
    goal = statistics.fmean(history[-1] for history in found[STOCK])
    stock_units = first_reaching(found[STOCK], goal)
    for kind in KINDS:
        units = first_reaching(found[kind], goal)
        share = "never" if units is None or stock_units is None else f"{units / stock_units:.2f}x ({units} of {stock_units} units)"
        print(f"RATIO {kind} / stock pair, compute to the stock pair's final {goal:.4f}: {share}")


if __name__ == "__main__":
    main()
