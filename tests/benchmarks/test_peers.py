"""The peers of overhead.py train what a recipe says or refuse it, and a trial of theirs that fails is no fast one."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import pytest
from places import DIGITS

from parts.overhead_runs import Bench, make_database, refuse_unlogged, run_peer
from visiontune.spec.parse import load_study
from visiontune.spec.space.study_spec import StudySpec

NUM_RECIPES = 20


def draw(spec: StudySpec, number: int) -> dict[str, object]:
    """Params of a random trial."""
    import optuna

    trial = optuna.create_study(sampler=optuna.samplers.RandomSampler(number)).ask()
    spec.space.resolve(trial)
    return dict(trial.params)


@pytest.mark.heavy
def test_the_loop_of_the_peers_trains_whatever_the_space_draws(tmp_path: Path) -> None:
    from peers import usual

    random = np.random.default_rng(0)
    arrays = {f"{split}_x": random.integers(0, 256, (64, 16, 16, 1), dtype=np.uint8) for split in ("train", "val")}
    labels = {f"{split}_y": random.integers(0, 10, 64) for split in ("train", "val")}
    np.savez(tmp_path / "pictures.npz", mean=np.array([0.5]), std=np.array([0.3]), **arrays, **labels)
    spec = load_study(DIGITS, ["budget.max_epochs=3"])
    for number in range(NUM_RECIPES):
        epochs = list(usual.train(draw(spec, number), spec, str(tmp_path / "pictures.npz")))
        assert [set(one) for one in epochs] == 3 * [{"train_loss", "val_loss", "val_top1"}]


@pytest.mark.heavy
def test_a_recipe_that_says_more_than_the_loop_reads_is_refused() -> None:
    from peers import usual

    for override, key in (("space.regularization.clip_norm=1.0", "clip_norm"), ("space.augmentation.mixing=mixup", "mixing")):
        spec = load_study(DIGITS, [override])
        with pytest.raises(ValueError, match=key):
            usual.recipe_of(draw(spec, 0), spec)


@pytest.mark.heavy
def test_a_failed_trial_ends_the_benchmark_with_its_error(tmp_path: Path) -> None:
    bench = Bench(tmp_path, DIGITS, num_trials=2, max_epochs=3, cores=1)  # its folder has no pictures
    make_database(bench)
    spec = load_study(DIGITS)
    with pytest.raises(SystemExit, match=r"pictures\.npz") as end:
        run_peer(bench, "optuna", [draw(spec, number) for number in range(2)])
    assert "ended with 1" in str(end.value) and "FileNotFoundError" in str(end.value)


def test_epochs_that_mlflow_does_not_have_end_the_benchmark(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "mlflow.db") as database:
        database.execute("create table metrics (key text, run_uuid text)")
        database.executemany("insert into metrics values ('val_top1', ?)", [("a",), ("a",), ("b",)])
    refuse_unlogged("a peer", [("x", 1), ("y", 2), ("z", 0)], tmp_path)
    with pytest.raises(SystemExit, match=r"trials of \[1, 3\] epochs were reported, but MLflow has \[1, 2\]"):
        refuse_unlogged("a peer", [("x", 1), ("y", 3)], tmp_path)
