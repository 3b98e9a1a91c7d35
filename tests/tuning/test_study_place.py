"""A study's folder that was renamed or copied says what to do, and what it says works."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from sample_study import later
from simulated_search import drive, make_spec

from visiontune.errors import UserError
from visiontune.filesystem.study_folder import StudiesFolder, StudyFolder
from visiontune.results.study import open_study
from visiontune.tuning.open_storage import create_or_resume, mend_journal, open_existing
from visiontune.tuning.read_study import read_study
from visiontune.tuning.study_database import keep_url
from visiontune.tuning.study_place import refuse_renamed_before
from visiontune.tuning.who_drives import Heartbeat


def command_in(error: pytest.ExceptionInfo[UserError]) -> str:
    """The last thing that a message says."""
    return re.split(r"(?:after|\(--studies-dir\)): ", str(error.value))[-1]


@pytest.mark.parametrize("is_copy", [False, True])
def test_a_renamed_folder_and_a_copy_go_on_by_what_is_said(tmp_path: Path, is_copy: bool) -> None:
    former, new = tmp_path / "studies" / "former", tmp_path / "studies" / "other"
    drive(make_spec(former, 4), former)
    whole = (former / "study.journal").read_bytes()
    shutil.copytree(former, new) if is_copy else former.rename(new)
    for open_it in (lambda: read_study(StudyFolder(new)), lambda: create_or_resume(StudyFolder(new), make_spec(new, 4))):
        with pytest.raises(UserError, match="holds study former, and none named other") as caught:
            open_it()
    assert (new / "study.journal").read_bytes() == whole, "no second study in the journal"
    subprocess.run(command_in(caught), shell=True, check=True)
    there = tmp_path / "studies_other" / "former" if is_copy else former
    assert len(read_study(StudyFolder(there)).trials) == 4 and not new.exists()


def test_a_search_whose_folder_is_moved_away_ends_and_goes_on_at_its_new_place(tmp_path: Path) -> None:
    """Its journal was begun anew at the old path, from the middle on."""
    folder, new = tmp_path / "studies" / "digits", tmp_path / "moved" / "digits"
    num_put = 0

    def put(event: object) -> None:
        nonlocal num_put
        num_put += 1
        if num_put == 20:
            folder.parent.rename(new.parent)

    with pytest.raises(FileNotFoundError, match="the study was moved or removed while it was in use"):
        drive(make_spec(folder, 9), folder, put=put)
    Heartbeat(StudyFolder(folder)).beat(later())
    assert not folder.parent.exists()
    drive(make_spec(new, 9), new)
    assert len(read_study(StudyFolder(new)).trials) == 9


@pytest.mark.parametrize(("is_database", "is_beside_leftovers"), [(False, True), (True, False)])
def test_a_study_whose_folder_was_renamed_is_not_begun_anew(tmp_path: Path, is_database: bool, is_beside_leftovers: bool) -> None:
    """The same file began an empty one of the same name in silence."""
    studies, more = StudiesFolder(tmp_path / "studies"), [f"storage.url=sqlite:///{tmp_path}/s.db"] if is_database else []
    folder, other = studies.study("digits"), studies.study("old")
    refuse_renamed_before(studies, "digits")
    folder.path.mkdir(parents=True)
    key = create_or_resume(folder, make_spec(folder.path, 4, overrides=more)).attributes()["key"]
    folder.lock.touch()
    refuse_renamed_before(studies, "digits")
    folder.path.rename(other.path)
    if is_beside_leftovers:
        folder.path.mkdir()
        folder.forecast.touch()
    with pytest.raises(UserError, match=r"study digits is in .*old, whose name was changed") as caught:
        refuse_renamed_before(studies, "digits")
    with pytest.raises(UserError, match="holds study digits, and none named old"):
        create_or_resume(other, make_spec(other.path, 4, overrides=more))
    if not is_beside_leftovers:
        with pytest.raises(UserError, match=r"no study 'digits' in .*, but .*old holds it"):
            studies.find("digits")
    subprocess.run(command_in(caught), shell=True, check=True)
    assert open_existing(studies.find("digits")).attributes()["key"] == key and not other.path.exists()
    refuse_renamed_before(studies, "digits")


def test_a_study_in_a_database_is_found_by_its_folder(tmp_path: Path) -> None:
    """`show` pointed to a journal that never was; its search's second call was refused, as if that were gone."""
    folder, url = StudyFolder(tmp_path / "study"), f"sqlite:///{tmp_path}/studies.db"
    drive(make_spec(folder.path, 3, overrides=[f"storage.url={url}"]), folder.path)
    folder.outbox.write_text("{}\n")
    assert mend_journal(folder, url) == "" and not folder.journal.exists()
    study = open_study(folder)
    assert study.storage_url == url and len(study.refresh().trials) == 3
    with pytest.raises(UserError, match=r"storage\.url: study study is in the database sqlite:"):
        create_or_resume(folder, make_spec(folder.path, 3))
    keep_url(folder, "postgresql://me:secret@head/studies")
    assert "secret" not in folder.database.read_text()
    with pytest.raises(UserError, match="is in the database postgresql://head/studies, whose password is not kept: say --storage URL"):
        open_study(folder)
    keep_url(folder, f"sqlite:///{tmp_path}/gone.db")
    with pytest.raises(UserError, match=r"no database .*gone\.db"):
        open_study(folder)
    assert not (tmp_path / "gone.db").exists()
