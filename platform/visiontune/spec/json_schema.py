"""JSON Schema (draft 2020-12) of a search-space file, for editors; made from the declarations that the parser reads by.

Rules that compare two values are left to the parser: `low < high`, a step that divides the range, rungs, `needs`, `excludes`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from visiontune.spec.declare import REQUIRED, Arg, Entry, Field, Section, Table
from visiontune.spec.domain_reader import KINDS
from visiontune.spec.domains import DOMAINS
from visiontune.spec.sections import STUDY
from visiontune.spec.study_rules import NAME

Schema = dict[str, Any]

_WORTH_SHARING = 120
"""Characters of JSON from which on a repeated schema is replaced by a reference, which takes 30."""

_NAMES_TO_SCHEMAS = ("properties", "dependentSchemas")
"""Keywords under which a mapping is no schema itself."""

_TYPES = {float: "number", int: "integer", bool: "boolean", str: "string", dict: "object"}


def json_schema() -> Schema:
    """A fresh dict; `# yaml-language-server: $schema=...` in a file makes editors use it."""
    schema = _section(STUDY.doc, STUDY.fields, STUDY.is_space)
    schema["properties"]["study"]["pattern"] = f"^{NAME}$"
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "visiontune search space", **_shared(schema)}


def _shared(schema: Schema) -> Schema:
    """The same with every schema that stands in it more than once written once, under `$defs`: a sixth of the size."""
    counts = Counter(text for text in map(json.dumps, _schemas(schema)) if len(text) > _WORTH_SHARING)
    names = {text: f"shared{number}" for number, text in enumerate(text for text, count in counts.items() if count > 1)}

    def referenced(item: Any, is_schema: bool = True) -> Any:
        if isinstance(item, list):
            return [referenced(one) for one in item]
        name = names.get(json.dumps(item)) if isinstance(item, dict) and is_schema else None
        return {"$ref": f"#/$defs/{name}"} if name else inside(item)

    def inside(item: Any) -> Any:
        return {key: referenced(value, key not in _NAMES_TO_SCHEMAS) for key, value in item.items()} if isinstance(item, dict) else item

    return {**inside(schema), "$defs": {name: inside(json.loads(text)) for text, name in names.items()}}


def _schemas(item: Any, is_schema: bool = True) -> Iterator[Schema]:
    """It and all that it holds."""
    if isinstance(item, dict):
        if is_schema:
            yield item
        for key, value in item.items():
            yield from _schemas(value, key not in _NAMES_TO_SCHEMAS)
    for one in item if isinstance(item, list) else ():
        yield from _schemas(one)


def _section(doc: str, fields: Mapping[str, Field], is_space: bool, is_branch: bool = False) -> Schema:
    """Keys of the section and of every entry that its tables can name; which entry takes which is in `dependentSchemas`."""
    properties = {key: _field(declared, is_space) for key, declared in fields.items()}
    tables = {key: declared for key, declared in fields.items() if isinstance(declared, Table)}
    depends: dict[str, Schema] = {}
    rules: list[Schema] = []
    for key, table in tables.items():
        for arg in dict.fromkeys(arg for entry in table.entries.values() for arg in entry.args):
            takers = [name for name, entry in table.entries.items() if arg in entry.args]
            properties[arg] = _any([_field(table.entries[name].args[arg], is_space) for name in takers])
            depends[arg] = {"properties": {key: _named(table, takers, is_space)}}
            if table.default not in takers:
                depends[arg]["required"] = [key]
        rules += [rule for name, entry in table.entries.items() for rule in _needed(key, name, entry)]
    required = [] if is_branch else [key for key, declared in fields.items() if _is_required(declared)]
    schema: Schema = {"description": doc, "type": "object" if required else ["object", "null"], "properties": properties}
    schema |= {"required": required} if required else {}
    schema |= {"dependentSchemas": depends} if depends else {}
    schema |= {"allOf": rules} if rules else {}
    return {**schema, "additionalProperties": False}


def _field(declared: Field, is_space: bool) -> Schema:
    if isinstance(declared, Section):
        schema = _section(declared.doc, declared.fields, declared.is_space)
        return {**schema, "anyOf": [{"required": [key]} for key in declared.one_of]} if declared.one_of else schema
    if isinstance(declared, Table):
        schema = _table(declared, is_space)
        return schema if declared.default is REQUIRED else {**schema, "default": declared.default}
    value = _value(declared)
    schema = {"description": declared.doc, **(_any([value, *_domains(declared)]) if is_space else value)}
    return schema if declared.default in (REQUIRED, None) else {**schema, "default": declared.default}


def _value(arg: Arg) -> Schema:
    """A constant."""
    if arg.choices:
        return {"enum": [*arg.choices, *arg.also, *([None] if arg.default is None else [])]}
    schema: Schema = {"type": _TYPES[arg.type]}
    schema |= {"minimum": arg.low} if arg.low is not None else {}
    schema |= {"maximum": arg.high} if arg.high is not None else {}
    schema |= {"pattern": r"\S"} if arg.type is str else {}
    others = [*arg.also, *([None] if arg.default is None else [])]
    return _any([schema, {"enum": others}]) if others else schema


def _domains(arg: Arg) -> list[Schema]:
    """Every kind of domain that the argument may have."""
    schemas = []
    for kind in KINDS[arg.type]:
        ends = _value(Arg(arg.type, "", low=arg.low, high=arg.high))
        values = {"type": "array", "items": ends, "minItems": 2, "maxItems": 2}
        if kind == "choice":
            values = {"type": "array", "items": _value(arg), "minItems": 1, "uniqueItems": True}
        options = {key: _field(option, False) for key, option in DOMAINS[kind].items()}
        schemas.append({"type": "object", "properties": {kind: values, **options}, "required": [kind], "additionalProperties": False})
    return schemas


def _table(table: Table, is_space: bool) -> Schema:
    """One name; in a space also a choice of names, with or without branches."""
    names: Schema = {"oneOf": [{"const": name, "description": entry.doc} for name, entry in table.entries.items()]}
    if not is_space:
        return {"description": f"names one {table.what}", **names}
    branches = {name: _section(entry.doc, entry.args, is_space, is_branch=True) for name, entry in table.entries.items()}
    choices = [
        {"type": "array", "items": {"enum": [*table.entries]}, "minItems": 1, "uniqueItems": True},
        {"type": "object", "properties": branches, "minProperties": 1, "additionalProperties": False},
    ]
    choice = {"type": "object", "properties": {"choice": _any(choices)}, "required": ["choice"], "additionalProperties": False}
    return {"description": f"names one {table.what}, or a choice of them", **_any([names, choice])}


def _named(table: Table, names: list[str], is_space: bool) -> Schema:
    """A table's value that can be nothing but one of `names`."""
    one: Schema = {"enum": names}
    several = _any([{"type": "array", "items": one}, {"type": "object", "propertyNames": one}])
    return _any([one, {"type": "object", "properties": {"choice": several}}]) if is_space else one


def _needed(key: str, name: str, entry: Entry) -> list[Schema]:
    """What must stand beside a constant name: required arguments, or one of the sections where it has nothing else."""
    needed = [arg for arg, declared in entry.args.items() if not isinstance(declared, Section) and declared.default is REQUIRED]
    is_named = {"properties": {key: {"const": name}}, "required": [key]}
    rules: list[Schema] = [{"if": is_named, "then": {"required": needed}}] if needed else []
    if entry.args and all(isinstance(declared, Section) for declared in entry.args.values()):
        rules.append({"if": is_named, "then": _any([{"required": [arg]} for arg in entry.args])})
    return rules


def _is_required(declared: Field) -> bool:
    if isinstance(declared, Section):
        return any(_is_required(one) for one in declared.fields.values())
    return declared.default is REQUIRED


def _any(schemas: list[Schema]) -> Schema:
    unique = [schema for number, schema in enumerate(schemas) if schema not in schemas[:number]]
    return unique[0] if len(unique) == 1 else {"anyOf": unique}
