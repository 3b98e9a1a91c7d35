"""What a search tries before its sampler proposes: in which order, each once, whatever happens on the way."""

from __future__ import annotations

import pytest
from simulated_search import curve, drive, make_spec, report

from visiontune.errors import UserError
from visiontune.filesystem.study_folder import StudiesFolder, StudyFolder
from visiontune.spec.declarations.fingerprint import flatten
from visiontune.spec.parse import load_start_recipe
from visiontune.tuning.proposals import earlier_studies
from visiontune.tuning.proposals.earlier_studies import SIZE, check_studies, earlier_points
from visiontune.tuning.proposals.start_recipes import DEFAULTS, StartPoint, StartRecipes, enqueue_in, portfolio_points
from visiontune.tuning.study.open_storage import create_or_resume, open_existing
from visiontune.tuning.study.read_study import read_study

TWO = ["start=[{optimizer.lr: 0.02}, {model.name: cnn, optimizer.lr: 0.3}]"]


def reasons(storage):
    return [trial.user_attrs["proposed_by"] for trial in storage.trials()]


def test_recipes_of_the_file_come_first_then_the_defaults(tmp_path):
    _, storage, _ = drive(make_spec(tmp_path / "study", 6, overrides=TWO), tmp_path / "study")
    found = reasons(storage)
    assert found[:3] == ["start recipe: optimizer.lr=0.02", "start recipe: model.name=cnn, optimizer.lr=0.3", DEFAULTS]
    assert all(one.startswith("Sobol") for one in found[3:])
    first, second = storage.trials()[:2]
    assert first.params["optimizer.lr"] == 0.02
    assert second.params["model.name"] == "cnn"


@pytest.mark.parametrize("num_slots", [1, 3])
@pytest.mark.parametrize("scheduler", ["asha", "hyperband"])
def test_the_best_of_the_known_recipes_at_the_first_rung_runs_straight_through_wherever_it_stands(tmp_path, num_slots, scheduler):
    """A bad one that stands first would cost a full training; one that is queued later is as all others."""
    folder = tmp_path / "study"
    for name, rate, best in (("bad", 0.3, 1), ("good", 0.011, 0)):
        overrides = [f"start=[{{optimizer.lr: {rate}}}, {{optimizer.lr: 0.02}}, {{optimizer.lr: 0.0003}}]"]
        spec = make_spec(folder / name, 5, scheduler=scheduler, overrides=overrides)
        run, storage, _ = drive(spec, folder / name, num_slots=num_slots)
        known = storage.trials()[:4]
        assert max(known, key=lambda trial: trial.intermediate_values[1]).number == best == run._queue.trials.straight
        assert len(known[best].intermediate_values) == 9
        if scheduler == "asha":
            assert all(len(trial.intermediate_values) < 9 for trial in known if trial.number != best)
        enqueue_in(StudyFolder(folder / name), "journal", load_start_recipe(None, ["optimizer.lr=0.01"]))
        again, _, _ = drive(make_spec(folder / name, 6, scheduler=scheduler, overrides=overrides), folder / name)
        assert again._queue.trials.straight == best


def test_a_kill_at_any_trial_tries_none_of_them_twice(tmp_path):
    whole = reasons(drive(make_spec(tmp_path / "a" / "study", 6, overrides=TWO), tmp_path / "a" / "study")[1])
    for last in range(5):
        folder = tmp_path / str(last) / "study"
        spec = make_spec(folder, 6, overrides=TWO)

        def stop(leg, epoch, value, last=last):
            if leg.number == last:
                raise KeyboardInterrupt
            return report(leg, epoch, value)

        with pytest.raises(KeyboardInterrupt):
            drive(spec, folder, answer=stop)
        assert reasons(drive(spec, folder)[1]) == whole


def test_a_recipe_that_is_added_to_the_file_of_a_study_is_tried_next(tmp_path):
    folder = tmp_path / "study"
    drive(make_spec(folder, 3), folder)
    _, storage, _ = drive(make_spec(folder, 5, overrides=TWO), folder)
    assert reasons(storage)[3:] == ["start recipe: optimizer.lr=0.02", "start recipe: model.name=cnn, optimizer.lr=0.3"]


def test_what_is_queued_while_a_search_goes_on_is_tried_next_and_once(tmp_path):
    folder = tmp_path / "study"
    said = []

    def answer(leg, epoch, value):
        if leg.number == 2 and not said:
            for recipe in (["optimizer.lr=0.05"], ["optimizer.lr=3", "model.name=cnn"]):
                said.append(str(enqueue_in(StudyFolder(folder), "journal", load_start_recipe(None, recipe))))
            for again, was in (("optimizer.lr=0.05", "is queued already"), ("optimizer.lr=0.001", "is what trial 0 of study study is")):
                with pytest.raises(UserError, match=was):
                    enqueue_in(StudyFolder(folder), "journal", load_start_recipe(None, [again]))
        return report(leg, epoch, value)

    _, storage, _ = drive(make_spec(folder, 8), folder, answer=answer)
    assert reasons(storage)[3:5] == ["queued: optimizer.lr=0.05", "queued: optimizer.lr=3.0, model.name=cnn"]
    assert said[1] == "queued: optimizer.lr=3.0, model.name=cnn (optimizer.lr 3 -> 1)"
    assert sum(one.startswith("queued") for one in reasons(storage)) == 2


def test_what_is_queued_for_nothing_is_refused(tmp_path):
    folder = tmp_path / "study"
    folder.mkdir()
    create_or_resume(StudyFolder(folder), make_spec(folder, 3))
    with pytest.raises(UserError, match=r"optimizer.lr=50.0 lies wholly outside the space of study study: optimizer.lr 50 -> 1"):
        enqueue_in(StudyFolder(folder), "journal", load_start_recipe(None, ["optimizer.lr=50"]))
    assert not any(key.startswith("queued.") for key in open_existing(StudyFolder(folder)).attributes())


def test_a_grid_has_its_points_after_the_users_recipes(tmp_path):
    grid = ["space.optimizer.lr={choice: [0.001, 0.01]}", "start=[{optimizer.lr: 0.01, model.name: cnn, model.depth: 3}]"]
    folder = tmp_path / "study"
    spec = make_spec(folder, 50, sampler="grid", scheduler="none", overrides=grid)
    _, storage, _ = drive(spec, folder)
    assert reasons(storage) == ["start recipe: optimizer.lr=0.01, model.name=cnn, model.depth=3", *(f"grid: point {n}" for n in range(12))]
    assert len({tuple(sorted(trial.params.items())) for trial in storage.trials()}) == 12


def test_a_portfolio_is_mapped_to_the_space_with_the_rate_of_its_batch(tmp_path):
    spec = make_spec(tmp_path / "study", overrides=["space.optimizer.name=sgd", "start={portfolio: auto}"])
    points = {point.key: point for point in portfolio_points(spec, 32)}
    assert points["portfolio.wide resnet"].params["optimizer.lr"] == pytest.approx(0.05)  # .1 for 128, and batches are of 64
    assert points["portfolio.airbench94"].params["optimizer.lr"] == pytest.approx(1.5 / 16)
    assert not any("adam" in key for key in points)  # the space has sgd alone, and a rate of adam's would be none of its
    assert any("ffcv" in point.key for point in portfolio_points(spec, 224))


def test_what_was_settled_is_kept_and_asked_again_only_where_the_file_asks_for_more(tmp_path):
    folder = tmp_path / "study"
    folder.mkdir()
    spec = make_spec(folder, overrides=["start={portfolio: auto}"])
    storage = create_or_resume(StudyFolder(folder), spec)
    starts = StartRecipes(spec, storage, [])
    assert not starts.is_settled
    starts.settle([StartPoint("portfolio.x", "portfolio: x", {"optimizer.lr": 0.5, "model.name": "cnn", "model.cnn.depth": 2})])
    again = StartRecipes(spec, open_existing(StudyFolder(folder)), [])
    assert again.is_settled
    assert [point.key for point in again.left()] == ["defaults", "portfolio.x"]
    more = make_spec(folder, overrides=["start={portfolio: auto, studies: auto}"])
    assert not StartRecipes(more, storage, []).is_settled
    none = StartRecipes(make_spec(folder), storage, [])
    assert none.is_settled and [point.key for point in none.left()] == ["defaults"]  # what is asked for no more is not tried


def earlier(folder, name, best_lr, **options):
    """A finished study whose best rate is this."""

    def value(recipe, epoch):
        return curve(recipe, epoch) if best_lr is None else -abs(recipe.optimizer["lr"] / best_lr - 1) - 1 / epoch

    drive(make_spec(folder / name, 32, scheduler="none", **options), folder / name, value=value)
    (folder / name / "driver.lock").touch()


def test_earlier_studies_give_the_recipes_that_are_good_together(tmp_path):
    earlier(tmp_path, "small_rates", 0.001)
    earlier(tmp_path, "large_rates", 0.4)
    spec = make_spec(tmp_path / "new", overrides=["start={studies: auto}"])
    points = earlier_points(spec, StudiesFolder(tmp_path))
    assert len(points) == SIZE
    rates = [point.params["optimizer.lr"] for point in points[:2]]
    assert min(rates) < 0.01 < 0.1 < max(rates)  # the first two cover both
    assert points[0].reason.startswith(("study small_rates: trial ", "study large_rates: trial "))
    only = make_spec(tmp_path / "new", overrides=["start={studies: [large_rates]}"])
    assert all(point.reason.startswith("study large_rates") for point in earlier_points(only, StudiesFolder(tmp_path)))


def test_recipes_that_are_the_same_take_one_place_and_each_trial_is_looked_at_once(tmp_path, monkeypatch):
    """Two studies of the same trials. Each was taken apart for each recipe of each study, so that large studies took minutes."""
    for name in ("one", "other"):
        earlier(tmp_path, name, 0.01)
    looked_at = []
    monkeypatch.setattr(earlier_studies, "flatten", lambda recipe: looked_at.append(1) or flatten(recipe))
    spec = make_spec(tmp_path / "new", overrides=["start={studies: auto}"])
    points = earlier_points(spec, StudiesFolder(tmp_path))
    assert len({frozenset(point.params.items()) for point in points}) == len(points) == SIZE
    assert len(looked_at) <= 2 * 32 + 2 * 8 * 3  # trials, and at most eight recipes of each study


class Shelf:
    """Studies elsewhere; one that is away answers with a sentence."""

    def __init__(self, *records, is_away=False):
        self.records, self.is_away = {record.name: record for record in records}, is_away

    def names(self):
        if self.is_away:
            raise UserError("the server is away")
        return list(self.records)

    def read(self, name):
        return self.records.get(name)


def test_studies_elsewhere_count_as_those_of_the_folder_which_come_first(tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    for folder, best_lr in ((here, 0.001), (there, 0.4)):
        earlier(folder, "rates", best_lr)
    earlier(there, "large_rates", 0.4)
    shelf = Shelf(*(read_study(StudyFolder(there / name)) for name in ("rates", "large_rates")))
    spec = make_spec(here / "new", overrides=["start={studies: auto}"])
    said = []
    points = earlier_points(spec, StudiesFolder(here), said.append, shelf)
    assert {point.reason.split(":")[0] for point in points} == {"study rates", "study large_rates"}
    assert all(point.params["optimizer.lr"] < 0.1 for point in points if point.reason.startswith("study rates"))
    away = earlier_points(spec, StudiesFolder(here), said.append, Shelf(is_away=True))
    assert {point.reason.split(":")[0] for point in away} == {"study rates"} and said == ["the server is away"]
    named = make_spec(here / "new", overrides=["start={studies: [large_rates, other]}"])
    with pytest.raises(UserError, match=r"no earlier study 'other' in .*here nor in MLflow; choices: rates, large_rates"):
        check_studies(named, StudiesFolder(here), shelf)


def test_earlier_studies_that_are_of_no_use_are_told_or_passed_over(tmp_path):
    earlier(tmp_path, "losses", None, overrides=["objective={metric: val_loss, mode: min}"])
    (tmp_path / "begun").mkdir()
    create_or_resume(StudyFolder(tmp_path / "begun"), make_spec(tmp_path / "begun", 3))
    (tmp_path / "begun" / "driver.lock").touch()
    spec = make_spec(tmp_path / "new", overrides=["start={studies: [losses, begun, lossses]}"])
    with pytest.raises(UserError) as error:
        check_studies(spec, StudiesFolder(tmp_path))
    said = [str(problem) for problem in error.value.problems]
    assert "study losses was searched the other way, as val_loss is better when it is lower" in said[0]
    assert "study begun has 0 trials with a value, and it takes 4" in said[1]
    assert "no earlier study 'lossses'" in said[2] and "nearest is 'losses'" in said[2]
    assert earlier_points(make_spec(tmp_path / "new", overrides=["start={studies: auto}"]), StudiesFolder(tmp_path)) == []
