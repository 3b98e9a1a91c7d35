"""What becomes of an epoch's last, short batch, and whose statistics batch normalisation evaluates with: val_top1 by either choice.

    .venv/bin/python benchmarks/last_batch.py
    .venv/bin/python benchmarks/last_batch.py --seeds 5 --epochs 9

Five small networks with batch normalisation on digits at 16 px, cut to a multiple of the batch and a remainder. `kept` trains on the
remainder as a batch of its own, `dropped` leaves it out, `spread` makes all batches equally large to one picture. All statistics are of the
same training, taken on copies of its network: `running` as the steps left them, `cumulative` the mean over the epoch's last steps, `256`,
`1024` and `all` by a pass over so many training pictures. "Spread of remainders" is the largest difference between the means of two
remainders, beside the standard deviation over seeds. Ranks: recipes of different rates and batches, Spearman's correlation of values with
the last ones. Augmented: statistics of pictures as training augments them, or as they are. Cost: 15 minutes on 2 cores.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import multiprocessing
import os
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from common.result import Result, arguments, parse
from visiontune.spec.declarations.fingerprint import keyed_seed
from visiontune.spec.declarations.trial_recipe import TrialRecipe
from visiontune.spec.parse import load_recipe

MODELS: dict[str, dict[str, Any]] = {
    "cnn": {"name": "cnn", "width": 8},
    "separable cnn": {"name": "cnn", "width": 16, "convolution": "separable", "num_layers": 2},
    "residual cnn": {"name": "cnn", "width": 8, "block": "residual", "num_layers": 2},
    "wideresnet": {"name": "wideresnet", "depth": 10, "width": 1},
    "resnet18": {"name": "resnet18", "width_factor": 0.125, "stem": "small"},
}
BATCH, REMAINDERS, WHOLE = 128, (0, 2, 8, 64), (2, 4, 8)
HANDLINGS = ("kept", "dropped", "spread")
STATISTICS = ("running", "cumulative", "256", "1024", "all")
AUGMENTATION = {"policy": "fixed", "PadAndCrop": {"probability": 1.0, "magnitude": 0.5}, "Rotate": {"probability": 0.8, "magnitude": 0.5}}
CUMULATED = 8


@dataclass(frozen=True)
class Job:
    """One training; `num` are its pictures."""

    table: str
    model: str
    num: int
    seed: int
    remainder: int = 0
    handling: str = "dropped"
    batch: int = BATCH
    lr: float = 0.1
    is_augmented: bool = False


Curves = dict[str, list[float]]
"""val_top1 after each epoch by the kind of statistics."""


def recipe_of(job: Job, epochs: int) -> TrialRecipe:
    """SGD with momentum at a constant rate."""
    return load_recipe(
        {
            "data": {"source": "digits", "image_size": 16},
            "model": MODELS[job.model],
            "optimizer": {"name": "sgd", "momentum": 0.9, "lr": job.lr},
            "training": {"batch_size": job.batch, "num_epochs": epochs, "seed": keyed_seed("benchmarks/last_batch", job.seed)},
            "augmentation": AUGMENTATION if job.is_augmented else {"policy": "none"},
        }
    )


def bounds_of(handling: str, num: int, batch: int) -> list[int]:
    """Where batches begin and end."""
    whole = [*range(0, num + 1, batch)]
    if handling == "spread":
        num_batches = -(-num // batch)
        return [k * num // num_batches for k in range(num_batches + 1)]
    return whole if handling == "dropped" or whole[-1] == num else [*whole, num]


def measured_epochs(job: Job, epochs: int) -> list[int]:
    """The first and the last; of ranks, which train twice as long, the third too."""
    return sorted({1, epochs} if job.table == "remainder" else {1, min(3, 2 * epochs), 2 * epochs})


def run(store_path: Path, epochs: int, job: Job) -> tuple[Job, Curves]:
    """Train it, and evaluate copies of the network with each kind of statistics after each epoch."""
    import numpy as np
    import torch

    from visiontune.data.store.store import Store
    from visiontune.models.transfer import train_mode
    from visiontune.training.evaluate import measure
    from visiontune.training.fresh_statistics import refresh_statistics
    from visiontune.training.input.epoch_order import shuffled
    from visiontune.training.input.open_pictures import open_pictures
    from visiontune.training.setup import set_up

    torch.set_num_threads(1)
    num_epochs = measured_epochs(job, epochs)[-1]
    recipe, store = recipe_of(job, num_epochs), Store.open(store_path)
    seed = recipe.training["seed"]
    setup = set_up(recipe, store, torch.device("cpu"))
    rows_N = np.random.default_rng(seed).permutation(len(setup.train_set))[: job.num]
    bounds = bounds_of(job.handling, job.num, job.batch)
    plain = open_pictures(store, store.train_idx, torch.device("cpu"), preprocessing=setup.preprocessing)
    curves: Curves = defaultdict(list)

    def add(kind: str, batches: Iterator[Any] | None) -> None:
        network = copy.deepcopy(setup.tail)
        if batches is not None:
            refresh_statistics(network, batches)
        curves[kind].append(measure(network, setup.val_set)["top1"])

    for epoch in range(1, num_epochs + 1):
        torch.manual_seed(keyed_seed(seed, "epoch", epoch))
        order_N = rows_N[shuffled(job.num, seed, epoch)]
        train_mode(setup.tail)
        last: list[tuple[Any, Any]] = []
        for step, (x_NCHW, y_N) in enumerate(setup.train_set.batches(order_N, bounds, epoch)):
            last = [*last, (copy.deepcopy(setup.tail), x_NCHW)][-CUMULATED:]
            setup.stepper.step(x_NCHW, y_N, setup.peak_lr, step)
        if epoch not in measured_epochs(job, epochs):
            continue
        add("running", None)
        for kind, num in (("256", 256), ("1024", 1024), ("all", job.num)):
            cut = bounds_of("dropped", min(num, job.num), job.batch)
            add(kind, plain.batches(order_N, cut))
            if job.is_augmented:
                add(f"{kind} augmented", setup.train_set.batches(order_N, cut, epoch))
        if not job.is_augmented:
            cumulated(setup.tail, last)
            curves["cumulative"].append(measure(last[-1][0], setup.val_set)["top1"])
    return job, dict(curves)


def cumulated(network: Any, last: Sequence[tuple[Any, Any]]) -> None:
    """Leave in the last copy the weights of `network`, and the mean of what each copy's layers saw in its own step."""
    import torch

    from visiontune.training.fresh_statistics import trained_norms

    sums: list[tuple[Any, Any]] = []
    for copied, x_NCHW in last:
        norms = trained_norms(copied)
        for norm in norms:
            norm.momentum = 1.0
        with torch.no_grad():
            copied(x_NCHW)
        seen = [(norm.running_mean.clone(), norm.running_var.clone()) for norm in norms]
        sums = [(a + c, b + d) for (a, b), (c, d) in zip(sums, seen, strict=True)] if sums else seen
    final = last[-1][0]
    final.load_state_dict(network.state_dict())
    for norm, (mean, variance) in zip(trained_norms(final), sums, strict=True):
        norm.running_mean.copy_(mean / len(last))
        norm.running_var.copy_(variance / len(last))


def jobs_of(args: argparse.Namespace) -> Iterator[Job]:
    """Of all tables; a remainder of 0 is the same for all handlings."""
    models = list(MODELS)[: args.models]
    for model, whole, seed in itertools.product(models, WHOLE[: args.sizes], range(args.seeds)):
        for handling, remainder in itertools.product(HANDLINGS, REMAINDERS):
            if remainder or handling == HANDLINGS[0]:
                yield Job("remainder", model, whole * BATCH + remainder, seed, remainder, handling)
    for model, lr, batch in itertools.product(models, (0.01, 0.03, 0.1, 0.3), (32, 128)):
        yield Job("ranks", model, 1024, 0, batch=batch, lr=lr)
    for model, seed in itertools.product(models, range(args.seeds)):
        yield Job("augmented", model, 1024, seed, is_augmented=True)


def report(result: Result, found: dict[Job, Curves], epochs: int) -> None:
    """All tables."""
    by_handling: dict[str, dict[str, float]] = {}
    for handling, kind in itertools.product(HANDLINGS, STATISTICS):
        by_handling[f"{handling}, {kind}"] = row_of(found, handling, kind)
    result.table("handling, statistics", by_handling)
    by_network: dict[str, dict[str, float]] = {}
    for model, whole, handling in itertools.product(MODELS, WHOLE, HANDLINGS):
        chosen = [job for job in found if is_of(job, handling) and job.model == model and job.num // BATCH == whole]
        if chosen:
            by_network[f"{model}, {whole} batches, {handling}"] = {
                f"{when} {kind}": statistics.fmean(found[job][kind][k] for job in chosen)
                for k, when in ((0, "first"), (-1, "last"))
                for kind in ("running", "all")
            }
    result.table("network, pictures, handling", by_network)
    result.table("ranks", ranks(found, epochs))
    rows: dict[str, dict[str, float]] = {}
    for job, curves in found.items():
        if job.is_augmented:
            for kind in curves:
                chosen = [found[other][kind] for other in found if other.is_augmented]
                rows[kind] = {
                    f"epoch_{e}_val_top1": statistics.fmean(curve[k] for curve in chosen)
                    for k, e in enumerate(measured_epochs(job, epochs))
                }
    result.table("augmented", rows)


def is_of(job: Job, handling: str) -> bool:
    """Whether the training counts for it: with a remainder of 0, it does for all."""
    return job.table == "remainder" and (job.handling == handling or not job.remainder)


def row_of(found: dict[Job, Curves], handling: str, kind: str) -> dict[str, float]:
    """Means by remainder after the last epoch, their range, the deviation over seeds, and the mean after the first."""
    chosen = {job: curves[kind] for job, curves in found.items() if is_of(job, handling)}
    means = {r: statistics.fmean(curve[-1] for job, curve in chosen.items() if job.remainder == r) for r in REMAINDERS}
    by_seed: dict[Any, list[float]] = defaultdict(list)
    for job, curve in chosen.items():
        by_seed[job.model, job.num].append(curve[-1])
    row = {f"remainder_{r}_val_top1": mean for r, mean in means.items()}
    row |= {"mean": statistics.fmean(means.values()), "spread of remainders": max(means.values()) - min(means.values())}
    row["worst"] = min(curve[-1] for curve in chosen.values())
    if all(len(values) > 1 for values in by_seed.values()):
        row["sd over seeds"] = statistics.fmean(statistics.stdev(values) for values in by_seed.values())
    row["first epoch"] = statistics.fmean(curve[0] for curve in chosen.values())
    return row


def ranks(found: dict[Job, Curves], epochs: int) -> dict[str, dict[str, float]]:
    """Spearman's correlation of an epoch's values with the last values that the whole pass gives."""
    from scipy.stats import spearmanr

    curves = [one for job, one in found.items() if job.table == "ranks"]
    when = next(measured_epochs(job, epochs) for job in found if job.table == "ranks")
    final = [one["all"][-1] for one in curves]
    rows: dict[str, dict[str, float]] = {}
    for kind in STATISTICS:
        rows[kind] = {}
        for k, epoch in enumerate(when):
            values = [one[kind][k] for one in curves]
            rows[kind] |= {
                f"epoch {epoch} val_top1": statistics.fmean(values),
                f"epoch {epoch} rank correlation": float(spearmanr(values, final).statistic),
            }
    return rows


def main() -> None:
    """Every training, in processes of one thread."""
    parser = arguments(__doc__)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--models", type=int, default=len(MODELS), help="the first so many")
    parser.add_argument("--sizes", type=int, default=len(WHOLE), help="the smallest so many")
    parser.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)))
    args = parse(parser, epochs=1, seeds=1, models=1, sizes=1, processes=1)
    from visiontune.data.prepare import prepare

    is_whole = args.models == len(MODELS) and args.sizes == len(WHOLE)
    result = Result("last_batch", args, args.seeds, f"seeds of each training, {args.epochs} epochs", whole=is_whole)
    found: dict[Job, Curves] = {}
    with tempfile.TemporaryDirectory() as folder:
        jobs = list(jobs_of(args))
        store = prepare(recipe_of(jobs[0], args.epochs).data, Path(folder))
        work: Callable[[Job], tuple[Job, Curves]] = partial(run, store, args.epochs)
        with multiprocessing.get_context("spawn").Pool(args.processes) as pool:
            for number, (job, curves) in enumerate(pool.imap_unordered(work, jobs, chunksize=4)):
                found[job] = curves
                if number % 20 == 0:
                    print(f"  {number} of {len(jobs)}: {job}", flush=True)
    report(result, {job: found[job] for job in jobs}, args.epochs)
    result.write()


if __name__ == "__main__":
    main()
