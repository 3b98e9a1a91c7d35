"""Searches without Ray: what a study holds at its end, whatever happened on the way."""

import errno
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack, nullcontext, suppress
from dataclasses import replace
from types import SimpleNamespace

import optuna
import pytest
from places import HELPERS, PLATFORM
from simulated_search import curve, drive, make_spec, report

from visiontune.errors import UserError
from visiontune.filesystem.study_folder import StudiesFolder, StudyFolder
from visiontune.spec.declarations.former_policies import PUBLISHED
from visiontune.spec.read_identity import spec_of_identity
from visiontune.tuning import launch
from visiontune.tuning.cluster.ray_ask_nodes import needs_of
from visiontune.tuning.launch import run_search
from visiontune.tuning.legs.placement import MAX_LOSSES
from visiontune.tuning.proposals.start_recipes import DEFAULTS
from visiontune.tuning.records.leg import Report
from visiontune.tuning.search.search_run import SearchRun
from visiontune.tuning.study import disk_room, driver_lease
from visiontune.tuning.study.driver_lock import driver_lock
from visiontune.tuning.study.event_log import read_events
from visiontune.tuning.study.open_storage import as_begun, create_or_resume, mend_journal, open_existing
from visiontune.tuning.study.read_study import read_study
from visiontune.tuning.study.study_storage import Storage
from visiontune.tuning.study.who_drives import holder_of

SIMULATE = HELPERS / "simulated_search.py"


def contents(storage):
    """All but the seconds, some of which a kill may swallow."""
    attributes = [{key: value for key, value in t.user_attrs.items() if key != "spent"} for t in storage.trials()]
    return [(t.number, t.state.name, t.params, t.intermediate_values, own) for t, own in zip(storage.trials(), attributes, strict=True)]


@pytest.mark.parametrize("sampler", ["tpe", "random", pytest.param("gp", marks=pytest.mark.heavy), "cmaes", "nsga2"])
def test_same_seed_on_one_worker_gives_the_same_study(tmp_path, sampler):
    runs = []
    for home in ("a", "b"):
        spec = make_spec(tmp_path / home / "study", 12, sampler=sampler, scheduler="none")
        runs.append(contents(drive(spec, tmp_path / home / "study")[1]))
    assert runs[0] == runs[1]
    num_params = len({str(params) for _, _, params, _, _ in runs[0]})
    assert num_params == 12 or (sampler == "nsga2" and num_params >= 9)  # a child may be one of its parents


def test_early_stopping_completes_a_trial_wherever_it_ends_and_it_can_win(tmp_path):
    """Trials of lenet5 end by themselves after two epochs, between the rungs 1 and 3."""

    def answer(leg, epoch, value):
        told = report(leg, epoch, value)
        return replace(told, is_last=told.is_last or (leg.recipe.model["name"] == "lenet5" and epoch >= 2))

    def value(recipe, epoch):
        return 0.9 if recipe.model["name"] == "lenet5" and epoch == 2 else curve(recipe, epoch) / 2

    folder = tmp_path / "study"
    session, storage, _ = drive(make_spec(folder, 20, num_seeds=2), folder, num_slots=2, value=value, answer=answer)
    early = [t for t in storage.trials() if t.state.name == "COMPLETE" and len(t.intermediate_values) == 2]
    assert early and all(t.user_attrs["end"]["reason"] == "early stopping after 2 epochs" for t in early)
    view = read_study(StudyFolder(folder))
    assert view.best.recipe["model"]["name"] == "lenet5" and view.best.epoch == 2
    assert [c.failure for c in view.confirmations] == ["", ""]
    assert session.is_finished


def test_another_seed_gives_another_study(tmp_path):
    spec = make_spec(tmp_path / "a", 5)
    other = make_spec(tmp_path / "b", 5, overrides=["sampler.seed=2"])
    params = [[t.params for t in drive(s, tmp_path / s.study)[1].trials()] for s in (spec, other)]
    assert params[0] != params[1]


def test_an_interrupted_study_becomes_the_one_that_was_not(tmp_path):
    """Proposal n depends on (seed, n, study) alone: a driver that goes on proposes what the first would have."""
    whole = contents(drive(make_spec(tmp_path / "a" / "study", 40), tmp_path / "a" / "study")[1])
    count = 0

    def stop_now(event):
        nonlocal count
        count += 1
        if count == 100:
            raise KeyboardInterrupt

    spec = make_spec(tmp_path / "b" / "study", 40)
    with pytest.raises(KeyboardInterrupt):
        drive(spec, tmp_path / "b" / "study", put=stop_now)
    assert contents(drive(spec, tmp_path / "b" / "study")[1]) == whole


@pytest.mark.parametrize("scheduler", ["asha, stop: true", "median"])
def test_who_was_let_go_on_is_not_stopped_after_a_kill_by_those_who_came_later(tmp_path, scheduler):
    """Each of eight trials on workers is the best at its first epoch when it reports, so none is stopped, before a kill or after it."""
    folder = StudyFolder(tmp_path / "study")
    spec = make_spec(folder.path, 8, scheduler=scheduler)
    folder.path.mkdir()
    storage = create_or_resume(folder, spec)
    run = SearchRun(spec, storage, folder, lambda event: None)
    run.num_slots = 8
    legs = [run.next_leg() for _ in range(8)]
    assert all(run.report(leg.key, report(leg, 1, 0.1 + leg.number / 100)) for leg in legs)
    again = SearchRun(spec, storage, folder, lambda event: None)
    again.num_slots = 8
    assert [again.next_leg().number for _ in range(8)] == [*range(8)]
    assert {trial.state.name for trial in storage.trials()} == {"RUNNING"}


def test_a_search_that_was_interrupted_has_spent_all_that_it_trained(tmp_path):
    spec, folder = make_spec(tmp_path / "study", 40), StudyFolder(tmp_path / "study")
    folder.path.mkdir(parents=True)
    storage = create_or_resume(folder, spec)
    session = SearchRun(spec, storage, folder, lambda event: None)
    leg = session.next_leg()
    for epoch in range(1, 6):
        session.report(leg.key, report(leg, epoch, 0.5))
    session.interrupt()
    session.sweep()
    assert SearchRun(spec, storage, folder, lambda event: None).spending.spent["epochs"] == 5


def test_states_are_honest(tmp_path):
    spec = make_spec(tmp_path / "study", 60)
    _, storage, events = drive(spec, tmp_path / "study", num_slots=4)
    for trial in storage.trials():
        last = max(trial.intermediate_values, default=0)
        if trial.state.name == "COMPLETE":
            assert last == 9
            assert trial.value == trial.intermediate_values[9]
        elif trial.state.name == "RUNNING":  # it waits at a rung, and may go on when there is more to spend
            assert last in (1, 3)
            assert "end" not in trial.user_attrs
        else:
            assert trial.user_attrs["end"]["kind"] == "diverged"
            assert trial.params["optimizer.lr"] > 0.5
    ends = [event for event in events if event["event"] == "end"]
    assert Counter(event["number"] for event in ends) == Counter(range(60))
    told = {"COMPLETE": ("FINISHED", "complete", "false"), "RUNNING": ("FINISHED", "waiting", "true")}
    told["FAIL"] = ("FAILED", "failed", "false")
    for event in ends:
        said = event["status"], event["tags"]["visiontune.state"], event["tags"]["visiontune.can_go_on"]
        assert said == told[storage.trials()[event["number"]].state.name]
        assert event["reason"]


def test_a_study_too_small_for_its_rungs_still_has_a_winner(tmp_path):
    _, storage, _ = drive(make_spec(tmp_path / "study", 2), tmp_path / "study", value=lambda recipe, epoch: -recipe.training["seed"] % 7)
    assert sorted(t.state.name for t in storage.trials()) == ["COMPLETE", "RUNNING"]


def test_a_sobol_sequence_until_there_are_values_then_tpe_with_one_in_five_at_random(tmp_path):
    spec = make_spec(tmp_path / "study", 25, scheduler="none")
    _, storage, _ = drive(spec, tmp_path / "study")
    num_values, least = 1, spec.sampler["num_startup"]
    assert storage.trials()[0].user_attrs["proposed_by"] == DEFAULTS
    for trial in storage.trials()[1:]:
        model = "random" if trial.number % 5 == 0 else "tpe"
        assert trial.user_attrs["proposed_by"].startswith(model if num_values >= least else "Sobol")
        num_values += trial.state.name == "COMPLETE"
    assert num_values > least == 8


def test_trial_0_is_the_defaults_and_runs_straight_through(tmp_path):
    """Others wait at rungs, and a driver that goes on in the middle of it knows that it does not."""
    folder, spec = tmp_path / "study", make_spec(tmp_path / "study", 6)
    reported = 0

    def stop_at_5(leg, epoch, value):
        nonlocal reported
        reported += leg.number == 0
        if reported == 5:
            raise KeyboardInterrupt
        return report(leg, epoch, value)

    with pytest.raises(KeyboardInterrupt):
        drive(spec, folder, answer=stop_at_5)
    assert max(open_existing(StudyFolder(folder)).trials()[0].intermediate_values) == 4
    _, storage, _ = drive(spec, folder)
    first = storage.trials()[0]
    assert first.params == {"model.name": "lenet5", "model.lenet5.width": 1, "optimizer.lr": 0.001}
    assert first.state.name == "COMPLETE" and max(first.intermediate_values) == 9
    assert all(max(trial.intermediate_values, default=1) in (1, 3, 9) for trial in storage.trials()[1:])


@pytest.mark.parametrize("is_better", [True, False])
def test_the_best_that_was_ahead_of_the_defaults_is_trained_in_full(tmp_path, is_better):
    """Halving promotes none of six trials to the last rung: the one that ran straight through must not win by that alone."""

    def value(recipe, epoch):
        is_default = recipe.optimizer["lr"] == 0.001
        return epoch / 100 + (0.5 if is_default == is_better else 0.1) if is_default else curve(recipe, epoch) * 0.1 + epoch / 100 + 0.2

    folder = tmp_path / "study"
    drive(make_spec(folder, 6, overrides=["space.optimizer.lr={float: [1e-4, 0.4], log: true}"]), folder, value=value)
    study = read_study(StudyFolder(folder))
    assert (study.best.number == 0) == is_better
    assert study.best.epoch == 9


@pytest.mark.heavy
def test_tpe_learns_what_can_not_be_built(tmp_path):
    """cnn never fits in memory here; once TPE proposes, it proposes cnn less often than chance would (binomial, p < 0.01)."""

    def answer(leg, epoch, value):
        if leg.recipe.model["name"] == "cnn":
            return Report(0, {}, 0, failure="infeasible", reason="does not fit in memory")
        return report(leg, epoch, value)

    _, storage, _ = drive(make_spec(tmp_path / "study", 80, scheduler="none"), tmp_path / "study", answer=answer)
    names = [t.params["model.name"] for t in storage.trials() if t.user_attrs["proposed_by"].startswith("tpe")]
    assert len(names) >= 40
    assert names.count("cnn") / len(names) < 0.3


def test_grid_is_every_point_once_and_then_ends(tmp_path):
    spec = make_spec(tmp_path / "study", 100, sampler="grid", scheduler="none", overrides=["space.optimizer.lr=0.01"])
    _, storage, _ = drive(spec, tmp_path / "study")
    points = [tuple(sorted(t.params.items())) for t in storage.trials()]
    assert len(points) == len(set(points)) == 4 + 2


def test_a_changed_space_is_refused_with_what_differs(tmp_path):
    folder = tmp_path / "study"
    drive(make_spec(folder, 5), folder)
    changed = make_spec(folder, 5, overrides=["space.optimizer.lr=0.1", "budget.max_epochs=27"])
    with pytest.raises(UserError) as refusal:
        create_or_resume(StudyFolder(folder), changed)
    text = str(refusal.value)
    assert "budget.max_epochs: was 9, is now 27" in text
    assert "optimizer.lr" in text
    assert "`name=NAME`" in text


def test_a_study_of_an_older_version_goes_on_with_the_draws_that_it_began_with(tmp_path):
    """Its identity does not say which policies have their paper's strength; its params keep their names."""
    folder = tmp_path / "study"
    policies = "space.augmentation={policy: {choice: {trivialaugment: {flip_probability: 0.5}, randaugment: {magnitude: {float: [0, 1]}}}}}"
    first, longer = (make_spec(folder, num, overrides=[policies]) for num in (6, 10))
    older = replace(first, space=replace(first.space, is_older=True))
    _, storage, _ = drive(older, folder)
    assert PUBLISHED not in storage.attributes()["identity"]
    begun = as_begun(StudyFolder(folder), longer)
    assert begun.space.is_older and spec_of_identity(storage.attributes()["identity"]).space.is_older
    _, storage, _ = drive(begun, folder)
    recipes = [trial.user_attrs["recipe"]["augmentation"] for trial in storage.trials()]
    assert len(recipes) == 10 and {one["policy"] for one in recipes} == {"soft_trivialaugment", "soft_randaugment"}
    assert {trial.params["augmentation.policy"] for trial in storage.trials()} == {"trivialaugment", "randaugment"}
    other = tmp_path / "other"
    drive(make_spec(other, 3, overrides=[policies]), other)
    assert not as_begun(StudyFolder(other), make_spec(other, 4, overrides=[policies])).space.is_older


def test_a_file_that_never_began_a_trial_binds_nobody(tmp_path):
    """Its checks failed, say for a typo in a path: the mended file has the name."""
    folder = tmp_path / "study"
    folder.mkdir()
    first = make_spec(folder, 5, overrides=["data.seed=1"])
    keys = {create_or_resume(StudyFolder(folder), first).attributes()["key"] for _ in range(2)}
    mended = make_spec(folder, 5, overrides=["objective.metric=val_loss"])
    _, storage, _ = drive(mended, folder)
    assert len(storage.trials()) == 5
    assert storage.attributes()["identity"] == mended.identity()
    assert {storage.attributes()["key"]} == keys  # MLflow has a run for it where a driver was killed before the first trial
    assert read_study(StudyFolder(folder)).objective.mode == "min"


def test_more_trials_go_on_in_the_same_study(tmp_path):
    folder = tmp_path / "study"
    drive(make_spec(folder, 5), folder)
    _, storage, _ = drive(make_spec(folder, 9), folder)
    assert [t.number for t in storage.trials()] == list(range(9))


def test_a_lost_worker_costs_nothing_but_time_and_a_bad_trial_is_given_up(tmp_path):
    crashes = Counter()

    def answer(leg, epoch, value):
        if leg.number == 3 or (leg.number == 5 and not crashes[5]):
            crashes[leg.number] += 1
            return Report(0, {}, 0, failure="crashed", reason="SIGSEGV")
        return report(leg, epoch, value)

    _, storage, _ = drive(make_spec(tmp_path / "study", 10), tmp_path / "study", answer=answer)
    trials = storage.trials()
    assert (trials[3].state.name, trials[3].user_attrs["end"]["kind"], crashes[3]) == ("FAIL", "crashed", 3)
    assert trials[3].user_attrs["end"]["reason"] == "crashed 3 times: SIGSEGV"
    assert trials[5].intermediate_values


def running(folder, num_trials=8, num_slots=1):
    """A search that has begun, and the sentences that it says."""
    folder.mkdir(exist_ok=True)
    spec = make_spec(folder, num_trials)
    run = SearchRun(spec, create_or_resume(StudyFolder(folder), spec), StudyFolder(folder), lambda event: None)
    said = []
    run.num_slots, run.say = num_slots, said.append
    return run, said


def test_a_machine_that_can_take_no_trial_is_no_trials_fault(tmp_path):
    """However often a trial meets it. What it lacks is said, and once all machines are so the search ends with that."""
    run, said = running(tmp_path / "study")
    for number in range(MAX_LOSSES):
        leg = run.next_leg()
        run.out.placed(leg.key)
        assert leg.number == 0 and not run.fatal
        run.lost(leg.key, "node7: a GPU was asked for, but torch sees none", is_begun=False)
        assert len(said) == min(number + 1, MAX_LOSSES - 1)
    assert said[0] == "trial 0 has lost its worker: node7: a GPU was asked for, but torch sees none"
    assert run.is_stopping and run.fatal.endswith("the last one: node7: a GPU was asked for, but torch sees none")
    trial = read_study(StudyFolder(tmp_path / "study")).trials[0]
    assert (trial.state, trial.reason) == ("waiting", "interrupted before its first epoch came to its end")


def test_a_crash_of_a_trial_is_not_said_to_be_its_workers(tmp_path):
    run, said = running(tmp_path / "study")
    leg = run.next_leg()
    run.out.placed(leg.key)
    run.report(leg.key, Report(0, {}, 0, failure="crashed", reason="RuntimeError: shapes do not match in my loss"))
    assert said == ["trial 0 has crashed: RuntimeError: shapes do not match in my loss"]


def test_one_sick_machine_does_not_end_the_search_of_the_others(tmp_path):
    """Epochs of theirs take longer than ten starts of its worker."""
    run, _ = running(tmp_path / "study", num_slots=2)
    healthy = run.next_leg()
    run.out.placed(healthy.key)
    for _ in range(3 * MAX_LOSSES):
        leg = run.next_leg()
        run.out.placed(leg.key)
        run.lost(leg.key, "node7: a GPU was asked for, but torch sees none", is_begun=False)
    assert not run.fatal
    run.lost(healthy.key, "node8: the worker process died")  # nobody is left who was at work before
    assert run.fatal


def test_a_search_whose_first_trials_fail_alike_ends_and_goes_on_once_that_is_mended(tmp_path):
    """Numbers in a reason make no difference; want of memory and divergence are what a search finds out."""
    run, _ = running(tmp_path / "study", num_trials=30)
    for number in range(6):
        assert not run.fatal
        leg = run.next_leg()
        run.report(leg.key, Report(0, {}, 0, failure="infeasible", reason=f"pictures of {number} px are too small"))
    assert run.fatal.startswith("6 of the first 6 trials failed alike: pictures of 0 px")
    spec = make_spec(tmp_path / "study", 30)
    _, storage, _ = drive(spec, tmp_path / "study")
    assert len(storage.trials()) == 30


def test_the_micro_batch_that_memory_allowed_stays_with_the_trial(tmp_path):
    """Its later legs begin with it, and the recipe that is given away has it; its own stays what was proposed."""
    run, _ = running(tmp_path / "study", num_trials=1)
    leg = run.next_leg()
    run.report(leg.key, replace(report(leg, 1, 0.5), micro_batch=16))
    run.lost(leg.key, "the worker process died")
    again = run.next_leg()
    assert (again.known_epochs, again.micro_batch, again.recipe) == (1, 16, leg.recipe)
    [trial] = read_study(StudyFolder(tmp_path / "study")).trials
    assert trial.as_trained.training == {**leg.recipe.training, "micro_batch": 16}


class Killed(BaseException):
    """kill -9 of the driver."""


@pytest.mark.parametrize("num_written", range(5))
def test_what_goes_with_an_epoch_is_in_the_study_where_the_epoch_is(tmp_path, monkeypatch, num_written):
    """A kill in between left an epoch of half a micro-batch to a recipe that says a whole one, and a machine that nobody knew."""
    run, _ = running(tmp_path / "study", num_trials=1)
    leg, written = run.next_leg(), []

    def counted(write):
        def count(*args, **more):
            if len(written) == num_written:
                raise Killed
            written.append(write(*args, **more))

        return count

    told = report(leg, 1, 0.5)
    place = {"node": "here", "num_threads": 1, "gpu": ""}
    told = replace(told, micro_batch=16, place=place, metrics={**told.metrics, "val_top1_0": 0.4, "val_top1_1": 0.6})
    with monkeypatch.context() as patched, suppress(Killed):
        for name in ("report", "note", "set_repeats", "set_micro_batch"):
            patched.setattr(Storage, name, counted(getattr(Storage, name)))
        run.report(leg.key, told)
    assert len(written) == num_written
    [trial] = read_study(StudyFolder(tmp_path / "study")).trials
    assert trial.epoch == 0 or (trial.micro_batch, trial.node, trial.repeats) == (16, "here", (0.4, 0.6))
    again, _ = running(tmp_path / "study", num_trials=1)
    leg = again.next_leg()
    assert leg.known_epochs == trial.epoch
    again.report(leg.key, replace(told, micro_batch=leg.micro_batch))
    [trial] = read_study(StudyFolder(tmp_path / "study")).trials
    assert (trial.epoch, trial.micro_batch, trial.node) == (1, leg.micro_batch, "here")


def test_confirmations_are_on_fresh_seeds_and_not_repeated(tmp_path):
    spec = make_spec(tmp_path / "study", 6, num_seeds=3)
    drive(spec, tmp_path / "study")
    drive(spec, tmp_path / "study")
    view = read_study(StudyFolder(tmp_path / "study"))
    seeds = {one.seed for one in view.confirmations}
    assert len(seeds) == 3
    assert not seeds & {row.recipe["training"]["seed"] for row in view.trials}
    assert [one.test_top1 for one in view.confirmations] == [0.5] * 3


def test_mlflow_is_told_of_the_best_as_it_changes_and_of_each_confirmation(tmp_path):
    _, _, events = drive(make_spec(tmp_path / "study", 20, num_seeds=3), tmp_path / "study", num_slots=4)
    view = read_study(StudyFolder(tmp_path / "study"))
    bests = [event for event in events if event["event"] == "best"]
    assert [event["step"] for event in bests] == sorted({event["step"] for event in bests})
    assert bests[-1]["metrics"] == {f"best.{view.objective.metric}": view.best.value}
    assert bests[-1]["step"] <= sum(trial.epoch for trial in view.trials) == sum(event["event"] == "epoch" for event in events)
    told = [event for event in events if event["event"] == "confirmation"]
    tests = [event for event in told if "final" in event]
    assert {event["seed"]: event["final"]["test_top1"] for event in tests} == {one.seed: one.test_top1 for one in view.confirmations}
    assert {event["number"] for event in tests} == {view.winner.number}
    trained = Counter((event["number"], event["seed"]) for event in told if event.get("status") == "FINISHED" and event not in tests)
    assert trained == {(one.number, seed.seed): 1 for one in view.candidates for seed in one.confirmations}
    assert {event["epoch"] for event in told if event not in tests} == set(range(1, 10))
    assert {event["metrics"].get("rung") for event in events if event["event"] == "epoch"} == {None, 1, 3, 9}


def test_mlflow_s_best_does_not_fall_where_another_driver_goes_on(tmp_path):
    """The first trial runs straight through: from there on only what is better in full is told."""
    spec, events = make_spec(tmp_path / "study", 12, sampler="random"), []

    def stop_now(event):
        events.append(event)
        if len(events) in (25, 45, 60):
            raise KeyboardInterrupt

    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            drive(spec, tmp_path / "study", put=stop_now)
    drive(spec, tmp_path / "study", put=stop_now)
    in_full = sorted(trial.values[9] for trial in read_study(StudyFolder(tmp_path / "study")).trials if 9 in trial.values)
    told = [event["metrics"]["best.val_top1"] for event in events if event["event"] == "best"]
    told = told[told.index(in_full[0]) :]
    assert told == sorted(told) and told[-1] == in_full[-1] and len(told) > 1


def test_another_winner_has_confirmations_of_its_own(tmp_path):
    """More trials may bring a better one: its figures must not be the old winner's."""
    folder = tmp_path / "study"
    drive(make_spec(folder, 3, num_seeds=2), folder)
    first = read_study(StudyFolder(folder))
    for name in ("winner.safetensors", "winner_test.json"):
        (folder / name).touch()
    drive(make_spec(folder, 40, num_seeds=2), folder)
    second = read_study(StudyFolder(folder))
    assert second.best.number != first.best.number
    assert len(second.confirmations) == len(first.confirmations) == 2
    assert {second.winner.number, first.winner.number} == {second.best.number, first.best.number}
    assert not (folder / "winner.safetensors").exists() and not (folder / "winner_test.json").exists()


def test_two_drivers_of_one_database_with_folders_of_their_own(tmp_path, monkeypatch):
    """The second is told who the first is; a dead one's study is taken over, and it stops should it come back."""
    monkeypatch.setattr(driver_lease, "BEAT_S", 0.1)
    monkeypatch.setattr(driver_lease, "_SETTLED_S", 0.05)
    url = f"sqlite:///{tmp_path}/studies.db"
    storages = []
    for number in range(2):
        (tmp_path / str(number)).mkdir()
        spec = make_spec(tmp_path / str(number) / "study", 3, overrides=[f"storage.url={url}"])
        storages.append(create_or_resume(StudyFolder(tmp_path / str(number) / "study"), spec))
    lost = []
    with driver_lease.driver_lease(storages[0], url, "study") as lease:
        lease.on_lost = lost.append
        with pytest.raises(UserError, match=f"study study is already driven by process {os.getpid()} on "):
            driver_lease.driver_lease(storages[1], url, "study").__enter__()
        other = make_spec(tmp_path / "1" / "study", 5, sampler="random", overrides=[f"storage.url={url}"])
        with pytest.raises(UserError, match="study study is already driven by process"):  # not even where no trial was begun yet
            run_search(other, StudiesFolder(tmp_path / "1"), tracker=nullcontext, screen=lambda shot: None)
        assert storages[0].attributes()["driver"]["pid"] == os.getpid()
        monkeypatch.setattr(lease, "beat", lambda: time.sleep(1.0))  # cut off
        with driver_lease.driver_lease(storages[1], url, "study"):
            time.sleep(1.2)
            assert len(lost) == 1
    assert storages[0].attributes()["driver"] is None


def test_a_driver_that_another_has_replaced_leaves_that_ones_files_alone(tmp_path):
    """As one on a machine that was cut off until its lock was gone: trials that it does not know are the other's, and so is the token."""
    folder = StudyFolder(tmp_path / "study")
    run, *_ = drive(make_spec(folder.path, 3), folder.path)
    newer, token = folder.checkpoint(7) / "epoch-000001.attempt-1.ckpt", folder.token
    newer.parent.mkdir(parents=True)
    newer.touch()
    with needs_of(folder):
        token.write_text("the other's")
    run.stop_for("process 7 on node3")
    run.sweep()
    assert newer.exists() and token.read_text() == "the other's"
    run.is_replaced = False
    run.sweep()
    assert not newer.exists(), "which nobody goes on from"


def test_a_request_to_leave_of_a_driver_that_was_killed_is_not_for_the_next_ones_workers(tmp_path):
    """They would have written a checkpoint at every look, to the end of the search."""
    folder = StudyFolder(tmp_path)
    folder.stopping.touch()
    with driver_lock(folder):
        assert not folder.stopping.exists()


def test_machines_at_fault_end_the_search_and_not_the_trials(tmp_path):
    """Every worker dies before its first report: the study stops, no trial is blamed, and a mended machine goes on."""
    folder = tmp_path / "study"
    folder.mkdir()
    spec = make_spec(folder, 20)
    session = SearchRun(spec, create_or_resume(StudyFolder(folder), spec), StudyFolder(folder), lambda event: None)
    session.num_slots = 4
    for _ in range(100):
        legs = [leg for leg in (session.next_leg() for _ in range(4)) if leg]
        for leg in legs:
            session.lost(leg.key, "no CUDA driver")
        if session.fatal:
            break
    assert "no CUDA driver" in session.fatal
    assert all(trial.state.name == "RUNNING" for trial in open_existing(StudyFolder(folder)).trials())
    _, storage, _ = drive(spec, folder)
    assert all(trial.intermediate_values or trial.state.name == "FAIL" for trial in storage.trials())


def test_checkpoints_of_waiting_trials_stay_within_the_limit(tmp_path):
    """Reports claim 1,000 bytes... of a limit of 1 MB with 400 kB each: two may stay."""
    folder = tmp_path / "study"
    held = []

    def answer(leg, epoch, value):
        (folder / "checkpoints" / leg.key).mkdir(parents=True, exist_ok=True)
        held.append(len(list((folder / "checkpoints").iterdir())))
        return Report(epoch, report(leg, epoch, value).metrics, 0, checkpoint_bytes=400_000)

    drive(make_spec(folder, 20, overrides=["storage.max_checkpoint_mb=1"]), folder, answer=answer)
    assert max(held) <= 4
    assert len(list((folder / "checkpoints").iterdir())) <= 2


def test_second_driver_is_refused_by_name_and_a_dead_ones_lock_is_free(tmp_path):
    script = "\n".join(
        (
            "import sys, time, pathlib",
            "from visiontune.filesystem.study_folder import StudyFolder",
            "from visiontune.tuning.study.driver_lock import driver_lock",
            "with driver_lock(StudyFolder(pathlib.Path(sys.argv[1]))):",
            "    print('held', flush=True)",
            "    time.sleep(60)",
        )
    )
    holder = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, env=environment())
    assert holder.stdout.readline() == b"held\n"
    with pytest.raises(UserError, match=f"process {holder.pid} on"), driver_lock(StudyFolder(tmp_path)):
        pass
    holder.kill()
    holder.wait()
    StudyFolder(tmp_path).driver_state.write_text(json.dumps({"pid": os.getpid(), "at_s": 1.0, "phase": "training"}))
    with driver_lock(StudyFolder(tmp_path)):
        assert str(os.getpid()) in (tmp_path / "driver.lock").read_text()
        assert holder_of(StudyFolder(tmp_path)).phase == ""  # what one before it said of itself is not its own


def test_a_driver_that_comes_second_removes_nothing_of_the_first_ones(tmp_path, monkeypatch):
    """Both found no folder; the first has it before the second gets to the lock."""
    folder, spec = StudyFolder(tmp_path / "study"), make_spec(tmp_path / "study")
    with ExitStack() as first:

        def begin_meanwhile(*_):
            folder.path.mkdir()
            first.enter_context(driver_lock(folder))
            create_or_resume(folder, spec)

        monkeypatch.setattr(launch, "check_studies", begin_meanwhile)
        with pytest.raises(UserError, match="already driven by process"):
            run_search(spec, StudiesFolder.of(tmp_path), tracker=nullcontext, screen=print)
        assert folder.journal.exists()


def test_pictures_that_are_not_there_are_told_before_ray_starts_and_leave_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("visiontune.tuning.search_on_cluster.cluster", lambda *_: pytest.fail("Ray is started"))
    spec = make_spec(tmp_path / "study", overrides=["data.source=folder", f"data.path={tmp_path}/nowhere"])
    with pytest.raises(UserError, match=r"data\.path: must be a folder, but there is no "):
        run_search(spec, StudiesFolder.of(tmp_path / "studies"), tracker=lambda: nullcontext(print), screen=lambda shot: None)
    assert not (tmp_path / "studies").exists()


def test_a_search_for_gpus_where_there_is_none_is_refused_before_anything_is_read_and_leaves_nothing(tmp_path, monkeypatch):
    """It was once Ray was up and all pictures were decoded, and left an empty folder of studies with MLflow's database."""
    counts = SimpleNamespace(get_current_node_num_accelerators=lambda: 0)
    monkeypatch.setitem(sys.modules, "ray._private.accelerators", SimpleNamespace(get_accelerator_manager_for_resource=lambda _: counts))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)

    def search(studies, gpus):
        spec = make_spec(tmp_path / "study", overrides=[f"resources.gpus_per_trial={gpus}"])
        run_search(spec, StudiesFolder.of(studies), tracker=lambda: pytest.fail("MLflow is told"), screen=lambda shot: None)

    for gpus in (1, 0.25):
        with pytest.raises(UserError, match=rf"resources.gpus_per_trial: {gpus} wanted, but this machine has 0 GPUs"):
            search(tmp_path / "studies", gpus)
        assert not (tmp_path / "studies").exists()
    (tmp_path / "studies").mkdir()
    with pytest.raises(UserError, match="this machine has 0 GPUs"):
        search(tmp_path / "studies", 1)
    assert [*(tmp_path / "studies").iterdir()] == [], "one that was there stays"
    counts.get_current_node_num_accelerators = lambda: 1
    with pytest.raises(pytest.fail.Exception, match="MLflow is told"):
        search(tmp_path / "studies", 1)


@pytest.mark.heavy
def test_kill_minus_nine_of_the_driver_at_random_moments(tmp_path):
    """The same command until it ends: exactly the trials asked for, none running, none announced twice with other params."""
    folder, moments = tmp_path / "study", random.Random(0)
    command = [sys.executable, str(SIMULATE), str(folder), "40", "0.04"]
    num_kills = 0
    for _ in range(30):
        driver = subprocess.Popen(command, env=environment())
        try:
            driver.wait(timeout=moments.uniform(0.9, 1.6) if num_kills < 4 else 60)
            break
        except subprocess.TimeoutExpired:
            driver.send_signal(signal.SIGKILL)
            driver.wait()
            num_kills += 1
    assert driver.returncode == 0
    assert num_kills >= 2
    storage = open_existing(StudyFolder(folder))
    assert [t.number for t in storage.trials()] == list(range(40))
    assert all(t.state.is_finished() or max(t.intermediate_values) in (1, 3) for t in storage.trials())
    reference = drive(make_spec(tmp_path / "whole" / "study", 40), tmp_path / "whole" / "study", num_slots=2)[1]
    assert Counter(t.state for t in storage.trials()).keys() == Counter(t.state for t in reference.trials()).keys()


def test_a_torn_last_line_is_cut_and_the_study_goes_on(tmp_path):
    folder = tmp_path / "study"
    drive(make_spec(folder, 5), folder)
    journal = folder / "study.journal"
    with journal.open("ab") as file:
        file.write(b'{"op_code": 6, "worker_id": "x", "tri')
    mend_journal(StudyFolder(folder))
    _, storage, _ = drive(make_spec(folder, 8), folder)
    assert len(storage.trials()) == 8


@pytest.mark.heavy
def test_an_rdb_url_holds_the_study_as_well(tmp_path):
    url = f"storage.url=sqlite:///{tmp_path}/studies.db"
    spec = make_spec(tmp_path / "study", 12, overrides=[url])
    drive(spec, tmp_path / "study")
    study = optuna.load_study(study_name="study", storage=f"sqlite:///{tmp_path}/studies.db")
    assert len(study.trials) == 12
    assert all(t.state.is_finished() or max(t.intermediate_values) in (1, 3) for t in study.trials)
    assert study.best_value == max(t.value for t in study.trials if t.state.name == "COMPLETE")


def test_a_database_without_its_driver_is_told_with_what_to_install(tmp_path):
    spec = make_spec(tmp_path / "study", 2, overrides=["storage.url=mysql+pymysql://me:secret@db/optuna"])
    with pytest.raises(UserError) as refusal:
        create_or_resume(StudyFolder(tmp_path / "study"), spec)
    assert "needs pymysql, which is not installed" in str(refusal.value) and "secret" not in str(refusal.value)


def test_optuna_itself_reads_the_journal(tmp_path):
    """Optuna's dashboard and command line need no adapter: its own loader sees states and values."""
    drive(make_spec(tmp_path / "study", 12), tmp_path / "study")
    backend = optuna.storages.journal.JournalFileBackend(str(tmp_path / "study" / "study.journal"))
    study = optuna.load_study(study_name="study", storage=optuna.storages.JournalStorage(backend))
    assert len(study.trials) == 12
    assert study.best_trial.state.name == "COMPLETE"


def test_snapshot_counts_add_up(tmp_path):
    folder = tmp_path / "study"
    folder.mkdir()
    session = SearchRun(
        make_spec(folder, 8), create_or_resume(StudyFolder(folder), make_spec(folder, 8)), StudyFolder(folder), lambda event: None
    )
    session.num_slots = 3
    legs = [session.next_leg() for _ in range(4)]
    assert legs[3] is None
    for leg in legs[:2]:
        session.out.placed(leg.key)
    assert (session.snapshot().num_running, session.snapshot().num_staged) == (2, 1)
    assert session.snapshot().running_trials == (0, 1) and session.snapshot().staged_trials == (2,)
    session.report(legs[1].key, report(legs[1], 1, curve(legs[1].recipe, 1)))
    shot = session.snapshot()
    assert (shot.num_running, shot.num_staged, shot.num_done + shot.num_pruned, shot.num_trials) == (1, 1, 0, 8)
    assert shot.num_waiting + shot.num_failed == 1
    assert shot.epochs_per_minute > 0.0


def environment():
    return {**os.environ, "PYTHONPATH": f"{PLATFORM}:{HELPERS}"}


class Disk:
    """Full from the twelfth report on, until it has been waited for so long: for the worker, and for what the driver reserves and syncs."""

    def __init__(self, monkeypatch, free_after_s):
        self.is_full, self.waited_s, self._free_after_s, self._num_reports = False, 0.0, free_after_s, 0
        for name in ("posix_fallocate", "fsync"):
            monkeypatch.setattr(os, name, self._refusing(getattr(os, name)))
        monkeypatch.setattr(disk_room.time, "sleep", self._wait)
        monkeypatch.setattr(disk_room, "FIRST_PAUSE_S", 0.0)

    def _refusing(self, call):
        def refuse(descriptor, *size):
            if self.is_full:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return call(descriptor, *size)

        return refuse

    def _wait(self, seconds):
        self.waited_s += seconds + 1.0
        self.is_full &= self.waited_s < self._free_after_s

    def worker(self, leg, epoch, value):
        self._num_reports += 1
        if self._num_reports == 12:
            self.is_full = True
            return Report(0, {}, 0, failure="full", reason="[Errno 28] No space left on device")
        return report(leg, epoch, value)


def test_a_full_disk_pauses_what_is_new_keeps_what_is_reported_and_goes_on_by_itself(tmp_path, monkeypatch):
    folder, disk = tmp_path / "study", Disk(monkeypatch, free_after_s=30.0)
    session, storage, _ = drive(make_spec(folder, 12, sampler="random"), folder, num_slots=3, answer=disk.worker)
    assert session.is_finished and not session.fatal and disk.waited_s >= 30.0
    log = [event.text for event in read_events(folder / "events.jsonl") if event.kind == "disk"]
    assert "new trials wait until there is room" in log[0] and log[-1] == "there is room on the disk again"
    undisturbed = drive(make_spec(tmp_path / "b" / "study", 12, sampler="random"), tmp_path / "b" / "study", num_slots=3)[1]
    assert {t.number: max(t.intermediate_values, default=0) for t in storage.trials()}.keys() == set(range(12))
    assert len(storage.trials()) == len(undisturbed.trials())
