"""JSON Schema of a single argument: its constant, its domains, `auto`."""

from __future__ import annotations

from typing import Any

from visiontune.spec.declarations.declare import REQUIRED, Arg, Table
from visiontune.spec.declarations.domains import DOMAINS
from visiontune.spec.declarations.when import OTHERWISE, WHEN
from visiontune.spec.reading.domain_reader import KINDS
from visiontune.spec.space.auto_ranges import AUTO, auto_kind, takes_auto

Schema = dict[str, Any]
_TYPES = {float: "number", int: "integer", bool: "boolean", str: "string", dict: "object"}
_AUTO: Schema = {"const": AUTO}
_CONDITIONS: Schema = {
    "description": "keys of the recipe, each with the value or the values under which the param exists",
    "type": "object",
    "minProperties": 1,
    "additionalProperties": {"anyOf": [{"type": ["string", "number", "boolean", "null", "object"]}, {"type": "array", "minItems": 1}]},
}


def arg_schema(arg: Arg, is_space: bool) -> Schema:
    """With its description and default; in a space also the domains that it may have."""
    value = value_schema(arg)
    autos = [_AUTO] if arg.auto is not None and takes_auto(arg) else []
    schema = {"description": arg.doc, **(any_of([value, *autos, *domain_schemas(arg)]) if is_space else value)}
    return schema if arg.default in (REQUIRED, None) else {**schema, "default": arg.default}


def value_schema(arg: Arg) -> Schema:
    """A constant."""
    if arg.choices:
        return {"enum": [*arg.choices, *arg.also, *([None] if arg.default is None else [])]}
    schema: Schema = {"type": _TYPES[arg.type]}
    schema |= {"minimum": arg.low} if arg.low is not None else {}
    schema |= {"maximum": arg.high} if arg.high is not None else {}
    schema |= {"pattern": r"\S"} if arg.type is str else {}
    others = [*arg.also, *([None] if arg.default is None else [])]
    both = [{"type": "array", "items": schema, "minItems": len(arg.pair), "maxItems": len(arg.pair)}] if arg.pair else []
    return any_of([schema, *both, *([{"enum": others}] if others else [])])


def domain_schemas(arg: Arg) -> list[Schema]:
    """Every kind of domain that the argument may have."""
    schemas = []
    for kind in KINDS[arg.type]:
        ends = value_schema(Arg(arg.type, "", low=arg.low, high=arg.high))
        values = {"type": "array", "items": ends, "minItems": 2, "maxItems": 2}
        if kind == "choice":
            values = {"type": "array", "items": value_schema(arg), "minItems": 1, "uniqueItems": True}
        options = {key: arg_schema(option, False) for key, option in DOMAINS[kind].items()}
        if arg.auto is not None and auto_kind(arg.auto, arg) == kind:
            schemas.append(domain_schema({kind: _AUTO}, kind, arg))
        schemas.append(domain_schema({kind: values, **options}, kind, arg))
    return schemas


def domain_schema(properties: Schema, kind: str, declared: Arg | Table) -> Schema:
    """One kind of domain, with conditions; what has no default needs a value where they do not hold."""
    names: Schema = {"enum": [*declared.entries]} if isinstance(declared, Table) else value_schema(declared)
    needs = {OTHERWISE: [WHEN], **({WHEN: [OTHERWISE]} if declared.default is REQUIRED else {})}
    known = {**properties, WHEN: _CONDITIONS, OTHERWISE: names}
    return {"type": "object", "properties": known, "required": [kind], "dependentRequired": needs, "additionalProperties": False}


def any_of(schemas: list[Schema]) -> Schema:
    """What one of them allows."""
    unique = [schema for number, schema in enumerate(schemas) if schema not in schemas[:number]]
    return unique[0] if len(unique) == 1 else {"anyOf": unique}
