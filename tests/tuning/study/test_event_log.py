"""What happened in a search is told in order, each with its reason, and a kill leaves what there was."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from simulated_search import drive, make_spec

from visiontune.filesystem.study_folder import StudyFolder
from visiontune.tuning.study.event_log import EventLog, follow_events, read_events
from visiontune.tuning.study.read_confirmations import PREFIX, results_of


def test_the_log_and_the_study_agree(tmp_path: Path) -> None:
    """Every trial starts once and ends as the storage says; what was promoted had waited, or went on at once at a rung."""
    spec = make_spec(tmp_path / "study", 20, sampler="random", num_seeds=2)
    _, storage, _ = drive(spec, tmp_path / "study", num_slots=3)
    events = list(read_events(StudyFolder(tmp_path / "study").events))
    starts = [event.trial for event in events if event.kind == "starts"]
    assert sorted(starts) == list(range(20))
    ends = {event.trial: event for event in events if event.kind in ("complete", "pruned", "failed")}
    for trial in storage.trials():
        if trial.state.is_finished():
            assert trial.user_attrs["end"]["reason"] in ends[trial.number].text
        else:
            assert trial.number not in ends
    kinds = Counter(event.kind for event in events)
    assert kinds["promoted"] >= 1 and kinds["waits"] >= 1
    again = [event for event in events if event.kind == "retraining"]
    started = [(event.trial, event.text.removeprefix("starts ")) for event in again if event.text.startswith("starts ")]
    ended = [(event.trial, event.text.removeprefix("ends ")) for event in again if event.text.startswith("ends ")]
    num_trained = len(results_of(storage.attributes(), PREFIX))
    assert len(set(started)) == len(started)  # each names its seed, a test too
    assert sorted(started) == sorted(ended) and sum("on seed" in text for _, text in started) == num_trained > 0
    in_full = {trial.number for trial in storage.trials() if trial.state.name == "COMPLETE"}
    assert {number for number, _ in started} <= in_full  # and no numbers of seeds
    assert [event.time_ms for event in events] == sorted(event.time_ms for event in events)


def test_following_gives_what_comes_and_leaves_a_torn_line_out(tmp_path: Path) -> None:
    path = StudyFolder(tmp_path).events
    drive(make_spec(tmp_path / "study", 4, sampler="random"), tmp_path)
    with path.open("a") as file:
        file.write('{"time_ms": 1, "kind": "lo')
    told = list(read_events(path))
    looks = iter([False, False, True])
    assert list(follow_events(path, lambda: next(looks))) == told
    EventLog(path).write("lost", 3, "no such file: \udcff.png")
    assert [(event.trial, event.text) for event in list(read_events(path))[len(told) :]] == [(3, "no such file: \\udcff.png")]
