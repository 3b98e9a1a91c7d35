"""Budgets in hours, GPU hours and epochs, on a clock that only training moves: a search ends in time, and with a winner."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
from simulated_search import curve, make_spec, report

from visiontune.errors import UserError
from visiontune.filesystem.study_folder import StudyFolder
from visiontune.results import search_summary
from visiontune.tuning.budget import search_clock, spending
from visiontune.tuning.preflight.get_ready import count_gpus, refuse_graphs
from visiontune.tuning.records.records import Ending
from visiontune.tuning.search.search_run import SearchRun
from visiontune.tuning.search.trial_queue import TrialQueue
from visiontune.tuning.study.open_storage import create_or_resume
from visiontune.tuning.study.read_study import read_study

RAY_S = 8.0
"""Before the first leg."""


@pytest.fixture
def clock(monkeypatch):
    time = SimpleNamespace(now=0.0)
    time.monotonic = lambda: time.now
    for module in (spending, search_clock):
        monkeypatch.setattr(module, "time", time)
    return time


def drive(clock, spec, folder, *, epoch_s, num_slots=1, num_gpus=0.0):
    """A search whose epochs take `epoch_s(leg)` seconds each, num_slots side by side, begun RAY_S after the command."""
    folder.mkdir(parents=True, exist_ok=True)
    events = []
    run = SearchRun(spec, create_or_resume(StudyFolder(folder), spec), StudyFolder(folder), events.append)
    run.num_slots, run.spending.num_gpus = num_slots, num_gpus
    clock.now += RAY_S
    legs = {}
    while not run.is_finished:
        while (leg := run.next_leg()) is not None:
            legs[leg.key] = (clock.now + epoch_s(leg), leg, leg.known_epochs + 1)
        if run.is_finished:
            break
        key = min(legs, key=lambda key: legs[key][0])
        due, leg, epoch = legs[key]
        left_s = 3600 * run.spending.left.get("hours", 1e9)
        clock.now = min(due, clock.now + left_s) if left_s > 0 else due
        if clock.now < due:
            run.check_budget()
            legs = {key: one for key, one in legs.items() if key in run.out}
            continue
        told = report(leg, epoch, curve(leg.recipe, epoch))
        told.metrics["epoch_s"] = epoch_s(leg)
        if run.report(key, told):
            legs[key] = (clock.now + epoch_s(leg), leg, epoch + 1)
        else:
            del legs[key]
    assert run.is_finished
    return run, events


SCHEDULERS = ["{name: asha}", "{name: asha, stop: true}", "{name: none}"]
CASES = list(itertools.product([0.005, 0.02, 0.5], [0.02, 0.4, 2.0, 9.0], [(1, 3), (2, 2), (5, 3)], SCHEDULERS))
PAIRS = [np.ravel_multi_index((h, e, (h + e) % 3, (h + 2 * e) % 3), (3, 4, 3, 3)) for h in range(3) for e in range(4)]
"""Of the cases, twelve in which any two values meet."""
TRIPLES = [np.ravel_multi_index((h, e, s, (h + e + s) % 3), (3, 4, 3, 3)) for h, e, s in np.ndindex(3, 4, 3)]
"""And 36 in which any three do."""


@pytest.mark.parametrize("at", [*PAIRS, *(pytest.param(at, marks=pytest.mark.heavy) for at in TRIPLES if at not in PAIRS)])
def test_whatever_the_hours_a_search_ends_in_time_with_a_winner(tmp_path, clock, at):
    """The winner has its full budget wherever that takes less than half of what is left after Ray's start."""
    (hours, seconds, (num_slots, num_seeds), scheduler), folder = CASES[at], tmp_path / "study"
    overrides = [f"budget.hours={hours}", f"trial_scheduler={scheduler}", "space.optimizer.lr=0.01"]
    spec = make_spec(folder, 50, sampler="random", num_seeds=num_seeds, overrides=overrides)
    run, _ = drive(clock, spec, folder, epoch_s=lambda _: seconds, num_slots=num_slots)
    assert clock.now <= 3600 * hours + 1e-6
    study, room_s = read_study(StudyFolder(folder)), 3600 * hours - RAY_S
    assert study.best is not None
    if 9 * seconds <= 0.5 * room_s:
        assert study.best.state == "complete" and study.best.epoch == 9
    if num_seeds and 2 * (1 + num_seeds) * (9 * seconds + 5) * 1.25 <= room_s:
        assert len(study.confirmations) == num_seeds
    if len(study.trials) < 50 or study.best.state != "complete":
        assert run.ended_by == "hours"


@pytest.mark.heavy
def test_epochs_differ_by_trial_and_the_winner_is_still_confirmed(tmp_path, clock):
    """One kind of network takes ten times as long as the other, and is the better one here or there."""
    for seed in range(3):
        folder = tmp_path / f"study{seed}"
        spec = make_spec(folder, 1000, sampler="random", num_seeds=2, overrides=["budget.hours=0.1", f"sampler.seed={seed}"])
        started = clock.now
        drive(clock, spec, folder, epoch_s=lambda leg: 2.0 if leg.recipe.model["name"] == "cnn" else 0.2, num_slots=2)
        study = read_study(StudyFolder(folder))
        assert study.best.state == "complete"
        assert len(study.confirmations) == 2
        assert clock.now - started <= 360


def test_epochs_and_gpu_hours_are_kept_to_the_last_one(tmp_path, clock):
    for limit in ("epochs=60", "gpu_hours=0.0166"):  # 60 epochs of 2 s on half a GPU are 60 s
        folder = tmp_path / limit.partition("=")[0]
        spec = make_spec(folder, 1000, num_seeds=2, overrides=[f"budget.{limit}", "budget.num_trials=null", "space.optimizer.lr=0.01"])
        run, _ = drive(clock, spec, folder, epoch_s=lambda _: 2.0, num_slots=3, num_gpus=0.5)
        study = read_study(StudyFolder(folder))
        assert 40 <= run.spending.spent["epochs"] <= 60
        assert study.best.state == "complete" and len(study.confirmations) == 2
        assert run.ended_by == limit.partition("=")[0]


@pytest.mark.parametrize("num_repeats", [1, 3])
def test_the_time_left_of_a_budget_of_epochs_has_room_for_no_more_than_these(tmp_path, clock, monkeypatch, num_repeats):
    """Confirmations are of the same epochs, and were counted beside all of them: twice as long as it took."""
    said, report_to = [], SearchRun.report

    def noted(run, key, told):
        goes_on = report_to(run, key, told)
        said.append((clock.now, run.snapshot().time_left_s))
        return goes_on

    monkeypatch.setattr(SearchRun, "report", noted)
    overrides = [f"budget.epochs={60 * num_repeats}", "budget.num_trials=null", "space.optimizer.lr=0.01", f"budget.repeats={num_repeats}"]
    spec = make_spec(tmp_path / "study", 1, sampler="random", num_seeds=3, overrides=overrides)
    drive(clock, spec, tmp_path / "study", epoch_s=lambda leg: 2.0 if leg.is_confirmation else 2.0 * num_repeats)
    first, last = (next(now for now, _ in said if now >= at) for at in (RAY_S + 30.0, RAY_S + 60.0))
    for at, left_s in said:
        if first <= at <= last:
            assert 0.8 * (clock.now - at) <= left_s <= 1.2 * (clock.now - at), (at, left_s)  # tests of the winner take time, and no epochs


@pytest.mark.heavy
def test_more_trials_in_steps_promote_as_many_as_all_at_once(tmp_path, clock):
    def num_full(folder, *steps):
        for num_trials in steps:
            drive(clock, make_spec(folder, num_trials, sampler="random"), folder, epoch_s=lambda _: 1.0)
        return [sum(trial.epoch >= rung for trial in read_study(StudyFolder(folder)).trials) for rung in (1, 3, 9)]

    at_once, in_steps = num_full(tmp_path / "a" / "study", 80), num_full(tmp_path / "b" / "study", 20, 40, 80)
    assert in_steps[0] == at_once[0]
    assert all(steps >= once for steps, once in zip(in_steps, at_once, strict=True))


def test_more_hours_revive_what_waits(tmp_path, clock):
    folder = tmp_path / "study"
    spent = []
    for hours in (0.01, 0.02, 0.05):
        spec = make_spec(folder, 30, overrides=[f"budget.hours={hours}"])
        run, events = drive(clock, spec, folder, epoch_s=lambda _: 1.0)
        spent.append(run.spending.spent["hours"])
        assert spent[-1] <= hours
    first = {trial.number: trial.epoch for trial in read_study(StudyFolder(folder)).trials}
    assert spent == sorted(spent)
    assert len(first) == 30 and sum(epoch == 9 for epoch in first.values()) >= 3
    revived = {event["number"] for event in events if event["event"] == "epoch" and event["epoch"] > 1}
    assert revived


def test_seconds_and_gpus_of_each_epoch_are_in_the_study(tmp_path, clock):
    folder = tmp_path / "study"
    spec = make_spec(folder, 4)
    drive(clock, spec, folder, epoch_s=lambda _: 1.5, num_gpus=0.25)
    for trial in create_or_resume(StudyFolder(folder), spec).trials():
        if trial.intermediate_values:
            assert trial.user_attrs["spent"] == {"epoch_s": {str(e): 1.5 for e in trial.intermediate_values}, "num_gpus": 0.25}


@pytest.mark.parametrize(("scheduler", "num_slots"), [("{name: none}", 8), ("{name: asha}", 16), ("{name: asha, stop: true}", 8)])
def test_epochs_are_planned_before_the_first_is_measured(tmp_path, clock, scheduler, num_slots):
    """Eight full trainings at once would be 72 epochs, all of them cut at 60."""
    folder = tmp_path / "study"
    overrides = ["budget.epochs=60", f"trial_scheduler={scheduler}", "space.optimizer.lr=0.01"]
    spec = make_spec(folder, 1000, num_seeds=2, overrides=overrides)
    run, _ = drive(clock, spec, folder, epoch_s=lambda _: 2.0, num_slots=num_slots)
    study = read_study(StudyFolder(folder))
    assert run.spending.spent["epochs"] <= 60
    assert study.best.state == "complete" and len(study.confirmations) == 2


def test_trials_that_all_fail_cost_something(tmp_path, clock):
    folder = tmp_path / "study"
    spec = make_spec(folder, 1, overrides=["budget.epochs=30", "budget.num_trials=null", "space.optimizer.lr=0.9"])  # diverges at once
    run, _ = drive(clock, spec, folder, epoch_s=lambda _: 1.0)
    assert run.ended_by == "epochs"
    assert 20 <= len(read_study(StudyFolder(folder)).trials) <= 30


def test_a_full_training_that_does_not_fit_is_the_hours_fault_and_more_of_them_revive_it(tmp_path, clock):
    folder = tmp_path / "study"
    ended = []
    for hours in (0.02, 0.2):
        spec = make_spec(folder, 4, overrides=[f"budget.hours={hours}", "space.optimizer.lr=0.01"])
        ended.append((drive(clock, spec, folder, epoch_s=lambda _: 9.0)[0].ended_by, read_study(StudyFolder(folder)).best.epoch))
    assert ended[0][0] == "hours" and ended[0][1] < 9
    assert ended[1] == ("", 9)


@pytest.mark.parametrize("epoch_s", [2.0, 20.0])
@pytest.mark.parametrize("starts_s", [(8, 8, 8), (8, 35, 35), (60, 60, 60)], ids=str)
def test_the_hours_that_a_search_asks_for_train_something(tmp_path, clock, monkeypatch, starts_s, epoch_s):
    """Each call starts Ray anew and its workers, which may take all of the budget; the first gave up before one was there."""
    folder, hours, trained = tmp_path / "study", 0.001, []
    for start_s in starts_s:
        monkeypatch.setattr("test_spending.RAY_S", start_s)
        spec = make_spec(folder, 20, num_seeds=1, overrides=[f"budget.hours={hours:.4g}"])
        run, _ = drive(clock, spec, folder, epoch_s=lambda _: epoch_s)
        trained.append(run.spending.num_new_epochs)
        if run.ended_by != "hours":
            break
        ending = Ending({"hours": hours}, "hours", 1, hours_to_go_on=run.spending.hours_to_go_on)
        hours = float(search_summary._with_more("search", ending, run.spending.spent).partition("=")[2])
    assert trained[0] == 0 and len(trained) > 1 and all(trained[1:])


def test_confirmations_that_were_begun_go_on_after_a_kill(tmp_path, clock):
    """Priced at their full length again, none of them would fit into what is left."""
    folder, killed = tmp_path / "study", 0

    def epoch_s(leg):
        nonlocal killed
        if leg.is_confirmation:
            (folder / "checkpoints" / leg.key).mkdir(parents=True, exist_ok=True)
            killed += 1
            if killed == 18:
                raise KeyboardInterrupt
        return 2.0

    spec = make_spec(folder, 1000, num_seeds=3, overrides=["budget.hours=0.05", "space.optimizer.lr=0.01"])
    with pytest.raises(KeyboardInterrupt):
        drive(clock, spec, folder, epoch_s=epoch_s, num_slots=3)
    clock.now += 1
    drive(clock, spec, folder, epoch_s=lambda leg: 0.8 if leg.is_confirmation else 2.0, num_slots=3)  # what is on disk is read, not trained
    assert len(read_study(StudyFolder(folder)).confirmations) == 3


@pytest.mark.parametrize(("limit", "is_asked"), [("budget.hours=100", False), ("budget.epochs=500", True)])
def test_only_where_epochs_are_paid_for_trials_on_workers_are_looked_through(tmp_path, clock, monkeypatch, limit, is_asked):
    """Before each leg: of a thousand at once that was a thousand steps for hours, which run for all of them together."""
    looked = []
    ahead = TrialQueue._epochs_ahead
    monkeypatch.setattr(TrialQueue, "_epochs_ahead", lambda self, number: looked.append((number, {*self.on_worker})) or ahead(self, number))
    folder = tmp_path / "study"
    folder.mkdir()
    spec = make_spec(folder, 12, overrides=[limit])
    run = SearchRun(spec, create_or_resume(StudyFolder(folder), spec), StudyFolder(folder), lambda event: None)
    run.num_slots = 4
    assert all(run.next_leg() is not None for _ in range(4))
    assert any(number in on_worker for number, on_worker in looked) == is_asked


def test_gpu_hours_without_a_gpu_are_refused(tmp_path):
    spec = make_spec(tmp_path / "study", 4, overrides=["budget.gpu_hours=1"])
    with pytest.raises(UserError, match="a trial gets none here; write hours"):
        count_gpus(spec, {"cpu": 1.0, "gpu": 0.0})
    assert count_gpus(spec, {"cpu": 1.0, "gpu": 0.5}) == 0.5
    several = make_spec(tmp_path / "several", 4, overrides=["resources.workers_per_trial=3"])
    assert count_gpus(several, {"cpu": 1.0, "gpu": 2.0}) == 6.0


def test_graphs_of_a_gpu_without_one_are_refused_before_the_first_trial(tmp_path):
    mode = "space.training.compile_mode={choice: [default, reduce-overhead]}"
    spec = make_spec(tmp_path / "study", 4, overrides=["space.training.use_compile=true", mode])
    with pytest.raises(
        UserError, match=r"space\.training\.compile_mode: compile_mode reduce-overhead is for CUDA graphs, and there is no GPU"
    ):
        refuse_graphs(spec, {"cpu": 1.0, "gpu": 0.0})
    refuse_graphs(spec, {"cpu": 1.0, "gpu": 0.5})
    refuse_graphs(make_spec(tmp_path / "plain", 4, overrides=["space.training.use_compile=true"]), {"cpu": 1.0, "gpu": 0.0})


def test_short_epochs_leave_time_for_the_tests_of_confirmations(tmp_path, clock):
    """A search with 425 trials of milliseconds once had no time for its second confirmation."""
    folder = tmp_path / "study"
    spec = make_spec(folder, 5000, sampler="random", num_seeds=3, overrides=["budget.hours=0.01", "space.optimizer.lr=0.01"])
    drive(clock, spec, folder, epoch_s=lambda leg: 2.7 if leg.is_test else 0.1, num_slots=2)
    assert len(read_study(StudyFolder(folder)).confirmations) == 3


def test_a_budget_that_ends_within_a_race_leaves_a_winner_that_met_the_test(tmp_path, clock):
    """Seeds after the first take much longer than anything before."""
    folder = tmp_path / "study"

    def epoch_s(leg):
        return 4.0 if leg.is_test or not leg.is_confirmation or leg.number == 0 else 100.0

    spec = make_spec(folder, 20, sampler="random", num_seeds=3, overrides=["budget.hours=0.1"])
    run, _ = drive(clock, spec, folder, epoch_s=epoch_s, num_slots=2)
    study = read_study(StudyFolder(folder))
    assert study.winner is not None and len(study.tested) == len(study.confirmations) == 1 and study.num_tests == 1
    assert run.ended_by == "hours" and 360 <= clock.now < 370, "the tests come on top"
    text = StudyFolder(folder).events.read_text()
    assert "the budget is used up, and the winner so far is tested" in text

    drive(clock, make_spec(folder, 20, sampler="random", num_seeds=3, overrides=["budget.hours=2"]), folder, epoch_s=epoch_s, num_slots=2)
    more = read_study(StudyFolder(folder))
    assert len(more.confirmations) == 3 and more.num_tests == 2, "with more of it the race goes on"
