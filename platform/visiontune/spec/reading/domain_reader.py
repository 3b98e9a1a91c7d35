"""Domains in place of values: what may stand under `space`, a `Node` against an `Arg`. Problems are reported as in value_reader.py."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from visiontune.errors import nearest
from visiontune.spec.declarations.declare import Arg
from visiontune.spec.declarations.domains import DOMAINS, Choice, Domain, Float, Int, exact
from visiontune.spec.declarations.when import OTHERWISE, WHEN
from visiontune.spec.reading.condition_reader import read_when
from visiontune.spec.reading.foreign_domains import bounds_written_here, call_written_here, ends_written_here, written_here
from visiontune.spec.reading.value_reader import BAD, Problems, expected, listed, read_constant
from visiontune.spec.space.auto_ranges import AUTO, auto_domain, auto_kind, example, is_auto, takes_auto
from visiontune.spec.yaml.yaml_node import Node

KINDS: Mapping[type, tuple[str, ...]] = {
    float: ("float", "choice"),
    int: ("int", "choice"),
    bool: ("choice",),
    str: ("choice",),
    dict: (),
}
"""The kinds of domain that an argument of a type may have."""


def read_value_or_domain(node: Node, arg: Arg, where: str, problems: Problems, use_domains: bool) -> Any:
    """A constant, a domain or BAD."""
    if not KINDS[arg.type]:
        return read_constant(node, arg, where, problems)
    if use_domains and node.kind == "scalar" and is_auto(node) and takes_auto(arg):
        return _auto(node, arg, where, problems)
    if node.kind == "mapping" and use_domains:
        return _domain(node, arg, where, problems)
    if node.kind == "mapping" and any(key in DOMAINS for key in node.items):
        return problems.add(
            node, where, f"must be {expected(arg)}, but is a domain; domains stand only under `space`, and in none of its lists"
        )
    return read_constant(node, arg, where, problems, hint=_range_hint(node, arg) if use_domains else "")


def _domain(node: Node, arg: Arg, where: str, problems: Problems) -> Domain | Any:
    kinds = [key for key in node.items if key in DOMAINS]
    if len(kinds) != 1:
        return _no_kind(node, kinds, arg, where, problems)
    kind, wrong = kinds[0], False
    options = {key: option.default for key, option in DOMAINS[kind].items()}
    for key, (key_node, value) in node.items.items():
        if key in DOMAINS[kind]:
            options[key] = read_constant(value, DOMAINS[kind][key], f"{where}.{key}", problems)
            if options[key] is BAD:
                wrong, options[key] = True, DOMAINS[kind][key].default
        elif key not in (kind, WHEN, OTHERWISE):
            wrong = True
            known = [kind, *DOMAINS[kind], WHEN, OTHERWISE]
            meant = {"q": "step", "base": "log"}.get(key, key)
            problems.add(key_node, f"{where}.{key}", f"unknown key {key!r} of a domain {kind!r}; {nearest(meant, known)}")
    when = read_when(node, arg, where, problems)
    domain = _of_kind(node, kind, options, arg, where, problems)
    return BAD if wrong or BAD in (when, domain) else replace(domain, when=when)


def _of_kind(node: Node, kind: str, options: Mapping[str, Any], arg: Arg, where: str, problems: Problems) -> Domain | Any:
    values = node.items[kind][1]
    if kind not in KINDS[arg.type]:
        likely = f"; nearest is {KINDS[arg.type][0]!r}; choices: {', '.join(KINDS[arg.type])}"
        return problems.add(node, where, f"must be {expected(arg)}, so its domain can't be {kind!r}{likely}")
    if is_auto(values) and takes_auto(arg):
        if others := [key for key in node.items if key not in (kind, WHEN, OTHERWISE)]:
            return problems.add(node, where, f"{AUTO} has its own log and step: leave out {listed(others)}")
        return _auto(node, arg, where, problems, kind)
    return _choice(values, arg, where, problems) if kind == "choice" else _range(values, kind, options, arg, where, problems)


def _auto(node: Node, arg: Arg, where: str, problems: Problems, kind: str = "") -> Domain | Any:
    """The domain that the tables declare; `kind` is what the file calls it."""
    if arg.auto is None:
        rule = f"{AUTO}: no range of {where.rpartition('.')[2]} is worth searching as a rule; write one, such as {example(arg)}"
        return problems.add(node, where, rule)
    right = auto_kind(arg.auto, arg)
    if kind not in ("", right):
        return problems.add(node, where, f"{AUTO} is a {right} here, but got {kind!r}; nearest is {{{right}: {AUTO}}}")
    return auto_domain(arg.auto, arg)


def _no_kind(node: Node, kinds: list[str], arg: Arg, where: str, problems: Problems) -> Any:
    if kinds:
        return problems.add(node, where, f"a domain has one kind, but this one has {' and '.join(kinds)}")
    if near := bounds_written_here(node.items, KINDS[arg.type][0]):
        return problems.add(node, where, f"a domain is named by its kind, but got {node.shown()}; nearest is {near}")
    options = {WHEN, OTHERWISE, *(option for domain in DOMAINS.values() for option in domain)}
    unknown = [(key, pair[0]) for key, pair in node.items.items() if key not in options]
    for key, key_node in unknown:
        meant = written_here(key, KINDS[arg.type][0]) if key != "value" else node.items[key][1].shown()
        near = f"nearest is {meant}; {nearest('', DOMAINS)}" if meant else nearest(key, DOMAINS)
        problems.add(key_node, f"{where}.{key}", f"unknown kind of domain {key!r}; {near}")
    return BAD if unknown else problems.add(node, where, f"a domain needs its kind; {nearest('', DOMAINS)}")


def _choice(node: Node, arg: Arg, where: str, problems: Problems) -> Choice | Any:
    if node.kind == "mapping":
        return problems.add(node, where, "branches stand only under the choice of a name; write a list: {choice: [a, b]}")
    if node.kind != "list" or not node.value:
        return problems.add(node, where, f"a choice needs a list of one or more values, but got {node.shown()}")
    values = [read_constant(item, arg, where, problems) for item in node.value]
    if any(value is BAD for value in values):
        return BAD
    return BAD if repeats(values, node, where, problems) else Choice(tuple(values))


def repeats(values: list[Any], node: Node, where: str, problems: Problems) -> bool:
    """Report what a list of choices names more than once."""
    twice = list(dict.fromkeys(value for value in values if values.count(value) > 1))
    for value in twice:
        problems.add(node, where, f"the values of a choice must differ, but {value!r} stands {values.count(value)} times")
    return bool(twice)


def _range(node: Node, kind: str, options: Mapping[str, Any], arg: Arg, where: str, problems: Problems) -> Domain | Any:
    if node.kind != "list" or len(node.value) != 2:
        near = ends_written_here(node.value) if isinstance(node.value, str) else ""
        return problems.add(node, where, f"a range is [low, high], but got {node.shown()}{near and f'; nearest is {near}'}")
    bound = Arg(arg.type, "", low=arg.low, high=arg.high)
    low, high = (read_constant(end, bound, where, problems) for end in node.value)
    if low is BAD or high is BAD:
        return BAD
    rule = _broken_rule(low, high, kind, **options)
    if rule:
        return problems.add(node, where, rule)
    domain = Float(low, high, **options) if kind == "float" else Int(low, high, **options)
    if arg.choices and ((domain.num_values() or math.inf) > len(arg.choices) or not {*domain.values()} <= {*arg.choices}):
        return problems.add(node, where, f"every value must be {expected(arg)}, but {node.shown()} holds others; write a choice")
    return domain


def _broken_rule(low: Any, high: Any, kind: str, log: bool, step: Any) -> str:
    """The rule that a range breaks, empty when it breaks none. It is a rule's own message: no place, no value of the file left out."""
    got = f"but got low={low}, high={high}"
    if low == high:
        return f"`low < high` must hold, {got}; for one value write the constant {low}"
    if low > high:
        return f"`low < high` must hold, {got}; nearest is [{high}, {low}]"
    if log and (low < 1 if kind == "int" else low <= 0):
        return f"with log `low {'>= 1' if kind == 'int' else '> 0'}` must hold, {got}"
    if step is None or (kind == "int" and step == 1):
        return ""
    if log:
        return f"log and step exclude each other, but got log=True, step={step}"
    if step <= 0:
        return f"`step > 0` must hold, but got step={step}"
    width = exact(high) - exact(low)
    if exact(step) > width:
        return f"`step <= high - low` must hold, {got}, step={step}"
    if width % exact(step):
        valid = exact(low) + round(width / exact(step)) * exact(step)
        return f"step must divide the range, {got}, step={step}; nearest high is {int(valid) if kind == 'int' else float(valid)}"
    return ""


def _range_hint(node: Node, arg: Arg) -> str:
    if isinstance(node.value, str) and (near := call_written_here(node.value, KINDS[arg.type][0])):
        return f"; nearest is {near}"
    if node.kind != "list":
        return ""
    kind, shown = KINDS[arg.type][0], node.shown()
    as_range = f", a range {{{kind}: {shown}}}" if len(node.value) == 2 and kind != "choice" else ""
    return f"; a choice of these is {{choice: {shown}}}{as_range}"
