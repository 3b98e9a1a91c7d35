"""A store that was found or made, with a report in the words of the place that its pictures are read from now.

A store is found by content, so it may have been made of the same pictures elsewhere: in an archive, before they were moved, or with other
files beside them. How they are read and what is set aside is then another matter, and so are their names.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from visiontune.data.ingest.plan import Plan, make_plan
from visiontune.data.ingest.progress import Tell
from visiontune.data.picture.formats import installed_readers
from visiontune.data.prepare import prepare, source_of, with_defaults
from visiontune.data.source import Source
from visiontune.data.store.ingest_report import IngestReport, aside_of
from visiontune.data.store.store import Store
from visiontune.errors import UserError

_PLACES = {"place": "name", "other_place": "other"}


def prepared(
    data: Mapping[str, Any], cache: Path, *, tell: Tell | None = None, stop: threading.Event | None = None, source: Source | None = None
) -> Store:
    """The store of this data, opened. Arguments and errors are those of `prepare`."""
    data = with_defaults(data)
    source = source or source_of(data)
    return as_read(Store.open(prepare(data, cache, tell=tell, stop=stop, source=source)), data, source)


def as_read(store: Store, data: Mapping[str, Any], source: Source) -> Store:
    """The store with its report as this source of the same pictures would have it; `data` has its defaults."""
    with suppress(UserError):  # a store without a report
        report = retold(store.report(), source, lambda: make_plan(source, data))
        return replace(store, retold=replace(report, notes=(*report.notes, *_readable_by_now(report, store.base or store.path))))
    return store


def _readable_by_now(report: IngestReport, pixels: Path) -> Iterator[str]:
    """A sentence for each package that was missing when the store was made and is here now. The store stays: studies know it."""
    for package in installed_readers():
        names = [one["name"] for one in report.set_aside if f"needs {package}:" in one["reason"]]
        if names:
            were = f"{names[0]} was" if len(names) == 1 else f"{names[0]} and {len(names) - 1:,} more were"
            yield f"{were} set aside for want of {package}, which is installed by now: remove {pixels} to have all read again"


def retold(report: IngestReport, source: Source, plan_of: Callable[[], Plan]) -> IngestReport:
    """The report with this source's notes, what it sets aside, and its names; one that has no places is of before and stays."""
    if not report.first_name:
        return report
    decoded = tuple(one for one in report.set_aside if "place" in one)
    notes = (*source.notes, *report.notes[report.num_source_notes :])
    report = replace(report, notes=notes, set_aside=(*aside_of(source), *decoded))
    first_name = source.names("train")[0]
    if first_name == report.first_name:
        return report
    plan = plan_of()
    aside = tuple(_renamed(one, plan) for one in report.set_aside)
    repeats, conflicts = (tuple(_renamed(one, plan) for one in pairs) for pairs in (report.repeats, report.conflicts))
    return replace(report, set_aside=aside, repeats=repeats, conflicts=conflicts, first_name=first_name)


def _renamed(one: Mapping[str, Any], plan: Plan) -> Mapping[str, Any]:
    return {**one, **{name: plan.name(one[place]) for place, name in _PLACES.items() if place in one}}
