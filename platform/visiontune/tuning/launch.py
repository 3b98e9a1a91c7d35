"""One call of a search from its start to its end: lock, storage, tracker, the search on the cluster, and the winner's files."""

from __future__ import annotations

import os
import shutil
import socket
import time
from contextlib import ExitStack, suppress
from dataclasses import asdict
from typing import TYPE_CHECKING

from visiontune.errors import SearchFailed, UserError
from visiontune.filesystem.study_folder import StudiesFolder, StudyFolder
from visiontune.spec.plugins import uses_plugins
from visiontune.spec.space.older_data import said_of_older
from visiontune.spec.space.study_spec import StudySpec
from visiontune.tuning.cluster.ray_cluster import is_local
from visiontune.tuning.cluster.ray_nodes import refuse_without_gpu
from visiontune.tuning.preflight.finished_study import has_more_to_start, is_finished
from visiontune.tuning.preflight.get_ready import Say, Screen, Tracker, starting
from visiontune.tuning.proposals.earlier_studies import Elsewhere, check_studies
from visiontune.tuning.records.records import Ending, Outcome, Put, StudyRecord
from visiontune.tuning.retraining.winner import leave_winner, register_winner, winner_of
from visiontune.tuning.search.leaving import said_when_left
from visiontune.tuning.search.search_run import SearchRun
from visiontune.tuning.search.study_again import say_whole_again
from visiontune.tuning.search_on_cluster import search_on_cluster
from visiontune.tuning.study.driver_lease import driver_lease, refuse_driven
from visiontune.tuning.study.driver_lock import driver_lock
from visiontune.tuning.study.open_storage import as_begun, create_or_resume, mend_journal, open_existing
from visiontune.tuning.study.read_study import study_record
from visiontune.tuning.study.study_place import moved, refuse_renamed_before
from visiontune.tuning.study.study_storage import Storage
from visiontune.tuning.study.who_drives import holder_of

if TYPE_CHECKING:
    from visiontune.data.store.store import Store


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
    is_new, is_first = not folder.path.exists(), not studies.path.exists()
    try:
        refuse_renamed_before(studies, spec.study)
        check_studies(spec, studies, elsewhere)
        _make_folder(folder)
        return _search(spec, studies, folder, tracker, screen, say, address, elsewhere, may_exit=may_exit)
    except UserError as error:
        # A file with mistakes leaves nothing that looks like a study; what another driver has begun meanwhile is not this one's to remove.
        if is_new and holder_of(folder) is None and not _has_trials(folder, spec):
            shutil.rmtree(folder.path, ignore_errors=True)
            if is_first:
                _remove_empty(studies)
        raise spec.placed(error) from error


def _remove_empty(studies: StudiesFolder) -> None:
    """A folder of studies that a refused search made; not one in which pictures were read, or another search has begun."""
    with suppress(OSError):
        studies.path.rmdir()


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
            say("this study is older: its policies go on with the softer draws, now called soft_*; a study of another name has new ones")
        _refuse_driven(folder, spec)
        storage = create_or_resume(folder, spec)
        lease = stack.enter_context(driver_lease(storage, str(spec.storage["url"]), spec.study))
        if is_finished(storage, spec) and not has_more_to_start(storage, spec):
            study = study_record(storage, spec.study)
            if keys := moved(study.identity, spec.identity()):
                say(f"the study is finished: whether its pictures are those that {' and '.join(keys)} now names was not looked at")
            with tracker() as put:
                say_whole_again(storage, spec, study, folder, put)
                _register_late(spec, study, storage, folder, put)
            return Outcome(_status(study), study, folder, 0)
        if is_local(address):
            refuse_without_gpu(spec.resources.gpus_per_trial)
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
            store = search_on_cluster(run, spec, storage, studies, put, screen, address, elsewhere, may_exit=may_exit)
            return _conclude(run, spec, storage, folder, store, put)


def _refuse_driven(folder: StudyFolder, spec: StudySpec) -> None:
    """Before the study is touched: one without trials, whose driver still reads its pictures, would give way to another file's."""
    url = str(spec.storage["url"])
    try:
        storage = open_existing(folder, url)
    except UserError:
        return  # there is none, or what is wrong is said when it is opened
    refuse_driven(storage, url, spec.study)


def _conclude(run: SearchRun, spec: StudySpec, storage: Storage, folder: StudyFolder, store: Store, put: Put) -> Outcome:
    study = study_record(storage, spec.study)
    run.sweep()
    if run.fatal:
        run.log("search", f"stops: {run.fatal}")
        raise SearchFailed(f"study {spec.study} can't go on: {run.fatal}; once that is mended the same command does")
    if not run.is_finished:
        run.log("search", "interrupted; the same command goes on")
        return Outcome("interrupted", study, folder, run.num_new_trials, run.spending.num_new_epochs)
    hours = run.spending.hours_to_go_on if run.ended_by == "hours" else 0.0
    ending = Ending(spec.budget.ends, run.ended_by or "num_trials", int(spec.confirm["num_seeds"]), spec.confirm, hours_to_go_on=hours)
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


def _make_folder(folder: StudyFolder) -> None:
    try:
        folder.path.mkdir(parents=True, exist_ok=True)
        (folder.path / ".writable").touch()
        (folder.path / ".writable").unlink(missing_ok=True)  # two drivers may look at once
    except OSError as error:
        raise UserError(f"the study's folder {folder.path} can't be written: {error.strerror}") from None
