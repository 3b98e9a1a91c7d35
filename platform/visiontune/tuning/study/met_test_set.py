"""How often a study's winner has met the test split: each meeting is an entry of one attribute of the study."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from visiontune.tuning.study.read_confirmations import PREFIX, TESTS, results_of
from visiontune.tuning.study.study_storage import Storage


def note_meeting(storage: Storage, meeting: Mapping[str, Any]) -> None:
    """Write it down before it happens; one that a kill broke off, and the very same networks again, are the same meeting.

    Studies older than races have tested theirs and counted nothing.
    """
    attributes = storage.attributes()
    tested = [key for key, one in results_of(attributes, PREFIX).items() if one.is_tested]
    before = attributes.get(TESTS) or [{"trial": None, "networks": tested, "kept": ""}] * bool(tested)
    if not before or before[-1] != meeting:
        storage.set_attribute(TESTS, [*before, dict(meeting)])
