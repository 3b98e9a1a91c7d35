"""Searches over machines that come, go and break: nothing lost, nothing doubled, no trial blamed for its machine. No Ray, a made clock."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import randoms
from simulated_search import make_spec

from parts.simulated_cluster import Cluster
from parts.simulated_machine import Machine, answer
from parts.simulated_outcome import outcome_of
from parts.simulated_weather import Weather, draw_weather
from visiontune.filesystem.checkpoint_files import Attempt
from visiontune.filesystem.study_folder import StudyFolder
from visiontune.tuning.legs.placement import MAX_CRASHES, MAX_LOSSES, Node, Placement
from visiontune.tuning.search.search_run import SearchRun
from visiontune.tuning.study.event_log import read_events
from visiontune.tuning.study.open_storage import create_or_resume


def searched(folder, cluster, num_trials=12):
    run, storage = cluster.run(make_spec(folder, num_trials, sampler="random"), folder)
    return run, storage, storage.trials()


def test_a_node_of_eight_trials_that_is_lost_ends_no_search_and_no_trial(tmp_path):
    """Its eight workers die at once, before the cluster knows that the node is gone."""
    cluster = Cluster([Machine("big", 8, goes_s=4.0), Machine("late", 8, comes_s=120.0)])
    run, _, trials = searched(tmp_path / "study", cluster)
    assert run.is_finished and cluster.losses["big"] == 8
    assert all(trial.state.name != "FAIL" or trial.user_attrs["end"]["kind"] == "diverged" for trial in trials)


def test_losses_in_a_row_end_no_search_while_a_leg_from_before_them_is_at_work() -> None:
    """It may report yet: a machine of eight trials is lost at once, and nothing else is known of the others."""
    placement = Placement({"cpu": 1.0})
    placement.see([Node("large", "large", MAX_LOSSES), Node("small", "small", 1.0)])
    for number in range(MAX_LOSSES):
        placement.began(f"{number}", "large")
    placement.began("beside", "small")
    for number in range(MAX_LOSSES):
        assert not placement.is_hopeless()
        placement.lost(f"{number}")
    assert not placement.is_hopeless()
    placement.lost("beside")
    assert placement.is_hopeless()


def test_a_sick_machine_gets_no_trial_again_and_again(tmp_path):
    cluster = Cluster([Machine("sick", loses=1.0), Machine("a"), Machine("b")])
    run, _, trials = searched(tmp_path / "study", cluster, 30)
    assert run.is_finished and not any(trial.user_attrs.get("end", {}).get("kind") == "crashed" for trial in trials)
    # Left alone for 30, 60, 120, ... seconds: logarithmically many in the length of the search, not one for each leg.
    assert cluster.losses["sick"] <= 5 and cluster.now_s > 300
    assert any("on sick" in line for line in cluster.said)


def test_a_trial_that_kills_its_worker_on_three_sound_machines_is_given_up_alone(tmp_path):
    cluster = Cluster([Machine(name) for name in "abcd"], kills=lambda leg: leg.number == 3)
    run, _, trials = searched(tmp_path / "study", cluster)
    assert run.is_finished and trials[3].user_attrs["end"]["kind"] == "crashed"
    assert len({loss["node"] for loss in trials[3].user_attrs["losses"]}) == MAX_CRASHES
    assert [trial.number for trial in trials if trial.user_attrs.get("end", {}).get("kind") == "crashed"] == [3]


def test_a_worker_that_is_lost_as_it_starts_is_not_its_trials_fault():
    """No leg had begun there; the leg goes elsewhere all the same. Two trials failed so before a search on one machine ended."""
    placement = Placement({"cpu": 1.0})
    placement.see([Node(name, name) for name in "abcd"])
    losses = [placement.lost("00003", node, is_begun=False) for node in "abc"]
    assert not any(loss.is_given_up for loss in losses) and placement.shunned("00003") == {*"abc"}
    assert [placement.lost("00004", node).is_given_up for node in "dd"] == [False, False] and placement.lost("00004", "d").is_given_up


def test_a_trial_that_hangs_on_two_machines_has_failed_and_one_that_hangs_once_has_not(tmp_path):
    """Its workers leave the stacks with which a real one ends itself."""
    once = iter([True])

    def hangs(leg):
        is_hung = leg.number == 3 or (leg.number == 5 and next(once, False))
        if is_hung:
            Attempt.claim(tmp_path / "study" / "checkpoints" / leg.key).file.write_text("Timeout (0:02:00)!")
        return is_hung

    run, _, trials = searched(tmp_path / "study", Cluster([Machine(name) for name in "abcd"], kills=hangs))
    ends = {trial.number: trial.user_attrs.get("end", {}) for trial in trials}
    assert run.is_finished and [number for number, end in ends.items() if end.get("kind") == "hung"] == [3]
    assert len({loss["node"] for loss in trials[3].user_attrs["losses"]}) == 2 and "hung/00003.attempt-2.txt" in ends[3]["reason"]
    log = [event for event in read_events(tmp_path / "study" / "events.jsonl") if event.kind == "hung"]
    assert sorted(event.trial for event in log) == [3, 3, 5] and (tmp_path / "study" / "hung" / "00005.attempt-1.txt").is_file()


def test_a_leg_that_waits_for_a_machine_that_goes_comes_back_to_the_one_that_lost_it(tmp_path):
    """Lost on a while b is up and busy, so it waits for b; b is preempted, and nothing else ever joins."""
    kills = iter([True])
    cluster = Cluster([Machine("a"), Machine("b", comes_s=3.0, goes_s=12.0)], kills=lambda leg: leg.number == 0 and next(kills, False))
    run, _, trials = searched(tmp_path / "study", cluster)
    assert run.is_finished and cluster.losses == {"a": 1, "b": 1}
    assert not any(trial.user_attrs.get("end", {}).get("kind") == "crashed" for trial in trials)


@pytest.mark.parametrize("rank", [0, 1])
def test_a_trial_whose_second_workers_machine_is_preempted_again_and_again_is_not_blamed(rank):
    """Each loss counted on the first worker's machine, which is up: after three the trial had crashed. Rank 0: nobody knows who went."""
    placement = Placement({"cpu": 1.0}, num_workers=2)
    stay = [Node("a", "a"), Node("b", "b")]
    for spot in (Node(f"spot{number}", f"spot{number}") for number in range(5)):
        placement.see([*stay, spot])
        placement.began("00000", "a", [spot.key])
        assert placement.at_work_on({spot.key}) == ["00000"] and not placement.at_work_on({"b"})
        loss = placement.lost("00000", rank=rank)
        placement.see(stay)
        assert loss.node == ("a", spot.key)[rank] and not loss.is_given_up
    assert not placement.is_hopeless()


def test_a_machine_that_loses_second_workers_is_left_alone_and_that_of_the_first_is_not():
    placement = Placement({"cpu": 1.0}, num_workers=2)
    placement.see([Node(name, name) for name in "abcd"])
    for key, node in (("00000", "a"), ("00001", "b")):
        placement.began(key, node, "d")
        placement.lost(key, rank=1)
    assert placement.shunned("00002") == {"d"} and placement.num_fitting == 1
    losses = []
    for node, other in ("ab", "bc", "ca"):
        placement.began("00003", node, other)
        losses.append(placement.lost("00003").is_given_up)
    assert losses == [False, False, True], "on machines that stay it is the trial's own fault"


def test_no_machine_is_shunned_without_which_a_leg_has_no_room(tmp_path):
    """A leg of four workers over two machines with two each, one of which has just lost one."""
    placement = Placement({"cpu": 1.0}, num_workers=4)
    two = [Node("a", "a", 2), Node("b", "b", 2)]
    placement.see(two)
    placement.began("00000", "a")
    placement.lost("00000")
    assert placement.shunned("00000") == frozenset()
    placement.see([*two, Node("c", "third", 2)])
    assert placement.shunned("00000") == {"a"} and not placement.is_stranded(frozenset("a"))
    placement.see(two)
    assert placement.is_stranded(frozenset("a")) and not placement.is_stranded(frozenset())
    assert placement.name("c") == "third", "of a machine that is gone, for who left it"


def test_a_thousand_machines_are_looked_through_in_less_than_tunes_loop_takes():
    """Each leg that waits is asked about after each of Tune's steps (about 5 ms), the slots before each leg that is handed out."""
    placement = Placement({"cpu": 1.0, "gpu": 1.0})
    placement.see([Node(f"n{number}", f"n{number}", 8, 1) for number in range(1_000)])
    for key in ("00000", "00001"):
        placement.lost(key, "n7")
    shunned, began_s = placement.shunned("00002"), time.process_time()
    assert placement.num_slots == 999 and not any(placement.is_stranded(shunned) for _ in range(1_000))
    assert shunned == {"n7"} and time.process_time() - began_s < 0.1  # 2.5 s while each asked all machines about all others


def test_where_every_machine_is_sick_the_search_ends_and_blames_no_trial(tmp_path):
    cluster = Cluster([Machine(name, loses=1.0) for name in "abc"])
    run, _, trials = searched(tmp_path / "study", cluster)
    assert "the worker process died" in run.fatal and not any(trial.state.name == "FAIL" for trial in trials)
    assert cluster.now_s < 600


def test_a_cluster_that_grows_is_asked_for_more_and_no_more_than_it_doubles(tmp_path):
    cluster = Cluster([Machine("a"), *(Machine(name, comes_s=60.0 * num) for num, name in enumerate("bcd", 1))], can_grow=True)
    run, _, _ = searched(tmp_path / "study", cluster, 30)
    assert run.is_finished and 4 < cluster.most_out <= 8


def test_a_machine_that_turns_out_to_be_sick_takes_its_losses_off_a_trial(tmp_path):
    """Each of three flaky machines meets the same trial first; the first one then loses another's."""
    placement = Placement({"cpu": 1.0})
    placement.see([Node(name, name) for name in "abc"])
    assert not placement.lost("00000", "a").is_given_up and not placement.lost("00000", "b").is_given_up
    placement.lost("00001", "a")
    assert not placement.lost("00000", "c").is_given_up
    placement.began("00002", "a")
    placement.reported("00002")  # sound again: of three machines that lose nobody else's, the trial is at fault
    assert placement.lost("00000", "c").is_given_up


def test_a_report_that_comes_late_from_a_worker_that_was_cut_off_decides_nothing(tmp_path):
    """Of a rung that the trial has passed since: it would wait there for good, ahead of the rung and never promoted."""
    folder = tmp_path / "late"
    folder.mkdir()
    spec = make_spec(folder, 12, sampler="random")
    run = SearchRun(spec, create_or_resume(StudyFolder(folder), spec), StudyFolder(folder), lambda event: None)
    while (leg := run.next_leg()).known_epochs < 1:
        while run.report(leg.key, answer(leg, known := run.out.trained.get(leg.key, 0) + 1)):
            assert known < 9
    assert run.report(leg.key, answer(leg, 2)) and run.report(leg.key, answer(leg, 1))
    at_rung = replace(answer(leg, 3), metrics={**answer(leg, 3).metrics, "val_top1": 0.0})  # the best there would go on
    assert not run.report(leg.key, at_rung) and run.snapshot().num_running == 0


def test_a_trial_is_stopped_whose_driver_was_killed_between_its_epoch_and_the_verdict():
    """At the fact of its end; before, the next driver went on with it, and to the full budget."""
    outcome = outcome_of(Weather("asha that stops", 7, 0, Cluster([Machine("sound")], killed_at=[96])))
    assert (outcome.problems, outcome.faults["driver"]) == ([], 1)


@settings(max_examples=30, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(randoms(use_true_random=False))
def test_whatever_happens_to_machines_and_drivers_nothing_is_lost_or_doubled(draw):
    """Preempted, sick, slow, frozen, booted late; checkpoints gone; drivers killed between any two facts. chaos.py runs thousands."""
    weather = draw_weather(draw)
    outcome = outcome_of(weather)
    assert (outcome.problems, outcome.lost, outcome.doubled) == ([], 0, 0), weather


def test_fractions_of_a_gpu_are_on_one(tmp_path):
    placement = Placement({"cpu": 1.0, "gpu": 0.6})
    placement.see([Node("a", "a", 8, 4), Node("b", "b", 1, 4), Node("head", "head", 4, 0)])
    assert placement.num_slots == 4 + 1
    pairs = Placement({"cpu": 1.0, "gpu": 2.0})
    pairs.see([Node(name, name, 4, 1) for name in "abcd"])
    assert pairs.fits_nowhere()
    pairs.see([Node("head", "head", 4, 0)])  # machines with GPUs may yet join
    assert not pairs.fits_nowhere() and pairs.num_slots == 1
