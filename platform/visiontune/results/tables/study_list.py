"""What lies in the folder of studies: a line for each, with its state, its best value, what its winner was confirmed at, what was spent."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from visiontune.errors import UserError, first_line, plural
from visiontune.filesystem.study_folder import StudiesFolder, StudyFolder
from visiontune.results.screens.text import aligned, duration, number
from visiontune.results.tables.winner_lines import test_column
from visiontune.tuning.records.records import StudyRecord, test_mean_of
from visiontune.tuning.retraining.winner import winner_of
from visiontune.tuning.study.read_study import read_study
from visiontune.tuning.study.study_place import is_copy, name_of_renamed


@dataclass(frozen=True)
class StudySummary:
    """A study as it stands. `state`: running, finished, budget (it ended with trials that may go on with more of that), stopped (its
    search goes on by the same command), renamed or copied (its folder's
    name is not the study's) or unreadable, these three with the `problem`. `best` is the search's own, the best of many; `confirmed`
    is the mean over `num_seeds` trainings of the winner, and `test_top1` that of their tests, or the test of its training on train and val
    together where there is one; `test_map` in place of that where pictures have several classes.
    """

    name: str
    state: str
    changed: datetime
    num_trials: int = 0
    num_wanted: int | None = None
    metric: str = ""
    best: float | None = None
    confirmed: float | None = None
    test_top1: float | None = None
    test_map: float | None = None
    num_seeds: int = 0
    epochs: float = 0.0
    hours: float = 0.0
    gpu_hours: float = 0.0
    problem: str = ""

    def to_dict(self) -> dict[str, Any]:
        """For programs."""
        return {**asdict(self), "changed": self.changed.isoformat()}


@dataclass(frozen=True)
class StudyList:
    """The studies of a folder, the one that changed last first. `print(list)` is a table."""

    path: Path
    studies: tuple[StudySummary, ...]

    def __iter__(self) -> Iterator[StudySummary]:
        return iter(self.studies)

    def __len__(self) -> int:
        return len(self.studies)

    def __str__(self) -> str:
        if not self.studies:
            return f"no study in {self.path}"
        test, *figures = test_column([(one.test_top1, one.test_map) for one in self.studies])
        header = ("study", "state", "trials", "objective", "best", "confirmed", test, "changed", "spent")
        rows = aligned([header, *map(_cells, self.studies, figures)])
        return "\n".join([*rows, *(f"{one.name}: {one.problem}" for one in self.studies if one.problem)])


def _cells(one: StudySummary, test: str) -> tuple[str, ...]:
    trials = str(one.num_trials) if one.num_wanted is None else f"{one.num_trials} of {one.num_wanted}"
    seeds = f" ({plural(one.num_seeds, 'seed')})" if one.confirmed is not None else ""
    gpu = f", {one.gpu_hours:.3g} GPU hours" if one.gpu_hours else ""
    spent = f"{plural(round(one.epochs), 'epoch')}, {duration(one.hours * 3600)}{gpu}"
    figures = (number(one.best), number(one.confirmed) + seeds, test)
    return one.name, one.state, trials, one.metric or "-", *figures, f"{one.changed:%Y-%m-%d %H:%M}", spent


def list_studies(studies: StudiesFolder) -> StudyList:
    """All that have a folder there, read without starting anything; one that can't be read says why, and is no error."""
    found = [_summary(studies.study(name)) for name in studies.names()]
    return StudyList(studies.path, tuple(sorted(found, key=lambda one: one.changed, reverse=True)))


def _summary(folder: StudyFolder) -> StudySummary:
    changed = max((path.stat().st_mtime for path in (folder.journal, folder.lock, folder.winner) if path.exists()), default=0.0)
    when = datetime.fromtimestamp(changed)
    try:
        record = read_study(folder)
    except UserError as error:
        is_here = folder.journal.is_file() or folder.database.is_file()
        problem = first_line(error) if is_here else "in a database, or never begun: `visiontune show NAME --storage URL` reads it"
        return StudySummary(folder.name, _why_unread(folder), when, problem=problem)
    except (KeyError, TypeError, ValueError) as error:  # what Optuna says of a journal that is none, and a study of another program
        return StudySummary(folder.name, "unreadable", when, problem=f"its storage is no study of visiontune: {first_line(error)}")
    good, tests = [one for one in record.confirmations if not one.failure], test_mean_of(record.tested)
    return StudySummary(
        name=folder.name,
        state=_state(record),
        changed=when,
        num_trials=len(record.trials),
        num_wanted=record.num_trials,
        metric=record.objective.metric,
        best=record.best.value if record.best is not None else None,
        confirmed=_mean([one.val_value for one in good]) if winner_of(record) is not None else None,
        test_top1=tests.get("test_top1"),
        test_map=tests.get("test_map"),
        num_seeds=len(good),
        epochs=float(record.spent.get("epochs", 0.0)),
        hours=float(record.spent.get("hours", 0.0)),
        gpu_hours=float(record.spent.get("gpu_hours", 0.0)),
    )


def _why_unread(folder: StudyFolder) -> str:
    if not name_of_renamed(folder):
        return "unreadable"
    return "copied" if is_copy(folder) else "renamed"


def _state(record: StudyRecord) -> str:
    if record.driver is not None:
        return "running"
    if record.ending is None:
        return "stopped"
    return "finished" if record.ending.by in ("num_trials", "patience", "stop_at") else "budget"


def _mean(values: Sequence[float]) -> float | None:
    return statistics.fmean(values) if values else None
