"""`auto` in place of a domain: the range that is worth searching, as the tables declare it, becomes an ordinary domain when a file is read.

So a study's identity has the numbers, and another version's ranges change no study that exists.
"""

from __future__ import annotations

from visiontune.spec.declarations.declare import Arg, Auto, Range
from visiontune.spec.declarations.domains import Choice, Domain, Float, Int
from visiontune.spec.yaml.yaml_node import Node

AUTO = "auto"


def takes_auto(arg: Arg) -> bool:
    """Whether `auto` can't be a value of its own there, as in a path."""
    return AUTO not in (*arg.also, *arg.choices) and (arg.type is not str or bool(arg.choices))


def is_auto(node: Node) -> bool:
    """Whether a value says `auto`, alone or as the range of a domain: {float: auto}."""
    inner = [value for _, value in node.items.values()] if node.kind == "mapping" else [node]
    return any(one.kind == "scalar" and one.value == AUTO for one in inner)


def auto_kind(auto: Auto, arg: Arg) -> str:
    """The kind of its domain."""
    return ("float" if arg.type is float else "int") if isinstance(auto, Range) else "choice"


def auto_domain(auto: Auto, arg: Arg) -> Domain:
    """What it stands for."""
    if not isinstance(auto, Range):
        return Choice(auto or arg.choices or (False, True))
    if arg.type is float:
        return Float(float(auto.low), float(auto.high), auto.log)
    return Int(int(auto.low), int(auto.high), auto.log)


def example(arg: Arg) -> str:
    """How a domain of the argument is written."""
    if arg.type is bool:
        return "{choice: [true, false]}"
    if arg.choices:
        return f"{{choice: [{', '.join(map(str, arg.choices[:3]))}]}}"
    low, high = arg.low if arg.low is not None else 0, arg.high if arg.high is not None else 1
    return f"{{{'float' if arg.type is float else 'int'}: [{low:g}, {high:g}]}}"


def said(auto: Auto) -> str:
    """In words, such as "1e-06 to 0.01, log"."""
    if isinstance(auto, Range):
        return f"{auto.low:g} to {auto.high:g}{', log' * auto.log}"
    return ", ".join(f"{value:g}" if isinstance(value, float) else str(value) for value in auto) or "all"
