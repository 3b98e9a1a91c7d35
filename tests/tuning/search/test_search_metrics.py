"""What Prometheus is told of a search, and what the panel draws of it."""

from __future__ import annotations

import json
import re
import sys
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from places import ROOT
from sample_study import SNAPSHOT, later

from visiontune.tuning.legs.placement import Node, Placement
from visiontune.tuning.search.search_metrics import GAUGES, SearchMetrics


class MadeGauge:
    """As Ray's: a value by labels, which have to be the declared ones."""

    told: ClassVar[dict[tuple[str, ...], float]] = {}

    def __init__(self, name: str, said: str, keys: tuple[str, ...]) -> None:
        self.name, self.keys = name, keys

    def set(self, value: float, labels: dict[str, str]) -> None:
        assert set(labels) == set(self.keys)
        MadeGauge.told[(self.name, *(labels[key] for key in self.keys))] = value


def test_each_gauge_is_set_while_ray_runs_and_trials_of_all_states_are_all_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(MadeGauge, "told", {})
    monkeypatch.setitem(sys.modules, "ray.util.metrics", SimpleNamespace(Gauge=MadeGauge))
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(is_initialized=lambda: bool(seen[1:])))
    snapshot = later(num_begun=9, num_done=2, num_pruned=1, num_failed=1, num_waiting=3, busy_share=0.5, spent={"epochs": 70.0})
    tell = SearchMetrics("digits", lambda: 5).beside(seen.append)
    tell(snapshot)
    assert not MadeGauge.told
    tell(snapshot)
    told = MadeGauge.told
    assert {name for name, *_ in told} == set(GAUGES) and seen == [snapshot, snapshot]
    trials = {state: value for (name, *_, state), value in told.items() if name == "visiontune_trials"}
    assert trials == {"complete": 2, "pruned": 1, "failed": 1, "waiting": 3, "running": 2} and sum(trials.values()) == snapshot.num_begun
    assert told["visiontune_mlflow_lag", "digits"] == 5 and told["visiontune_busy_share", "digits"] == 0.5
    assert told["visiontune_epochs", "digits"] == 70 and SNAPSHOT.best is not None
    assert told["visiontune_best", "digits"] == SNAPSHOT.best.value


def test_an_outbox_that_can_not_be_read_costs_its_own_figure_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> int:
        raise PermissionError("the outbox is another user's")

    monkeypatch.setattr(MadeGauge, "told", {})
    monkeypatch.setitem(sys.modules, "ray.util.metrics", SimpleNamespace(Gauge=MadeGauge))
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(is_initialized=lambda: True))
    SearchMetrics("digits", away).beside(lambda snapshot: None)(SNAPSHOT)
    assert {name for name, *_ in MadeGauge.told} == set(GAUGES) - {"visiontune_mlflow_lag"}


def test_the_busy_share_is_of_the_gpus_that_are_up() -> None:
    placement = Placement({"cpu": 2.0, "gpu": 0.5}, num_workers=2)
    assert placement.busy_share == 0
    placement.see([Node("a", "a", cpus=8, gpus=4), Node("b", "b", cpus=8)])
    placement.began("00001", "a")
    assert placement.busy_share == 0.25
    placement.ended("00001")
    assert placement.busy_share == 0


def test_the_panel_draws_what_there_is() -> None:
    page = json.loads((ROOT / "deploy" / "grafana.json").read_text())
    queries = [target["expr"] for panel in page["panels"] for target in panel["targets"]] + [page["templating"]["list"][1]["query"]]
    names = {name for query in queries for name in re.findall(r"ray_(visiontune_\w+)", query)}
    assert names == set(GAUGES)
    labels = {label for query in queries for found in re.findall(r"by \(([^)]*)\)", query) for label in found.split(", ")}
    assert labels == {"study", "state"}
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in page["panels"]]
    assert len(set(places)) == len(places)
