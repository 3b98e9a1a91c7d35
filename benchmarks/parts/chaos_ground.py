"""Where faults are caused: searches in a scratch folder, and what faults cost: trials and epochs lost, doubled, trained again."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from parts.chaos_runs import epochs_of
from parts.killable_search import Search, problems_of, wait_for
from visiontune.filesystem.study_folder import StudyFolder
from visiontune.tuning.study.event_log import read_events
from visiontune.tuning.study.read_study import read_study

SPACE = ("augmentation",)
"""Sections that stand within `space`."""
REACHED_S = 240.0
"""In which a search has to get on by an epoch, on a machine that is busy with other things."""

LEAVES_S = 30.0
"""In which a process that is told to leave has left, on a machine that is busy with other things."""
SEEN_S = 120.0
"""In which a lost node has been noticed and said (Ray takes 25 s), on a machine that is busy with other things."""


class NotRun(Exception):
    """A fault that can't be caused here, and why."""


@dataclass
class Row:
    """Of a fault that was caused so many `times`, in trials and epochs of the study and of MLflow; `problems` are in words."""

    times: int
    lost: int = 0
    doubled: int = 0
    repeated: int = 0
    problems: list[str] = field(default_factory=list)

    def figures(self) -> dict[str, float]:
        """For the table."""
        counts = {"lost": self.lost, "doubled": self.doubled, "epochs_repeated": self.repeated}
        return {"times": self.times, **counts, "problems": len(self.problems)}


def space(num_trials: int, max_epochs: int, **sections: Any) -> str:
    """A search whose epochs take about half a second; JSON is YAML."""
    chosen: dict[str, Any] = {
        "model": {"name": "cnn", "width": 16, "depth": 3, "kernel_size": 5},
        "optimizer": {"name": "adamw", "lr": {"float": [1e-4, 1e-2], "log": True}},
    }
    study: dict[str, Any] = {
        "study": "chaos",
        "data": {"source": "digits", "image_size": 16, "val_fraction": 0.15, "test_fraction": 0.2},
        "budget": {"num_trials": num_trials, "min_epochs": max(1, max_epochs // 3), "max_epochs": max_epochs, "reduction_factor": 3},
        "sampler": {"name": "random", "seed": 1},
        "resources": {"cpus_per_trial": 1},
        "storage": {"checkpoint_every_s": 2},
        "confirm": {"num_seeds": 0},
    }
    for name, section in sections.items():
        place = chosen if name in SPACE else study
        place[name] = {**place.get(name, {}), **section} if isinstance(section, dict) else section
    return json.dumps({**study, "space": chosen})


class Ground:
    """A folder for searches of `num_trials` by `max_epochs`; whatever was started there ends with it."""

    def __init__(self, seed: int, num_trials: int, max_epochs: int) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="vt-chaos-"))
        self.draw, self.num_trials, self.max_epochs = random.Random(seed), num_trials, max_epochs
        self.at_end = ExitStack()

    def search(
        self, words: Sequence[str] = (), folder: Path | None = None, sections: Mapping[str, Any] | None = None, **env: str
    ) -> Search:
        """Another one, not yet begun; `sections` of its file beside `space`."""
        folder = folder or self.folder / f"search-{len([*self.folder.iterdir()])}"
        search = Search(folder, folder / "chaos.yaml", (), words, **env)
        (folder / "chaos.yaml").write_text(space(self.num_trials, self.max_epochs, **(sections or {})))
        self.at_end.callback(search.end)
        return search

    def end(self) -> None:
        """Nothing stays."""
        self.at_end.close()
        shutil.rmtree(self.folder, ignore_errors=True)


class Faults:
    """Faults of one search, and how far the checkpoints of its trials were behind the study when each was caused."""

    def __init__(self, search: Search, url: str = "journal") -> None:
        import visiontune.training.checkpoint  # noqa: F401 (takes seconds, which a fault must not wait for)

        self.search, self._url = search, url
        self._caused: list[tuple[int, dict[int, int]]] = []

    @property
    def times(self) -> int:
        """Faults so far."""
        return len(self._caused)

    def note(self, caused_ms: int = 0) -> None:
        """Right after a fault, when what it stopped writes no more; `caused_ms` where others may have gone on with it by then."""
        caused_ms = caused_ms or now_ms()
        trials = read_study(self.search.study, self._url).trials
        live = [trial for trial in trials if trial.state in ("running", "waiting")]
        behind = {trial.number: trial.epoch - newest(self.search.study, trial.number) for trial in live}
        self._caused.append((caused_ms, {number: epochs for number, epochs in behind.items() if epochs > 0}))

    def repeated(self) -> int:
        """Epochs of the study that were trained again, of trials that went on after a fault; by the study's log of events."""
        begun = [event for event in read_events(self.search.study.events) if event.kind == "resumed"]
        total = 0
        for at, (caused_ms, behind) in enumerate(self._caused):
            until_ms = self._caused[at + 1][0] if at + 1 < len(self._caused) else now_ms()
            again = {event.trial for event in begun if caused_ms <= event.time_ms < until_ms}
            total += sum(epochs for number, epochs in behind.items() if number in again)
        return total

    def row(self, num_trials: int, *problems: str) -> Row:
        """Once the search has ended."""
        found = [*problems_of(self.search, num_trials, self._url), *problems]  # first, as it waits for MLflow's writer
        trials = {trial.number: trial for trial in read_study(self.search.study, self._url).trials}
        runs = epochs_of(self.search)
        lost = len(set(range(num_trials)) - trials.keys()) + len(trials.keys() - runs.keys())
        lost += sum(trial.epoch - len(trial.values) for trial in trials.values())
        lost += sum(len(trial.values.keys() - runs.get(number, {}).keys()) for number, trial in trials.items())
        doubled = max(0, len(trials) - num_trials) + sum(count - 1 for run in runs.values() for count in run.values())
        return Row(self.times, lost, doubled, self.repeated(), found)


def newest(study: StudyFolder, number: int) -> int:
    """The epoch of the newest checkpoint of a trial that is whole."""
    from visiontune.training.checkpoint import load_newest

    state = load_newest(study.checkpoint(number))
    return max((past["epoch"] for past in state["history"]), default=0) if state else 0


def begin(search: Search) -> subprocess.Popen[bytes]:
    """The command, once more, until it has workers or ends. Ray gives a node 30 s to start, which a busy machine may not do."""
    before = {*search.processes("ray::LegWorker")}  # of a driver that was just killed
    driver = search.start()
    wait_for(lambda: driver.poll() is not None or {*search.processes("ray::LegWorker")} - before, REACHED_S)
    is_late = driver.poll() not in (None, 0) and "timed out during startup" in search.tail()[-500:]
    return begin(search) if is_late else driver


def get_on(search: Search, driver: Any, num_epochs: int = 1) -> bool:
    """Wait until the driver has reported so many epochs more; whether it has, and did not end before. Raises NotRun where neither comes."""
    wanted = search.num_epochs() + num_epochs
    if not wait_for(lambda: search.num_epochs() >= wanted or driver.poll() is not None, REACHED_S):
        raise NotRun(f"the search made no {num_epochs} epochs in {REACHED_S:.0f} s, as on a machine that is too busy: {search.tail()}")
    return search.num_epochs() >= wanted and driver.poll() is None


def end_of(search: Search, driver: Any, timeout_s: float = 400.0) -> list[str]:
    """The problem with how a driver ended, if there is one, or that it made no epoch for so long."""
    code, known = "", -1
    while not code and search.num_epochs() > known:
        known = search.num_epochs()
        code = wait_for(lambda: (driver.poll() is not None) and f"{driver.returncode}", timeout_s)
    return [] if code == "0" else [f"the last call ended with {code}: {search.tail()}"]


def not_said(search: Search, text: str, times: int, kind: str = "", within_s: float = SEEN_S) -> list[str]:
    """A problem where the study's log of events does not say it so often in time, in events of a kind."""

    def is_said() -> bool:
        return sum(text in one.text and one.kind == (kind or one.kind) for one in read_events(search.study.events)) >= times

    return [] if wait_for(is_said, within_s) else [f"the log of events does not say {times} times {kind} {text}"]


def blamed(search: Search) -> list[str]:
    """Trials that have failed, which none may by what is caused here."""
    return [f"trial {event.trial} has failed: {event.text}" for event in read_events(search.study.events) if event.kind == "failed"]


def lost_workers(search: Search) -> list[str]:
    """Workers that died before they had left, which none may that was told to in time."""
    return [f"trial {event.trial} {event.text}" for event in read_events(search.study.events) if event.kind == "lost"]


def now_ms() -> int:
    """Since 1970, as events have it."""
    return time.time_ns() // 1_000_000


Cause = Callable[[Ground, int], Row]
"""Causes a fault so many times. Raises NotRun."""
