"""A trial trained again beside its record, and what a study tells of one trial's life."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from simulated_search import drive, make_spec, report
from trained_study import train_study

from visiontune import UserError, evaluate, load_study, replay, train
from visiontune.cli import main
from visiontune.filesystem.study_folder import StudyFolder
from visiontune.tuning.search.search_run import SearchRun
from visiontune.tuning.study.driver_lock import driver_lock
from visiontune.tuning.study.open_storage import create_or_resume
from visiontune.tuning.study.trial_history import Place

pytestmark = pytest.mark.heavy


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> StudyFolder:
    """Its winner is trained in full and confirmed on one seed."""
    return train_study(tmp_path_factory.mktemp("studies"), confirm={"num_seeds": 1})


def changed(folder: StudyFolder, to: Path, old: str, new: str) -> Path:
    """A copy of the study with another text in its journal, and the same pictures."""
    (to / folder.name).mkdir()
    (to / folder.name / folder.lock.name).touch()
    (to / ".data").symlink_to(folder.path.parent / ".data")
    for path in folder.path.glob("*.jsonl"):
        (to / folder.name / path.name).write_text(path.read_text())
    journal = re.sub(r',"crc":\d+}', "}", folder.journal.read_text())  # lines of a version that wrote no sums
    assert old in journal
    (to / folder.name / folder.journal.name).write_text(journal.replace(old, new))
    return to / folder.name


def test_a_replay_is_equal_to_the_last_bit(folder: StudyFolder, capsys: pytest.CaptureFixture[str]) -> None:
    study = load_study(folder.path)
    assert study.best is not None and study.best.epoch == 3
    found = replay(folder.path, np.int64(study.best.number), epochs=np.int64(3))
    assert json.loads(json.dumps(found.to_dict()))["num_epochs"] == 3
    assert found.is_equal and (found.num_epochs, found.num_figures) == (3, 3 * 4), "val_top1, val_loss, train_loss and lr, from the outbox"
    assert main(["replay", "small", str(study.best.number), "--epochs", "1", "--studies-dir", str(folder.path.parent)]) == 0
    assert "all 4 figures are equal to the last bit" in capsys.readouterr().out
    for epochs, rule in ((4, "has 3 epochs to compare, but got epochs=4; nearest is 3"), (0, "epochs must be")):
        with pytest.raises(UserError, match=rule):
            replay(folder.path, study.best.number, epochs=epochs)


def test_a_record_of_another_training_is_told_apart(folder: StudyFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Dropout that differs by a hundredth is another training, although nothing else in the record tells of it."""
    best = load_study(folder.path).best
    assert best is not None
    rate = best.params["model.dropout"]
    other = changed(folder, tmp_path, f'"dropout":{rate}', f'"dropout":{rate + 0.01}')
    found = replay(other, best.number)
    assert not found.is_equal and found.difference is not None and found.difference.epoch == 1
    assert found.difference.recorded == pytest.approx(found.difference.replayed, abs=0.2) and found.difference.metric != "lr"
    assert main(["replay", "small", str(best.number), "--epochs", "1", "--json", "--studies-dir", str(tmp_path)]) == 1
    assert json.loads(capsys.readouterr().out)["difference"]["epoch"] == 1


def test_other_pictures_are_refused(folder: StudyFolder, tmp_path: Path) -> None:
    digest = '"pictures":{"digest":"'
    with pytest.raises(UserError, match="study small had other pictures"):
        replay(changed(folder, tmp_path, digest, f"{digest}0"), 0)


def test_a_trials_life(folder: StudyFolder, capsys: pytest.CaptureFixture[str]) -> None:
    study = load_study(folder.path)
    assert study.best is not None
    life = study.trial(study.best.number)
    (rung,) = life.rungs
    values = sorted((trial.values[1] for trial in study.record.trials), reverse=True)
    assert (rung.epoch, rung.num_there, rung.num_may, rung.went_on) == (1, 3, 1, True) and rung.mark == values[0]
    assert rung.place == values.index(rung.value) + 1
    assert [place.num_threads for place in life.history.places] == [1] * len(life.history.places) and life.history.places[0].epoch == 1
    assert set(life.history.epoch_s) == {1, 2, 3} and "full budget of 3 epochs" in str(life)
    assert main(["show", "small", "--trial", "0", "--json", "--studies-dir", str(folder.path.parent)]) == 0
    assert json.loads(capsys.readouterr().out)["proposed_by"] == study.trials["proposed_by"][0]


def test_lost_workers_are_part_of_a_life(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path / "made")
    folder.path.mkdir()
    spec = make_spec(folder.path, 2)
    run = SearchRun(spec, create_or_resume(folder, spec), folder, lambda event: None)
    leg = run.next_leg()
    assert leg is not None
    run.lost(leg.key, "the node is gone")
    place = {"node": "node3", "num_threads": 2, "gpu": "H200"}
    *_, events = drive(spec, folder.path, answer=lambda leg, epoch, value: replace(report(leg, epoch, value), place=place))
    study = load_study(folder.path)
    life = study.trial(leg.number)
    assert "lost its worker after 0 epochs: the node is gone" in str(life)
    assert [(one.attempt, one.node, one.device) for one in study.record.trials] == [(2, "node3", "H200"), (1, "node3", "H200")]
    notes = [(1, "a", ""), (3, "a", ""), (5, "b", ""), (6, "b", "torn"), (7, "b", "")]
    legs = [Place(epoch, node, 1, "", note) for epoch, node, note in notes]
    moved = str(replace(life, history=replace(life.history, places=legs))).splitlines()
    where = [line.strip() for line in moved if line.startswith("  from epoch")]
    assert where == ["from epoch 1 on a (CPU, 1 thread)", "from epoch 5 on b (CPU, 1 thread)", "from epoch 6 on b (CPU, 1 thread): torn"]
    recipe = {**life.record.recipe, "training": {**life.record.recipe["training"], "precision": "tf32"}}
    asked = replace(
        life, record=replace(life.record, recipe=recipe), history=replace(life.history, places=[*legs[:1], replace(legs[2], gpu="H200")])
    )
    assert "on a (CPU, 1 thread, in fp32 in place of tf32)" in str(asked) and "on b (H200)" in str(asked)
    told = [event["tags"] for event in events if event["event"] == "epoch" and event["number"] == leg.number]
    assert told[0] == {"visiontune.node": "node3", "visiontune.device": "H200", "visiontune.attempt": "2"}


def test_the_longer_run_is_paired_with_its_confirmation(folder: StudyFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What it gained is the difference to the very confirmation of that seed, and the weights are those of the figures."""
    study = load_study(folder.path)
    assert study.winner is not None
    before = study.winner.confirmations[0]
    words = ["train", "small", "--epochs", "4", "--out", str(tmp_path / "longer.safetensors"), "--studies-dir", str(folder.path.parent)]
    assert main(words) == 0
    said = capsys.readouterr().out
    recipe = study.winner.recipe
    recipe = replace(recipe, training={**recipe.training, "num_epochs": 4, "seed": before.seed})
    again = list(train(recipe, studies_dir=folder.path.parent))
    gained = again[-1].metrics["val_top1"] - before.val_value
    assert f"gained: {gained:+.4f}; one seed says little" in said
    found = evaluate(tmp_path / "longer.safetensors", studies_dir=folder.path.parent)
    assert found.metrics["top1"] == again[-1].metrics["val_top1"]
    assert load_study(folder.path).record.num_tests == study.record.num_tests + 1, "another meeting with the test split"
    for words, rule in (
        (["small"], "say by --epochs N"),
        ([str(folder.winner), "--epochs", "9"], "is a recipe"),
        (["x"], "there is no recipe x"),
    ):
        assert main(["train", *words, "--studies-dir", str(folder.path.parent)]) == 2
        assert rule in capsys.readouterr().err
    with driver_lock(folder):
        assert main(["train", "small", "--epochs", "4", "--studies-dir", str(folder.path.parent)]) == 2
    assert "is already driven by process" in capsys.readouterr().err


def test_a_study_counts_each_time_that_its_winner_meets_the_test(folder: StudyFolder) -> None:
    before = load_study(folder.path).record.num_tests
    for _ in range(2):  # the very same again is the same meeting
        found = evaluate(folder.path, "digits", max_pictures=200)
        assert f"the study counts {before + 1} meetings of a winner with the test split, with this one" in found.notes
    evaluate(folder.path)
    assert load_study(folder.path).record.num_tests == before + 1
