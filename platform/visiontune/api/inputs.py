"""What the functions of the API take: a file or its content, overrides as words or as keyword arguments, folders by default."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from visiontune.errors import UserError
from visiontune.filesystem.path_kind import kind_of, with_home
from visiontune.filesystem.study_folder import StudiesFolder, StudyFolder
from visiontune.spec.declarations.copies_at_hand import copies_at_hand
from visiontune.spec.declarations.start import StartRecipe
from visiontune.spec.declarations.teacher_files import KEPT as KEPT_TEACHERS
from visiontune.spec.declarations.teacher_files import teachers_named
from visiontune.spec.declarations.trial_recipe import TrialRecipe
from visiontune.spec.kept_files import load_named
from visiontune.spec.parse import is_space, load_recipe, load_start_recipe, load_study, name_of, study_name
from visiontune.spec.plugins import KEPT as KEPT_PLUGINS
from visiontune.spec.reading.overrides import override_texts
from visiontune.spec.space.study_spec import StudySpec
from visiontune.tuning.study.study_place import find_study

File = Path | str | Mapping[str, Any]
"""A YAML file, or what it would hold."""
Folder = Path | str | None
OutFile = Path | str | None
"""A file that is written."""
_NEAREST = {
    "Study": "study.winner.recipe",
    "Winner": "winner.recipe",
    "TrialRecord": "study.recipe(number)",
    "TrialRecipe": "visiontune.train or visiontune.fit, which take one recipe",
}


def words(overrides: Sequence[str], more: Mapping[str, Any]) -> list[str]:
    """Both kinds of overrides as `key=value`. Raises UserError for what is no list of strings."""
    if isinstance(overrides, str):
        raise UserError(f"overrides are a list, but got {overrides!r}; nearest is [{overrides!r}]")
    if not isinstance(overrides, list | tuple) or not all(isinstance(one, str) for one in overrides):
        raise UserError(f"overrides are a list of strings such as 'budget.num_trials=8', but got {overrides!r}")
    return [*overrides, *override_texts(more)]


def renamed(name: str | None) -> dict[str, str]:
    """The override by which a study has another name. Raises UserError for what is no text, which a file refuses too."""
    if not isinstance(name, str | None):
        raise UserError(f"the name of a study is a string, but got {name!r}; nearest is {str(name)!r}")
    return {} if name is None else {"study": name}


def spec_of(space: File, overrides: Sequence[str], more: Mapping[str, Any]) -> StudySpec:
    """A search-space file or its content. Raises UserError with every problem."""
    return load_study(_file_of(space, "a search space"), words(overrides, more))


def spec_to_go_on(space: File, overrides: Sequence[str], more: Mapping[str, Any], studies: StudiesFolder) -> StudySpec:
    """The same, and of a study that has copies of plugins or teachers whose files are gone, by these copies."""
    try:
        return spec_of(space, overrides, more)
    except UserError:
        folder = _folder_with_copies(space, words(overrides, more), studies)
        if folder is None:
            raise
    from visiontune.tuning.study.open_storage import open_existing

    identity = open_existing(folder).attributes()["identity"]
    plugins = load_named(identity, folder.path)
    with copies_at_hand([*plugins, *teachers_named(identity)]):
        return spec_of(space, overrides, more)


def _folder_with_copies(space: File, overrides: Sequence[str], studies: StudiesFolder) -> StudyFolder | None:
    """The study's, where there is one that holds copies of plugins or teachers."""
    if not isinstance(space, str | os.PathLike | Mapping):
        return None
    with suppress(UserError):
        folder = studies.study(study_name(space, overrides))
        return folder if any(kind_of(folder.path / one) == "folder" for one in (KEPT_PLUGINS, KEPT_TEACHERS)) else None
    return None


def recipe_of(recipe: File | TrialRecipe, overrides: Sequence[str], more: Mapping[str, Any]) -> TrialRecipe:
    """A recipe, its file or its content. Raises UserError with every problem."""
    if not isinstance(recipe, TrialRecipe):
        return load_recipe(_file_of(recipe, "a recipe"), words(overrides, more))
    if overrides or more:
        raise UserError("overrides are for a recipe's file or mapping; change a TrialRecipe by load_recipe(recipe.to_dict(), [...])")
    return recipe


def start_recipe_of(recipe: File | TrialRecipe | None, overrides: Sequence[str], more: Mapping[str, Any]) -> StartRecipe:
    """A recipe to try in a study: whole, by its file or content, or what the overrides say of one. Raises UserError with every problem."""
    given, items = recipe.to_dict() if isinstance(recipe, TrialRecipe) else recipe, words(overrides, more)
    if given is None and not items:
        raise UserError("nothing to try: give a recipe's file, or what differs from the defaults, such as optimizer.lr=0.1")
    return load_start_recipe(None if given is None else _file_of(given, "a recipe"), items)


def either_of(file: File | TrialRecipe, overrides: Sequence[str], more: Mapping[str, Any]) -> tuple[StudySpec | TrialRecipe, str]:
    """A search space or a recipe, by what is in the file, and what messages call it. Raises UserError with every problem."""
    if isinstance(file, TrialRecipe):
        return recipe_of(file, overrides, more), "TrialRecipe"
    if is_space(_file_of(file, "a search space or a recipe")):
        return spec_of(file, overrides, more), name_of(file)
    return recipe_of(file, overrides, more), name_of(file)


def path_of(space: Path | str) -> Path:
    """A search-space file that must be one. Raises UserError for its content."""
    if isinstance(space, Mapping):
        raise UserError("a job reads its search space on the cluster, so it must be a file, but got a mapping; write it as YAML")
    return Path(_file_of(space, "a search space"))


def folder_of(study: Path | str, studies_dir: Folder) -> StudyFolder:
    """A study by its name in `studies_dir`, or by its folder. Raises UserError where there is none, or one that was renamed or copied."""
    if not isinstance(study, str | os.PathLike):
        near = "; nearest is study.path" if _kind(study) == "Study" else ""
        raise UserError(f"a study is its name or its folder, but got {_kind(study)}{near}")
    path = with_home(study)
    if str(study) and path.name in ("", ".."):  # the folder that one is in, or above it
        path = Path(os.path.abspath(path))  # noqa: PTH100  as it was walked into, also by a link
    is_path = path.name != str(study)
    return find_study(StudiesFolder(path.parent), path.name) if is_path else find_study(StudiesFolder.of(studies_dir), str(study))


def refuse_misspelt(model: Path, suffixes: Sequence[str], studies_dir: Folder) -> None:
    """Raise UserError for what is no file and no study, but nearly the name of a file of weights that is there."""
    is_there = kind_of(model) is not None or kind_of(StudiesFolder.of(studies_dir).path / model) is not None
    if is_there or not model.suffix or kind_of(model.parent) != "folder":
        return
    names = [one.name for one in sorted(model.parent.iterdir()) if one.suffix in suffixes]
    if close := difflib.get_close_matches(model.name, names, n=1, cutoff=0.8):
        raise UserError(f"there is no file {model}; nearest is {str(model.with_name(close[0]))!r}")


def _file_of(given: Any, what: str) -> Any:
    if isinstance(given, str | os.PathLike):
        return with_home(given) if str(given).startswith("~") else given
    if isinstance(given, Mapping):
        return given
    raise UserError(f"{what} is a file or its content as a mapping, but got {_kind(given)}{_near(given)}")


def _kind(given: object) -> str:
    return "None" if given is None else type(given).__name__


def _near(given: object) -> str:
    return f"; nearest is {_NEAREST[_kind(given)]}" if _kind(given) in _NEAREST else ""
