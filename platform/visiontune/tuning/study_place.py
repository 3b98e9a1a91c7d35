"""Where a study and its pictures lie: what was moved goes on, what was renamed or copied says how it can."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from visiontune.errors import UserError
from visiontune.filesystem.study_folder import StudiesFolder, StudyFolder
from visiontune.spec.study_rules import NAME

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


def refuse_renamed(folder: StudyFolder, names: Sequence[str]) -> None:
    """Raise UserError where the journal of this folder has another study than the folder's name says, with the command that mends it."""
    names = [name for name in names if isinstance(name, str) and re.fullmatch(NAME, name)]  # a journal may be anybody's
    if not names or folder.name in names:
        return
    former = folder.path.with_name(names[0])
    rule = f"{folder.path} holds study {names[0]}, and none named {folder.name}"
    if not former.exists():
        raise UserError(f"{rule}; a study's name is its folder's, so that it goes on after: {folder.renaming(names[0])}")
    if not folder.journal.is_file():
        raise UserError(f"{rule}; as a copy beside study {names[0]} in a database it can't go on: begin another study with --name")
    studies = folder.path.absolute().parent
    other = studies.with_name(f"{studies.name}_{folder.name}")
    how = f"mkdir -p {shlex.quote(str(other))} && {shlex.join(['mv', str(folder.path), str(other / names[0])])}"
    raise UserError(f"{rule}; as a copy beside study {names[0]} it goes on in a folder of studies of its own (--studies-dir): {how}")


def refuse_renamed_before(studies: StudiesFolder, name: str) -> None:
    """Raise UserError where no folder has this study's name, but one of another name holds it: a new one would start from nothing."""
    folder = studies.study(name)
    if folder.journal.exists() or folder.database.exists() or (other := studies.renamed(name)) is None:
        return
    aside = f"{folder.renaming(f'{name}.aside')} && " if folder.path.exists() else ""
    how = f"goes on after: {aside}{other.renaming(name)}"
    raise UserError(f"study {name} is in {other.path}, whose name was changed; another one begins with --name, and this one {how}")
