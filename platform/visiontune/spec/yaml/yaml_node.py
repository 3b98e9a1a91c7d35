"""What a YAML file says, as a tree of `Node`s that know their file and line; and what a plain scalar means.

Plain scalars follow the core schema of YAML 1.2 (section 10.3.2): `1e-3` is a float, `on` and `no` are strings.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from visiontune.errors import Problem, UserError

_NULL = re.compile(r"null|Null|NULL|~|")
_BOOL = re.compile(r"true|True|TRUE|false|False|FALSE")
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


@dataclass(frozen=True)
class Node:
    """One value of a file. `value` is a scalar, a tuple of Nodes or a tuple of (key, value) pairs, by `kind`."""

    kind: str
    value: Any
    file: str
    line: int

    @property
    def items(self) -> dict[str, tuple[Node, Node]]:
        """Key and value Node by key, in the order of the file; of a repeated key the first."""
        found: dict[str, tuple[Node, Node]] = {}
        for key, value in self.value if self.kind == "mapping" else ():
            found.setdefault(key.value, (key, value))
        return found

    def plain(self) -> Any:
        """The same as dicts, lists and scalars."""
        if self.kind == "mapping":
            return {key: value.plain() for key, (_, value) in self.items.items()}
        return [node.plain() for node in self.value] if self.kind == "list" else self.value

    def shown(self) -> str:
        """The value as a message quotes it, shortened."""
        value = self.plain()
        text = {None: "null", True: "true", False: "false"}[value] if value is None or isinstance(value, bool) else repr(value)
        return text if len(text) <= 60 else text[:57] + "..."


def node_of(value: Any, file: str) -> Node:
    """Mappings, lists and scalars of Python, and arrays, as if they had been read; there are no lines. Raises UserError for others."""
    if isinstance(value, Mapping):
        return Node("mapping", tuple((node_of(str(key), file), node_of(item, file)) for key, item in value.items()), file, 0)
    if isinstance(value, list | tuple):
        return Node("list", tuple(node_of(item, file) for item in value), file, 0)
    plain = value.tolist() if hasattr(value, "tolist") else str(value) if isinstance(value, PurePath) else value
    if isinstance(plain, list):  # an array's
        return node_of(plain, file)
    if plain is not None and not isinstance(plain, bool | int | float | str):
        raise UserError(Problem(file, 0, "", f"values must be what YAML can say (numbers, strings, lists, mappings), but one is {value!r}"))
    return Node("scalar", plain, file, 0)


def scalar(text: str) -> Any:
    """A plain scalar by YAML 1.2's core schema."""
    if _NULL.fullmatch(text):
        return None
    if _BOOL.fullmatch(text):
        return text.lower() == "true"
    if _INT.fullmatch(text):
        return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))
    if _FLOAT.fullmatch(text):
        return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    return text


def is_number(text: str) -> bool:
    """Whether `scalar` makes an int or a float of it."""
    return bool(_INT.fullmatch(text) or _FLOAT.fullmatch(text))
