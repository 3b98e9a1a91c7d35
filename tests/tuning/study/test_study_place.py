"""A study's folder that was renamed or copied says what to do, and what it says works."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from places import DIGITS
from sample_study import later
from simulated_search import drive, make_spec

from visiontune import list_studies
from visiontune.cli import main
from visiontune.errors import UserError
from visiontune.filesystem.study_folder import StudiesFolder, StudyFolder
from visiontune.results.pictures.stored_data import list_data
from visiontune.results.study import open_study
from visiontune.tuning.cluster import ray_submit
from visiontune.tuning.study.open_storage import create_or_resume, mend_journal, open_existing
from visiontune.tuning.study.read_study import read_study
from visiontune.tuning.study.study_database import keep_url
from visiontune.tuning.study.study_place import find_study, refuse_renamed_before
from visiontune.tuning.study.who_drives import Heartbeat


def command_in(error: pytest.ExceptionInfo[UserError]) -> str:
    """The last thing that a message says."""
    return re.split(r"(?:after|\(`studies_dir=DIR`\)): ", str(error.value))[-1]


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


def test_a_renamed_study_is_no_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where this machine sees the folder that the job would write to; else only the job can say so."""
    asked: list[str] = []
    monkeypatch.setattr(ray_submit, "connect", asked.append)
    monkeypatch.setattr(ray_submit, "_followed", lambda *_: 0)
    there, file = tmp_path / "studies" / "former", tmp_path / "studies" / "former.yaml"
    drive(make_spec(there, 2), there)
    StudyFolder(there).lock.touch()
    assert ray_submit.submit(file, "http://127.0.0.1", studies_dir=str(tmp_path / "studies")) == 0
    there.rename(there.with_name("other"))
    for studies in ("/mnt/of_the_cluster", "~/studies"):
        assert ray_submit.submit(file, "http://127.0.0.1", studies_dir=studies) == 0
    monkeypatch.setenv("VISIONTUNE_STUDIES", str(tmp_path / "studies"))
    with pytest.raises(UserError, match="holds study former, and none named other") as caught:
        ray_submit.submit(file, "http://127.0.0.1")
    assert len(asked) == 3 and command_in(caught).startswith("mv ")


VERBS = [
    ["show", "NAME"],
    ["report", "NAME"],
    ["predict", "NAME", "picture.png"],
    ["evaluate", "NAME"],
    ["export", "NAME"],
    ["inspect", "NAME"],
    ["compare", "NAME", "NAME"],
    ["replay", "NAME", "0"],
    ["train", "NAME"],
    ["train", "NAME", "--epochs", "9"],
    ["ablate", "NAME"],
    ["confirm", "NAME"],
    ["rehearse", "NAME"],
    ["enqueue", "NAME", "optimizer.lr=0.1"],
    ["show", "NAME", "--events"],
    ["check", "FILE", "study=old"],
    ["search", "FILE", "--name", "old"],
]


@pytest.fixture(scope="module")
def misplaced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of two studies the folder of one was renamed, that of the other copied beside itself."""
    studies = tmp_path_factory.mktemp("studies") / "studies"
    for name in ("old", "kept"):
        drive(make_spec(studies / name, 3), studies / name)
        (studies / name / "driver.lock").touch()
    (studies / "old").rename(studies / "new")
    shutil.copytree(studies / "kept", studies / "copy")
    return studies


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_each_verb_says_the_same_of_a_renamed_study(misplaced: Path, verb: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """`predict` and `export` used the network of a renamed folder under its new name; `train OLD` took it for a file."""
    rule = f"{misplaced}/new holds study old, and none named new; a study's name is its folder's, so that it goes on after: mv "
    said = dict.fromkeys(("old", "new"), f"{rule}{misplaced}/new {misplaced}/old")
    said["copy"] = f"{misplaced}/copy holds study kept, and none named copy; as a copy beside study kept it goes on in a folder of studies"
    for name in said if "NAME" in verb else ("old",):
        words = [{"NAME": name, "FILE": str(DIGITS)}.get(word, word) for word in verb]
        assert main([*words, "--studies-dir", str(misplaced)]) == 2
        assert said[name] in capsys.readouterr().err
    assert not (misplaced / "old").exists()


def test_lists_name_a_renamed_study_and_a_copy(misplaced: Path) -> None:
    """They were unreadable, and `data` said to remove them."""
    found = {one.name: one for one in list_studies(misplaced)}
    assert {name: one.state for name, one in found.items()} == {"new": "renamed", "copy": "copied", "kept": "stopped"}
    assert "holds study old" in found["new"].problem and "holds study kept" in found["copy"].problem
    said = list_data(StudiesFolder(misplaced)).unread
    assert len(said) == 2 and "beside study kept" in said[0] and "goes on after: mv" in said[1]


def test_of_two_whose_names_were_exchanged_neither_is_a_copy(tmp_path: Path) -> None:
    for name in ("one", "two"):
        drive(make_spec(tmp_path / name, 2), tmp_path / name)
        (tmp_path / name / "driver.lock").touch()
    (tmp_path / "one").rename(tmp_path / "aside")
    (tmp_path / "two").rename(tmp_path / "one")
    (tmp_path / "aside").rename(tmp_path / "two")
    with pytest.raises(UserError, match="holds study two, and none named one; a study's name is its folder's") as caught:
        find_study(StudiesFolder(tmp_path), "one")
    subprocess.run(command_in(caught), shell=True, check=True)
    with pytest.raises(UserError, match=r"holds study one, and none named two\.aside") as caught:
        find_study(StudiesFolder(tmp_path), "one")
    subprocess.run(command_in(caught), shell=True, check=True)
    assert [len(read_study(find_study(StudiesFolder(tmp_path), name)).trials) for name in ("one", "two")] == [2, 2]


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
    with pytest.raises(UserError, match="old holds study digits, and none named old") as caught:
        refuse_renamed_before(studies, "digits")
    with pytest.raises(UserError, match="holds study digits, and none named old"):
        create_or_resume(other, make_spec(other.path, 4, overrides=more))
    if not is_beside_leftovers:
        with pytest.raises(UserError, match=re.escape(str(caught.value))):
            find_study(studies, "digits")
    subprocess.run(command_in(caught), shell=True, check=True)
    assert open_existing(find_study(studies, "digits")).attributes()["key"] == key and not other.path.exists()
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
    with pytest.raises(UserError, match="is in the database postgresql://head/studies, whose password is not kept: say `storage=URL`"):
        open_study(folder)
    keep_url(folder, f"sqlite:///{tmp_path}/gone.db")
    with pytest.raises(UserError, match=r"no database .*gone\.db"):
        open_study(folder)
    assert not (tmp_path / "gone.db").exists()
