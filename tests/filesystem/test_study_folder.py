"""Where studies are, and what is said of one that is not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from visiontune.errors import UserError
from visiontune.filesystem.study_folder import StudiesFolder, StudyFolder
from visiontune.tuning.study.study_place import find_study


def test_every_file_of_a_study_has_a_name_of_its_own(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path / "digits")
    properties = [name for name, value in vars(StudyFolder).items() if isinstance(value, property) and name != "name"]
    places = [getattr(folder, name) for name in properties]
    assert len({*places}) == len(places) >= 14 and {place.parent for place in places} == {folder.path}
    assert folder.checkpoint(7) == folder.checkpoints / "00007" and folder.checkpoint("a.0") == folder.checkpoints / "a.0"


def test_a_study_is_found_by_its_name_or_the_nearest_is_told(tmp_path: Path) -> None:
    studies = StudiesFolder(tmp_path)
    for name in ("digits", "cifar10"):
        studies.study(name).path.mkdir()
        studies.study(name).lock.touch()
    (tmp_path / ".data").mkdir()
    assert studies.names() == ["cifar10", "digits"] and find_study(studies, "digits") == studies.study("digits")
    for wrong in ("digit", "../digits", ""):
        with pytest.raises(UserError, match="choices: cifar10, digits"):
            find_study(studies, wrong)
