"""Searches on recorded tables: peers against what their own libraries do, bounds by hand, compute in seconds, recipes from other tables."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.pruners import HyperbandPruner, NopPruner

from parts.peer_searches import WORST, OneEpochForAll, PlainOptuna, RaySearch, drawn
from parts.recorded_tables import NUM_POINTS, Table, load_table, start_recipes
from parts.rehearsed_tables import KINDS, ORACLE, STARTED, Case, Progress, oracle, search_table
from visiontune.spec.declarations.domains import Choice, Float
from visiontune.spec.space.defaults import default_params
from visiontune.spec.space.space import Space
from visiontune.tuning.rehearse_search import Begun, Point, drive

BRANCHES = Space({"kind": Choice(("a", "b"), {"a": {"depth": Choice((1, 2))}}), "lr": Float(1e-4, 1.0, log=True)})


def write(folder: Path, name: str, finals: list[float], **more: Any) -> Table:
    """Rows that rise to `finals`, at equal steps of one param."""
    val_NP = np.array(finals)[:, None] * np.linspace(0.5, 1, NUM_POINTS)
    meta = json.dumps({"first_epoch": "acc_1"})
    np.savez(folder / f"{name}.npz", p_x=np.linspace(0, 1, len(finals)), val=val_NP, meta=meta, **more)
    table = load_table(folder / f"{name}.npz")
    assert table is not None
    return table


@pytest.mark.parametrize("kind", [*KINDS, *STARTED, ORACLE])
def test_every_kind_searches_to_an_end_and_does_so_again(tmp_path: Path, kind: str) -> None:
    """15 rows cost 405 epochs in full, so each kind ends before 500; later epochs are better here, so no score falls."""
    table = write(tmp_path, "one", [0.1 + 0.05 * k for k in range(15)])
    case = Case(table, 0, 15, [{"x": 1.0}])
    scores = search_table(case, kind, 500)
    assert len(scores) == 500 and scores == sorted(scores) == search_table(case, kind, 500)
    assert scores[-1] > 0.5


@pytest.mark.parametrize("use_hyperband", [False, True])
def test_plain_optuna_is_optunas_own_loop(use_hyperband: bool) -> None:
    """One worker against `study.optimize` with the same sampler, pruner and objective."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)

    def value(lr: float, epoch: int) -> float:
        return 1 - abs(math.log10(lr) + 2) / 4 - 0.3 / epoch

    def plain(trial: optuna.Trial) -> float:
        lr = trial.suggest_float("lr", 1e-4, 1.0, log=True)
        for step in range(NUM_POINTS):
            trial.report(value(lr, step + 1), step)
            if trial.should_prune():
                raise optuna.TrialPruned
        return value(lr, NUM_POINTS)

    pruner = HyperbandPruner(1, NUM_POINTS, 3) if use_hyperband else NopPruner()
    study = optuna.create_study(study_name="seed 3", direction="maximize", sampler=optuna.samplers.TPESampler(seed=3), pruner=pruner)
    study.optimize(plain, n_trials=25)

    closed = Closed(value, 26)
    drive(PlainOptuna(FlatSpace(), NUM_POINTS, 3, use_hyperband=use_hyperband), closed, 1)
    assert [closed.params[number] for number in range(25)] == [trial.params for trial in study.trials]
    lengths = [closed.lengths[number] for number in range(25)]
    assert lengths == [len(trial.intermediate_values) for trial in study.trials]
    assert use_hyperband == (min(lengths) < NUM_POINTS)


class Closed:
    """A closed form of (lr, epoch), until trial `num_trials` begins."""

    def __init__(self, value: Callable[[float, int], float], num_trials: int) -> None:
        self.params: dict[int, dict[str, Any]] = {}
        self.lengths: dict[int, int] = {}
        self._value, self._num_trials = value, num_trials

    @property
    def is_over(self) -> bool:
        return len(self.params) == self._num_trials

    def begin(self, number: int, params: Any) -> None:
        self.params[number] = dict(params)

    def cost(self, number: int, epoch: int) -> float:
        return 1.0

    def train(self, number: int, epoch: int) -> Point:
        self.lengths[number] = epoch
        return Point(self._value(self.params[number]["lr"], epoch))


class FlatSpace(Space):
    """One learning rate, whose recipe nobody needs."""

    def __init__(self) -> None:
        super().__init__({"lr": Float(1e-4, 1.0, log=True)})

    def resolve(self, suggest: Any) -> dict[str, dict[str, Any]]:
        suggest.suggest_float("lr", 1e-4, 1.0, log=True)
        return {}


def test_a_draw_has_the_params_of_its_branches_alone() -> None:
    kinds = {frozenset(drawn(BRANCHES, seed)) for seed in range(40)}
    assert kinds == {frozenset({"kind", "lr"}), frozenset({"kind", "a.depth", "lr"})}
    assert drawn(BRANCHES, 1) == drawn(BRANCHES, 1)


def test_ray_begins_with_what_it_is_given() -> None:
    search = RaySearch(FlatSpace(), NUM_POINTS, 0, start=[{"lr": 0.01}, {"lr": 0.5}])
    assert [search.next_leg().params for _ in range(2)] == [{"lr": 0.01}, {"lr": 0.5}]
    assert search.next_leg().params["lr"] not in (0.01, 0.5)


def test_a_divergence_is_a_bad_value_to_those_who_cannot_take_nan() -> None:
    search = PlainOptuna(FlatSpace(), 1, 0)
    assert not search.report(search.next_leg(), 1, Point(math.nan))
    assert search._study.trials[0].value == WORST


def test_the_oracle_has_the_best_point_that_its_compute_can_buy(tmp_path: Path) -> None:
    """Against every plan by hand: know n recipes for n units, then train one of them further."""
    table = write(tmp_path, "one", np.random.default_rng(0).permutation(np.linspace(0.1, 0.9, 40)).tolist())
    order = np.random.default_rng(1).permutation(40).tolist()
    scores = oracle(Progress(table, 38), lambda number: table.params[order[number]])
    for unit in range(1, 39):
        plans = [(order[n - 1], min(unit - n + 1, NUM_POINTS) - 1) for n in range(1, unit + 1)]
        best = max(plans, key=lambda plan: table.val_NP[plan])
        assert scores[unit - 1] == table.score_NP[best], unit


class Counted(Progress):
    """With the epochs that each row was trained."""

    def train(self, number: int, epoch: int) -> Point:
        if number in self.rows:
            self.__dict__.setdefault("epochs", {})[self.rows[number]] = epoch
        return super().train(number, epoch)


@pytest.mark.parametrize("kind", ["random, promotes", "random, Ray's ASHA", "one epoch for all", "plain Optuna"])
def test_trials_go_on_when_every_row_has_begun(tmp_path: Path, kind: str) -> None:
    """27 rows whose order is the same after each epoch: the best is kept at each rung, whenever it began; the last is not cut off."""
    table = write(tmp_path, "one", np.linspace(0.2, 0.9, 27).tolist())
    progress = Counted(table, 2000)
    drive(KINDS[kind](Case(table, 0, 200)), progress, 4)
    epochs = progress.__dict__["epochs"]
    assert len(epochs) == 27 and epochs[26] == NUM_POINTS and progress.best[0] == pytest.approx(0.9)
    assert {*epochs.values()} <= {1, 3, 9, NUM_POINTS}
    assert (progress.spent == 27 * NUM_POINTS) == (kind in ("one epoch for all", "plain Optuna"))


class Noting:
    """A search, and what it handed out."""

    def __init__(self, search: Any, begun: list[Begun]) -> None:
        self._search, self._begun, self.report = search, begun, search.report

    def next_leg(self) -> Begun | None:
        leg = self._search.next_leg()
        self._begun += [leg] if leg else []
        return leg  # type: ignore[no-any-return]


def test_one_epoch_for_all_then_the_best_in_order(tmp_path: Path) -> None:
    table = write(tmp_path, "one", [0.2, 0.5, 0.1, 0.4, 0.3, 0.6])
    progress, begun = Progress(table, 200), []
    search = OneEpochForAll(lambda number: table.params[number], 5, NUM_POINTS)
    drive(Noting(search, begun), progress, 1)
    assert [(leg.number, leg.known_epochs) for leg in begun] == [*((n, 0) for n in range(5)), *((n, 1) for n in (1, 3, 4, 0, 2))]
    assert progress.spent == 5 * NUM_POINTS
    assert progress.scores[4 : 4 + NUM_POINTS : NUM_POINTS - 1] == [table.score_NP[1, 0], table.score_NP[1, -1]]


def test_compute_is_in_mean_epochs_by_measured_seconds(tmp_path: Path) -> None:
    """Rows of 1 and 3 s an epoch: half and one and a half units; a row without seconds counts as one."""
    cost_s = np.array([1.0, 3.0, np.nan])[:, None] * np.arange(1, NUM_POINTS + 1)
    table = write(tmp_path, "timed", [0.1, 0.2, 0.3], cost_s=cost_s)
    assert table.is_timed and np.allclose(table.cost_N, [0.5, 1.5, 1.0])
    assert not write(tmp_path, "untimed", [0.1, 0.2, 0.3]).is_timed
    progress = Progress(table, 10)
    progress.begin(0, {"x": 0.0})
    progress.begin(1, {"x": 0.5})
    scores = table.score_NP
    progress.train(0, 1)  # half a unit
    assert progress.scores == []
    progress.train(1, 1)  # until 2 units: at 1 only the first was known
    assert progress.scores == [scores[0, 0], scores[1, 0]]
    progress.train(1, 2)  # until 3.5
    assert progress.scores == [scores[0, 0], scores[1, 0], scores[1, 0]]


def test_start_recipes_are_the_best_of_other_tables_with_the_same_recipes(tmp_path: Path) -> None:
    here = write(tmp_path, "here", [0.9, 0.1, 0.1, 0.1])
    others = [write(tmp_path, "one", [0.1, 0.9, 0.5, 0.2]), write(tmp_path, "two", [0.1, 0.2, 0.5, 0.9])]
    strange = write(tmp_path, "strange", [0.9, 0.1, 0.1, 0.1, 0.1])
    chosen = start_recipes(here, [here, *others, strange], 3)
    # The third row is second on both tables (ranks 1/3, 1/3), as good on average as the others; then each table's best.
    assert {params["x"] for params in chosen} == {1 / 3, 2 / 3, 1.0} and start_recipes(strange, [here, *others, strange], 3) == []


def test_our_start_recipes_come_right_after_the_defaults(tmp_path: Path) -> None:
    table = write(tmp_path, "one", [0.1, 0.9, 0.5, 0.2, 0.3, 0.4, 0.2, 0.3, 0.1])
    for kind in STARTED:
        progress = Progress(table, 20)
        case = Case(table, 0, 9, [{"x": 0.125}])
        drive(STARTED[kind](case), progress, 4)
        assert [progress.rows[0], progress.rows[1]] == [4, 1], kind
    assert default_params(table.space) == {"x": 0.5}
