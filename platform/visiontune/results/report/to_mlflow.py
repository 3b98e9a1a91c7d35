"""The report as an artifact of the study's parent run in MLflow, and its pictures one by one."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

from visiontune.errors import UserError
from visiontune.filesystem.study_folder import StudiesFolder, StudyFolder
from visiontune.tracking.mlflow_uri import tracking_uri
from visiontune.tracking.outbox import Outbox, num_unsent
from visiontune.tracking.tracker import send_leftovers
from visiontune.tuning.retraining.mlflow_events import artifact_event
from visiontune.tuning.study.driver_lock import driver_lock


def send_report(folder: StudyFolder, report: Path, pictures: Sequence[Path] = ()) -> bool:
    """Send it, in place of an earlier one, and pictures of what the network sees; whether that was begun.

    Raises UserError for an MLFLOW_TRACKING_URI that mlflow refuses.

    Not to a server that lacks events of the study: it may be another than the search's, which would be sent the whole study. Not while
    a driver writes the outbox.
    """
    studies = StudiesFolder(folder.path.parent)
    is_beside = not os.environ.get("MLFLOW_TRACKING_URI") and studies.mlflow_database.exists()
    if not folder.outbox.exists() or (not is_beside and num_unsent(folder, tracking_uri(studies))):
        return False
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(driver_lock(folder))
        except UserError:
            return False
        with contextlib.closing(Outbox(folder)) as outbox:
            outbox.put(artifact_event(report, "report"))
            for picture in pictures:
                outbox.put(artifact_event(picture, "inspection"))
        send_leftovers(folder)
    return True
