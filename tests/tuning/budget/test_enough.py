"""When a search ends although its budget allows more, which trials cost too much, and studies that go on with a larger full budget."""

from __future__ import annotations

import pytest
from simulated_search import curve, drive, make_spec, report

from visiontune.errors import UserError
from visiontune.filesystem.study_folder import StudyFolder
from visiontune.results.tables.leaderboard import leaderboard
from visiontune.tuning.ranking.ranking import full_epochs
from visiontune.tuning.study.read_study import read_study


def rising(recipe, epoch):
    """The higher the rate, the better."""
    return recipe.optimizer["lr"] / 2 + epoch / 100


@pytest.mark.parametrize("num_slots", [1, 4])
def test_a_search_ends_once_a_trial_that_was_trained_in_full_reaches_the_target(tmp_path, num_slots):
    spec = make_spec(tmp_path / "study", 500, num_seeds=2, overrides=["budget.stop_at=0.5"])
    run, storage, events = drive(spec, tmp_path / "study", num_slots=num_slots, value=rising)
    record = read_study(StudyFolder(tmp_path / "study"))
    assert run.ended_by == "stop_at" and len(storage.trials()) < 500
    assert record.best.state == "complete" and record.best.value >= 0.5
    assert sum(trial.state == "complete" and trial.value >= 0.5 for trial in record.trials) == 1  # not one more
    assert len(record.confirmations) == 2
    ended = {event["number"] for event in events if event["event"] == "end"}
    assert ended == {trial.number for trial in record.trials}  # those too that a worker was at


def test_of_a_loss_the_target_is_reached_from_above(tmp_path):
    overrides = ["budget.stop_at=0.6", "objective={metric: val_loss, mode: min}"]

    def answer(leg, epoch, value):
        told = report(leg, epoch, value)
        told.metrics["val_loss"] = 1 - value
        return told

    run, _, _ = drive(make_spec(tmp_path / "study", 500, overrides=overrides), tmp_path / "study", value=rising, answer=answer)
    assert run.ended_by == "stop_at" and read_study(StudyFolder(tmp_path / "study")).best.value <= 0.6


def test_a_search_loses_patience_when_no_new_trial_is_the_best_at_any_rung(tmp_path):
    spec = make_spec(tmp_path / "study", 500, sampler="random", num_seeds=1, overrides=["budget.patience=15"])
    run, storage, _ = drive(spec, tmp_path / "study")
    record = read_study(StudyFolder(tmp_path / "study"))
    firsts = [
        max(at_rung, key=lambda trial: trial.values[rung]).number
        for rung in record.rungs
        if (at_rung := [t for t in record.trials if rung in t.values])
    ]
    assert run.ended_by == "patience"
    assert len(storage.trials()) - 1 - max(firsts) == 15
    assert record.best.state == "complete" and len(record.confirmations) == 1


def test_a_search_that_ended_so_goes_on_with_more_of_it(tmp_path):
    from visiontune.tuning.preflight.finished_study import is_finished
    from visiontune.tuning.records.records import Ending

    folder = tmp_path / "study"
    spec = make_spec(folder, 500, overrides=["budget.stop_at=0.5", "budget.patience=5"])
    _, storage, _ = drive(spec, folder, value=rising)
    for by, more in (("stop_at", "budget.stop_at=0.6"), ("patience", "budget.patience=6")):
        ending = Ending(spec.budget.ends, by, 0)
        storage.set_attribute("finished", {"limits": dict(ending.limits), "by": by, "num_seeds": 0})
        assert is_finished(storage, spec)
        assert not is_finished(
            storage, make_spec(folder, 500, overrides=[*(["budget.stop_at=0.5"] if by == "patience" else ["budget.patience=5"]), more])
        )
        assert not is_finished(storage, make_spec(folder, 500))


@pytest.mark.parametrize(
    ("limit", "said"),
    [
        ("budget.max_epoch_s=10", "an epoch takes 20 s"),
        pytest.param("budget.max_trial_hours=0.03", "9 epochs take 0.05 hours", marks=pytest.mark.heavy),
    ],
)
def test_a_trial_that_costs_too_much_is_infeasible_after_its_first_epoch(tmp_path, limit, said):
    """Networks of the kind lenet5 take 20 s here; a single slow epoch of another is nobody's fault."""

    def answer(leg, epoch, value):
        told = report(leg, epoch, value)
        told.metrics["epoch_s"] = 20.0 if leg.recipe.model["name"] == "lenet5" or (epoch == 2 and leg.number % 2) else 1.0
        return told

    drive(make_spec(tmp_path / "study", 90, overrides=[limit]), tmp_path / "study", value=rising, answer=answer)
    record = read_study(StudyFolder(tmp_path / "study"))
    slow = [trial for trial in record.trials if trial.recipe["model"]["name"] == "lenet5"]
    assert slow and all((trial.state, trial.kind, trial.epoch) == ("failed", "infeasible", 1) for trial in slow)
    assert all(trial.reason.startswith(said) for trial in slow)
    assert not any(trial.state == "failed" and trial.kind == "infeasible" for trial in record.trials if trial not in slow)
    by_model = [trial for trial in record.trials if trial.proposed_by.startswith("tpe")]
    assert 3 * sum(trial in slow for trial in by_model) < len(by_model)  # the sampler learns from it; at random it is a half


def test_a_study_goes_on_with_a_larger_full_budget(tmp_path):
    folder = tmp_path / "study"
    drive(make_spec(folder, 20), folder, num_slots=2)
    before = read_study(StudyFolder(folder))
    spec = make_spec(folder, 20, num_seeds=1, overrides=["budget.max_epochs=27"])
    run, _, events = drive(spec, folder, num_slots=2)
    after = read_study(StudyFolder(folder))
    new = after.trials[20:]
    complete = sorted((one for one in before.trials if one.state == "complete"), key=lambda one: -one.value)
    assert [one.params for one in new] == [one.params for one in complete[: max(1, len(complete) // 3)]]  # trained again, the best in eta
    assert new[0].proposed_by == f"again: trial {complete[0].number}, with 27 epochs"
    assert (new[0].state, new[0].epoch, full_epochs(new[0])) == ("complete", 27, 27)  # straight through
    assert after.best.number == new[0].number and len(after.confirmations) == 1
    for old, now in zip(before.trials, after.trials[:20], strict=True):
        assert now.values == old.values and full_epochs(now) == 9
        assert now.state == ("pruned" if old.state in ("waiting", "running") else old.state)
    assert "the study went on with 27 epochs in place of 9" in leaderboard(after, 30)
    assert run.is_finished and not [
        event for event in events if event["event"] == "trial" and event["number"] in {t.number for t in complete}
    ]


def test_whatever_else_is_left_to_be_tried_the_best_are_trained_again_to_the_end(tmp_path):
    """Known recipes without trials for them, and a target that a trial of the smaller full budget reached, change nothing of it."""
    folder = tmp_path / "study"
    start = "start=[{optimizer.lr: 0.02}, {optimizer.lr: 0.03}, {optimizer.lr: 0.04}, {optimizer.lr: 0.06}]"
    overrides = [start, "budget.stop_at=0.4"]
    drive(make_spec(folder, 2, overrides=overrides), folder, value=lambda recipe, epoch: epoch / 20)
    run, _, _ = drive(make_spec(folder, 2, overrides=[*overrides, "budget.max_epochs=27"]), folder, value=lambda recipe, epoch: epoch / 60)
    best = read_study(StudyFolder(folder)).best
    assert best.epoch == 27 and best.proposed_by.startswith("again: trial ") and run.ended_by == "stop_at"


def test_with_more_trials_too_it_searches_on_at_the_larger_budget_and_a_kill_changes_nothing(tmp_path):
    def whole(folder, answer=report):
        drive(make_spec(folder, 20), folder)
        spec = make_spec(folder, 40, overrides=["budget.max_epochs=27"])
        try:
            drive(spec, folder, answer=answer)
        except KeyboardInterrupt:
            drive(spec, folder)
        return read_study(StudyFolder(folder))

    count = 0

    def stop(leg, epoch, value):
        nonlocal count
        count += 1
        if count in (3, 30):
            raise KeyboardInterrupt
        return report(leg, epoch, value)

    straight, killed = whole(tmp_path / "a" / "study"), whole(tmp_path / "b" / "study", stop)
    assert len(straight.trials) == 40
    assert [(one.state, one.params, one.values, one.proposed_by) for one in straight.trials] == [
        (one.state, one.params, one.values, one.proposed_by) for one in killed.trials
    ]
    assert {full_epochs(one) for one in straight.trials[20:]} == {27}


def test_a_smaller_full_budget_or_anything_else_is_another_study(tmp_path):
    folder = tmp_path / "study"
    drive(make_spec(folder, 5), folder)
    for changed, said in (
        (["budget.max_epochs=3"], "has gone on with 9 epochs, and does not go back; give it budget.max_epochs=9"),
        (["budget.max_epochs=27", "space.optimizer.lr=0.1"], "was begun with another file"),
    ):
        with pytest.raises(UserError, match=said):
            drive(make_spec(folder, 5, overrides=changed), folder, value=curve)
