"""What only reads writes nothing into a study: another user's, or one on a read-only mount, is read as one's own.

A test as root can't take rights away, so every change of the file system below the studies is refused by an audit hook instead.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from simulated_search import drive, make_spec

from visiontune.cli import main
from visiontune.filesystem.study_folder import StudyFolder

_READ_ONLY: list[str] = []
_CHANGES = ("os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.truncate", "os.chmod", "os.utime", "shutil.rmtree")


def _refuse(event: str, args: tuple[object, ...]) -> None:
    if not _READ_ONLY or not (event == "open" or event in _CHANGES) or not isinstance(args[0], str | os.PathLike):
        return
    is_below = str(Path(args[0]).absolute()).startswith(_READ_ONLY[0])
    if is_below and (event != "open" or int(str(args[2])) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)):
        raise OSError(errno.EROFS, "Read-only file system", os.fspath(args[0]))


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("studies")
    for name in ("one", "two"):
        drive(make_spec(folder / name, 12), folder / name)
        StudyFolder(folder / name).lock.touch()
    sys.addaudithook(_refuse)
    _READ_ONLY.append(str(folder))
    yield folder
    _READ_ONLY.clear()


@pytest.mark.parametrize(
    "verb", ["show one", "show one --json", "show one --trial 1", "show one --events --follow", "studies", "data", "compare one two"]
)
def test_what_only_reads(studies: Path, verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*verb.split(), "--studies-dir", str(studies)]) == 0
    assert capsys.readouterr().out.strip()


@pytest.mark.parametrize("verb", ["enqueue one optimizer.lr=0.02", "confirm one"])
def test_what_would_write_says_where_it_can(studies: Path, verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*verb.split(), "--studies-dir", str(studies)]) == 2
    told = capsys.readouterr().err
    assert "study one can be read, but not changed (Read-only file system" in told
