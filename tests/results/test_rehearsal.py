"""What `rehearse` tells of a study, and what it refuses, all at once."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats
from simulated_search import drive, make_spec

from visiontune import UserError
from visiontune import rehearse as rehearse_by_name
from visiontune.cli import main
from visiontune.filesystem.study_folder import StudyFolder
from visiontune.results.rehearsal import CAVEAT, SHARES, _found, rehearse_study
from visiontune.tuning.recorded_study import study_curves
from visiontune.tuning.records.records import StudyRecord
from visiontune.tuning.study.read_study import read_study

NOTHING = {"sampler": None, "reduction_factor": None, "min_epochs": None}


def study(folder: Path, num_trials: int = 60, **how: Any) -> StudyRecord:
    drive(make_spec(folder, num_trials, **how), folder, num_slots=2)
    return read_study(StudyFolder(folder))


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a study of twelve trials, each trained in full; none of these tests changes it."""
    folder = tmp_path_factory.mktemp("studies") / "small"
    study(folder, 12, scheduler="none")
    return folder


@pytest.mark.heavy
def test_settings_stand_beside_each_other_with_means_that_grow(tmp_path: Path) -> None:
    record = study(tmp_path / "study", 80)
    found = rehearse_study(record, {**NOTHING, "sampler": "random", "min_epochs": 3}, num_workers=2, num_seeds=3)
    assert list(found.found) == [
        "the study's own: tpe, asha, rungs 1, 3, 9",
        "asked for: random, asha, rungs 3, 9",
        "random search: random, every trial in full",
    ]
    assert found.num_epochs == sum(len(trial.values) + (trial.kind == "diverged") for trial in record.trials)
    assert found.num_full + found.num_cut + sum(trial.kind == "diverged" for trial in record.trials) == found.num_curves == 80
    best = max(value for trial in record.trials for value in trial.values.values())
    for by_share in found.found.values():
        means = [by_share[share].mean for share in SHARES]
        assert means == sorted(means) and means[-1] <= best + 1e-12
        assert all(one.low <= one.mean + 1e-12 and one.mean <= one.high + 1e-12 for one in by_share.values())
    assert str(found).splitlines()[-1] == CAVEAT and f"{found.num_cut} were cut" in str(found)


def test_a_loss_is_better_when_smaller(tmp_path: Path) -> None:
    """The simulated val_loss is minus val_top1: the same search found the same, with the other sign."""
    record = study(tmp_path / "study", 16, scheduler="none", overrides=["objective.metric=val_loss"])
    found = rehearse_study(record, NOTHING, num_workers=1, num_seeds=2)
    assert len(found.found) == 2
    for by_share in found.found.values():
        means = [by_share[share].mean for share in SHARES]
        assert (
            means == sorted(means, reverse=True) and means[-1] >= min(v for trial in record.trials for v in trial.values.values()) - 1e-12
        )


@pytest.mark.heavy
def test_recipes_that_the_study_began_with_are_begun_with_again(tmp_path: Path) -> None:
    """A recipe that is the best of all is found at once by the study's own settings, not by random search."""
    start = "start=[{model.name: lenet5, model.width: 2, optimizer.lr: 0.01}]"
    record = study(tmp_path / "study", 30, scheduler="none", overrides=[start])
    curves = study_curves(record)
    assert [params["optimizer.lr"] for params in curves.start] == [0.01]
    found = rehearse_study(record, NOTHING, num_workers=1, num_seeds=4).found
    (own, random) = (by_share[0.25].mean for by_share in found.values())
    assert own == pytest.approx(1 - 0.3 / 9) and random < own


def test_one_seed_has_no_interval(short: Path) -> None:
    found = rehearse_study(read_study(StudyFolder(short)), NOTHING, num_workers=1, num_seeds=1)
    assert {(one.low, one.high) for by_share in found.found.values() for one in by_share.values()} == {(None, None)}
    _, head, _, *rows, caveat = str(found).splitlines()
    assert "best val_top1 so far, of one seed, so without an interval, 1 worker, after" in head
    assert rows and not any(" to " in row for row in rows) and caveat == CAVEAT
    assert '"low": null' in json.dumps(found.to_dict())


def test_the_interval_is_scipys_and_ends_where_the_metric_does() -> None:
    """Bootstraps of the mean, as before, cover it in .48 of the cases with two seeds, and in .90 with eight."""
    values = [0.91, 0.95]
    found, low, high = _found(values, "val_loss"), *stats.t.interval(0.95, 1, loc=0.93, scale=stats.sem(values))
    assert (found.mean, found.low, found.high) == pytest.approx((0.93, low, high)) and _found(values, "val_top1").high == 1.0


def test_too_few_full_curves_and_settings_that_do_not_fit_are_told_at_once(tmp_path: Path) -> None:
    record = study(tmp_path / "study", 12)
    num_full = sum(trial.state == "complete" for trial in record.trials)
    with pytest.raises(UserError) as error:
        rehearse_study(record, {"sampler": "tpee", "reduction_factor": 4, "min_epochs": None}, num_workers=1, num_seeds=1)
    few, sampler, rungs = map(str, error.value.problems)
    assert f"needs 8 trials that were trained to their end, but {num_full} of 12 were" in few and "budget.num_trials=" in few
    assert "nearest is 'tpe'" in sampler and "optuna" not in sampler
    assert "the study's 9 epochs must be min_epochs * reduction_factor^k, but got min_epochs=1, reduction_factor=4; nearest" in rungs


@pytest.mark.parametrize(("first", "factor", "nearest"), [(2, 3, 1), (4, 3, 3), (5, 2, 9), (8, 3, 9)])
def test_the_nearest_first_rung_is_one_that_leads_there(short: Path, first: int, factor: int, nearest: int) -> None:
    record = read_study(StudyFolder(short))
    asha = {**record.identity, "trial_scheduler.name": "asha", "trial_scheduler.stop": False}
    changed = StudyRecord(**{**vars(record), "identity": asha})
    asked = {"sampler": None, "reduction_factor": factor, "min_epochs": first}
    with pytest.raises(UserError, match=f"nearest min_epochs is {nearest}$"):
        rehearse_study(changed, asked, num_workers=1, num_seeds=1)
    assert rehearse_study(changed, {**asked, "min_epochs": nearest}, num_workers=1, num_seeds=1).num_seeds == 1


def test_rungs_are_not_for_a_study_without(short: Path) -> None:
    record = read_study(StudyFolder(short))
    with pytest.raises(UserError, match="min_epochs: is for the trial scheduler asha, but the study has none"):
        rehearse_study(record, {**NOTHING, "min_epochs": 3}, num_workers=1, num_seeds=1)


def test_a_study_of_another_version_says_so(short: Path) -> None:
    record = read_study(StudyFolder(short))
    changed = StudyRecord(**{**vars(record), "identity": {**record.identity, "space.model.gone": 1}})
    with pytest.raises(UserError, match=r"(?s)was made by another version.*unknown key 'gone'"):
        rehearse_study(changed, NOTHING, num_workers=1, num_seeds=1)


def test_the_grid_needs_steps(short: Path) -> None:
    record = read_study(StudyFolder(short))
    with pytest.raises(UserError, match=r"^space\.optimizer\.lr: the grid sampler needs a step"):
        rehearse_study(record, {**NOTHING, "sampler": "grid"}, num_workers=1, num_seeds=1)


@pytest.mark.parametrize("name", ["optuna", ["tpe"]])
def test_a_sampler_that_its_name_alone_does_not_say_is_none(short: Path, name: Any) -> None:
    """Optuna's needs a class, for which there is no option."""
    with pytest.raises(UserError, match=f"^sampler: must name one sampler, but got {re.escape(repr(name))}; .*cmaes, nsga2$"):
        rehearse_by_name("small", sampler=name, studies_dir=short.parent)


def test_the_verb_prints_what_the_function_gives(short: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["rehearse", "small", "--studies-dir", str(short.parent), "--seeds", "2", "--sampler", "random", "--max-concurrent-trials", "3"]
    found = rehearse_by_name("small", sampler="random", max_concurrent_trials=np.int64(3), seeds=np.int64(2), studies_dir=short.parent)
    assert main(words) == 0
    assert capsys.readouterr().out.rstrip() == str(found)
    assert main([*words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == json.loads(json.dumps(found.to_dict()))
    means = {name: one[1.0].mean for name, one in found.found.items()}
    assert {name: by_share["100%"]["mean"] for name, by_share in told["found"].items()} == means
    assert main([*words, "--min-epochs", "2"]) == 2
    assert capsys.readouterr().err == "min_epochs: is for the trial scheduler asha, but the study has none\n"
    assert main([*words, "--reduction-factor", "1"]) == 2
    assert "from 2 to 100" in capsys.readouterr().err
