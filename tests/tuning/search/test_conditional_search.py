"""A search over a space with a condition: trials without the param are told apart from those that have it, everywhere."""

from __future__ import annotations

from pathlib import Path

import pytest
from simulated_search import curve, drive, make_spec

from visiontune.filesystem.study_folder import StudyFolder
from visiontune.results.tables.leaderboard import leaderboard
from visiontune.spec.declarations.domains import FixedParams
from visiontune.tuning.study.read_study import read_study

ACROSS = ["space.model.dropout={float: [0.2, 0.5], when: {model.name: cnn}, otherwise: 0.1}"]


def better_with_dropout(recipe, epoch):
    """So that a model proposes what has the param."""
    return curve(recipe, epoch) + (recipe.model["dropout"] if recipe.model["name"] == "cnn" else 0.0)


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_a_trial_has_the_param_only_where_its_condition_holds(tmp_path: Path, sampler: str) -> None:
    folder = tmp_path / "study"
    spec = make_spec(folder, 40, sampler, "none", overrides=ACROSS)
    drive(spec, folder, value=better_with_dropout)
    trials = read_study(StudyFolder(folder)).trials
    having = [trial for trial in trials if trial.recipe["model"]["name"] == "cnn"]
    assert len(trials) == 40 and 5 < len(having) < 35
    for trial in trials:
        dropout = trial.recipe["model"]["dropout"]
        if trial in having:
            assert 0.2 <= dropout == trial.params["model.dropout"] <= 0.5
        else:
            assert dropout == 0.1 and "model.dropout" not in trial.params
        assert spec.space.params(FixedParams(trial.params)) == trial.params
    assert sampler == "random" or any(trial.proposed_by.startswith("tpe") for trial in having)
    rows = leaderboard(read_study(StudyFolder(folder)), n=40).splitlines()
    shown = {is_cnn: [row for row in rows if f"name={'cnn' if is_cnn else 'lenet5'}" in row] for is_cnn in (True, False)}
    assert all("dropout=" in row for row in shown[True]) and not any("dropout=" in row for row in shown[False])
    assert len(shown[True]) == len(having) and len(shown[False]) == 40 - len(having)


def test_the_same_study_goes_on_and_another_condition_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "study"
    drive(make_spec(folder, 4, overrides=ACROSS), folder)
    drive(make_spec(folder, 8, overrides=ACROSS), folder)
    assert len(read_study(StudyFolder(folder)).trials) == 8
    with pytest.raises(Exception, match=r"space\.model\.dropout\.when\.model\.name"):
        drive(make_spec(folder, 8, overrides=[ACROSS[0].replace("cnn", "lenet5")]), folder)
