"""A network as a file of weights states it, which may be anybody's: held to the rules that a recipe's YAML file is held to."""

from __future__ import annotations

from visiontune.errors import UserError
from visiontune.spec.declarations.trial_recipe import TrialRecipe
from visiontune.spec.plugins import in_use
from visiontune.spec.reading.section_reader import Reader
from visiontune.spec.space.sections import RECIPE
from visiontune.spec.yaml.yaml_node import node_of

_OF_NETWORK = ("model", "transfer")


def refuse_wrong_network(recipe: TrialRecipe, file: str) -> None:
    """Raise UserError with every rule that it breaks: a width out of range would take all memory before it fails."""
    reader = Reader(with_domains=False)
    stated = {name: getattr(recipe, name) for name in _OF_NETWORK}
    with in_use(recipe.plugins):
        reader.file(node_of(stated, file), {name: RECIPE.fields[name] for name in _OF_NETWORK})
    if reader.problems.found:
        raise UserError(*reader.problems.sorted())
