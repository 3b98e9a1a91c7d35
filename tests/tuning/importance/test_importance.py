"""Importance against closed forms, against Optuna's fANOVA where that applies, and on pure noise."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import optuna
import pytest
from sample_study import RECORD, row
from simulated_search import drive, make_spec

from visiontune.filesystem.study_folder import StudyFolder
from visiontune.results.tables.importance_table import importance_lines
from visiontune.spec.declarations.domains import Choice, Float, RandomParams
from visiontune.spec.space.space import Space
from visiontune.tuning.importance import importance
from visiontune.tuning.importance.importance import importance_of
from visiontune.tuning.importance.param_forests import make_forests
from visiontune.tuning.proposals.compared_values import compared_values
from visiontune.tuning.study.read_study import read_study

pytestmark = pytest.mark.heavy

FLAT = Space({"a": Float(0.0, 1.0), "b": Float(0.0, 1.0), "c": Float(0.0, 1.0)})
MORE = ["space.model.dropout={float: [0.0, 0.5]}", "space.model.init={choice: [he_normal, lecun_normal]}"]


def test_values_of_all_rungs_on_one_scale() -> None:
    """Gains by hand: from 3 to 9 epochs .1 in the median, from 1 to 3 .2; what failed or began under a smaller budget has none."""
    full = [
        row(n, "complete", {1: 0.3 + n / 100, 3: 0.5 + n / 100, 9: 0.6 + n / 100 + extra}, {}) for n, extra in enumerate((0, 0, 0, 0.2))
    ]
    rest = [
        row(4, "pruned", {1: 0.1}, {}),
        row(5, "pruned", {1: 0.2, 3: 0.25}, {}),
        row(6, "failed", {1: 0.3, 2: math.nan}, {}, "diverged"),
    ]
    found = compared_values(replace(RECORD, trials=(*full, *rest)))
    assert found.epoch == 9 and found.of == pytest.approx({0: 0.6, 1: 0.61, 2: 0.62, 3: 0.83, 4: 0.4, 5: 0.35})
    fewer = compared_values(replace(RECORD, trials=(*full[:3], *rest)))  # at 9 epochs there are too few
    assert fewer.epoch == 3 and fewer.of == pytest.approx({0: 0.5, 1: 0.51, 2: 0.52, 4: 0.3, 5: 0.25})


def test_shares_of_a_sum_are_the_closed_form_and_those_of_optuna() -> None:
    """y = 2a + b: 4/5 and 1/5 of the variance."""
    points = [FLAT.params(RandomParams(number)) for number in range(150)]
    values = [2 * point["a"] + point["b"] for point in points]
    study = optuna.create_study()
    domains = dict.fromkeys("abc", optuna.distributions.FloatDistribution(0, 1))
    for point, value in zip(points, values, strict=True):
        study.add_trial(optuna.create_trial(params=point, distributions=domains, value=value))
    theirs = optuna.importance.FanovaImportanceEvaluator(seed=0, n_trees=32).evaluate(study)
    forests = make_forests(FLAT, points, values)
    ours = forests.shares_BP.mean(0)
    assert ours == pytest.approx([0.8, 0.2, 0.0], abs=0.07)
    assert ours == pytest.approx([theirs[name] for name in "abc"], abs=0.07)
    assert forests.fit > 0.9 and forests.gains_P[0] > 5 > 2 > forests.gains_P[2] and np.quantile(forests.totals_BP[:, 2], 0.95) < 0.05
    assert abs(forests.joint_shares(0, 1).mean()) < 0.05


def test_a_product_is_an_interaction_and_a_param_of_a_branch_counts_where_it_lives() -> None:
    space = Space({"kind": Choice(("x", "y"), {"x": {"a": Float(0.0, 1.0), "b": Float(0.0, 1.0)}, "y": {}})})
    points = [space.params(RandomParams(number)) for number in range(300)]
    values = [(2 * point["x.a"] - 1) * (2 * point["x.b"] - 1) if point["kind"] == "x" else 5.0 for point in points]
    forests = make_forests(space, points, values)
    kind, first, second = forests.shares_BP.mean(0)
    assert kind > 0.95 and first < 0.1 and second < 0.1
    assert forests.joint_shares(1, 2).mean() > 0.5  # cells of two fifths blur a product
    assert forests.totals_BP.mean(0)[1:] == pytest.approx([1.0, 1.0], abs=0.3)


def test_a_search_tells_what_mattered_from_what_did_not(tmp_path: Path) -> None:
    """By rate and network, over rungs; dropout and initialisation do nothing."""

    def value(recipe, epoch):
        of_network = 0.2 * (recipe.model["name"] == "cnn")
        return 0.8 + of_network - (math.log10(recipe.optimizer["lr"]) + 2) ** 2 / 8 - 0.3 / epoch

    drive(spec := make_spec(tmp_path / "study", 80, overrides=MORE), tmp_path / "study", value=value)
    found = importance_of(read_study(StudyFolder(tmp_path / "study")))
    verdicts = {one.name: one.verdict for one in found.params}
    assert found.fit > 0.5 and found.num_values == 80
    assert verdicts["optimizer.lr"] == verdicts["model.name"] == "matters"
    assert verdicts["model.init"] == "does not matter" and "matters" not in (verdicts["model.dropout"], verdicts["model.cnn.depth"])
    rate = next(one for one in found.params if one.name == "optimizer.lr")
    best = max(rate.curve, key=lambda point: point.mean or 0.0)
    assert 1e-3 < best.value < 1e-1 and sum(point.num_trials for point in rate.curve) == 80
    assert {one.name for one in found.params if one.given} == {"model.lenet5.width", "model.cnn.depth"}
    assert spec.space.num_params == len(found.params)


def test_of_very_many_trials_some_stand_for_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The forests of 10,000 took half a minute."""
    drive(make_spec(tmp_path / "study", 40, sampler="random"), tmp_path / "study")
    study = read_study(StudyFolder(tmp_path / "study"))
    whole = importance_of(study)
    monkeypatch.setattr(importance, "MOST_VALUES", 25)
    part = importance_of(study)
    assert (whole.num_left_out, part.num_values + part.num_left_out) == (0, whole.num_values) and part.num_values == -(
        -whole.num_values // 2
    )
    assert f"from {part.num_values} trials of all rungs, one in 2;" in importance_lines(part)[0]
