"""One call of a search from its start to its end: lock, storage, data, Ray, the search run, and the winner's files."""

from __future__ import annotations

import math
import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import asdict, replace
from threading import Event
from typing import TYPE_CHECKING

from visiontune.data.store.short_report import short_report
from visiontune.errors import SearchFailed, UserError
from visiontune.filesystem.study_folder import StudiesFolder, StudyFolder
from visiontune.spec.older_data import said_of_older
from visiontune.spec.plugins import uses_plugins
from visiontune.spec.study_spec import StudySpec
from visiontune.tuning.constraints import costs_by, needs_known_costs, num_counted
from visiontune.tuning.driver_lease import driver_lease, refuse_driven
from visiontune.tuning.driver_lock import driver_lock
from visiontune.tuning.earlier_studies import Elsewhere, check_studies
from visiontune.tuning.get_ready import (
    Say,
    Screen,
    count_gpus,
    get_ready,
    ingest_screen,
    say_of_pictures,
    settle_start,
    starting,
    worker_config,
)
from visiontune.tuning.interruption import interruptible
from visiontune.tuning.leaving import said_when_left
from visiontune.tuning.mlflow_events import study_event
from visiontune.tuning.ray_cluster import cluster, is_local, note_of_gpus, trial_resources
from visiontune.tuning.ray_node_checks import needs_of, with_pictures
from visiontune.tuning.read_study import ending_of, study_record
from visiontune.tuning.records import Ending, Outcome, Put, StudyRecord
from visiontune.tuning.search_run import SearchRun
from visiontune.tuning.shipped_code import relative_weights
from visiontune.tuning.start_recipes import StartRecipes
from visiontune.tuning.study_again import say_again, say_whole_again
from visiontune.tuning.study_pictures import facts_of, follow_pictures, keep_pictures
from visiontune.tuning.study_place import moved
from visiontune.tuning.study_storage import Storage, as_begun, create_or_resume, mend_journal, open_existing
from visiontune.tuning.who_drives import Heartbeat
from visiontune.tuning.winner import leave_winner, register_winner, winner_of

if TYPE_CHECKING:
    from visiontune.data.store.store import Store

START_GOES_ON = ("num_trials", "patience", "constraints")
"""What ended a search that a new recipe goes on with, where there are trials left for it."""

Tracker = Callable[[], AbstractContextManager[Put]]


@uses_plugins
def run_search(
    spec: StudySpec,
    studies: StudiesFolder,
    *,
    tracker: Tracker,
    screen: Screen,
    say: Say = lambda text: None,
    address: str | None = None,
    may_exit: bool = False,
    elsewhere: Elsewhere | None = None,
) -> Outcome:
    """Search until the study is finished, or go on where an earlier call stopped.

    `say` is told each recipe that is tried before the sampler proposes; earlier studies come from `elsewhere` too. `tracker` is entered
    once the study is locked and has work left. `may_exit`: this process may be ended where Ray's loop does not end after an interruption.
    Raises UserError for a changed space or other pictures, what does not fit them (`preflight`), a second driver or a folder that can't be
    written, SearchFailed where the machines or the disk fail, NoCluster, and Died as `prepare`.
    """
    folder = studies.study(spec.study)
    is_new = not folder.path.exists()
    try:
        check_studies(spec, studies, elsewhere)
        _make_folder(folder)
        return _search(spec, studies, folder, tracker, screen, say, address, elsewhere, may_exit=may_exit)
    except UserError as error:
        if is_new and not _has_trials(folder, spec):  # a file with mistakes leaves nothing that looks like a study
            shutil.rmtree(folder.path, ignore_errors=True)
        raise spec.placed(error) from error


def _has_trials(folder: StudyFolder, spec: StudySpec) -> bool:
    try:
        return bool(open_existing(folder, str(spec.storage["url"])).trials())
    except UserError:
        return False


def _search(
    spec: StudySpec,
    studies: StudiesFolder,
    folder: StudyFolder,
    tracker: Tracker,
    screen: Screen,
    say: Say,
    address: str | None,
    elsewhere: Elsewhere | None,
    *,
    may_exit: bool,
) -> Outcome:
    start_s = time.monotonic()
    with ExitStack() as stack:
        stack.enter_context(driver_lock(folder))
        if mended := mend_journal(folder, str(spec.storage["url"])):
            say(mended)
        asked, spec = spec, as_begun(folder, spec)
        if spec.space.is_older:
            say("this study is older: its policies go on with the softer draws that are called soft_* now; --name NAME begins another")
        _refuse_driven(folder, spec)
        storage = create_or_resume(folder, spec)
        lease = stack.enter_context(driver_lease(storage, str(spec.storage["url"]), spec.study))
        if is_finished(storage, spec) and not _has_more_to_start(storage, spec):
            study = study_record(storage, spec.study)
            if keys := moved(study.identity, spec.identity()):
                say(f"the study is finished: whether its pictures are those that {' and '.join(keys)} now names was not looked at")
            with tracker() as put:
                say_whole_again(storage, spec, study, folder, put)
                _register_late(spec, study, storage, folder, put)
            return Outcome(_status(study), study, folder, 0)
        storage.set_attribute("num_trials", spec.budget.num_trials)
        storage.set_attribute("finished", None)
        storage.set_attribute("resources", asdict(spec.resources))
        for one in said_of_older(asked, spec):
            say(one)
        screen(starting(spec, storage.attributes().get("spent", {})))
        with tracker() as tell, said_when_left(tell, lambda: run.is_replaced) as put:
            run = SearchRun(spec, storage, folder, put, start_s)
            run.say, lease.on_lost = say, run.stop_for
            storage.tell(say)
            run.log("search", f"begins: process {os.getpid()} on {socket.gethostname()}")
            store = run_on_cluster(run, spec, storage, studies, put, screen, say, address, elsewhere, may_exit=may_exit)
            return _conclude(run, spec, storage, folder, store, put)


def run_on_cluster(
    run: SearchRun,
    spec: StudySpec,
    storage: Storage,
    studies: StudiesFolder,
    put: Put,
    screen: Screen,
    say: Say,
    address: str | None,
    elsewhere: Elsewhere | None = None,
    *,
    may_exit: bool,
) -> Store:
    """Everything that needs Ray; gives the pictures."""
    is_new = not storage.trials()  # a study with trials has passed the preflight
    with ThreadPoolExecutor(1) as pool, _set_at_end() as stop, ExitStack() as stack:
        # Before Ray starts, which takes seconds in other processes.
        ready = pool.submit(get_ready, spec, studies.data_cache, is_new, ingest_screen(spec, screen, run.clock.start_s), stop)
        with cluster(address, () if is_local(address) else relative_weights(spec)):
            from visiontune.tuning.forecast import keep_forecast  # torch's import, while Ray starts
            from visiontune.tuning.ray_adapter import run_tune
            from visiontune.tuning.ray_nodes import NodeWatch

            wanted = trial_resources(spec.resources, address)
            if note := note_of_gpus(spec.resources, wanted, address):
                run.log("machine", note, is_said=True)
            run.spending.num_gpus = count_gpus(spec, wanted)
            watch = NodeWatch(run, spec.resources, wanted, is_local=is_local(address))
            watch.refuse_too_small()
            needs = None if is_local(address) else stack.enter_context(needs_of(studies.study(spec.study)))
            watch.check(needs)
            store = ready.result()
            watch.check(needs and with_pictures(needs, spec, store.path))
            keep_pictures(storage, store, spec.study, spec.space.file)
            if places := follow_pictures(storage, spec):
                run.log("search", f"goes on with the same pictures at another place: {places}", is_said=True)
            if spec.resources.gpus_per_trial == "auto" and wanted["gpu"]:
                from visiontune.tuning.gpu_share import asking_ray, settled_gpus

                ask = asking_ray(worker_config(spec, studies.study(spec.study), store, wanted))
                gpus = settled_gpus(spec, storage, store.info, list(run.out.placement.nodes.values()), ask, say)
                wanted = trial_resources(replace(spec.resources, gpus_per_trial=gpus), address)
                run.spending.num_gpus = count_gpus(spec, wanted)
                watch.want(wanted)
            if run.has_trials:
                keep_forecast(storage, studies.study(spec.study), spec, store.info)
                say_of_pictures(store, say)
                settle_start(run.starts, spec, studies, store.image_size, num_counted(storage.trials()), say, elsewhere)
                if needs_known_costs(spec):
                    run.refuse_by(costs_by(store.info))
            put(study_event(spec, storage.attributes()["key"], facts_of(store), short_report(store)))
            say_again(storage, spec, put)
            base = worker_config(spec, studies.study(spec.study), store, wanted) | {"needs": needs}
            with interruptible(run.interrupt, may_exit=may_exit):
                run_tune(run, base=base, look=watch.look, screen=Heartbeat(studies.study(spec.study)).beside(screen))
            screen(run.snapshot())
    return store


def _refuse_driven(folder: StudyFolder, spec: StudySpec) -> None:
    """Before the study is touched: one without trials, whose driver still reads its pictures, would give way to another file's."""
    url = str(spec.storage["url"])
    try:
        storage = open_existing(folder, url)
    except UserError:
        return  # there is none, or what is wrong is said when it is opened
    refuse_driven(storage, url, spec.study)


@contextmanager
def _set_at_end() -> Iterator[Event]:
    """An event for a thread that is waited for afterwards: an interruption must not wait for all pictures."""
    stop = Event()
    try:
        yield stop
    finally:
        stop.set()


def _conclude(run: SearchRun, spec: StudySpec, storage: Storage, folder: StudyFolder, store: Store, put: Put) -> Outcome:
    study = study_record(storage, spec.study)
    run.sweep()
    if run.fatal:
        run.log("search", f"stops: {run.fatal}")
        raise SearchFailed(f"study {spec.study} can't go on: {run.fatal}; once that is mended the same command does")
    if not run.is_finished:
        run.log("search", "interrupted; the same command goes on")
        return Outcome("interrupted", study, folder, run.num_new_trials, run.spending.num_new_epochs)
    ending = Ending(spec.budget.ends, run.ended_by or "num_trials", int(spec.confirm["num_seeds"]), spec.confirm)
    study = study_record(storage, spec.study, ending)
    leave_winner(study, folder, store, put, spec.register)
    storage.set_attribute("registered", spec.register)
    storage.set_attribute("finished", asdict(ending))
    return Outcome(_status(study), study, folder, run.num_new_trials, run.spending.num_new_epochs)


def _register_late(spec: StudySpec, study: StudyRecord, storage: Storage, folder: StudyFolder, put: Put) -> None:
    """What ended before its file said `register`, or another name, is registered now."""
    known, winner = storage.attributes(), winner_of(study)
    if spec.register and winner is not None and known.get("registered") != spec.register and "pictures" in known:
        register_winner(study, winner, folder, known["pictures"]["digest"], put, spec.register)
        storage.set_attribute("registered", spec.register)


def _status(study: StudyRecord) -> str:
    return "finished" if study.ending is None or study.ending.by in ("num_trials", "patience", "stop_at", "constraints") else "budget"


def is_finished(storage: Storage, spec: StudySpec) -> bool:
    """Whether the budget has no more of what ended the study than it had then, and wants no more confirmations."""
    ending = ending_of(storage)
    if ending is None or ending.num_seeds < spec.confirm["num_seeds"] or _confirms_otherwise(ending, spec):
        return False
    now, then = spec.budget.ends.get(ending.by, math.inf), ending.limits.get(ending.by, math.inf)
    if ending.by == "stop_at":
        return ending.by in spec.budget.ends and not spec.objective.is_better(now, then)
    return now <= then


def _confirms_otherwise(ending: Ending, spec: StudySpec) -> bool:
    """Whether more recipes are to be confirmed than were, other weights kept, or views tested. What a study older than races left stays."""
    if not ending.confirm or not spec.confirm["num_seeds"]:
        return False
    file = ending.confirm_of_file or ending.confirm  # the file that was searched with does not undo what `confirm` was told since
    is_other = any(file[key] != spec.confirm[key] != ending.confirm[key] for key in ("weights", "use_val"))
    is_other |= spec.confirm["test_time"] not in ("none", ending.confirm["test_time"])
    return is_other or spec.confirm["top"] > ending.confirm["top"]


def _has_more_to_start(storage: Storage, spec: StudySpec) -> bool:
    """Whether recipes of the user's were added that there are trials left for."""
    ending, trials = ending_of(storage), storage.trials()
    has_room = spec.budget.num_trials is None or num_counted(trials) < spec.budget.num_trials
    return ending is not None and ending.by in START_GOES_ON and has_room and bool(StartRecipes(spec, storage, trials).left())


def _make_folder(folder: StudyFolder) -> None:
    try:
        folder.path.mkdir(parents=True, exist_ok=True)
        (folder.path / ".writable").touch()
        (folder.path / ".writable").unlink(missing_ok=True)  # two drivers may look at once
    except OSError as error:
        raise UserError(f"the study's folder {folder.path} can't be written: {error.strerror}") from None
