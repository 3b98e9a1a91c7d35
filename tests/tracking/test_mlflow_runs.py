"""What MLflow has after a search, read back through MLflow's own client."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from sample_events import DIGEST, T0, best, confirmation, content, end, epoch, search, study, study_end, trial

from visiontune.tracking.delivery import group_lines
from visiontune.tracking.event_content import run_name
from visiontune.tracking.mlflow_runs import Runs
from visiontune.tracking.outbox import Line


def send(client: Any, events: list[dict[str, Any]], runs: Runs | None = None) -> None:
    runs = runs or Runs(client, None)
    for group in group_lines([Line(n, event) for n, event in enumerate(events)]):
        runs.send([line.event for line in group])


def test_a_search_is_a_parent_with_a_child_for_each_trial(client: Any, tmp_path: Path) -> None:
    killed = [trial(1), epoch(1, 1), end(1, "KILLED", "not promoted at rung 1")]
    events = [study("structure", **{"budget.max_epochs": 9}), trial(0), epoch(0, 1), epoch(0, 2), *killed, end(0), trial(2), study_end()]
    send(client, events, Runs(client, tmp_path))
    experiment = client.get_experiment_by_name("structure")
    assert experiment.artifact_location == (tmp_path / "structure").as_uri()
    (parent,) = client.search_runs([experiment.experiment_id], "tags.`visiontune.kind` = 'study'")
    children = client.search_runs([experiment.experiment_id], f"tags.mlflow.parentRunId = '{parent.info.run_id}'")
    assert len(children) == 3

    found = content(client, "structure")
    name, status, start_ms, end_ms, params, curves, tags, inputs = found["0"]
    assert (name, status, start_ms, end_ms) == ("0000 lenet5 adamw", "FINISHED", T0, T0 + 10_000)
    assert params == {"model.name": "lenet5", "optimizer.name": "adamw", "optimizer.lr": "0.1"}
    assert curves["val_loss"] == [(1, 1.0, T0 + 1_000), (2, 0.5, T0 + 2_000)]
    assert {key: tags[key] for key in ("recipe.fingerprint", "git.commit", "visiontune.data_digest", "visiontune.study")} == {
        "recipe.fingerprint": "f0",
        "git.commit": "abc123",
        "visiontune.data_digest": DIGEST,
        "visiontune.study": "structure",
    }
    assert inputs == [("digits", DIGEST[:36])]
    assert found["1"][1] == "KILLED"
    assert found["1"][6]["visiontune.reason"] == "not promoted at rung 1"
    assert found["2"][1] == "RUNNING"
    name, status, _, _, params, curves, _, inputs = found[""]
    assert (name, status, params) == ("structure", "FINISHED", {"budget.max_epochs": "9"})
    assert curves["best.val_top1"] == [(9, 0.75, T0 + 20_000)]
    assert inputs == [("digits", DIGEST[:36])]


def test_the_whole_outbox_again_changes_nothing(client: Any) -> None:
    events = [*search("replay", num_trials=2), confirmation(7, 1), confirmation(7, 2, test_top1=0.5)]
    send(client, events)
    before = content(client, "replay")
    later = [confirmation(7, 1, T0 + 50_000), confirmation(7, 2, T0 + 60_000, test_top1=0.5)]  # trained twice
    send(client, [*events, *later])
    one_by_one = Runs(client, None)
    for event in events:
        send(client, [event], one_by_one)
    assert content(client, "replay") == before


def test_what_somebody_opens_first(client: Any, tmp_path: Path) -> None:
    """The description is the answer until somebody writes their own; what varies are params, all else is in the recipe."""
    said = study("first") | {"searched": ["optimizer.lr"], "mode": "min", "test": "map", "identity": {"budget": {"max_epochs": 9}}}
    ending = study_end() | {"tags": {"mlflow.note.content": "Study first: trial 0 has won."}}
    bests = [best(1, 0.5), best(3, 0.75), best(2, 0.6)]
    again = [confirmation(7, 1), confirmation(7, 2, test_top1=0.9)]
    first = epoch(0, 1) | {"tags": {"visiontune.node": "node3"}}
    send(client, [said, trial(0), first, end(0), *again, *bests, ending], Runs(client, tmp_path))

    experiment = client.get_experiment_by_name("first")
    assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"
    assert experiment.tags["mlflow.note.content"] == "Study first: trial 0 has won."
    view = json.loads(experiment.tags["mlflow.sharedViewState.leaderboard"])
    assert (view["orderByKey"], view["orderByAsc"]) == ("metrics.`objective`", True)
    assert {"params.`optimizer.lr`", "metrics.`test_map`"} <= {*view["selectedColumns"]}
    found = content(client, "first")
    assert found[""][5]["best.val_top1"] == [(1, 0.5, T0 + 1_000), (3, 0.75, T0 + 3_000), (9, 0.75, T0 + 20_000)]
    name, status, *_, curves, tags, _ = found["confirmation.f0.7"]
    assert (name, status, tags["visiontune.candidate"], tags["visiontune.seed"]) == ("0000 seed 7", "FINISHED", "0", "7")
    assert curves["test_top1"] == [(2, 0.9, T0 + 14_000)]
    assert [step for step, _, _ in curves["val_top1"]] == [1, 2]
    assert "epoch" not in found["0"][5] and found["0"][6]["visiontune.node"] == "node3"
    texts = {"0": ("recipe.yaml", {"model": {"name": "lenet5", "width": 1}, "optimizer": {"name": "adamw"}})}
    texts[""] = ("study.yaml", {"budget": {"max_epochs": 9}})
    for run in client.search_runs([experiment.experiment_id], "tags.`visiontune.kind` != 'confirmation'"):
        file, tree = texts[run.data.tags.get("visiontune.number", "")]
        assert YAML(typ="safe").load(Path(client.download_artifacts(run.info.run_id, file))) == tree

    client.set_experiment_tag(experiment.experiment_id, "mlflow.note.content", "my own words")
    send(client, [said, ending], Runs(client, tmp_path))
    assert client.get_experiment(experiment.experiment_id).tags["mlflow.note.content"] == "my own words"


def test_runs_of_an_older_version_go_on(client: Any) -> None:
    """Their metric "epoch" says how far they are, and all of their recipe are params."""
    new = ("objective", "recipe")
    old = [{key: value for key, value in event.items() if key not in new} for event in (trial(0), epoch(0, 1), epoch(0, 2))]
    send(client, [study("older"), *old])
    send(client, [study("older"), trial(0), epoch(0, 2, T0 + 9_000), epoch(0, 3)])
    curves = content(client, "older")["0"][5]
    assert [(step, time_ms) for step, _, time_ms in curves["val_top1"]] == [(1, T0 + 1_000), (2, T0 + 2_000), (3, T0 + 3_000)]


def test_an_epoch_trained_twice_is_logged_the_first_time(client: Any) -> None:
    send(client, [study("twice"), trial(0), epoch(0, 1), epoch(0, 2)])
    send(client, [study("twice"), trial(0), epoch(0, 2, T0 + 9_000), epoch(0, 3), epoch(0, 3, T0 + 9_500)])
    curves = content(client, "twice")["0"][5]
    assert [(step, time_ms) for step, _, time_ms in curves["val_top1"]] == [(1, T0 + 1_000), (2, T0 + 2_000), (3, T0 + 3_000)]


def test_the_last_event_decides_how_a_trial_stands(client: Any) -> None:
    runs = Runs(client, None)
    stands = []
    for events in ([study("status"), trial(0), epoch(0, 1)], [end(0, "KILLED")], [epoch(0, 1)], [epoch(0, 2)], [epoch(0, 3), end(0)]):
        send(client, events, runs)
        stands.append(content(client, "status")["0"][1])
    assert stands == ["RUNNING", "KILLED", "KILLED", "RUNNING", "FINISHED"]


def test_a_study_that_goes_on_runs_again_and_shows_what_changed(client: Any) -> None:
    send(client, [study("longer", num_trials=8), trial(0), study_end(), study("longer", num_trials=16)])
    _, status, _, _, params, _, tags, _ = content(client, "longer")[""]
    assert (status, params["num_trials"], tags["visiontune.changed.num_trials"]) == ("RUNNING", "8", "16")


def test_limits_and_odd_values(client: Any) -> None:
    params = {f"p{n}": n for n in range(250)} | {"long": "x" * 10_000, "none": None, "flag": True, "list": [1, "a"]}
    event = epoch(0, 1) | {"metrics": {"nan": math.nan, "inf": math.inf} | {f"m{n}": float(n) for n in range(1_700)}}
    send(client, [study("limits"), trial(0, **params), event])
    experiment = client.get_experiment_by_name("limits")
    (run,) = client.search_runs([experiment.experiment_id], "tags.`visiontune.number` = '0'")
    found = run.data.params
    assert len(found) == 257
    assert (len(found["long"]), found["none"], found["flag"], found["list"]) == (6_000, "null", "true", '[1, "a"]')
    assert len(run.data.metrics) == 1_703  # with the objective
    assert math.isnan(run.data.metrics["nan"])
    (last,) = client.get_metric_history(run.info.run_id, "m1699")
    assert (last.value, last.step, last.timestamp) == (1_699.0, 1, T0 + 1_000)


def test_an_answer_that_was_lost_makes_no_second_run(client: Any) -> None:
    class Lossy:
        """The server did what was asked, but one answer in four never comes."""

        chance = random.Random(0)

        def __getattr__(self, name: str) -> Any:
            def call(*args: Any, **kwargs: Any) -> Any:
                answer = getattr(client, name)(*args, **kwargs)
                if self.chance.random() < 0.25:
                    raise ConnectionError("the answer was lost")
                return answer

            return call

    events = [*search("lossy", num_trials=4), confirmation(7, 1), confirmation(7, 2, test_top1=0.5)]
    runs = Runs(Lossy(), None)
    groups = group_lines([Line(n, event) for n, event in enumerate(events)])
    while groups:
        try:
            runs.send([line.event for line in groups[0]])
            groups.pop(0)
        except ConnectionError:
            runs.forget()
    send(client, [study("clean"), *events[1:]])
    lossy, clean = content(client, "lossy"), content(client, "clean")
    assert {key: row[1:6] for key, row in lossy.items()} == {key: row[1:6] for key, row in clean.items()}


def test_a_study_deleted_in_the_ui_comes_back_when_it_goes_on(client: Any) -> None:
    send(client, search("deleted", num_trials=1))
    client.delete_experiment(client.get_experiment_by_name("deleted").experiment_id)
    send(client, [study("deleted"), trial(1), epoch(1, 1), end(1)])
    assert set(content(client, "deleted")) == {"", "0", "1"}


@pytest.mark.parametrize(
    ("params", "name"),
    [({"model.name": "lenet5", "optimizer.name": "adamw"}, "0007 lenet5 adamw"), ({"model.name": "cnn"}, "0007 cnn"), ({}, "0007")],
)
def test_names_tell_trials_apart(params: dict[str, str], name: str) -> None:
    assert run_name(7, params) == name
