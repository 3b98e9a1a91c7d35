"""The race at a search's end: who is trained again, who meets the test split, and that a kill changes nothing of it."""

from __future__ import annotations

import shutil
from collections import Counter
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from simulated_search import curve, drive, make_spec, report
from tiny import make_recipe

from visiontune import api
from visiontune.errors import UserError
from visiontune.filesystem.study_folder import StudyFolder
from visiontune.spec.declarations.fingerprint import keyed_seed
from visiontune.tuning import retrain_study
from visiontune.tuning.preflight.finished_study import is_finished
from visiontune.tuning.records.leg import Leg
from visiontune.tuning.records.records import Confirmation, StudyRecord, TrialRecord
from visiontune.tuning.retraining.confirmations import Confirmations, confirm_best
from visiontune.tuning.study.driver_lock import driver_lock
from visiontune.tuning.study.open_storage import create_or_resume, open_existing
from visiontune.tuning.study.read_confirmations import confirmed, key_of, results_of
from visiontune.tuning.study.read_study import ending_of, read_study
from visiontune.tuning.study.study_storage import Storage

NUM = 8


def noisy(recipe: Any, epoch: int) -> float:
    """The curve, with what a seed does to a recipe: two decimals of the rate decide it, so that the search's best is lucky."""
    return float(curve(recipe, epoch)) + keyed_seed(recipe.training["seed"], str(recipe.optimizer["lr"])) / 2**31 / 10


class Workers:
    """Answers as `report` does, notes each leg's ends, and kills the driver before it has the end number `kill_at`."""

    def __init__(self, kill_at: int = -1) -> None:
        self.ended, self.legs, self._kill_at = Counter[str](), dict[str, Leg](), kill_at

    def __call__(self, leg: Leg, epoch: int, value: float) -> Any:
        told = report(leg, epoch, value)
        if leg.is_confirmation and told.is_last:
            if sum(self.ended.values()) == self._kill_at:
                raise KeyboardInterrupt
            self.ended[leg.key] += 1
            self.legs[leg.key] = leg
        return told


def confirm(folder: Path, workers: Workers, num_slots: int = 2, *overrides: str) -> StudyRecord:
    spec = make_spec(folder, NUM, scheduler="none", num_seeds=3, overrides=overrides)
    drive(spec, folder, num_slots=num_slots, value=noisy, answer=workers)
    return read_study(StudyFolder(folder))


def test_the_winner_is_the_best_on_fresh_seeds_and_it_alone_is_tested(tmp_path: Path) -> None:
    workers = Workers()
    study = confirm(tmp_path / "study", workers)
    assert study.winner is not None and len(study.candidates) == 3 and len(study.confirmations) == 3
    assert 5 <= sum(not leg.is_test for leg in workers.legs.values()) <= 9
    means = {one.number: sum(c.val_value for c in one.confirmations) / len(one.confirmations) for one in study.candidates}
    assert means[study.winner.number] == max(means.values())
    assert sum(one.probability or 0.0 for one in study.candidates) == pytest.approx(1.0, abs=1e-3)
    seeds = [[c.seed for c in one.confirmations] for one in study.candidates]
    assert all(one == max(seeds, key=len)[: len(one)] for one in seeds), "paired"
    tested = {leg.weights for leg in workers.legs.values() if leg.is_test}
    assert len(tested) == 3 and all(study.winner.fingerprint in key for key in tested) and study.num_tests == 1
    for one in study.candidates:
        assert all(c.is_tested == (one.number == study.winner.number) for c in one.confirmations)
    (kept,) = (leg for leg in workers.legs.values() if leg.is_winner)
    assert kept.recipe.training["seed"] == max(study.confirmations, key=lambda one: one.val_value).seed


def test_a_kill_anywhere_loses_nothing_and_trains_nothing_twice(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):  # at the search's end
        confirm(tmp_path / "study", Workers(0), 1)
    shutil.copytree(tmp_path / "study", tmp_path / "whole" / "study")
    whole = Workers()
    expected = confirm(tmp_path / "whole" / "study", whole, 1)
    for kill_at in range(1, sum(whole.ended.values())):
        folder, first, second = tmp_path / str(kill_at) / "study", Workers(kill_at), Workers()
        shutil.copytree(tmp_path / "study", folder)
        with pytest.raises(KeyboardInterrupt):
            confirm(folder, first, 1)
        study = confirm(folder, second, 1)
        # As text: from Python 3.13 on a dataclass with NaN, a test value that is not there yet, is not equal to itself.
        assert str((study.winner, study.candidates, study.num_tests)) == str((expected.winner, expected.candidates, 1))
        assert first.ended + second.ended == whole.ended


@pytest.mark.parametrize(
    ("more", "num_all", "use_val"), [((), 6, False), (("confirm.use_val=true",), 7, True), (("confirm.top=1",), 3, False)]
)
def test_after_a_kill_the_trainings_left_are_those_that_are_not_done(
    tmp_path: Path, more: tuple[str, ...], num_all: int, use_val: bool
) -> None:
    """And of a search with fewer recipes than confirm.top there are no more than it has."""
    folder, workers = tmp_path / "study", Workers(2)
    with pytest.raises(KeyboardInterrupt):
        confirm(folder, workers, 1, *more)
    spec = make_spec(folder, NUM, scheduler="none", num_seeds=3, overrides=more)
    storage = open_existing(StudyFolder(folder))
    policy = confirm_best(spec, storage, StudyFolder(folder), read_study(StudyFolder(folder)).trials)
    assert policy is not None
    done = results_of(storage.attributes(), policy.prefix)
    assert (policy.num_wanted({}), policy.num_wanted(done), len(done)) == (num_all, num_all - 2, 2)
    few = Confirmations(spec, storage, StudyFolder(folder), policy._candidates[:1])
    assert few.num_wanted({}) == 3 + use_val


def test_with_val_and_the_mean_of_weights_are_made_of_the_winner_alone(tmp_path: Path) -> None:
    workers = Workers()
    study = confirm(tmp_path / "study", workers, 2, "confirm.use_val=true")
    assert study.winner is not None and study.with_val is not None and study.with_val.is_tested
    assert not any(one.is_tested for one in study.confirmations), "the test is met by what is kept alone"
    assert study.kept == "with_val" and [leg.weights.rpartition(".")[2] for leg in workers.legs.values() if leg.is_test] == ["with_val"]

    again = confirm(tmp_path / "study", Workers(), 2, "confirm.use_val=false")
    assert again.with_val is None and len(again.tested) == 3, "one that is not kept is not what the winner is worth"

    class Better(Workers):
        def __call__(self, leg: Leg, epoch: int, value: float) -> Any:
            told = super().__call__(leg, epoch, 2.0 if leg.averaged else value)
            return replace(told, is_last=True) if leg.averaged else told

    workers = Better()
    study = confirm(tmp_path / "soup" / "study", workers, 2, "confirm.weights=soup")
    assert study.averaged is not None and study.averaged.val_value == 2.0 and study.averaged.is_tested and study.kept == "averaged3"
    assert sum(leg.is_test for leg in workers.legs.values()) == 4


def test_one_candidate_is_what_a_search_did_before(tmp_path: Path) -> None:
    workers = Workers()
    study = confirm(tmp_path / "study", workers, 4, "confirm.top=1")
    assert study.winner == study.best and [one.is_tested for one in study.confirmations] == [True] * 3
    assert sum(not leg.is_test for leg in workers.legs.values()) == 3


def test_a_race_that_is_extended_repeats_nothing_and_counts_another_test(tmp_path: Path) -> None:
    first, second = Workers(), Workers()
    before = confirm(tmp_path / "study", first, 2, "confirm.top=1")
    after = confirm(tmp_path / "study", second, 2, "confirm.num_seeds=4")
    assert before.winner is not None and after.winner is not None and len(after.candidates) == 3
    assert not {leg.key for leg in first.legs.values()} & {leg.key for leg in second.legs.values() if not leg.is_test}
    assert (before.num_tests, after.num_tests) == (1, 2) and len(after.confirmations) == 4

    class Flipped(Workers):
        def __call__(self, leg: Leg, epoch: int, value: float) -> Any:
            told = super().__call__(leg, epoch, value)
            return replace(told, metrics={**told.metrics, "test_top1_flip": 0.6}) if leg.is_test else told

    flipped = confirm(tmp_path / "study", third := Flipped(), 2, "confirm.num_seeds=4", "confirm.test_time=flip")
    assert flipped.num_tests == 3 and {one.test_time_top1 for one in flipped.confirmations} == {0.6}
    assert len(third.legs) == 4 and all(leg.is_test for leg in third.legs.values())


def test_weights_trained_again_for_their_test_do_not_change_who_has_won(tmp_path: Path) -> None:
    """On a GPU their validation value is another than the race's."""

    class Worse(Workers):
        def __call__(self, leg: Leg, epoch: int, value: float) -> Any:
            told = super().__call__(leg, epoch, value)
            return replace(told, metrics={**told.metrics, "val_top1": -9.0}) if leg.is_test else told

    workers = Worse()
    study = confirm(tmp_path / "study", workers, 1)
    assert study.winner is not None and study.num_tests == 1
    assert all(study.winner.fingerprint in leg.key for leg in workers.legs.values() if leg.is_test)


def policy_of(folder: Path, trial: TrialRecord) -> tuple[Confirmations, Storage]:
    spec = make_spec(folder, 2, num_seeds=3)
    folder.mkdir(parents=True)
    storage = create_or_resume(StudyFolder(folder), spec)
    return Confirmations(spec, storage, StudyFolder(folder), [trial]), storage


TRIAL = TrialRecord(0, "complete", 0.9, 9, "", "", {}, asdict(make_recipe()), "f", {9: 0.9})


def test_what_the_leader_keeps_room_for_is_not_what_a_worker_has(tmp_path: Path) -> None:
    """Its seed 1 was lost while its seed 2 is trained, and nothing fits but seed 2: that is out already."""
    policy, _ = policy_of(tmp_path / "study", TRIAL)
    keys = [key_of(TRIAL, number) for number in range(3)]
    out = {keys[2]: Leg(keys[2], 2, make_recipe(), 0, is_confirmation=True)}
    assert policy.next_leg({keys[0]: Confirmation(1, 0.9)}, out, lambda leg, then: leg.key == keys[2]) is None


def test_who_wins_again_does_not_take_over_the_weights_of_who_won_between(tmp_path: Path) -> None:
    policy, storage = policy_of(tmp_path / "study", TRIAL)
    storage.set_attribute("kept", "confirmation.another.001")
    weights = StudyFolder(tmp_path / "study").winner_weights
    weights.touch()
    done = {key_of(TRIAL, number): Confirmation(number, 0.9, 0.9, 0.1) for number in range(3)}
    leg = policy.next_leg(done, {}, lambda leg, then: True)
    assert leg is not None and leg.is_test and leg.is_winner and not weights.exists()


def test_another_best_that_was_not_confirmed_leaves_the_count_of_tests() -> None:
    attributes = {"tests": [{}, {}], "race": {"winner": 1, "candidates": [[1, 1.0]]}}
    assert confirmed(attributes, [TRIAL], TRIAL)["num_tests"] == 2


def test_what_can_not_be_confirmed_is_refused_before_ray_starts(tmp_path: Path) -> None:
    spec = make_spec(tmp_path / "study", 2)
    drive(spec, tmp_path / "study")
    with pytest.raises(UserError, match="has not ended"):
        api.confirm(tmp_path / "study")
    with pytest.raises(UserError, match="top must be an int from 1 to 20, but got 0"):
        api.confirm(tmp_path / "study", top=0)
    storage = open_existing(StudyFolder(tmp_path / "study"))
    storage.set_attribute("finished", {"limits": {"num_trials": 2}, "by": "num_trials", "num_seeds": 0, "confirm": {"num_seeds": 0}})
    with driver_lock(StudyFolder(tmp_path / "study")), pytest.raises(UserError, match="already driven"):
        api.confirm(tmp_path / "study")
    with pytest.raises(UserError, match="seeds must be at least 1, but"):
        api.confirm(tmp_path / "study")
    with pytest.raises(UserError, match=r"weights: soup .* but use_val keeps one"):
        api.confirm(tmp_path / "study", seeds=3, weights="soup", use_val=True)


def test_a_registered_winner_is_registered_again_when_its_race_is_extended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another may have won, or other weights are kept."""
    confirm(tmp_path / "study", Workers())
    folder, names = StudyFolder(tmp_path / "study"), list[Any]()
    storage = open_existing(folder)
    storage.set_attribute("registered", "digits")
    storage.set_attribute(
        "finished", {"limits": {"num_trials": NUM}, "by": "num_trials", "num_seeds": 3, "confirm": {"top": 3, "num_seeds": 3}}
    )
    monkeypatch.setattr(retrain_study, "search_on_cluster", lambda run, *_, **__: run.next_leg())  # nothing is left to train
    monkeypatch.setattr(retrain_study, "leave_winner", lambda study, folder, store, put, register=None: names.append(register))
    retrain_study.retrain_study(folder, {}, tracker=lambda: nullcontext(lambda event: None), screen=lambda snapshot: None)
    ending = ending_of(storage)
    assert names == ["digits"] and ending is not None and ending.confirm_of_file == {"top": 3, "num_seeds": 3}


def test_the_file_of_a_search_does_not_undo_what_confirm_was_told_since(tmp_path: Path) -> None:
    """But a change of it counts."""
    _, storage = policy_of(tmp_path / "study", TRIAL)
    spec = make_spec(tmp_path / "study", 2, num_seeds=3)
    told = {"confirm": {**spec.confirm, "use_val": True}, "confirm_of_file": dict(spec.confirm)}
    storage.set_attribute("finished", {"limits": dict(spec.budget.ends), "by": "num_trials", "num_seeds": 3, **told})
    assert is_finished(storage, spec)
    assert not is_finished(storage, make_spec(tmp_path / "study", 2, num_seeds=3, overrides=["confirm.weights=soup"]))
