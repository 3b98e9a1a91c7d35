"""Plain Optuna in two processes on one journal file, mlflow.log_metrics after each epoch: no Ray.

Started by benchmarks/overhead.py; starts itself once for each core. The last line is JSON: {"epochs": [[params, epochs], ...]}. A
trial that fails is FAIL in Optuna, ends its process, the others and this one, and its error stands last on stderr.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any


def worker() -> None:
    """One process: takes trials until there are enough."""
    import mlflow
    import optuna
    import usual
    from optuna.study import MaxTrialsCallback
    from optuna.trial import TrialState

    args = usual.arguments(__doc__).parse_args()
    spec, points = usual.load(args)
    mlflow.set_tracking_uri(f"sqlite:///{args.out.resolve()}/mlflow.db")
    mlflow.set_experiment("digits")

    def objective(trial: optuna.Trial) -> float:
        spec.space.resolve(trial)
        value = 0.0
        with mlflow.start_run():
            mlflow.log_params(trial.params)
            for epoch, metrics in enumerate(usual.train(trial.params, spec, args.pictures), 1):
                mlflow.log_metrics(metrics, step=epoch)
                value = metrics["val_top1"]
                trial.report(value, epoch)
                if epoch < args.max_epochs and trial.should_prune():
                    raise optuna.TrialPruned
        return value

    study = open_study(args)
    states = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING)
    study.optimize(objective, callbacks=[MaxTrialsCallback(len(points), states=states)])


def open_study(args: argparse.Namespace, points: list[dict[str, Any]] | None = None) -> Any:
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
    for point in points or ():
        study.enqueue_trial(point)
    return study


def main() -> None:
    """The parent: enqueue the points, start the processes, count what they trained."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    for name in ("--space", "--pictures", "--points", "--out"):
        parser.add_argument(name, type=Path, required=True)
    parser.add_argument("--max-epochs", type=int, default=9)
    parser.add_argument("--cores", type=int, default=2)
    args = parser.parse_args()
    study = open_study(args, json.loads(args.points.read_text()))
    command = [sys.executable, __file__, "--as-worker", *sys.argv[1:]]
    wait_for([subprocess.Popen(command) for _ in range(args.cores)])
    failed = [trial.number for trial in study.trials if trial.state.name == "FAIL"]
    if failed:
        sys.exit(f"trials {failed} failed")
    print(json.dumps({"epochs": [[trial.params, len(trial.intermediate_values)] for trial in study.trials]}))


def wait_for(processes: list[subprocess.Popen[bytes]]) -> None:
    """Until all have ended, or one has failed: then the others are ended, and this process too."""
    while any(process.poll() is None for process in processes):
        if any(process.returncode for process in processes):
            break
        time.sleep(0.05)
    for process in processes:
        process.kill()
        process.wait()
    if any(process.returncode for process in processes):
        sys.exit("a trial failed: its error stands above")


if __name__ == "__main__":
    if "--as-worker" in sys.argv:
        sys.argv.remove("--as-worker")
        worker()
    else:
        main()
