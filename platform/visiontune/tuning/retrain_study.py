"""Recipes of a study that has ended trained again on the cluster, without its file."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, replace
from typing import Any

from visiontune.errors import SearchFailed, UserError
from visiontune.filesystem.study_folder import StudiesFolder, StudyFolder
from visiontune.spec.plugins import in_use
from visiontune.spec.read_identity import spec_of_identity
from visiontune.spec.reading.study_rules import problem_of_kept
from visiontune.spec.space.study_spec import Resources, StudySpec
from visiontune.tuning.preflight.get_ready import Say, Screen, Tracker, starting
from visiontune.tuning.records.records import Ending, Outcome, StudyRecord
from visiontune.tuning.retraining.confirmations import confirm_best
from visiontune.tuning.retraining.run_retrainings import MakePolicy
from visiontune.tuning.retraining.winner import leave_winner
from visiontune.tuning.search.leaving import said_when_left
from visiontune.tuning.search.search_run import SearchRun
from visiontune.tuning.search_on_cluster import search_on_cluster
from visiontune.tuning.study.driver_lease import driver_lease
from visiontune.tuning.study.driver_lock import driver_lock
from visiontune.tuning.study.open_storage import mend_journal, open_existing
from visiontune.tuning.study.read_study import load_files_of, study_record
from visiontune.tuning.study.study_storage import Storage


def retrain_study(
    folder: StudyFolder,
    confirm: Mapping[str, Any],
    *,
    tracker: Tracker,
    screen: Screen,
    say: Say = lambda text: None,
    url: str = "journal",
    address: str | None = None,
    may_exit: bool = False,
    make_policy: MakePolicy = confirm_best,
    is_race: bool = True,
) -> Outcome:
    """Train what a policy wants of a study's trials; after a race leave its winner. The same call goes on after a kill.

    No budget of the study bounds it.

    `confirm` are keys of that section in place of the study's own. Raises UserError for a study that has not ended or is being driven,
    and where nothing was trained in full; SearchFailed, NoCluster, and Died as a search.
    """
    with ExitStack() as stack:
        stack.enter_context(in_use(load_files_of(folder, url)))
        stack.enter_context(driver_lock(folder))
        if mended := mend_journal(folder, url):
            say(mended)
        storage = open_existing(folder, url)
        lease = stack.enter_context(driver_lease(storage, url, folder.name))
        spec = spec_of_study(storage, folder.name, confirm, url)
        ending = _refuse(study_record(storage, folder.name), spec, is_race=is_race)
        screen(starting(spec, storage.attributes().get("spent", {})))
        with tracker() as tell, said_when_left(tell, lambda: run.is_replaced) as put:
            run = SearchRun(spec, storage, folder, put, make_policy=make_policy, has_trials=False)
            run.say, lease.on_lost = say, run.stop_for
            storage.tell(say)
            studies = StudiesFolder(folder.path.parent)
            store = search_on_cluster(run, spec, storage, studies, put, screen, address, may_exit=may_exit)
            run.sweep()
            if run.fatal:
                raise SearchFailed(f"study {folder.name} can't go on: {run.fatal}; once that is mended the same command goes on")
            if run.is_finished and is_race:
                file = ending.confirm_of_file or ending.confirm
                ended = replace(ending, num_seeds=int(spec.confirm["num_seeds"]), confirm=dict(spec.confirm), confirm_of_file=file)
                name = storage.attributes().get("registered")  # the winner, or its weights, may be others than those
                leave_winner(study_record(storage, folder.name, ended), folder, store, put, name)
                storage.set_attribute("finished", asdict(ended))
    status = "finished" if run.is_finished else "interrupted"
    return Outcome(status, study_record(storage, folder.name), folder, 0, run.spending.num_new_epochs)


def spec_of_study(storage: Storage, name: str, confirm: Mapping[str, Any], url: str) -> StudySpec:
    """The study's own, with the resources that its search had and no limit but the number of its trials."""
    attributes = storage.attributes()
    spec = spec_of_identity(attributes["identity"], name, {"num_trials": max(1, len(storage.trials()))})
    before = (attributes.get("finished") or {}).get("confirm", {})
    resources = Resources(**attributes["resources"]) if "resources" in attributes else spec.resources
    return replace(spec, resources=resources, confirm={**spec.confirm, **before, **confirm}, storage={**spec.storage, "url": url})


def _refuse(study: StudyRecord, spec: StudySpec, *, is_race: bool) -> Ending:
    if study.ending is None:
        raise UserError(f"study {study.name} has not ended; `visiontune search FILE` with its file goes on and confirms its best")
    if not any(trial.state == "complete" for trial in study.trials):
        raise UserError(f"no trial of study {study.name} was trained in full, so there is none to confirm; search on with more budget")
    if is_race and not spec.confirm["num_seeds"]:
        raise UserError("seeds must be at least 1, but the study was searched with confirm.num_seeds 0: say `seeds=3`")
    if is_race and (problem := problem_of_kept(spec.confirm)):
        raise UserError(": ".join(problem))
    return study.ending
