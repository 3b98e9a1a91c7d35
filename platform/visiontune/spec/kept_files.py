"""What a recipe needs beside itself, plugins and teachers, copied to where its workers and later readers find it, each by its content."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from visiontune.filesystem.atomic_write import write_whole
from visiontune.spec import plugins
from visiontune.spec.declarations import teacher_files
from visiontune.spec.declarations.teacher_files import files_of, kept_as, load_kept_teachers, teachers_named, teachers_of
from visiontune.spec.declarations.trial_recipe import TrialRecipe
from visiontune.spec.parse import load_recipe
from visiontune.spec.space.study_spec import StudySpec


def keep_files(of: StudySpec | TrialRecipe, folder: Path) -> None:
    """Copy them into a folder, those of its teachers' recipes too. Raises OSError, and UserError for a teacher's recipe that is wrong."""
    plugins.keep(of.plugins, folder / plugins.KEPT)
    for key in teachers_in(of):
        there, to = files_of(key), kept_as(key, folder / teacher_files.KEPT)
        recipe = load_recipe(there.recipe)
        keep_files(recipe, folder / teacher_files.KEPT)
        for path, copy in ((there.weights, to.weights), (there.recipe, to.recipe)):
            if not copy.exists():
                write_whole(copy, path.read_bytes())


def load_files(recipe: TrialRecipe, folder: Path) -> None:
    """Make a recipe that came without its file usable in this process. Raises UserError for what is wrong or gone."""
    plugins.load_kept(recipe.plugins, folder / plugins.KEPT)
    load_kept_teachers(teachers_of(recipe.loss), folder / teacher_files.KEPT)


def load_named(identity: Mapping[str, Any], folder: Path) -> tuple[str, ...]:
    """The same of all that a study's identity names; the keys of its plugins."""
    keys = tuple(identity.get("plugins", ()))
    plugins.load_kept(keys, folder / plugins.KEPT)
    load_kept_teachers(teachers_named(identity), folder / teacher_files.KEPT)
    return keys


def teachers_in(of: StudySpec | TrialRecipe) -> Iterable[str]:
    """The keys of every teacher that it can name."""
    if isinstance(of, TrialRecipe):
        return teachers_of(of.loss)
    return [one for one in of.space.values("loss.teacher_from") if isinstance(one, str)]
