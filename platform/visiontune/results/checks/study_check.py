"""What is known of a search before it starts: what it will cost; and with `run` what checks of pictures, networks and rates find."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from visiontune.data.file_names import printable
from visiontune.data.prepare import found_store, num_train_about, refuse_bad, with_defaults
from visiontune.data.prepared_store import as_read, prepared
from visiontune.data.sample import sample_lines
from visiontune.data.source import Source
from visiontune.data.store.short_report import short_report, short_report_of_source
from visiontune.data.store.store import DataInfo, Store
from visiontune.errors import UserError, plural
from visiontune.filesystem.cgroup import num_cpus
from visiontune.filesystem.study_folder import StudiesFolder
from visiontune.results.checks.search_forecast import (
    constraint_lines,
    doubts,
    doubts_of_gpu,
    doubts_of_room,
    epochs,
    objective_lines,
    population_lines,
    proposals,
    rungs,
    starts,
)
from visiontune.results.pictures.data_summary import to_json
from visiontune.results.screens.ingest_progress import IngestScreen
from visiontune.results.screens.notebook import is_notebook
from visiontune.results.screens.text import duration
from visiontune.results.tables.used import storage_line
from visiontune.spec.declarations.image_size import pixels, sides
from visiontune.spec.plugins import in_use, uses_plugins
from visiontune.spec.space.epoch_forecast import Cost, cost
from visiontune.spec.space.study_spec import StudySpec
from visiontune.tracking.studies_there import StudiesThere
from visiontune.tuning.preflight.forecast import forecast as forecast_of_search
from visiontune.tuning.preflight.forecast import keep_measured
from visiontune.tuning.preflight.network_preflight import weights_in
from visiontune.tuning.preflight.preflight import preflight
from visiontune.tuning.proposals.earlier_studies import check_studies
from visiontune.tuning.ranking.constraints import draw
from visiontune.tuning.study.study_place import refuse_renamed_before

if TYPE_CHECKING:
    from visiontune.training.checks.check import Check


@dataclass(frozen=True)
class StudyCheck:
    """What is known of a space without problems. `checks` are those of `run`, `picture` is the plot of its learning-rate range tests.

    `said` is how the pictures are read and what is set aside: by their source and a sample, or by the ingest that made their store.
    """

    spec: StudySpec
    studies: StudiesFolder
    pictures: DataInfo
    cost: Cost
    slow_ops: tuple[str, ...]
    num_train: int
    doubts_of_sizes: tuple[str, ...] = ()
    checks: tuple[Check, ...] = ()
    picture: Path | None = None
    constraints: tuple[str, ...] = ()
    said: tuple[str, ...] = ()
    store: Store | None = None
    storage: str = ""

    @property
    def verdict(self) -> str:
        """The gravest of the checks: ok, look or bad; ok where none was run."""
        return max((check.verdict for check in self.checks), key=("ok", "look", "bad").index, default="ok")

    def run(self, *, is_quiet: bool = False, source: Source | None = None) -> StudyCheck:
        """Try data, networks and learning rates out, and print a line for each check as it ends unless `is_quiet`.

        `source` is what reads the pictures, where it is at hand: listing them again may take long.
        """
        from visiontune.results.checks.lr_range_plot import plot_range_tests

        started, found = time.monotonic(), []
        with in_use(self.spec.plugins):
            store = self._ingested(source, is_quiet=is_quiet)
        said = tuple(short_report(store))
        if not is_quiet:
            print("".join(f"  data      {one}\n" for one in said if one not in self.said), end="", flush=True)
        with in_use(self.spec.plugins), _progress(is_quiet=is_quiet) as tell:
            for check in self._checks(store, tell):
                tell("")
                found.append(check)
                if "search_s" in check.figures:
                    keep_measured(self.studies.study(self.spec.study), check.figures["search_s"] / 3600, check.figures["gpu_hours"])
                if not is_quiet:
                    print("\n".join(lines(check)), flush=True)
            picture = plot_range_tests(found, self.studies.study(self.spec.study).lr_range_plot)
        if not is_quiet:
            print(f"  {summary(found)} in {duration(time.monotonic() - started)}")
            print(*([f"  learning-rate range tests: {picture}"] if picture else []), sep="\n", end="\n" if picture else "")
        return replace(self, checks=tuple(found), picture=picture, said=said, store=store)

    def _ingested(self, source: Source | None, *, is_quiet: bool) -> Store:
        with IngestScreen.of(not is_quiet) as screen:
            return prepared(self.spec.data, self.studies.data_cache, tell=screen.tell, source=source)

    def _checks(self, store: Store, tell: Callable[[str], None]) -> Iterator[Check]:
        """Those that need pictures alone, and the one that asks a network which an earlier run has left."""
        from visiontune.results.checks.label_check import label_check
        from visiontune.training.checks.all_checks import run_checks

        yield from run_checks(self.spec, store, tell=tell)
        tell("labels")
        if (check := label_check(self.spec, self.studies, self.pictures)) is not None:
            yield check

    def to_dict(self) -> dict[str, Any]:
        """What `run` found, as JSON can carry it."""
        return {
            "file": self.spec.space.file,
            "study": self.spec.study,
            "verdict": self.verdict,
            "picture": None if self.picture is None else str(self.picture),
            "said": list(self.said),
            "data": None if self.store is None else to_json(self.store),
            "checks": [
                {"name": check.name, "verdict": check.verdict, "said": check.said, "hint": check.hint, "figures": dict(check.figures)}
                for check in self.checks
            ],
        }

    def __str__(self) -> str:
        info = self.pictures
        channels = f"{info.channels} channel{'s' if info.channels > 1 else ''}"
        facts = [
            f"{self.spec.space.file}: good",
            f"  pictures  {pixels(info.image_size)} px, {channels}, {plural(info.num_classes, 'class')}",
            *(f"  data      {one}" for one in self.said),
            f"  params    {self.cost.num_params} to search",
            *(f"  compared  {one}" for one in objective_lines(self.spec)),
            f"  trials    {'any number' if self.cost.num_trials is None else self.cost.num_trials}, {rungs(self.spec)}",
            *(f"  explored  {one}" for one in population_lines(self.spec)),
            f"  epochs    {epochs(self.cost, self.spec)}",
            f"  storage   {self.storage}",
            *(f"  start     {one}" for one in starts(self.spec)),
            f"  proposals {proposals(self.spec)}",
            *(f"  bounds    {one}" for one in self.constraints),
            *(f"  look      {one}" for one in doubts(self.spec, self.num_train)),
            *(f"  look      {one}" for one in doubts_of_room(self.spec, num_cpus()) if "RAY_ADDRESS" not in os.environ),
            *(f"  look      {one}" for one in doubts_of_gpu(self.spec, has_gpu=_has_gpu(self.spec)) if "RAY_ADDRESS" not in os.environ),
            *(f"  look      {one}" for one in self.doubts_of_sizes),
        ]
        if self.slow_ops:
            ops = ", ".join(self.slow_ops)
            facts.append(f"  slow ops  {ops}: picture by picture and by the CPU, not in batches (`visiontune list ops --costs`)")
            facts.append("            where trials train on a GPU, it does only those ops of a policy that come after them")
        return "\n".join(facts)


def _has_gpu(spec: StudySpec) -> bool:
    import torch

    return spec.resources.gpus_per_trial != 0 and torch.cuda.is_available()


@uses_plugins
def check_study(spec: StudySpec, studies: StudiesFolder, *, is_run: bool = False, is_quiet: bool = False) -> StudyCheck:
    """Build every model and policy of the space; `is_run` also runs the checks. Raises UserError with all that does not fit."""
    from visiontune.augmentation.op_ranges import one_by_one

    try:
        refuse_renamed_before(studies, spec.study)
        check_studies(spec, studies, StudiesThere.by_environment())
    except UserError as error:
        raise spec.placed(error) from error
    forecast, (info, source) = cost(spec), preflight(spec)
    slow_ops = one_by_one(spec.space.tree.get("augmentation", {}), info.channels)
    beside: dict[str, Any] = {"doubts_of_sizes": _doubts_of_sizes(spec, info), "constraints": constraint_lines(spec, draw(spec, info))}
    beside["storage"] = storage_line(forecast_of_search(spec, info), _picture_bytes(spec, source, info))
    beside["said"] = tuple(short_report_of_source(source) if is_run else _said_of_pictures(spec, studies, source))
    found = StudyCheck(spec, studies, info, forecast, slow_ops, num_train_about(spec.data, source), **beside)
    return found.run(is_quiet=is_quiet, source=source) if is_run else found


def _said_of_pictures(spec: StudySpec, studies: StudiesFolder, source: Source) -> list[str]:
    """What the store says where it is there already; else what the source says, and a sample of its pictures."""
    data = with_defaults(spec.data)
    try:
        if (path := found_store(data, studies.data_cache, source)) is not None:
            refuse_bad(path, data["allow_bad"])
            return short_report(as_read(Store.open(path), data, source))
        return [*short_report_of_source(source), *sample_lines(source, data, refuses=True)]
    except UserError as error:
        raise spec.placed(error) from error


def _picture_bytes(spec: StudySpec, source: Source, info: DataInfo) -> int:
    """Of the store, were it of raw pixels; large pictures are kept as their files are."""
    num = source.num_train
    height, width = sides(info.image_size)
    return min(num, spec.data.get("max_pictures") or num) * height * width * info.channels


def _doubts_of_sizes(spec: StudySpec, info: DataInfo) -> tuple[str, ...]:
    weights = weights_in(spec)
    if not weights:
        return ()
    from visiontune.training.input.as_pretrained import size_doubt

    return tuple(said for one in weights if (said := size_doubt(one, info.image_size)))


def lines(check: Check) -> list[str]:
    """The verdict, the check and what it found; below it a hint, where there is one."""
    first = f"  {check.verdict:4}  {check.name}: {check.said}"
    return [printable(line) for line in ([first, f"        -> {check.hint}"] if check.hint else [first])]


def summary(checks: list[Check]) -> str:
    """How many of each verdict."""
    counts = {verdict: sum(check.verdict == verdict for check in checks) for verdict in ("ok", "look", "bad")}
    return f"{len(checks)} checks: " + ", ".join(f"{count} {verdict}" for verdict, count in counts.items())


@contextmanager
def _progress(*, is_quiet: bool) -> Iterator[Callable[[str], None]]:
    """On a terminal a spinner beside the name of what runs, gone before anything is printed; elsewhere nothing."""
    if is_quiet or not sys.stderr.isatty() or is_notebook():
        yield lambda name: None
        return
    from rich.console import Console
    from rich.markup import escape

    status = Console(stderr=True).status("")

    def tell(name: str) -> None:
        status.stop()
        if name:
            status.update(f"{escape(name)} ...")
            status.start()

    try:
        yield tell
    finally:
        status.stop()
