"""Whether a search of the study runs, where, and what it does; else what goes on by the same command."""

from __future__ import annotations

import time
from collections.abc import Iterator

from visiontune.results.screens.search_screen import LONG_S
from visiontune.results.screens.text import duration
from visiontune.tuning.records.records import Driver, StudyRecord
from visiontune.tuning.study.who_drives import SILENT_S


def driver_lines(study: StudyRecord) -> list[str]:
    """Nothing of a study that has ended and that nobody works on."""
    if study.driver is not None:
        return list(_lines_of(study.driver))
    num = study.num_interrupted
    what = f"{num} trial{'s'[num == 1 :]} will go on, each from its newest checkpoint," if num else "it goes on"
    return [] if study.ending is not None else [f"no search runs: {what} by the same command"]


def _lines_of(driver: Driver) -> Iterator[str]:
    who = f"a search runs: process {driver.pid} on {driver.host}, since {driver.since}"
    if not driver.at_s:
        yield who
        return
    machines = f"{driver.num_nodes} node{'s'[driver.num_nodes == 1 :]} with {driver.num_gpus:g} GPUs"
    yield f"{who}; {driver.num_running} running, {driver.num_staged} staged, on {machines}"
    if driver.waits_s >= LONG_S:
        yield f"  no trial has had a machine for {duration(driver.waits_s)}"
    if (age_s := time.time() - driver.at_s) > SILENT_S:
        yield f"  it has given no sign for {duration(age_s)}: where it is frozen, or cut off, end that process and search again"
