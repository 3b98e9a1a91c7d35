"""Plain Optuna in two processes on one journal file, mlflow.log_metrics after each epoch: no Ray.

Started by benchmarks/overhead.py; starts itself once for each core. The last line is JSON: {"epochs": [[params, epochs], ...]}.
"""

from __future__ import annotations

import subprocess
import sys


def worker() -> None:
    """One process: takes trials until there are enough."""
    import mlflow
    import optuna
    import usual
    from optuna.study import MaxTrialsCallback
    from optuna.trial import TrialState

    args = usual.arguments(__doc__).parse_args()
    space, points = usual.load(args)
    mlflow.set_tracking_uri(f"sqlite:///{args.out.resolve()}/mlflow.db")
    mlflow.set_experiment("digits")

    def objective(trial: optuna.Trial) -> float:
        space.resolve(trial)
        value = 0.0
        with mlflow.start_run():
            mlflow.log_params(trial.params)
            for epoch, metrics in enumerate(usual.train(trial.params, space, args.pictures, args.max_epochs), 1):
                mlflow.log_metrics(metrics, step=epoch)
                value = metrics["val_top1"]
                trial.report(value, epoch)
                if epoch < args.max_epochs and trial.should_prune():
                    raise optuna.TrialPruned
        return value

    study = open_study(args)
    states = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING)
    study.optimize(objective, callbacks=[MaxTrialsCallback(len(points), states=states)])


def open_study(args, points=()):  # type: ignore[no-untyped-def]
    """The study on its journal file, made if it is not there; `points` are the first trials."""
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    study = optuna.create_study(
        storage=JournalStorage(JournalFileBackend(str(args.out / "optuna.journal"))),
        study_name="digits",
        direction="maximize",
        sampler=optuna.samplers.TPESampler(),
        pruner=optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=3),
        load_if_exists=True,
    )
    for point in points:
        study.enqueue_trial(point)
    return study


def main() -> None:
    """The parent: enqueue the points, start the processes, count what they trained."""
    import argparse
    import json
    from pathlib import Path

    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    for name in ("--space", "--pictures", "--points", "--out"):
        parser.add_argument(name, type=Path, required=True)
    parser.add_argument("--max-epochs", type=int, default=9)
    parser.add_argument("--cores", type=int, default=2)
    args = parser.parse_args()
    study = open_study(args, json.loads(args.points.read_text()))
    command = [sys.executable, __file__, "--as-worker", *sys.argv[1:]]
    processes = [subprocess.Popen(command) for _ in range(args.cores)]
    failed = [process.wait() for process in processes]
    if any(failed):
        sys.exit(1)
    print(json.dumps({"epochs": [[trial.params, len(trial.intermediate_values)] for trial in study.trials]}))


if __name__ == "__main__":
    if "--as-worker" in sys.argv:
        sys.argv.remove("--as-worker")
        worker()
    else:
        main()
