"""Where a study and its pictures lie: what was moved goes on, what was renamed or copied says how it can."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from visiontune.errors import UserError, nearest
from visiontune.filesystem.name_within import name_within, names_within
from visiontune.filesystem.path_kind import kind_of
from visiontune.filesystem.study_folder import StudiesFolder, StudyFolder
from visiontune.spec.reading.study_rules import NAME

PLACES = {f"data.{key}" for key in ("path", "annotations", "images", "train", "val", "test", "root")}
"""Keys of an identity that say where pictures lie."""


def as_moved(attributes: Mapping[str, Any], new: Mapping[str, Any]) -> Mapping[str, Any]:
    """The identity of a study as if its pictures had always lain where the identity `new` has them.

    By their content they are known, where a study noted that; one that did not has its own identity.
    """
    old: Mapping[str, Any] = attributes.get("identity", {})
    return {**old, **{key: new[key] for key in moved(old, new)}} if attributes.get("pictures") else old


def moved(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Keys of an identity by which the same pictures may lie elsewhere, and do."""
    return [key for key in sorted(PLACES & old.keys() & new.keys()) if old[key] != new[key]]


def find_study(studies: StudiesFolder, name: str) -> StudyFolder:
    """The folder of a study that exists. Raises UserError, with the nearest name, where there is none; for one that was renamed, too."""
    folder = studies.study(name)
    if not name or Path(name).name != name or kind_of(folder.path) != "folder":
        refuse_elsewhere(studies, name)
        _refuse_within(studies, name)
        raise UserError(f"no study {name!r} in {studies.path}; {nearest(name, studies.names())}")
    refuse_renamed(folder)
    return folder


def renamed(studies: StudiesFolder, name: str) -> StudyFolder | None:
    """A folder of another name that holds the study of this one; None where there is none."""
    others = (studies.study(one) for one in studies.names() if one != name)
    return next((one for one in others if name_within(one.journal, one.database) == name), None)


def name_of_renamed(folder: StudyFolder) -> str:
    """The study that a folder holds in place of one of the folder's name, "" where it holds its own, or none."""
    names = list[str]()
    for name in names_within(folder.journal, folder.database):
        if name == folder.name:
            return ""
        names += [name] if re.fullmatch(NAME, name) else []  # a journal may be anybody's
    return next(iter(names), "")


def is_copy(folder: StudyFolder) -> bool:
    """Whether the study that it holds is in the folder of that study's name too."""
    name = name_of_renamed(folder)
    return bool(name) and _holds(folder.path.with_name(name), name)


def refuse_renamed(folder: StudyFolder) -> None:
    """Raise UserError where a folder holds another study than its name says, with the command that mends it."""
    name = name_of_renamed(folder)
    if not name:
        return
    rule = f"{folder.path} holds study {name}, and none named {folder.name}"
    if not is_copy(folder):
        raise UserError(f"{rule}; a study's name is its folder's, so that it goes on after: {_renaming(folder, name)}")
    if not folder.journal.is_file():
        raise UserError(f"{rule}; as a copy beside study {name} in a database it can't go on: begin another study with `name=NAME`")
    studies = folder.path.absolute().parent
    other = studies.with_name(f"{studies.name}_{folder.name}")
    how = f"mkdir -p {shlex.quote(str(other))} && {shlex.join(['mv', str(folder.path), str(other / name)])}"
    raise UserError(f"{rule}; as a copy beside study {name} it goes on in a folder of studies of its own (`studies_dir=DIR`): {how}")


def refuse_elsewhere(studies: StudiesFolder, name: str) -> None:
    """Raise UserError where no folder has this study's name, but one of another name holds it."""
    if (other := renamed(studies, name)) is not None:
        refuse_renamed(other)


def _refuse_within(studies: StudiesFolder, name: str) -> None:
    """Raise UserError for a path into a study's folder: of one of its files, say."""
    within = next((one for one in (studies.path, *studies.path.parents) if kind_of(StudyFolder(one).lock) == "file"), None)
    if within is not None:
        raise UserError(f"{studies.path / name} is no study, but within the folder of one; nearest is {str(within)!r}")


def refuse_renamed_before(studies: StudiesFolder, name: str) -> None:
    """Raise UserError where a search would begin an empty study: its folder holds another, or another folder holds this one."""
    folder = studies.study(name)
    refuse_renamed(folder)
    if not (folder.journal.exists() or folder.database.exists()):
        refuse_elsewhere(studies, name)


def _renaming(folder: StudyFolder, name: str) -> str:
    """The shell's command that gives a folder its study's name, once what has that name is out of the way."""
    there = StudyFolder(folder.path.with_name(name))
    return f"{there.renaming(f'{name}.aside')} && {folder.renaming(name)}" if there.path.exists() else folder.renaming(name)


def _holds(path: Path, name: str) -> bool:
    folder = StudyFolder(path)
    return name in names_within(folder.journal, folder.database)
