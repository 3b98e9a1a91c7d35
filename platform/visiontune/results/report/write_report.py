"""`visiontune report`: gathers what the sections need, and writes the page."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from visiontune.data.ingest.progress import Progress
from visiontune.errors import UserError
from visiontune.filesystem.atomic_write import try_out, write_whole
from visiontune.filesystem.path_kind import kind_of
from visiontune.filesystem.study_folder import StudiesFolder, StudyFolder
from visiontune.results.inspection.inspection_views import NONE_OF_MANY, View
from visiontune.results.inspection.study_inspection import keep_views, look_at
from visiontune.results.report.first_screen import answer_of
from visiontune.results.report.page import render
from visiontune.results.report.section_table import SECTIONS
from visiontune.results.report.shown_trials import best_trials
from visiontune.results.report.subject import ReportSubject
from visiontune.results.report.to_mlflow import send_report
from visiontune.results.retraining.ablate_study import read_ablation
from visiontune.results.screens.ingest_progress import IngestScreen
from visiontune.results.tables.ablation_table import Ablation
from visiontune.results.tables.importance_table import Why
from visiontune.results.tables.next_search import next_search
from visiontune.results.tables.trial_costs import with_costs
from visiontune.spec.kept_files import load_named
from visiontune.spec.plugins import in_use
from visiontune.training.train_recipe import find_device
from visiontune.tuning.importance.importance import importance_of
from visiontune.tuning.records.records import StudyRecord

Tell = Callable[[Progress], None]
_log = logging.getLogger(__name__)


def report(
    folder: StudyFolder, study: StudyRecord, out: Path | None, *, device: str, is_looking: bool, progress: bool | str, storage_url: str
) -> Path:
    """`write_report` with a screen and the study's plugins; report.html of its folder for None."""
    cache = StudiesFolder(folder.path.parent).data_cache
    plugins = load_named(study.identity, folder.path)
    ablation = read_ablation(folder, storage_url)
    with IngestScreen.of(progress) as screen, in_use(plugins):
        how: dict[str, Any] = {"device": device, "is_looking": is_looking, "tell": screen.tell, "ablation": ablation}
        return write_report(folder, cache, study, out or folder.report, **how)


def write_report(
    folder: StudyFolder,
    cache: Path,
    study: StudyRecord,
    out: Path,
    *,
    device: str,
    is_looking: bool,
    tell: Tell = lambda progress: None,
    ablation: Ablation | None = None,
) -> Path:
    """Write the page. The study's plugins must be in use. `is_looking`: ask the winner's network about the validation pictures.

    In its own place in the study's folder, and once the search has ended, it goes to MLflow too (to_mlflow.py), as do the pictures of what
    the network sees, which lie in the study's folder as after `visiontune inspect`.

    Raises UserError where no trial has a value, and for a file that can't be written or is no .html.
    """
    if study.best is None:
        raise UserError(f"a report needs a trial with a finite value of {study.objective.metric}, but study {study.name} has none")
    device = find_device(device)
    if kind_of(out) == "folder":
        raise UserError(f"the report is a file, such as {out / 'report.html'}, but {out} is a folder")
    if out.suffix not in (".html", ".htm"):
        raise UserError(f"the report is an HTML file, but got {out}; nearest is {out.with_suffix('.html')}")
    try:
        try_out(out)
        subject = _subject(folder, cache, study, device=device, is_looking=is_looking, tell=tell, ablation=ablation)
        write_whole(out, _page(subject))
        if is_looking and subject.winner is not None and not subject.views:
            _log.warning("%s", subject.why_no_views)
        if out == folder.report and study.ending is not None:
            send_report(folder, out, keep_views(folder, subject.views.values()) if subject.views else [])
    except OSError as error:
        raise UserError(f"the file {out} must take the report, but: {error.strerror or error}; `out=FILE.html` names another") from error
    return out


def html_of(
    folder: StudyFolder,
    cache: Path,
    study: StudyRecord,
    *,
    device: str,
    is_looking: bool,
    tell: Tell = lambda progress: None,
    ablation: Ablation | None = None,
) -> str:
    """The page of a study in which a trial has a value."""
    return _page(_subject(folder, cache, study, device=device, is_looking=is_looking, tell=tell, ablation=ablation))


def _subject(
    folder: StudyFolder, cache: Path, study: StudyRecord, *, device: str, is_looking: bool, tell: Tell, ablation: Ablation | None
) -> ReportSubject:
    tell(Progress("importance", 0, 1, 0, 0))
    why, why_none = _importance(study)
    subject = ReportSubject(folder, _with_costs(study), why, why_no_importance=why_none, ablation=ablation)
    if is_looking and subject.winner is not None:
        views, why_none = _views(folder, cache, device, tell)
        subject = replace(subject, views=views, why_no_views=why_none)
    return subject


def _page(subject: ReportSubject) -> str:
    shown = [(section.slug, section.title, blocks) for section in SECTIONS if (blocks := section.content(subject))]
    return render(subject.study.name, answer_of(subject), shown)


# What can't be known of a study, as of one of an older version, is no reason to have no report: its section says why.


def _importance(study: StudyRecord) -> tuple[Why | None, str]:
    try:
        found = importance_of(study)
        return Why(found, next_search(study, found)), ""
    except UserError as error:
        return None, f"What mattered can't be told: {error}"


def _with_costs(study: StudyRecord) -> StudyRecord:
    try:
        return with_costs(study, {trial.number for trial in best_trials(study)})
    except UserError:  # pictures that it knows nothing of can't be read: what was recorded is there all the same
        return study


def _views(folder: StudyFolder, cache: Path, device: str, tell: Tell) -> tuple[Mapping[str, View], str]:
    try:
        views = look_at(folder, cache, device=device, tell=tell)
        is_of_many = any(view.lacks == NONE_OF_MANY for view in views)
        why_none = "Mistakes, doubted labels and corruptions are of pictures with one class, and these have several." if is_of_many else ""
        return {view.name: view for view in views if view.lacks != NONE_OF_MANY}, why_none
    except UserError as error:
        return {}, f"Nobody looked at its answers: {error}"
