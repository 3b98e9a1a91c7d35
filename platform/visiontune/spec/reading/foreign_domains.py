"""Ranges and choices as Optuna, Ray Tune, W&B, Hyperopt and Hydra write them: how the same is written here."""

from __future__ import annotations

import re
from collections.abc import Mapping

from visiontune.spec.yaml.yaml_node import Node

Items = Mapping[str, tuple[Node, Node]]

_MEANT = {
    "uniform": ("float", False),
    "float": ("float", False),
    "loguniform": ("float", True),
    "log_uniform": ("float", True),
    "log_uniform_values": ("float", True),
    "randint": ("int", False),
    "int_uniform": ("int", False),
    "int": ("int", False),
    "range": ("int", False),
    "lograndint": ("int", True),
    "interval": ("", False),
    "categorical": ("choice", False),
    "values": ("choice", False),
    "choice": ("choice", False),
}
"""The kind of domain, the argument's own where it is "", and whether it is logarithmic."""
_LOWS, _HIGHS = ("min", "low", "lower"), ("max", "high", "upper")
_DOTS = re.compile(r"([-+\d.e]*\d) ?\.\.\.? ?([-+]?[\d][\d.e+-]*)")
_CALL = re.compile(r"([\w.]+)\((.*)\)")


def written_here(word: str, kind: str, values: str = "") -> str:
    """The domain that a library's word means, with these values; "" for a word of none.

    >>> written_here("tune.loguniform", "float", "1e-4, 0.1"), written_here("categorical", "choice")
    ('{float: [1e-4, 0.1], log: true}', '{choice: [...]}')
    """
    found = _MEANT.get(word.rpartition(".")[2].removeprefix("suggest_"))
    if found is None:
        return ""
    own, is_log = found[0] or kind, found[1]
    shown = values.strip().strip("[]") or ("..." if own == "choice" else "low, high")
    return f"{{{own}: [{shown}]{', log: true' if is_log else ''}}}"


def call_written_here(text: str, kind: str) -> str:
    """The same of a whole call, such as "loguniform(1e-4, 1e-1)"; "" of what is none."""
    found = _CALL.fullmatch(text)
    return written_here(found[1], kind, found[2]) if found else ""


def bounds_written_here(items: Items, kind: str) -> str:
    """The same of a mapping with both ends by name, as W&B and Ray's JSON have it; "" where these are not there."""
    ends = [next((items[name][1].shown() for name in names if name in items), "") for names in (_LOWS, _HIGHS)]
    if not all(ends) or kind == "choice":
        return ""
    said = [str(value.value) for name in ("distribution", "type") if name in items for _, value in [items[name]]]
    is_log = any("log" in one for one in said) or ("log" in items and items["log"][1].value is True)
    return f"{{{kind}: [{', '.join(ends)}]{', log: true' if is_log else ''}}}"


def ends_written_here(text: str) -> str:
    """The same of a range with dots between its ends, as languages and shells have it; "" of what is none.

    >>> ends_written_here("1e-4..1e-1"), ends_written_here("a..b")
    ('[1e-4, 1e-1]', '')
    """
    found = _DOTS.fullmatch(text)
    return f"[{found[1]}, {found[2]}]" if found else ""


def joined_calls(items: Items) -> Items:
    """Keys and values with calls whole again that a flow mapping splits at their commas: `{lr: loguniform(1e-4, 1e-1)}`."""
    joined, open_key = dict[str, tuple[Node, Node]](), ""
    for key, (key_node, value) in items.items():
        if open_key and value.value is None:
            name, call = joined[open_key]
            joined[open_key] = name, Node("scalar", f"{call.value}, {key}", call.file, call.line)
        else:
            joined[key], open_key = (key_node, value), key
        text = joined[open_key][1].value
        open_key = open_key if isinstance(text, str) and text.count("(") > text.count(")") else ""
    return joined if all(")" in str(joined[key][1].value) for key in joined if joined[key] != items[key]) else items
