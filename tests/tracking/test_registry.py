"""The model registry, read back through MLflow's client: versions, and who is the champion."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sample_events import DIGEST, T0, study

from visiontune.filesystem.study_folder import StudyFolder
from visiontune.tracking.mlflow_runs import Runs
from visiontune.tracking.registry import is_champion, register

PRESENT = {"visiontune.metric": "val_top1", "visiontune.mode": "max", "visiontune.data_digest": DIGEST, "visiontune.mean": "0.9"}


def event(name: str, **changes: Any) -> dict[str, Any]:
    compared_by = {"metric": "val_top1", "mode": "max", "data_digest": DIGEST}
    figures = {"mean": 0.95, "half_width": 0.02, "num_seeds": 3, "test_top1": 0.94}
    return {"event": "register", "name": name, "study": "mine", "number": 5, **compared_by, **figures, "time_ms": T0, **changes}


@pytest.mark.parametrize(
    ("changes", "is_better", "why"),
    [
        ({}, True, "val_top1 0.95 ± 0.02 against 0.9 of version 3"),
        ({"mean": 0.915}, False, "0.915 ± 0.02 against 0.9"),
        ({"half_width": None}, False, "one seed has no interval"),
        ({"data_digest": "other"}, False, "measured on another set of pictures"),
        ({"metric": "val_loss"}, False, "measured on another metric"),
    ],
)
def test_the_champion_is_beaten_by_more_than_an_interval(changes: dict[str, Any], is_better: bool, why: str) -> None:
    assert (found := is_champion(event("x", **changes), PRESENT, "3"))[0] is is_better
    assert why in found[1]


def test_less_is_better_where_the_mode_is_min() -> None:
    present = PRESENT | {"visiontune.metric": "val_loss", "visiontune.mode": "min"}
    low, high = (event("x", metric="val_loss", mode="min", mean=mean) for mean in (0.8, 0.95))
    assert (is_champion(low, present, "1")[0], is_champion(high, present, "1")[0]) == (True, False)


def test_each_winner_is_a_version_and_the_best_is_the_champion(client: Any, uri: str, tmp_path: Path) -> None:
    """Said twice it is registered once, and does not take the alias back from who got it since."""

    def search(name: str, **changes: Any) -> Runs:
        folder = StudyFolder(tmp_path / name)
        folder.path.mkdir()
        runs = Runs(client, tmp_path, log_winner, None, partial(register, client, uri, folder))
        winner = {"event": "winner", "number": 5, "recipe": "", "weights": "", "time_ms": T0}
        for one in (study(name), winner, event("plants", study=name, **changes)):
            runs.send([one])
        return runs

    def log_winner(experiment_id: str, run_id: str, _: Any) -> str:
        return f"models:/{client.create_logged_model(experiment_id, 'winner', run_id).model_id}"

    def champion() -> str:
        return client.get_model_version_by_alias("plants", "champion").tags["visiontune.study"]

    first = search("first", mean=0.9)
    search("worse", mean=0.91)
    assert champion() == "first"
    search("better")
    assert champion() == "better"
    first.send([event("plants", study="first", mean=0.9)])
    assert champion() == "better"
    found = {one.tags["visiontune.study"]: one for one in client.search_model_versions("name = 'plants'")}
    assert {name: int(one.version) for name, one in found.items()} == {"first": 1, "worse": 2, "better": 3}
    assert {key: found["better"].tags[f"visiontune.{key}"] for key in ("number", "mean", "test_top1")} == {
        "number": "5",
        "mean": "0.95",
        "test_top1": "0.94",
    }
    said = {name: json.loads((tmp_path / name / "registered.json").read_text())["said"] for name in found}
    assert said["worse"] == "version 2, not the champion: val_top1 0.91 ± 0.02 against 0.9 of version 1"
    assert said["better"] == "version 3, the champion: val_top1 0.95 ± 0.02 against 0.9 of version 1"


def test_without_a_model_nothing_is_registered_and_that_is_said(client: Any, uri: str, tmp_path: Path) -> None:
    runs = Runs(client, tmp_path, lambda *_: "recipe only: no weights", None, partial(register, client, uri, StudyFolder(tmp_path)))
    for one in (study("no model"), {"event": "winner", "number": 5, "time_ms": T0}, event("nothing")):
        runs.send([one])
    assert "recipe only: no weights" in json.loads((tmp_path / "registered.json").read_text())["said"]
    assert not client.search_model_versions("name = 'nothing'")
