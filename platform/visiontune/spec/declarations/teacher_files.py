"""Trained networks that a recipe learns from: a study's folder with its winner, or a recipe's file with its weights beside it.

A teacher is known by its name and the SHA-256 of both files, `big@sha256:...`: so recipes and identities name it. Where the files of a
key lie is remembered in this process; whoever gets a recipe by other ways than from its file loads them from where they are kept.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from visiontune.errors import UserError, near_names
from visiontune.filesystem.path_kind import kind_of, with_home
from visiontune.spec.declarations.copies_at_hand import copy_of

KEPT = "teachers"
"""The folder beside a recipe with the files of its teachers, by digest."""
_MARK = "@sha256:"
WINNER = "winner"
_SUFFIX = ".safetensors"
_CHUNK_BYTES = 1 << 24
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TeacherFiles:
    """A recipe and the weights that it was trained to."""

    recipe: Path
    weights: Path

    def digest(self) -> str:
        """Of both files. Raises OSError."""
        both = hashlib.sha256()
        for path in (self.recipe, self.weights):
            one = hashlib.sha256()
            with path.open("rb") as file:
                while chunk := file.read(_CHUNK_BYTES):
                    one.update(chunk)
            both.update(one.digest())
        return both.hexdigest()


_found: dict[str, TeacherFiles] = {}


def settle_teacher(given: str, file: str) -> str:
    """The key of what `file` names, a path from its folder or from here, or a key of what is kept beside it. Raises UserError.

    Where nothing is there any more, it is the one of that name that has `copies_at_hand`, which is logged as a warning.
    """
    name, _, digest = given.partition(_MARK)
    if digest and given in _found:
        return given
    base = Path(file).parent if Path(file).is_file() else Path()
    if digest:
        return _read(_beside(base / KEPT / f"{digest}.yaml"), name, digest)
    for path in (base / with_home(name), Path(name)):
        if kind_of(path) is not None:
            if path.suffix == _SUFFIX and not path.is_dir():
                raise UserError(f"a teacher is named by its recipe, but got {path}; nearest is {path.with_suffix('.yaml')}")
            files = _beside(path / f"{WINNER}.yaml" if path.is_dir() else path)
            return _read(files, _name_of(files.recipe))
    if (key := copy_of(_name_of(_recipe_of(Path(name))))) is not None:
        kept = _found[key].weights
        _log.warning("there is no %s any more: the study's copy takes its place, of the same SHA-256: %s", base / name, kept)
        return key
    rule = "a teacher is a study's folder with its winner, or a recipe NAME.yaml with NAME.safetensors beside it"
    path = base / name
    near = near_names(path.name, (one.name for one in path.parent.glob("*") if one.is_dir() or one.suffix == ".yaml"))
    raise UserError(f"{rule}, but there is no {name}{near}")


def files_of(key: str) -> TeacherFiles:
    """Where a teacher's files lie. Raises UserError where this process does not know, and where they have changed."""
    if key not in _found:
        raise UserError(f"the teacher {key} is not known in this process: read the recipe from its file, or the study from its folder")
    name, _, digest = key.partition(_MARK)
    _read(_found[key], name, digest)
    return _found[key]


def load_kept_teachers(keys: Iterable[str], folder: Path) -> None:
    """Those whose files are in a folder of kept ones. Raises UserError for one that is wrong or gone."""
    for key in (key for key in keys if key not in _found):
        name, _, digest = key.partition(_MARK)
        _read(_beside(folder / f"{digest}.yaml"), name, digest)


def teachers_of(loss: Mapping[str, Any]) -> tuple[str, ...]:
    """The keys that a resolved section names."""
    return (loss["teacher_from"],) if "teacher_from" in loss else ()


def teachers_named(identity: Mapping[str, Any]) -> list[str]:
    """The keys that a study's identity names, in its branches and choices too."""
    given = [value for key, value in identity.items() if "teacher_from" in key.split(".")]
    values = [one for value in given for one in (value if isinstance(value, list | tuple) else [value])]
    return [one for one in values if isinstance(one, str) and _MARK in one]


def kept_as(key: str, folder: Path) -> TeacherFiles:
    """What its files are called in a folder of kept ones."""
    return _beside(folder / f"{key.partition(_MARK)[2]}.yaml")


def _beside(recipe: Path) -> TeacherFiles:
    return TeacherFiles(recipe, recipe.with_suffix(_SUFFIX))


def _recipe_of(path: Path) -> Path:
    return path if path.suffix else path / f"{WINNER}.yaml"


def _name_of(recipe: Path) -> str:
    return recipe.resolve().parent.name if recipe.stem == WINNER else recipe.stem


def _read(files: TeacherFiles, name: str, digest: str = "") -> str:
    for path in (files.recipe, files.weights):
        if kind_of(path) != "file":
            made = "; a search that confirms its winner writes both, and so does `visiontune train NAME.yaml --out NAME.safetensors`"
            raise UserError(f"the teacher {name} needs a recipe and its weights, but there is no {path}{'' if digest else made}")
    try:
        found = files.digest()
    except OSError as error:
        raise UserError(f"the teacher {name} can't be read: {error.strerror or error}") from error
    if digest and digest != found:
        raise UserError(f"the teacher {name} has changed: its SHA-256 must be {digest}, but is {found}")
    _found[f"{name}{_MARK}{found}"] = files
    return f"{name}{_MARK}{found}"
