"""A recipe of an older version with the keys that have come since: at its default, a new key means what the code did before it."""

from __future__ import annotations

from visiontune.spec.declarations.declare import Section
from visiontune.spec.declarations.former_policies import as_meant
from visiontune.spec.declarations.trial_recipe import TrialRecipe
from visiontune.spec.plugins import uses_plugins
from visiontune.spec.space.sections import RECIPE
from visiontune.spec.space.space import fill


@uses_plugins
def completed(recipe: TrialRecipe) -> TrialRecipe:
    """For training alone: its fingerprint is another one where keys were added. Data are as they were prepared."""
    sections = recipe.to_dict()
    sections["augmentation"] = as_meant(sections["augmentation"])
    for name, declared in RECIPE.fields.items():
        if isinstance(declared, Section) and name != "data":
            sections[name] = fill(declared.fields, sections.get(name, {}))
    return TrialRecipe(**sections)
