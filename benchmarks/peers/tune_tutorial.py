"""Ray Tune as its tutorials write it: function trainable, OptunaSearch, ASHAScheduler, MLflowLoggerCallback on SQLite.

Started by benchmarks/overhead.py. With --tuned it also sets reuse_actors and max_concurrent_trials, which a user finds
after the first slow run. The last line is JSON: {"epochs": [[params, epochs trained], ...]}. The first trial that fails ends the
search, and this process with the trial's error.
"""

from __future__ import annotations

import json
import sys
from functools import partial
from typing import Any

import ray
import usual
from ray import tune
from ray.air.integrations.mlflow import MLflowLoggerCallback
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.optuna import OptunaSearch


def define(space: Any, trial: Any) -> None:
    """Optuna's define-by-run; Tune pickles it."""
    space.resolve(trial)


def main() -> None:
    """Run the search."""
    parser = usual.arguments(__doc__)
    parser.add_argument("--tuned", action="store_true", help="reuse_actors=True, max_concurrent_trials=cores")
    args = parser.parse_args()
    spec, points = usual.load(args)

    def trainable(config: dict[str, Any]) -> None:
        for metrics in usual.train(config, spec, args.pictures):
            tune.report(metrics)

    ray.init(address="local", num_cpus=args.cores)  # another one may be running
    tuner = tune.Tuner(
        tune.with_resources(trainable, {"cpu": 1}),
        tune_config=tune.TuneConfig(
            metric="val_top1",
            mode="max",
            num_samples=len(points),
            search_alg=OptunaSearch(partial(define, spec.space), metric="val_top1", mode="max", seed=0, points_to_evaluate=points),
            scheduler=ASHAScheduler(time_attr="training_iteration", max_t=args.max_epochs, grace_period=1, reduction_factor=3),
            reuse_actors=args.tuned,
            max_concurrent_trials=args.cores if args.tuned else None,
        ),
        run_config=tune.RunConfig(
            name="digits",
            storage_path=str(args.out.resolve()),
            failure_config=tune.FailureConfig(fail_fast=True),
            callbacks=[MLflowLoggerCallback(tracking_uri=f"sqlite:///{args.out.resolve()}/mlflow.db", experiment_name="digits")],
        ),
    )
    results = tuner.fit()
    if results.errors:
        sys.exit(f"a trial failed: {results.errors[0]}")
    trained = [[result.config, result.metrics["training_iteration"]] for result in results]
    print(json.dumps({"epochs": trained}))


if __name__ == "__main__":
    main()
