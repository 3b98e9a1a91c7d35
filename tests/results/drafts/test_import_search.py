"""Searches of other programs as files of ours: what a sweep and Optuna's own study say, and what has no counterpart."""

from __future__ import annotations

import json
import math
from pathlib import Path

import optuna
import pytest
from places import DIGITS

from visiontune import UserError, import_search
from visiontune.cli import main
from visiontune.spec.declarations.domains import Choice, Float, Int
from visiontune.spec.parse import load_recipe, load_study

SWEEP = """
program: train.py
method: bayes
metric: {name: val_acc, goal: maximize}
run_cap: 40
early_terminate: {type: hyperband, min_iter: 1, eta: 3}
parameters:
  learning_rate: {distribution: log_uniform, min: -9, max: -2}
  batch_size: {values: [32, 64]}
  optimizer: {values: [AdamW, sgd]}
  momentum: {min: 0.8, max: 0.99}
  warmup_epochs: {min: 0, max: 2}
  epochs: {value: 9}
"""
REST = ["data.source=digits", "space.model.name=lenet5", "space.schedule.name=cosine"]


def test_a_sweep_becomes_a_space(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "sweep.yaml").write_text(SWEEP)
    out = tmp_path / "space.yaml"
    assert main(["import", str(tmp_path / "sweep.yaml"), *REST, "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "learning_rate is optimizer.lr" in said and "nothing of the search: program" in said
    spec = load_study(out)
    assert (spec.budget.num_trials, spec.rungs, spec.objective.metric, spec.sampler["name"]) == (40, (1, 3, 9), "val_top1", "tpe")
    optimizer = spec.space.tree["optimizer"]
    assert optimizer["lr"] == Float(math.exp(-9), math.exp(-2), log=True), "W&B's ends of log_uniform are exponents"
    assert optimizer["name"].choices == ("adamw", "sgd") and optimizer["name"].branches["sgd"]["momentum"] == Float(0.8, 0.99)
    assert "momentum" not in optimizer["name"].branches["adamw"]
    assert spec.space.tree["schedule"]["warmup_epochs"] == Int(0, 2) and spec.space.tree["training"]["batch_size"] == Choice((32, 64))
    with pytest.raises(UserError, match="is there already"):
        import_search(tmp_path / "sweep.yaml", REST, out=out)


def test_what_has_no_counterpart_is_named_all_at_once(tmp_path: Path) -> None:
    lines = ["  hidden_dim: {values: [64, 128]}", "  seed: {values: [1, 2]}", "  dropout: {distribution: normal, mu: 0.1, sigma: 0.1}"]
    (tmp_path / "sweep.yaml").write_text(SWEEP.replace("method: bayes", "method: annealing") + "\n".join(lines))
    with pytest.raises(UserError) as told:
        import_search(tmp_path / "sweep.yaml", REST, out=tmp_path / "space.yaml")
    for what in ("hidden_dim", "seed: sampler.seed says it", "distribution normal", "method: must be one of bayes, random, grid"):
        assert what in str(told.value)
    assert not (tmp_path / "space.yaml").exists()
    (tmp_path / "own.yaml").write_text(DIGITS.read_text())
    rules = (("space.py", "is code, which is not run"), ("gone.yaml", "there is no file"), ("own.yaml", "is a search space already"))
    for name, rule in rules:
        with pytest.raises(UserError, match=rule):
            import_search(tmp_path / name)
    (tmp_path / "junk.db").write_text("no storage")
    with pytest.raises(UserError, match="is no storage of Optuna's"):
        import_search(tmp_path / "junk.db")


@pytest.mark.parametrize("is_sqlite", [False, pytest.param(True, marks=pytest.mark.heavy)])
def test_optunas_study_becomes_a_space_that_begins_with_its_best(tmp_path: Path, is_sqlite: bool) -> None:
    file = tmp_path / "study.db"
    backend = optuna.storages.journal.JournalFileBackend(str(file))
    storage = f"sqlite:///{file}" if is_sqlite else optuna.storages.JournalStorage(backend)
    study = optuna.create_study(storage=storage, study_name="mine", direction="minimize", sampler=optuna.samplers.RandomSampler(0))

    def objective(trial: optuna.Trial) -> float:
        if trial.suggest_categorical("optimizer", ["sgd", "adamw"]) == "sgd":
            trial.suggest_float("momentum", 0.8, 0.99)
        trial.suggest_int("model.width", 1, 4)
        return trial.suggest_float("lr", 1e-4, 0.1, log=True)

    study.optimize(objective, n_trials=5)
    before = file.read_bytes()
    found = import_search(file, [*REST, "budget.num_trials=9", "budget.max_epochs=9"], out=tmp_path / "space.yaml")
    assert file.read_bytes() == before and "begins with its best 3" in found.said
    spec = load_study(tmp_path / "space.yaml")
    assert (spec.study, spec.objective.metric, spec.objective.mode) == ("mine", "val_loss", "min")
    assert spec.space.tree["optimizer"]["lr"] == Float(1e-4, 0.1, log=True) and spec.space.tree["model"]["width"] == Int(1, 4)
    assert spec.start.recipes[0].values["optimizer.lr"] == study.best_params["lr"]
    with pytest.raises(UserError, match="no study 'mime'; nearest is 'mine'"):
        import_search(file, study="mime")


@pytest.mark.parametrize("kind", ["space", "recipe"])
def test_what_to_type_for_what_is_missing_can_be_typed(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file = Path("sweep.yaml" if kind == "space" else "params.json")
    domains = {"learning_rate": {"min": 0.1, "max": 0.5}} if kind == "space" else {"lr": 0.1}
    file.write_text(json.dumps({"parameters": domains} if kind == "space" else domains))
    with pytest.raises(UserError) as told:
        import_search(file, [])
    words = str(told.value.problems[-1]).partition("such as ")[2].split()
    assert {"data.source=folder", "data.path=pictures"} < {*words}
    import_search(file, words, out=Path("out.yaml"))
    with pytest.raises(UserError, match=r"nearest is '(max|num)_epochs'") as told:
        import_search(file, [*words, "budget.max_epoch=3" if kind == "space" else "training.num_epoch=3"], out=Path("more.yaml"))
    assert "such as" not in str(told.value)


def test_a_trials_params_become_a_recipe(tmp_path: Path) -> None:
    (tmp_path / "params.json").write_text(json.dumps({"lr": 0.01, "optimizer": "sgd", "momentum": 0.9, "train": {"batch_size": 16}}))
    with pytest.raises(UserError, match=r"train\.batch_size: is no param"):
        import_search(tmp_path / "params.json")
    (tmp_path / "params.json").write_text(json.dumps({"lr": 0.01, "optimizer": "sgd", "momentum": 0.9, "epochs": 3}))
    words = ["data.source=digits", "model.name=lenet5", "training.seed=0"]
    found = import_search(tmp_path / "params.json", words, out=tmp_path / "recipe.yaml")
    recipe = load_recipe(found.path)
    assert (recipe.optimizer["lr"], recipe.optimizer["momentum"], recipe.training["num_epochs"]) == (0.01, 0.9, 3)
