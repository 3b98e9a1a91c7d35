"""Recipes as YAML that a person can read and `load_recipe` reads back exactly."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from visiontune.spec.recipe import TrialRecipe
from visiontune.spec.yaml_reader import scalar

_PLAIN = re.compile(r"[A-Za-z_./][A-Za-z0-9_./-]*")


def dump_recipe(recipe: TrialRecipe, path: Path, header: str = "") -> None:
    """Write whole or not at all; each line of `header` becomes a comment at the top."""
    comment = "".join(f"# {line}".rstrip() + "\n" for line in header.splitlines())
    text = comment + "\n".join(_lines(recipe.to_dict(), "")) + "\n"
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def to_yaml(tree: Mapping[str, Any]) -> str:
    """Nested mappings of scalars as YAML 1.2."""
    return "\n".join(_lines(tree, "")) + "\n"


def _lines(tree: Mapping[str, Any], indent: str) -> Iterator[str]:
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            yield f"{indent}{key}:"
            yield from _lines(value, indent + "  ")
        else:
            yield f"{indent}{key}: {_scalar(value)}"


def _scalar(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{}"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, float):  # 1e-05 would be a string to readers of YAML 1.1
        return re.sub(r"^(-?\d+)e", r"\1.0e", repr(value))
    if isinstance(value, str) and not (_PLAIN.fullmatch(value) and scalar(value) == value and value.lower() not in _OLD_WORDS):
        return '"' + "".join(c if c.isprintable() and c not in '"\\' else f"\\U{ord(c):08x}" for c in value) + '"'
    return str(value)


_OLD_WORDS = ("y", "n", "yes", "no", "on", "off")
