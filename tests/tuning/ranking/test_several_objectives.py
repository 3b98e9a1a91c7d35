"""Several objectives: fronts against their definition, and searches whose front is known in closed form."""

from __future__ import annotations

import itertools
import json
import math
import random
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from simulated_search import drive, make_spec, report

from visiontune.errors import UserError
from visiontune.filesystem.study_folder import StudyFolder
from visiontune.results.plots.pareto import pareto
from visiontune.results.rehearsal import rehearse_study
from visiontune.results.study import Study
from visiontune.results.tables.leaderboard import leaderboard, to_json
from visiontune.results.tables.trial_life import trial_life
from visiontune.results.tables.winner_lines import race_lines
from visiontune.spec.declarations.trial_recipe import TrialRecipe
from visiontune.spec.parse import load_recipe, load_study
from visiontune.spec.space.study_spec import Objective, StudySpec
from visiontune.tuning.ranking.curves import Curves
from visiontune.tuning.ranking.front import front_of_study
from visiontune.tuning.ranking.several_objectives import fronts, spread_out
from visiontune.tuning.records.leg import Leg, Report
from visiontune.tuning.records.records import StudyRecord
from visiontune.tuning.retraining.front_files import leave_front
from visiontune.tuning.study.read_confirmations import PREFIX
from visiontune.tuning.study.read_study import study_record
from visiontune.tuning.study.trial_history import TrialHistory

SPACE = """
study: {name}
data: {{source: digits}}
objective: {objective}
budget: {{num_trials: {num_trials}, min_epochs: 1, max_epochs: 9, reduction_factor: 3}}
sampler: {{name: {sampler}, seed: {seed}}}
confirm: {{num_seeds: 0}}
space:
  model: {{name: lenet5, width: {{int: [1, 8]}}}}
  optimizer:
    name: adamw
    lr: {{float: [1e-4, 1.0], log: true}}
    weight_decay: {{float: [1e-5, 1.0], log: true}}
    eps: {{float: [1e-10, 1e-4], log: true}}
"""
WIDTHS = range(1, 9)
BOTH = "[val_top1, num_parameters]"


def spec_of(
    folder: Path, objective: str = BOTH, num_trials: int = 50, sampler: str = "tpe", seed: int = 0, overrides: Sequence[str] = ()
) -> StudySpec:
    folder.parent.mkdir(parents=True, exist_ok=True)
    path = folder.parent / f"{folder.name}.yaml"
    path.write_text(SPACE.format(name=folder.name, objective=objective, num_trials=num_trials, sampler=sampler, seed=seed))
    return load_study(path, overrides)


def tenfold(recipe: TrialRecipe) -> Mapping[str, float]:
    return {"num_parameters": 10.0 ** recipe.model["width"]}


def value(recipe: TrialRecipe, epoch: int) -> float:
    """Each width is the best of its cost, at a learning rate of its own: the front has one trial of each."""
    width, opt = recipe.model["width"], recipe.optimizer
    off = abs(math.log10(opt["lr"]) + 3.5 - 0.3 * width) / 4 + abs(math.log10(opt["weight_decay"]) + 2.5) / 5
    return 0.4 + 0.07 * width - 0.5 * (off + abs(math.log10(opt["eps"]) + 7) / 6) - 0.1 / epoch


def search(folder: Path, **settings: Any) -> StudyRecord:
    spec = spec_of(folder, **settings)
    _, storage, _ = drive(spec, folder, costs_of=tenfold, value=value, seed=settings.get("seed", 0), num_slots=2)
    return study_record(storage, folder.name)


def hypervolume(study: StudyRecord) -> float:
    """Over value 0 and up to a width of 9, costs by their logarithm."""
    full = [(trial.recipe["model"]["width"], trial.value or 0.0) for trial in study.trials if trial.state == "complete"]
    return sum(max((value for width, value in full if width <= most), default=0.0) for most in WIDTHS)


@pytest.mark.parametrize("num_losses", [2, 3])
def test_fronts_are_as_the_definition_says(num_losses: int) -> None:
    pick = random.Random(num_losses)
    for _ in range(20):
        losses = {key: tuple(float(pick.randint(0, 5)) for _ in range(num_losses)) for key in range(40)}
        left, expected = {*losses}, []
        while left:
            beats = {
                key: any(losses[one] != losses[key] and all(a <= b for a, b in zip(losses[one], losses[key], strict=True)) for one in left)
                for key in left
            }
            expected.append({key for key in left if not beats[key]})
            left -= expected[-1]
        assert [{*front} for front in fronts(losses)] == expected


def test_the_first_of_a_front_stand_for_all_of_it() -> None:
    """On a line the best comes first, then the other end, the middle, and the quarters."""
    losses = {key: (float(key), 40.0 - 10 * key) for key in range(5)}
    assert spread_out(fronts(losses)[0], losses) == [0, 4, 2, 1, 3]


def test_trials_are_promoted_front_by_front() -> None:
    """By value alone 0 and 1 would be the first two; 1 is beaten by 0, and 3 is the cheapest. Of 4 no cost is known."""
    curves = Curves(Objective("val_top1", "max", ("num_parameters",)))
    for number, (top1, cost) in enumerate([(0.9, 1000), (0.8, 2000), (0.6, 100), (0.5, 10), (0.95, None)]):
        curves.know_costs(number, {} if cost is None else {"num_parameters": cost})
        curves.record(number, 1, top1)
    assert curves.ranked(1) == [0, 3, 2, 1, 4] and curves.leaders(1) == [0, 3, 2]
    assert curves.place(2, 1) == "at epoch 1 number 3 of the 5 trials that got there, by val_top1 and num_parameters"


@pytest.mark.heavy
def test_a_search_for_both_finds_more_of_the_front_than_chance_or_than_a_search_for_one(tmp_path: Path) -> None:
    """Most that there is to be found: 5.63. Means of five seeds, 60 trials: 4.59; 4.07 at random; 2.58 by the value alone."""
    seeds = range(2)
    both, chance, one = (
        [search(tmp_path / f"{name}{seed}", seed=seed, **settings) for seed in seeds]
        for name, settings in (("both", {}), ("chance", {"sampler": "random"}), ("one", {"objective": "val_top1"}))
    )
    found, at_random, by_value = (statistics.fmean(map(hypervolume, studies)) for studies in (both, chance, one))
    assert found > at_random + 0.1 and at_random > by_value + 0.5
    for study in both:
        full = [trial for trial in study.trials if trial.state == "complete"]
        front = front_of_study(study)
        assert len(front) >= 4 and study.best in front, "the winner is the best in the metric"
        for a, b in itertools.product(front, full):
            assert not ((b.value or 0) > (a.value or 0) and b.costs["num_parameters"] <= a.costs["num_parameters"])


def test_a_driver_that_goes_on_promotes_and_proposes_what_the_first_would_have(tmp_path: Path) -> None:
    """With one worker, and a driver that ends after 40 reports."""

    class Killed(Exception):
        pass

    def until_killed(leg: Leg, epoch: int, top1: float) -> Report:
        reports.append(leg.number)
        if len(reports) == 40:
            raise Killed
        return report(leg, epoch, top1)

    reports: list[int] = []
    _, whole, _ = drive(spec_of(tmp_path / "w"), tmp_path / "w", costs_of=tenfold, value=value)
    with pytest.raises(Killed):
        drive(spec_of(tmp_path / "p"), tmp_path / "p", costs_of=tenfold, value=value, answer=until_killed)
    _, parts, _ = drive(spec_of(tmp_path / "p"), tmp_path / "p", costs_of=tenfold, value=value)
    assert [(one.params, one.intermediate_values) for one in parts.trials()] == [
        (one.params, one.intermediate_values) for one in whole.trials()
    ]


def test_what_is_measured_is_measured_once_of_a_network(tmp_path: Path) -> None:
    """Two trials of one network differ by nothing but noise, by which neither may be better."""
    measured: list[float] = []

    def answer(leg: Leg, epoch: int, top1: float) -> Report:
        if leg.bounds and not leg.known_epochs:
            assert leg.bounds == {"latency_ms": math.inf}
            measured.append(leg.recipe.model["width"])
            return replace(report(leg, epoch, top1), costs={"latency_ms": leg.recipe.model["width"] + 0.01 * len(measured)})
        return report(leg, epoch, top1)

    spec = spec_of(tmp_path / "s", "[val_top1, latency_ms]", num_trials=30)
    study = study_record(drive(spec, tmp_path / "s", value=value, answer=answer)[1], "s")
    latencies = {(trial.recipe["model"]["width"], trial.costs["latency_ms"]) for trial in study.trials}
    assert len(latencies) == len({width for width, _ in latencies}) and {*measured} == {width for width, _ in latencies}
    assert front_of_study(study)[-1] == study.best


def test_the_front_is_shown_and_its_recipes_are_left(tmp_path: Path) -> None:
    study, folder, events = search(tmp_path / "s", num_trials=24), StudyFolder(tmp_path / "s"), list[Mapping[str, Any]]()
    front = front_of_study(study)
    assert to_json(study)["front"] == [trial.number for trial in front]
    text = leaderboard(study)
    assert f"front of val_top1 and num_parameters: {len(front)} trials" in text and "num_parameters" in text.splitlines()[1].split()
    rows = Study(folder, study).front
    assert [*rows.index] == to_json(study)["front"] and rows.num_parameters.is_monotonic_increasing and rows.value.is_monotonic_increasing

    waiting = next(trial for trial in study.trials if trial.state == "waiting" and trial.epoch == 1)
    (standing,) = trial_life(study, waiting, TrialHistory(None, None)).rungs
    broken = replace(waiting, repeats=(0.5, math.nan), costs={"price": math.inf}, values={**waiting.values, 2: math.nan})
    told = json.loads(json.dumps(trial_life(study, broken, TrialHistory(None, None)).to_dict(), allow_nan=False))
    assert (told["repeats"], told["costs"], told["values"]["2"]) == ([0.5, None], {"price": None}, None)
    assert told["lineage"] == [{"number": waiting.number, "low": 0, "high": 1}]
    assert waiting.reason.startswith(f"at epoch 1 number {standing.place} of the {standing.num_there} trials") and standing.mark is None

    with pytest.raises(UserError, match="study s has 2 objectives: val_top1, num_parameters"):
        rehearse_study(study, {}, num_workers=1, num_seeds=1)

    folder.front.mkdir()
    folder.front_recipe(999).write_text("of an earlier end")
    leave_front(study, folder, events.append)
    assert {int(file.stem) for file in folder.front.glob("*.yaml")} == {trial.number for trial in front}
    assert all(load_recipe(folder.front_recipe(one.number)) == TrialRecipe(**one.recipe) for one in front)
    assert {event["event"] for event in events} == {"artifact"} and len(events) == len(front)


def test_recipes_of_a_front_are_trained_again_without_a_race(tmp_path: Path) -> None:
    """Both ends of it and what is farthest from them, on the same seeds; the best in the metric alone meets the test."""
    folder, legs = StudyFolder(tmp_path / "s"), list[Leg]()

    def answer(leg: Leg, epoch: int, top1: float) -> Report:
        told = report(leg, epoch, top1)
        if leg.is_confirmation and told.is_last:
            legs.append(leg)
            folder.confirmed.mkdir(exist_ok=True)
            folder.confirmed_weights(leg.weights).write_text(leg.weights)
        return told

    def noisy(recipe: TrialRecipe, epoch: int) -> float:
        return value(recipe, epoch) + 0.001 * (recipe.training["seed"] % 7)

    spec = spec_of(folder.path, overrides=["confirm={top: 3, num_seeds: 3}"])
    _, storage, _ = drive(spec, folder.path, costs_of=tenfold, value=noisy, answer=answer, num_slots=2)
    study = study_record(storage, "s")
    front, again = front_of_study(study), [study.trial(one.number) for one in study.candidates]
    assert len(front) > 3 and study.winner == study.best == again[0] and len(again) == 3
    assert {front[0].number, front[-1].number} < {one.number for one in again} <= {one.number for one in front}
    assert [[one.seed for one in c.confirmations] for c in study.candidates] == [[one.seed for one in study.confirmations]] * 3
    assert {leg.weights.split(".")[1] for leg in legs if leg.is_test} == {again[0].fingerprint} and study.num_tests == 1

    leave_front(study, folder, lambda event: None)
    for trial in again[1:]:
        best = max((leg for leg in legs if trial.fingerprint in leg.key), key=lambda leg: leg.recipe.training["seed"] % 7)
        assert folder.front_weights(trial.number).read_text() == best.key
        assert "# on 3 fresh seeds: val_top1 " in folder.front_recipe(trial.number).read_text()
    assert len([*folder.front.glob("*.safetensors")]) == 2
    assert len([*folder.confirmed.glob(f"{PREFIX}*")]) == 3 + 2, "all of the winner's, the best of the others'"
    assert "3 recipes of the front trained again in full on fresh seeds, 9 times" in race_lines(study)[0]
    assert race_lines(study)[1].split()[-1] == "num_parameters"
    assert Study(folder, study).front.fresh_mean.count() == 3
    points = pareto(study, of_study=True).data[-1]
    assert [*points.x] == [one.costs["num_parameters"] for one in again] and all(0 < bar < 0.02 for bar in points.error_y.array)


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["sampler.name=gp"], "gp knows one objective, but the study has 2: val_top1, num_parameters; nearest is 'tpe'"),
        (["trial_scheduler.name=pasha"], "pasha knows one objective, but the study has 2: val_top1, num_parameters; nearest is 'asha'"),
        (["objective=[num_parameters, val_top1]"], "'num_parameters', which is a cost and stands after a metric"),
        (["objective=[val_top1, val_loss]"], "'val_loss', which is a metric, of which there is one"),
        (["objective=[val_top1, flops]"], "'flops', which is multiply_adds here"),
        (["objective=[val_top1, latency_ms, latency_ms]"], "latency_ms stands there already"),
    ],
)
def test_what_can_not_be_compared_is_told(tmp_path: Path, overrides: list[str], said: str) -> None:
    with pytest.raises(UserError) as error:
        make_spec(tmp_path / "s", overrides=[*([] if "objective" in overrides[0] else [f"objective={BOTH}"]), *overrides])
    assert said in str(error.value)


def test_a_study_of_one_objective_has_the_identity_that_it_had(tmp_path: Path) -> None:
    plain = make_spec(tmp_path / "s").identity()
    assert [key for key in plain if key.startswith("objective")] == ["objective.metric", "objective.mode"]
    short = make_spec(tmp_path / "s", overrides=["objective=val_top1"]).identity()
    assert json.dumps(short) == json.dumps(plain)
