"""What a search needs before its first trial: pictures, known recipes, what a worker is given; and the screen meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from threading import Event
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from visiontune.errors import Problem, UserError, plural
from visiontune.filesystem.study_folder import StudiesFolder, StudyFolder
from visiontune.spec.declarations.image_size import ImageSize
from visiontune.spec.plugins import uses_plugins
from visiontune.spec.space.study_spec import StudySpec
from visiontune.tuning.preflight.network_preflight import problem_at
from visiontune.tuning.preflight.preflight import preflight
from visiontune.tuning.proposals.earlier_studies import Elsewhere, earlier_points
from visiontune.tuning.proposals.start_recipes import StartRecipes, portfolio_points
from visiontune.tuning.records.records import Put
from visiontune.tuning.records.snapshot import Snapshot

if TYPE_CHECKING:
    from visiontune.data.ingest.progress import Progress
    from visiontune.data.source import Source
    from visiontune.data.store.store import Store

Screen = Callable[[Snapshot], None]
Say = Callable[[str], None]
Tracker = Callable[[], AbstractContextManager[Put]]


def settle_start(
    starts: StartRecipes,
    spec: StudySpec,
    studies: StudiesFolder,
    image_size: ImageSize,
    num_begun: int,
    say: Say,
    elsewhere: Elsewhere | None = None,
) -> None:
    """Ask the portfolio and earlier studies, where that was not done, and say what is going to be tried first."""
    if not starts.is_settled:
        starts.settle([*portfolio_points(spec, image_size), *earlier_points(spec, studies, say, elsewhere)])
    left, most = starts.left(), spec.budget.num_trials
    room = len(left) if most is None else max(0, most - num_begun) + sum(point.is_again for point in left)
    for point in left[:room]:
        say(f"to be tried first: {point}")
    if room < len(left):
        say(f"no trials are left for {len(left) - room} more known recipes: budget.num_trials={num_begun + len(left)}")


def starting(spec: StudySpec, spent: Mapping[str, float] = MappingProxyType({})) -> Snapshot:
    """Before the first leg; `spent` by earlier calls."""
    return Snapshot(spec.budget.num_trials, 0, 0, 0, 0, 0, 0, 0, None, 0.0, None, 0.0, "starting", spec.budget.limits, spent)


def ingest_screen(spec: StudySpec, screen: Screen, start_s: float) -> Callable[[Progress], None]:
    """Takes the progress of an ingest to the screen."""

    def tell(progress: Progress) -> None:
        phase = f"{progress.stage} {progress.num_done:,} of {plural(progress.num, 'picture')}"
        screen(replace(starting(spec), phase=phase, elapsed_s=time.monotonic() - start_s))

    return tell


@uses_plugins  # in a thread of its own
def find_pictures(spec: StudySpec, stop: Event) -> Source:
    """What reads the pictures, which are listed and not read. Raises UserError where there are none."""
    from visiontune.data.prepare import source_of, with_defaults

    try:
        return source_of(with_defaults(spec.data))
    except UserError as error:
        raise spec.placed(error, "data") from error


@uses_plugins  # in a thread of its own
def get_ready(
    spec: StudySpec, cache: Path, is_checking: bool, tell: Callable[[Progress], None], stop: Event, source: Source | None = None
) -> Store:
    """Raise UserError for what is wrong with models, policies or pictures, before any trial; then prepare the pictures.

    `source` is what `find_pictures` gave.
    """
    from visiontune.data.prepared_store import prepared

    source = preflight(spec, source)[1] if is_checking else source
    try:
        store = prepared(spec.data, cache, tell=tell, stop=stop, source=source)
    except UserError as error:
        raise spec.placed(error, "data") from error
    if is_checking and spec.num_folds > 1:
        _refuse_folds(spec, store)
    return store


def _refuse_folds(spec: StudySpec, store: Store) -> None:
    from visiontune.data.folds import refuse_folds

    try:
        refuse_folds(store, spec.num_folds, int(spec.data["seed"]))
    except UserError as error:
        raise spec.placed(error, "data.folds") from error


def say_of_pictures(store: Store, say: Say) -> None:
    """How many there are, how they were read, what is not among them."""
    from visiontune.data.store.short_report import short_report

    for line in short_report(store):
        say(line)


def count_gpus(spec: StudySpec, wanted: Mapping[str, float]) -> float:
    """What a trial gets of them. Raises UserError where GPU hours are to be counted and there is none."""
    if spec.budget.gpu_hours is not None and not wanted["gpu"]:
        rule = "counts GPUs, but a trial gets none here; write hours, num_trials or epochs"
        raise UserError(Problem("", 0, "budget.gpu_hours", rule))
    return wanted["gpu"] * spec.resources.workers_per_trial


def refuse_graphs(spec: StudySpec, wanted: Mapping[str, float]) -> None:
    """Raise UserError where networks are to be compiled as CUDA graphs, and a trial gets no GPU."""
    sections = [one for one in spec.space.corners("training") if one["compile_mode"] != "default"]
    if not sections or wanted["gpu"]:
        return
    from visiontune.training.compiled import problem_of_mode

    rules = dict.fromkeys(problem_of_mode(one, has_gpu=False) for one in sections)
    raise UserError(*(problem_at(spec, "training.compile_mode", rule) for rule in rules if rule is not None))


def note_of_precision(spec: StudySpec, wanted: Mapping[str, float]) -> str:
    """What is to be said of a space with tf32 where a trial gets no GPU; "" where nothing is."""
    if wanted["gpu"] or "tf32" not in spec.space.values("training.precision"):
        return ""
    return "training.precision tf32 is for GPUs: trials on CPUs compute in fp32 in its place"


def worker_config(spec: StudySpec, folder: StudyFolder, store: Store, wanted: Mapping[str, float]) -> dict[str, Any]:
    """What every worker gets beside its leg; `wanted` is reserved for it."""
    from visiontune.data.store.remote_cache import remote_cache

    return {
        "store": str(store.path.resolve()),
        "remote_cache": remote_cache(),
        "folder": str(folder.path.resolve()),
        "num_threads": int(wanted["cpu"]),
        "num_gpus": wanted["gpu"],
        "bundle": {name.upper(): amount for name, amount in wanted.items()},
        "num_workers": spec.resources.workers_per_trial,
        "rungs": spec.leg_ends,
        "checkpoint_every_s": spec.storage["checkpoint_every_s"],
        "hang_s": spec.resources.hang_s,
    }
