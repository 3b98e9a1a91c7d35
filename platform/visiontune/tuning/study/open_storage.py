"""Opens a study's storage: creates or resumes it for a driver, reads what is there, mends its journal; with the reasons why not."""

from __future__ import annotations

import gc
import math
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import optuna
from optuna.storages import BaseStorage, get_storage
from optuna.study import StudyDirection

from visiontune.errors import Problem, UserError, first_line, plural
from visiontune.filesystem.file_lock import make_lock
from visiontune.filesystem.study_folder import StudyFolder
from visiontune.filesystem.uri import shown
from visiontune.spec.declarations.former_policies import PUBLISHED
from visiontune.spec.kept_files import keep_files
from visiontune.spec.space.older_data import with_former_data
from visiontune.spec.space.study_spec import StudySpec, completed
from visiontune.tuning.study.checked_journal import CheckedJournal, CheckedStorage, mend
from visiontune.tuning.study.patient_storage import PatientStorage
from visiontune.tuning.study.study_database import keep_url, refuse_absent, refuse_other_home, storage_url
from visiontune.tuning.study.study_place import as_moved, refuse_renamed
from visiontune.tuning.study.study_storage import Storage

MANY_OBJECTS = 300_000
"""New ones of a study of some thousand trials."""


def create_or_resume(folder: StudyFolder, spec: StudySpec) -> Storage:
    """The storage of this study, created if it is new, with its plugins and teachers beside it. Raises UserError if the study was made from
    another file, or none answers.

    A file of which no trial was begun, since its checks failed, binds nobody: another one has the name. The key stays, as MLflow may
    have a run for it.
    """
    refuse_other_home(folder, str(spec.storage["url"]))
    storage = _connect(folder, str(spec.storage["url"]))
    study_id, known = _study_id(storage, spec.study), dict[str, Any]()
    if study_id is not None:
        known = storage.get_study_user_attrs(study_id)
        asked, spec = spec, with_former_data(spec, known.get("identity", {}))
        if not _is_same(as_moved(known, spec.identity()), spec) and not storage.get_all_trials(study_id, deepcopy=False):
            storage.delete_study(study_id)
            study_id, spec = None, asked
    if study_id is None:
        refuse_renamed(folder)  # a new one in it would lie beside another's winner
        direction = StudyDirection.MAXIMIZE if spec.objective.mode == "max" else StudyDirection.MINIMIZE
        study_id = storage.create_new_study([direction], spec.study)
    opened = Storage(storage, study_id)
    attributes = opened.attributes()
    if "identity" not in attributes:
        opened.set_attribute("key", known.get("key") or uuid.uuid4().hex)
        opened.set_attribute("identity", spec.identity())
    elif is_longer(as_moved(attributes, spec.identity()), spec):
        opened.set_attribute("finished", None)  # before the identity, which is what tells a longer budget
        opened.set_attribute("identity", spec.identity())
    elif not _is_same(as_moved(attributes, spec.identity()), spec):
        raise UserError(*_differences(as_moved(attributes, spec.identity()), spec))
    keep_files(spec, folder.path)
    keep_url(folder, str(spec.storage["url"]))
    return opened


def as_begun(folder: StudyFolder, spec: StudySpec) -> StudySpec:
    """The spec as an older version that began the study would have read its file: repeats that it left out by default, and the softer draws
    that policies' names meant.
    """
    try:
        old = as_moved(open_existing(folder, str(spec.storage["url"])).attributes(), spec.identity())
    except UserError:
        return spec
    spec = with_former_data(spec, old)
    older = replace(spec, space=replace(spec.space, is_older=True))
    is_begun = PUBLISHED in spec.identity() and (_is_same(old, older) or is_longer(old, older))
    return older if is_begun else spec


def is_longer(old: Mapping[str, Any], spec: StudySpec) -> bool:
    """Whether nothing differs from an identity but a larger full budget, with which a study may go on; a population may not."""
    key, new = "budget.max_epochs", spec.identity()
    return bool(not spec.is_population and old.get(key, math.inf) < new[key] and {**completed(old, new), key: new[key]} == new)


def open_existing(folder: StudyFolder, url: str = "journal") -> Storage:
    """A study for reading, without the driver's lock and without creating anything; of a database that its folder knows no `url` is needed.

    Raises UserError when there is none.
    """
    url = storage_url(folder, url)
    refuse_absent(url)
    if url == "journal" and not folder.journal.is_file():
        raise UserError(f"no study in {folder.path}: {folder.journal.name} does not exist")
    storage = _connect(folder, url)
    study_id = _study_id(storage, folder.name)
    if study_id is None:
        refuse_renamed(folder)
        raise UserError(f"the storage of {folder.path} holds no study named {folder.name}")
    return Storage(storage, study_id)


def _connect(folder: StudyFolder, url: str) -> BaseStorage | PatientStorage:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    if url != "journal":
        try:
            return PatientStorage(get_storage(url))
        except ImportError as error:
            driver = getattr(error.__cause__, "name", None) or "its driver"
            hint = 'pip install "visiontune[postgres]"' if url.startswith("postgresql") else f"pip install {driver}"
            raise UserError(f"the storage {shown(url)} needs {driver}, which is not installed: {hint}") from error
        except Exception as error:  # each database driver has its own
            raise UserError(f"the storage {shown(url)} does not answer: {shown(first_line(error))}") from error
    # Optuna's own lock is a symbolic link, which a killed writer leaves behind for 30 s.
    lock = make_lock(folder.journal.with_name(f"{folder.journal.name}.lock"))
    try:
        with without_gc():
            return CheckedStorage(CheckedJournal(folder.journal, folder.journal_copy, lock))
    except (UserError, OSError):
        raise
    except Exception as error:  # Optuna has none for lines that are whole and say what no study does
        rule = f"is no journal of Optuna {optuna.__version__} ({type(error).__name__}: {first_line(error)})"
        raise UserError(Problem(str(folder.journal), 0, "", rule)) from error


@contextmanager
def without_gc() -> Iterator[None]:
    """Reading a study only makes objects that stay: looking for garbage among them took 0.6 of 2.0 s for 10,000 trials, and once more when
    it is over, unless they are then told to be old.
    """
    is_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        # Only of many, since to count what somebody has frozen means to go over it.
        if is_on and gc.get_count()[0] > MANY_OBJECTS and not gc.get_freeze_count():
            gc.freeze()
            gc.unfreeze()  # into the oldest generation
        if is_on:
            gc.enable()


def mend_journal(folder: StudyFolder, url: str = "journal") -> str:
    """What kills, full disks and bad sectors left of the journal, made whole; only under the driver's lock. Gives what was mended, "" for
    nothing, also for a study in a database. Raises UserError where that can't be, and where the journal is gone from beside what a study
    left.
    """
    if url != "journal":
        return ""
    if not folder.journal.exists() and not folder.journal_copy.exists() and folder.outbox.exists():
        rule = f"the study's journal is gone, but {folder.outbox.name} tells of its trials: put {folder.journal.name} back"
        raise UserError(Problem(str(folder.journal), 0, "", f"{rule}, or begin another study with `name=NAME`"))
    return mend(folder.journal, folder.journal_copy)


def _study_id(storage: BaseStorage | PatientStorage, name: str) -> int | None:
    try:
        return int(storage.get_study_id_from_name(name))
    except KeyError:
        return None


def _is_same(old: Mapping[str, Any], spec: StudySpec) -> bool:
    return completed(old, spec.identity()) == spec.identity()


def _differences(old: Mapping[str, Any], spec: StudySpec) -> Sequence[Problem | str]:
    new = spec.identity()
    old = completed(old, new)
    changed = sorted(key for key in {*old, *new} if old.get(key) != new.get(key))
    if changed == ["budget.max_epochs"] and spec.is_population:
        rule = f"the population of study {spec.study} is trained for the {old['budget.max_epochs']} epochs that it was begun with"
        return [Problem("", 0, "budget.max_epochs", f"{rule}; undo that, or give it another name (`name=NAME`)")]
    if changed == ["budget.max_epochs"] and old["budget.max_epochs"] > new["budget.max_epochs"]:
        longer = old["budget.max_epochs"]
        rule = f"study {spec.study} has gone on with {plural(longer, 'epoch')}, and does not go back; give it budget.max_epochs={longer}"
        return [Problem("", 0, "budget.max_epochs", f"{rule}, or another name (`name=NAME`)")]
    how = "was begun with another file or other overrides"
    head = f"study {spec.study} exists and {how}; give this one a new name (`name=NAME`), or undo what differs"
    return [head, *(Problem("", 0, key, f"was {old.get(key, 'absent')}, is now {new.get(key, 'absent')}") for key in changed)]
