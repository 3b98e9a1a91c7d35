"""A search without Ray whose workers answer at once, and what trials take and the driver holds at some sizes of the study."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from common import machine
from parts.idle_search import answer, rss_mb
from visiontune.filesystem.study_folder import StudiesFolder
from visiontune.spec.parse import load_study
from visiontune.spec.space.study_spec import StudySpec
from visiontune.tuning.records.leg import Leg
from visiontune.tuning.search.search_run import SearchRun


def loaded_spec(num_trials: int, sampler: str) -> StudySpec:
    """The digits space with so many trials within more hours than they take, so that these are looked at before each leg."""
    limits = [f"budget.num_trials={num_trials}", "budget.hours=1000", "confirm.num_seeds=0"]
    return load_study(machine.DIGITS, [*limits, f"sampler.name={sampler}"])


@dataclass
class Now:
    """Seconds so far: by the clock, of the processor, for new legs and for reports."""

    wall_s: float = 0.0
    cpu_s: float = 0.0
    next_s: float = 0.0
    report_s: float = 0.0
    num_reports: int = 0
    driver_mb: float = 0.0


@dataclass
class Marks:
    """What stood where the study had half of each of `sizes`, and all of it."""

    sizes: Sequence[int]
    now: Now = field(default_factory=Now)
    found: dict[int, Now] = field(default_factory=dict)

    def look(self, num_trials: int) -> None:
        """Keep what stands if there are so many trials for the first time."""
        if num_trials not in self.found and num_trials in {part for size in self.sizes for part in (size // 2, size)}:
            self.now.wall_s, self.now.cpu_s, self.now.driver_mb = time.perf_counter(), time.process_time(), rss_mb()
            self.found[num_trials] = Now(**vars(self.now))

    def row(self, size: int) -> dict[str, float]:
        """Of one trial among the newer half of so many."""
        half, end = self.found[size // 2], self.found[size]
        num = size - size // 2
        each = {name: 1e3 * (getattr(end, f"{key}_s") - getattr(half, f"{key}_s")) / num for name, key in COLUMNS.items()}
        report_ms = 1e3 * (end.report_s - half.report_s) / max(1, end.num_reports - half.num_reports)
        return {**each, "report_ms": report_ms, "driver_mb": end.driver_mb}


COLUMNS = {"trial_ms": "wall", "trial_cpu_ms": "cpu", "legs_ms": "next"}


def run_marked(spec: StudySpec, studies: StudiesFolder, sizes: Sequence[int], num_slots: int) -> Marks:
    """The whole search; each worker reports in turn. The journal and the outbox are real."""
    from visiontune.tracking.outbox import Outbox
    from visiontune.tuning.study.open_storage import create_or_resume

    folder = studies.study(spec.study)
    folder.path.mkdir(parents=True)
    outbox, marks, legs = Outbox(folder), Marks(sizes), dict[str, tuple[Leg, int]]()
    run = SearchRun(spec, create_or_resume(folder, spec), folder, outbox.put)
    run.num_slots = num_slots
    while not run.is_finished:
        _hand_out(run, legs, marks)
        for key, (leg, epoch) in list(legs.items()):
            started = time.perf_counter()
            goes_on = run.report(key, answer(leg, epoch))
            marks.now.report_s += time.perf_counter() - started
            marks.now.num_reports += 1
            if goes_on:
                legs[key] = (leg, epoch + 1)
            else:
                del legs[key]
                _hand_out(run, legs, marks)
    outbox.close()
    return marks


def _hand_out(run: SearchRun, legs: dict[str, tuple[Leg, int]], marks: Marks) -> None:
    """All legs that there are now."""
    started = time.perf_counter()
    while (leg := run.next_leg()) is not None:
        legs[leg.key] = (leg, leg.known_epochs + 1)
        marks.now.next_s += time.perf_counter() - started
        marks.look(run.num_new_trials)
        started = time.perf_counter()
    marks.now.next_s += time.perf_counter() - started


def size_mb(folder: Path) -> float:
    """Of all files in it."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e6
