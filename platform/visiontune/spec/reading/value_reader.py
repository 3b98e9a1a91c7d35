"""Single values: a `Node` against an `Arg`. Every problem is reported, none stops the reading."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from visiontune.errors import Problem, UserError, nearest
from visiontune.filesystem.uri import has_secret, shown
from visiontune.spec.declarations.declare import REQUIRED, Arg
from visiontune.spec.yaml.yaml_node import Node, scalar

BAD: Any = type("Bad", (), {"__repr__": lambda self: "BAD"})()
"""Stands for a value whose problem is reported already."""

_WORDS = {float: "a float", int: "an int", bool: "true or false", str: "a string", dict: "a mapping"}
_NOT_KEPT = "storage.url"
_ELSEWHERE = (
    "and the study, its recipes and MLflow keep what stands here: leave it to the environment "
    "(AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY for s3://) or to the service's own file, on every node"
)
_MEASURE = re.compile(r"(\d[\d_,]*(?:\.\d+)?) ?(%|[a-z]*)", re.IGNORECASE)
_SIDES = re.compile(r"(\d+) ?[xX×] ?(\d+)")
_DASHES = str.maketrans("\u2212\u2013", "--")
_OLD_BOOLS = ("yes", "no", "on", "off", "y", "n")


@dataclass
class Problems:
    """What is wrong so far."""

    found: list[Problem] = field(default_factory=list)
    implied: list[Problem] = field(default_factory=list)

    def add(self, node: Node, where: str, rule: str, *, is_implied: bool = False) -> Any:
        """Report a broken rule; gives BAD, for `return problems.add(...)`. One that follows from another is not told beside it."""
        self.found.append(Problem(node.file, node.line, where, rule))
        if is_implied:
            self.implied.append(self.found[-1])
        return BAD

    def none_under(self, *wheres: str) -> bool:
        """Whether all of it is fine at and below these dotted paths."""
        return not any(p.where == where or p.where.startswith(f"{where}.") for p in self.found for where in wheres)

    def sorted(self) -> list[Problem]:
        """File by file, in the order in which the files were met, by line; the command line last."""
        told = [p for p in dict.fromkeys(self.found) if p not in self.implied]
        files = list(dict.fromkeys(p.file for p in told))
        return sorted(told, key=lambda p: (p.line == 0, files.index(p.file), p.line))


def expected(arg: Arg) -> str:
    """What an argument takes, in words: "an int from 1 to 8, or auto"."""
    if arg.choices:
        words = "one of " + ", ".join(str(choice) for choice in arg.choices)
    else:
        words = arg.written or _WORDS[arg.type]
        if arg.low is not None and arg.high is not None:
            words += f" from {_short(arg.low)} to {_short(arg.high)}"
        elif arg.low is not None or arg.high is not None:
            words += f" of at least {_short(arg.low)}" if arg.low is not None else f" of at most {_short(arg.high)}"
    words += f", or [{', '.join(arg.pair)}]" if arg.pair else ""
    return words + "".join(f", or {word}" for word in arg.also)


def read_constant(node: Node, arg: Arg, where: str, problems: Problems, hint: str = "") -> Any:
    """The value in the argument's own type, or BAD. None is a value where the default is None."""
    value: Any = node.value
    if arg.type is dict and node.kind == "mapping" and all(isinstance(key.value, str) for key, _ in node.value):
        return node.plain()
    if arg.pair and node.kind == "list" and len(node.value) == len(arg.pair):
        values = [read_constant(one, replace(arg, pair=(), default=REQUIRED), where, problems) for one in node.value]
        return BAD if BAD in values else values[0] if len({*values}) == 1 else values
    if node.kind != "scalar":
        one = node.value[0] if node.kind == "list" and len(node.value) == 1 else None
        near = f"; nearest is {one.shown()}" if one is not None and one.kind == "scalar" else ""
        return problems.add(node, where, f"must be {expected(arg)}, but is a {node.kind}: {node.shown()}{near or hint}")
    if (value is None and arg.default is None) or (isinstance(value, str) and value in arg.also):
        return value
    if arg.type is float and type(value) is int:
        value = float(value)
    is_right = type(value) is arg.type
    if not is_right:
        if arg.choices or (isinstance(value, str) and arg.also):
            hint += "; " + nearest(value, [*arg.choices, *arg.also])
        return problems.add(node, where, f"must be {expected(arg)}, but got {node.shown()}{hint or _type_hint(value, arg)}")
    if isinstance(value, float) and not math.isfinite(value):
        return problems.add(node, where, f"must be {expected(arg)} and finite, but got {value}")
    if arg.choices and value not in arg.choices:
        known = f", {arg.former[value]}" if value in arg.former else ""
        near = nearest_of(named_in(known, arg.choices) or value, arg.choices)
        return problems.add(node, where, f"must be {_article(arg)}, but got {value!r}{known}; {near}")
    if (arg.low is not None and value < arg.low) or (arg.high is not None and value > arg.high):
        limit = arg.low if arg.low is not None and value < arg.low else arg.high
        return problems.add(node, where, f"must be {expected(arg)}, but got {node.shown()}; nearest is {_short(limit)}")
    if arg.type is str and not arg.choices and not value.strip():
        return problems.add(node, where, "must not be an empty string")
    if arg.type is str and where != _NOT_KEPT and has_secret(value):
        return problems.add(node, where, f"must hold no password or key, but {shown(value)} has one, {_ELSEWHERE}")
    return _settled(node, arg, where, problems) if arg.settle else value


def _settled(node: Node, arg: Arg, where: str, problems: Problems) -> Any:
    assert arg.settle is not None
    try:
        return arg.settle(node.value, node.file)
    except UserError as error:
        return problems.add(node, where, str(error))


def listed(names: Sequence[str]) -> str:
    """Such as "adam, sgd and muon"."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def named_in(said: str, names: Collection[Any]) -> str:
    """Which of the names a sentence says, "" where it says none.

    >>> named_in(", which is val_top1 here", ("val_loss", "val_top1"))
    'val_top1'
    """
    return next((word for word in re.findall(r"\w+", said) if word in names), "")


def nearest_of(value: Any, choices: tuple[Any, ...]) -> str:
    """The tail of a rule: nearest by value for numbers, by spelling for words."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        close = min(choices, key=lambda choice: (abs(choice - value), choice))
        return f"nearest is {close}; choices: {', '.join(str(choice) for choice in choices)}"
    return nearest(value, choices)


def _type_hint(value: Any, arg: Arg) -> str:
    if isinstance(value, str) and arg.type is bool and value.lower() in _OLD_BOOLS:
        return f"; nearest is {'true' if value.lower() in ('yes', 'on', 'y') else 'false'} (YAML 1.2 knows no {value})"
    if isinstance(value, str) and arg.type is bool:
        return f"; {nearest(value.lower(), ('true', 'false'))}"
    typed = value.translate(_DASHES) if isinstance(value, str) else value
    if typed != value and arg.type in (int, float) and isinstance(scalar(typed), int | float):
        return f"; nearest is {typed}, with the - of a keyboard"
    if isinstance(value, str) and (type(scalar(value)) is arg.type or (arg.type is float and type(scalar(value)) is int)):
        return "; take it out of its quotes"
    if arg.written:
        return f"; nearest is '<= {value:.12g}'" if isinstance(value, int | float) and value is not True and value > 0 else ""
    if arg.type is str and value is not None:
        return "; put it in quotes"
    if arg.type is int and isinstance(value, float) and value.is_integer():
        return f"; nearest is {int(value)}"
    return _unit_hint(value, arg) if isinstance(value, str) and arg.type in (int, float) else ""


def _unit_hint(text: str, arg: Arg) -> str:
    """Of a number with a unit, or with marks between its digits."""
    if arg.pair and (sides := _SIDES.fullmatch(text)):
        return f"; nearest is [{sides[1]}, {sides[2]}]"
    found = _MEASURE.fullmatch(text.strip())
    if found is None:
        return ""
    number, unit = found[1].replace("_", "").replace(",", ""), found[2]
    if unit == "%":
        return f"; nearest is {float(number) / 100:g}" if arg.type is float else ""
    return f"; a number stands alone, without {unit!r}" if unit else f"; nearest is {number}"


def _article(arg: Arg) -> str:
    return "one of the choices" + "".join(f" or {word}" for word in arg.also)


def _short(number: float | None) -> str:
    return f"{number:,}" if isinstance(number, int) else f"{number:g}"
