"""A population that is trained for real, and what is made of it: a schedule in a file, replays, confirmations, refusals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from population_file import SPACE
from trained_study import train_study

from visiontune import load_study as open_study
from visiontune import replay, train
from visiontune.cli import main
from visiontune.data.store.store import Store
from visiontune.errors import UserError
from visiontune.filesystem.study_folder import StudyFolder
from visiontune.results.rehearsal import rehearse_study
from visiontune.results.tables.leaderboard import rung_lines
from visiontune.spec.declarations.trial_recipe import TrialRecipe
from visiontune.spec.parse import load_recipe, load_study
from visiontune.spec.yaml.yaml_writer import dump_recipe
from visiontune.training.loop import Epoch
from visiontune.training.loop import train as train_loop
from visiontune.tuning.proposals.compared_values import compared_values
from visiontune.tuning.rehearse_search import OwnSearch
from visiontune.tuning.study.event_log import read_events
from visiontune.tuning.study.lineage import lineage
from visiontune.tuning.study.open_storage import create_or_resume

DATA = {"source": "digits", "max_pictures": 200, "val_fraction": 0.2, "test_fraction": 0.2}


WEIGHTS: dict[str, dict[str, torch.Tensor]] = {}
"""Of each recipe after its last epoch, as the search had them."""


def recording(recipe: TrialRecipe, store: Store, **how: Any) -> Iterator[Epoch]:
    for epoch in train_loop(recipe, store, **how):
        if epoch.is_last:
            WEIGHTS[recipe.fingerprint] = {name: tensor.clone() for name, tensor in epoch.model.state_dict().items()}
        yield epoch


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> StudyFolder:
    """Trained for real: of eight small networks some take weights that were taken themselves."""
    space = {
        "model": {"name": "lenet5", "dropout": {"float": [0.0, 0.3]}},
        "optimizer": {"name": "sgd", "momentum": {"float": [0.5, 0.95]}, "lr": {"float": [0.001, 0.3], "log": True}},
        "training": {"batch_size": 32},
    }
    about: dict[str, Any] = {
        **SPACE,
        "trial_scheduler": {"name": "pbt", "interval": 2},
        "space": space,
        "data": DATA,
        "confirm": {"num_seeds": 1, "top": 3},
    }
    return train_study(tmp_path_factory.mktemp("studies"), train=recording, **about)


@pytest.mark.heavy
def test_what_took_weights_is_trained_again_as_one_schedule(folder: StudyFolder, capsys: pytest.CaptureFixture[str]) -> None:
    """All figures of all epochs that made its weights, of whichever trial: equal to the last bit."""
    study = open_study(folder.path)
    trials = {one.number: one for one in study.record.trials}
    lengths = Counter(len(lineage(trials, number, 9)) for number in trials)
    assert max(lengths) >= 3, "one that took what was taken before"
    number = max(trials, key=lambda one: len(lineage(trials, one, 9)))
    found = replay(folder.path, number)
    assert found.is_equal and (found.num_epochs, found.num_figures) == (9, 9 * 4)
    phase = next(one for one in trials[number].phases[1:] if one.source is not None)
    assert main(["show", "pop", "--trial", str(number), "--studies-dir", str(folder.path.parent)]) == 0
    said = capsys.readouterr().out
    assert f"after epoch {phase.epoch} it goes on from trial {phase.source}'s weights of epoch {phase.epoch}, with " in said
    segments = lineage(trials, number, 9)
    assert "epochs that made its weights: " + ", ".join(f"trial {one.number} up to {one.high}" for one in segments) in said
    kinds = Counter(event.kind for event in read_events(folder.events))
    assert kinds["exploits"] == sum(phase.source is not None for one in trials.values() for phase in one.phases)
    assert kinds["restored"] == 0, "each went on from a state that was held, and trained nothing again"
    assert not folder.checkpoints.exists() or not [*folder.checkpoints.iterdir()], "what was held is gone with the last trial"


@pytest.mark.heavy
def test_the_file_of_a_schedule_trains_the_weights_of_its_trial(folder: StudyFolder, tmp_path: Path) -> None:
    """Written, read back and trained from epoch 1: the search's weights to the last bit, and the values of every epoch that is its own."""
    study = open_study(folder.path)
    trial = max(study.record.trials, key=lambda one: len(one.recipe.get("phases", ())))
    dump_recipe(study.recipe(trial.number), tmp_path / "schedule.yaml")
    assert load_recipe(tmp_path / "schedule.yaml") == study.recipe(trial.number)
    epochs = list(train(tmp_path / "schedule.yaml", studies_dir=folder.path.parent))
    weights = epochs[-1].model.state_dict()
    assert trial.recipe["phases"] and all(torch.equal(tensor, weights[name]) for name, tensor in WEIGHTS[trial.fingerprint].items())
    own = [epoch for epoch in epochs if epoch.epoch > trial.phases[-1].epoch]
    assert [epoch.metrics["val_top1"] for epoch in own] == [trial.values[epoch.epoch] for epoch in own]


@pytest.mark.heavy
def test_a_schedule_is_confirmed_on_other_seeds(folder: StudyFolder) -> None:
    study = open_study(folder.path)
    changing = {trial.number for trial in study.record.trials if trial.recipe.get("phases")}
    again = {one.number: one.confirmations for one in study.record.candidates}
    assert changing & again.keys() and all(found and not any(one.failure for one in found) for found in again.values())
    assert study.winner is not None and load_recipe(folder.winner) == study.winner.recipe


@pytest.mark.heavy
def test_what_a_population_can_not_be_asked(folder: StudyFolder) -> None:
    study = open_study(folder.path)
    with pytest.raises(UserError, match="study pop was searched with pbt, which has trials go on from each other's weights"):
        rehearse_study(study.record, {}, num_workers=1, num_seeds=1)
    with pytest.raises(UserError, match="pbt has trials go on from each other's weights, and curves that are recorded have none to give"):
        OwnSearch(load_study(SPACE))
    assert "went on from another's weights: its params are those since then" in "\n".join(rung_lines(study.record))
    with_phases = next(trial for trial in study.record.trials if trial.recipe.get("phases"))
    assert all(number != with_phases.number for number in compared_values(study.record).of)
    with pytest.raises(UserError, match=r"budget\.num_trials: was 8, is now 9"):
        create_or_resume(folder, load_study({**SPACE, "budget": {"num_trials": 9, "max_epochs": 9}}))
