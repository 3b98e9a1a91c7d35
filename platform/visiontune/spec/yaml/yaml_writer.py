"""Recipes as YAML that a person can read, and that readers of YAML 1.1 and 1.2 alike read back exactly."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.nodes import ScalarNode
from ruamel.yaml.representer import SafeRepresenter

from visiontune.filesystem.atomic_write import write_whole
from visiontune.spec.declarations.trial_recipe import TrialRecipe
from visiontune.spec.yaml.yaml_node import scalar

_PLAIN = re.compile(r"[A-Za-z_./][A-Za-z0-9_./-]*")
_WORDS_OF_1_1 = ("y", "n", "yes", "no", "on", "off")


class _Representer(SafeRepresenter):
    """As ruamel does it, but for what YAML 1.1 and 1.2 read as different types: floats like 1e-05, words like `no`."""

    def represent_float(self, data: float) -> ScalarNode:
        text = {"inf": ".inf", "-inf": "-.inf", "nan": ".nan"}.get(repr(data), repr(data))
        return self.represent_scalar("tag:yaml.org,2002:float", re.sub(r"^(-?\d+)e", r"\1.0e", text))

    def represent_str(self, data: str) -> ScalarNode:
        is_plain = _PLAIN.fullmatch(data) and scalar(data) == data and data.lower() not in _WORDS_OF_1_1
        return self.represent_scalar("tag:yaml.org,2002:str", data, style=None if is_plain else '"')

    def represent_none(self, data: None) -> ScalarNode:
        return self.represent_scalar("tag:yaml.org,2002:null", "null")


for _kind, _represent in ((float, "represent_float"), (str, "represent_str"), (type(None), "represent_none")):
    _Representer.add_representer(_kind, getattr(_Representer, _represent))


def dump_recipe(recipe: TrialRecipe, path: Path, header: str = "") -> None:
    """Write the recipe's file, whole or not at all; each line of `header` becomes a comment at the top. Raises OSError."""
    comment = "".join(f"# {line}".rstrip() + "\n" for line in header.splitlines())
    write_whole(path, comment + to_yaml(recipe.to_dict()))


def to_yaml(tree: Mapping[str, Any]) -> str:
    """Nested mappings, lists and scalars as YAML, in the order of the mappings."""
    yaml = YAML(typ="safe", pure=True)
    yaml.Representer = _Representer
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    yaml.default_flow_style, yaml.allow_unicode, yaml.width = False, False, 2**16
    stream = io.StringIO()
    yaml.dump(dict(tree), stream)
    return stream.getvalue()
