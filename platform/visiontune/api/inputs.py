"""What the functions of the API take: a file or its content, overrides as words or as keyword arguments, folders by default."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from visiontune.errors import UserError
from visiontune.spec.parse import load_recipe, load_study, override_texts
from visiontune.spec.study_spec import StudySpec
from visiontune.spec.trial_recipe import TrialRecipe

File = Path | str | Mapping[str, Any]
"""A YAML file, or what it would hold."""
Folder = Path | str | None
OutFile = Path | str | None
"""A file that is written."""


def words(overrides: Sequence[str], more: Mapping[str, Any]) -> list[str]:
    """Both kinds of overrides as `key=value`. Raises UserError for a string in place of a list."""
    if isinstance(overrides, str):
        raise UserError(f"overrides are a list, but got {overrides!r}; nearest is [{overrides!r}]")
    return [*overrides, *override_texts(more)]


def spec_of(space: File, overrides: Sequence[str], more: Mapping[str, Any]) -> StudySpec:
    """A search-space file or its content. Raises UserError with every problem."""
    return load_study(space, words(overrides, more))


def recipe_of(recipe: File | TrialRecipe, overrides: Sequence[str], more: Mapping[str, Any]) -> TrialRecipe:
    """A recipe, its file or its content. Raises UserError with every problem."""
    if isinstance(recipe, Path | str | Mapping):
        return load_recipe(recipe, words(overrides, more))
    if overrides or more:
        raise UserError("overrides are for a recipe's file or mapping; change a TrialRecipe by load_recipe(recipe.to_dict(), [...])")
    return recipe
