"""Population based training: who exploits whom by Ray's rule, how params are explored, what a kill leaves of a decision."""

from __future__ import annotations

import random
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from optuna.storages import InMemoryStorage
from optuna.study import StudyDirection
from population_file import SPACE
from simulated_search import drive, report

from parts.simulated_cluster import Cluster
from parts.simulated_machine import Machine, curve
from parts.simulated_weather import draw_weather
from visiontune.errors import UserError
from visiontune.filesystem.study_folder import StudyFolder
from visiontune.results.tables.importance_table import importance_lines
from visiontune.spec.declarations.domains import Choice, Float, Int
from visiontune.spec.declarations.trial_recipe import TrialRecipe
from visiontune.spec.parse import load_start_recipe, load_study
from visiontune.spec.space.space import Space
from visiontune.tuning.budget.held_states import HeldStates
from visiontune.tuning.importance.importance import importance_of
from visiontune.tuning.proposals.start_recipes import enqueue_in
from visiontune.tuning.ranking.population import explored, perturbed, quantiles
from visiontune.tuning.records.leg import Leg, Report
from visiontune.tuning.records.phase import PHASES
from visiontune.tuning.records.records import StudyRecord
from visiontune.tuning.search.study_again import say_again
from visiontune.tuning.study.lineage import lineage, phase_before
from visiontune.tuning.study.open_storage import create_or_resume
from visiontune.tuning.study.read_study import study_record
from visiontune.tuning.study.study_storage import Storage


@pytest.mark.heavy
@pytest.mark.parametrize("share", [0.1, 0.25, 0.5])
@pytest.mark.parametrize("num", range(12))
def test_quantiles_are_rays(num: int, share: float) -> None:
    from ray.tune.schedulers import PopulationBasedTraining

    theirs = PopulationBasedTraining(
        "epoch", metric="value", mode="max", quantile_fraction=share, hyperparam_mutations={"lr": [0.1, 0.2]}, require_attrs=False
    )
    order = random.Random(num).sample(range(num), num)
    theirs._trial_state = {_Trial(number): SimpleNamespace(last_score=number) for number in order}
    low, high = theirs._quantiles()
    best, worst = quantiles(sorted(order, reverse=True), share)
    assert ({*best}, {*worst}) == ({one.number for one in high}, {one.number for one in low})


class _Trial:
    """What Ray's rule asks of one."""

    def __init__(self, number: int) -> None:
        self.number = number

    def is_finished(self) -> bool:
        return False


@pytest.mark.parametrize(
    ("domain", "value", "found"),
    [
        (Float(0.0, 1.0), 0.5, {0.6, 0.4}),
        (Float(0.0, 0.55), 0.5, {0.55, 0.4}),
        (Float(0.45, 1.0), 0.5, {0.6, 0.45}),
        (Float(0.0, 1.0), 0.0, {0.0}),
        (Float(0.0, 1.0, step=0.1), 0.5, {0.6, 0.4}),
        (Float(0.0, 1.0, step=0.1), 0.0, {0.1, 0.0}),
        (Float(0.0, 1.0, step=0.5), 0.5, {0.0, 1.0}),
        (Int(1, 10), 5, {6, 4}),
        (Int(1, 10), 2, {1, 3}),
        (Int(1, 2), 1, {1, 2}),
        (Int(1, 9, step=2), 9, {9, 7}),
        (Choice((1, 2, 4)), 2, {1, 4}),
        (Choice((1, 2, 4)), 4, {2, 4}),
    ],
)
def test_params_are_perturbed_within_their_domain(domain: Any, value: Any, found: set[Any]) -> None:
    """By 1.2 and .8, or to a neighbour: worked out by hand."""
    assert {perturbed(domain, value, random.Random(seed)) for seed in range(40)} == found


@pytest.mark.heavy
@pytest.mark.parametrize("mutation", [[0.1, 0.2, 0.4, 0.8], lambda: 0.2])
def test_rays_own_exploration_moves_a_param_to_the_same_values(mutation: Any) -> None:
    from ray.tune.schedulers.pbt import _explore

    random.seed(0)
    theirs = {_explore({"lr": 0.2}, {"lr": mutation}, 0.0, (1.2, 0.8), None)[0]["lr"] for _ in range(40)}
    domain = Choice(tuple(mutation)) if isinstance(mutation, list) else Float(0.01, 1.0)
    assert theirs == {perturbed(domain, 0.2, random.Random(seed)) for seed in range(40)}


def test_a_param_is_drawn_anew_as_often_as_the_file_says() -> None:
    space = Space({"optimizer": {"name": "sgd", "lr": Float(0.01, 1.0)}})
    for chance in (0.0, 0.25, 1.0):
        found = [explored(space, {"optimizer.lr": 0.1}, seed, chance)["optimizer.lr"] for seed in range(400)]
        drawn = sum(lr not in (0.1 * 1.2, 0.1 * 0.8) for lr in found)
        assert abs(drawn / 400 - chance) < 4 * (chance * (1 - chance) / 400) ** 0.5 + 1e-9


def searched(path: Path, cluster: Cluster | None = None, **settings: Any) -> tuple[StudyRecord, Cluster]:
    """The record of a search on a simulated cluster."""
    cluster = cluster or Cluster(settings.pop("machines", None) or [Machine("one")], **settings)
    return study_record(stored(path, cluster), "pop"), cluster


def stored(path: Path, cluster: Cluster) -> Storage:
    """Its storage, in memory."""
    spec, memory = load_study(SPACE), InMemoryStorage()
    run, storage = cluster.run(spec, path, (memory, _created(memory, spec)))
    assert run.is_finished and not run.fatal
    return storage


def _created(memory: InMemoryStorage, spec: Any) -> int:
    number = memory.create_new_study([StudyDirection.MAXIMIZE], spec.study)
    memory.set_study_user_attr(number, "identity", spec.identity())
    memory.set_study_user_attr(number, "key", "k")
    return number


def decisions(record: StudyRecord) -> list[Any]:
    return [(one.number, one.phases, one.values, one.recipe) for one in record.trials]


def test_one_worker_decides_by_the_values_of_all(calm: StudyRecord) -> None:
    """At each point the two worst of eight take the weights of one of the two best, whose params then change; all others stay."""
    record = calm
    assert [one.epoch for one in record.trials] == [9] * 8
    for point in (3, 6):
        order = sorted(record.trials, key=lambda one: -one.values[point])
        taken = {one.number: next(phase.source for phase in one.phases if phase.epoch == point) for one in order}
        best, worst = {one.number for one in order[:2]}, {one.number for one in order[-2:]}
        assert {number for number, source in taken.items() if source is not None} == worst
        assert {source for source in taken.values() if source is not None} <= best
    for trial in record.trials:
        for phase in trial.phases[1:]:
            assert phase.source is None or phase.recipe["phases"][-1]["after_epoch"] == phase.epoch


def test_a_recipe_of_a_population_is_its_source_up_to_there(calm: StudyRecord) -> None:
    found = [phase for one in calm.trials for phase in one.phases[1:] if phase.source is not None]
    assert len(found) == 4
    for phase in found:
        recipe, source = TrialRecipe(**phase.recipe), calm.trial(phase.source or 0)
        then = [one for one in source.phases if one.recipe and one.epoch < phase.epoch][-1]
        assert recipe.up_to(phase.epoch) == TrialRecipe(**then.recipe) and recipe != TrialRecipe(**then.recipe)
        changed = recipe.at(phase.epoch + 1).flat()
        assert {key: changed[key] for key in phase.params} == dict(phase.params)


def test_what_took_weights_says_nothing_of_its_params(calm: StudyRecord) -> None:
    num_with_others = sum(any(phase.source is not None for phase in one.phases) for one in calm.trials)
    (said,) = importance_lines(importance_of(calm))
    assert said.startswith(
        f"pop: {8 - num_with_others} trials have a value of val_top1 to go by; {num_with_others} trials took weights that "
    )


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> StudyRecord:
    """One worker, undisturbed."""
    return searched(tmp_path_factory.mktemp("calm"))[0]


@pytest.mark.parametrize("every", [5, 7, 31])
def test_a_killed_driver_decides_what_the_first_would_have(every: int, calm: StudyRecord, tmp_path: Path) -> None:
    """Killed after so many writes again and again: decisions, values and recipes are those of an undisturbed search."""
    record, cluster = searched(tmp_path, killed_at=[*range(every, 700, every)], save_every=2)
    assert cluster.num_kills > 200 // every and decisions(record) == decisions(calm)
    told = {event["number"] for event in cluster.events if "goes on from trial" in event.get("tags", {}).get("visiontune.phases", "")}
    assert told == {trial.number for trial in calm.trials if any(phase.source is not None for phase in trial.phases)}


def test_lost_checkpoints_cost_epochs_and_change_nothing(calm: StudyRecord, tmp_path: Path) -> None:
    record, cluster = searched(tmp_path / "wiped", wiped_s=[120.0, 400.0, 700.0])
    assert decisions(record) == decisions(calm) and cluster.repeated > 0


def test_several_workers_wait_for_nobody(tmp_path: Path) -> None:
    machines = [Machine("slow", epoch_s=40.0), Machine("a", 2), Machine("b", loses=0.1)]
    record, cluster = searched(tmp_path, machines=machines, killed_at=[*range(20, 400, 20)])
    assert [one.epoch for one in record.trials] == [9] * 8 and cluster.most_out <= 4
    for trial in record.trials:
        assert [phase.epoch for phase in trial.phases] == [0, 3, 6]
        segments = lineage({one.number: one for one in record.trials}, trial.number, 9)
        assert (segments[0].low, segments[-1].high) == (0, 9) and all(a.high == b.low for a, b in pairwise(segments))


def test_mlflow_is_told_of_a_trial_as_it_was_begun_also_when_it_is_told_again(tmp_path: Path) -> None:
    cluster, again = Cluster([Machine("one")]), list[Any]()
    storage = stored(tmp_path, cluster)
    say_again(storage, load_study(SPACE), again.append)
    for kind in ("trial", "end"):
        first, second = (
            {one["number"]: (one.get("params"), one.get("recipe"), one["tags"]) for one in told if one["event"] == kind}
            for told in (cluster.events, again)
        )
        assert first == second and len(first) == 8
    begun = [trial.params for trial in storage.trials()]
    assert [one["params"] for one in cluster.events if one["event"] == "trial"] == begun
    assert [trial.params for trial in study_record(storage, "pop").trials] != begun


def test_a_trial_has_pictures_at_a_time_as_those_whose_weights_it_took(tmp_path: Path) -> None:
    assert_pictures_at_a_time(study_record(drive(load_study(SPACE), tmp_path, answer=halved)[1], "pop"))


def halved(leg: Leg, epoch: int, value: float) -> Report:
    """Memory allows trials of odd numbers half a batch."""
    is_halved = leg.number % 2 == 1 and leg.known_epochs == 0
    return replace(report(leg, epoch, value), micro_batch=16 if is_halved else leg.micro_batch)


def assert_pictures_at_a_time(record: StudyRecord) -> None:
    """What trained the weights says how much."""
    trials = {one.number: one for one in record.trials}
    firsts = {number: lineage(trials, number, 9)[0].number for number in trials}
    assert any(number % 2 != first % 2 for number, first in firsts.items())
    assert {number: one.micro_batch for number, one in trials.items()} == {number: 16 * (one % 2) for number, one in firsts.items()}


@pytest.mark.parametrize("fact", ["note", "set_micro_batch"])
def test_a_kill_amid_a_decision_leaves_a_trial_the_pictures_at_a_time_of_its_own_weights(
    fact: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What memory allowed the source was written before the decision; now it is part of it, and the next driver goes by that."""
    whole, killed, spec = getattr(Storage, fact), set[int](), load_study(SPACE)

    def write(storage: Storage, number: int, *rest: Any) -> None:
        is_at_point = len(storage.trial(number).intermediate_values) >= 3
        if is_at_point and number not in killed and (fact == "set_micro_batch" or rest[0] == PHASES):
            killed.add(number)
            raise KeyboardInterrupt
        whole(storage, number, *rest)

    monkeypatch.setattr(Storage, fact, write)
    record = None
    while record is None:
        with suppress(KeyboardInterrupt):
            record = study_record(drive(spec, tmp_path, answer=halved)[1], "pop")
        for trial in create_or_resume(StudyFolder(tmp_path), spec).trials():
            is_decided = any(phase["source"] is not None for phase in trial.user_attrs.get(PHASES, ()))
            assert is_decided or trial.user_attrs.get("micro_batch", 0) == 16 * (trial.number % 2) * bool(trial.intermediate_values)
    assert killed
    assert_pictures_at_a_time(record)


@pytest.mark.parametrize("seed", range(6))
def test_machines_that_come_go_and_break_make_no_trial_of_two_minds(seed: int, tmp_path: Path) -> None:
    """Each decided once at each point it got past, on whatever was known; each epoch once, by the recipe that it had then."""
    record, _ = searched(tmp_path, draw_weather(random.Random(seed)).cluster)
    for trial in record.trials:
        assert [phase.epoch for phase in trial.phases] == [0, 3, 6] and [*trial.values] == [*range(1, 10)]
        first = {epoch: TrialRecipe(**phase_before(trial, epoch).recipe) for epoch in trial.values}
        assert dict(trial.values) == {epoch: curve(recipe, epoch) for epoch, recipe in first.items()}


def test_a_held_state_outlives_its_trial_and_the_trial_that_takes_it(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path)
    held, own, other = HeldStates(folder), folder.checkpoint(3), folder.checkpoint(5)
    for place, text in ((own, "own"), (other, "other")):
        place.mkdir(parents=True)
        (place / "epoch-000006.attempt-2.ckpt").write_text(text)
        (place / "attempt-2").touch()
    held.hold(3, 6)
    (own / "epoch-000006.attempt-2.ckpt").unlink()
    assert held.give(3, 6, 5) and not held.give(4, 6, 5)
    assert [path.read_text() for path in other.glob("*.ckpt")] == ["own"] and not (other / "attempt-2").exists()
    held.release(lambda epoch: epoch == 6)
    assert held.keys == ["00003.epoch-000006"]
    held.release(lambda epoch: epoch > 6)
    assert held.keys == [] and other.exists()


def test_a_population_that_has_begun_takes_neither_epochs_nor_recipes(tmp_path: Path) -> None:
    run, _ = Cluster([Machine("one")]).run(load_study(SPACE), tmp_path / "pop")
    assert run.is_finished
    longer = load_study({**SPACE, "budget": {"num_trials": 8, "max_epochs": 27}})
    with pytest.raises(UserError, match="the population of study pop is trained for the 9 epochs that it was begun with"):
        create_or_resume(StudyFolder(tmp_path / "pop"), longer)
    with pytest.raises(UserError, match=r"study pop is a population \(pbt\) whose trials have all begun"):
        enqueue_in(StudyFolder(tmp_path / "pop"), "journal", load_start_recipe(None, ["optimizer.lr=0.02"]))
