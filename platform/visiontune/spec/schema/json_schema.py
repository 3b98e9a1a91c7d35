"""JSON Schema (draft 2020-12) of a search-space file, for editors; made from the declarations that the parser reads by.

Rules that compare two values are left to the parser: `low < high`, a step that divides the range, rungs, `needs`, `excludes`, a key
that stands in a section and in a branch of it.
"""

from __future__ import annotations

from collections.abc import Mapping

from visiontune.spec.declarations.declare import REQUIRED, Entry, Field, Items, Section, Table
from visiontune.spec.reading.auto_by_entry import suited
from visiontune.spec.reading.study_rules import NAME
from visiontune.spec.schema.shared_schemas import shared
from visiontune.spec.schema.value_schema import Schema, any_of, arg_schema, domain_schema, value_schema
from visiontune.spec.space.sections import SPACE, STUDY


def json_schema() -> Schema:
    """A fresh dict; `# yaml-language-server: $schema=...` in a file makes editors use it."""
    schema = _section(STUDY)
    schema["properties"]["study"]["pattern"] = f"^{NAME}$"
    schema["$defs"] = {key: one for name, section in SPACE.fields.items() for key, one in _defs(name, section).items()}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "visiontune search space", **shared(schema)}


def _section(section: Section, name: str = "") -> Schema:
    """Keys of the section and of every entry that its tables can name."""
    tables = _tables(section)
    properties, depends, rules = _keys(section, section.fields, name)
    required = [key for key, declared in section.fields.items() if _is_required(declared)]
    movable = [key for key in required if section.is_space and {*tables} - {key}]
    schema: Schema = {"description": section.doc, "type": "object" if required else ["object", "null"], "properties": properties}
    rules = [*({"$ref": f"#/$defs/{name}_has_{key}"} for key in movable), *rules]
    schema |= {"required": fixed} if (fixed := [key for key in required if key not in movable]) else {}
    schema |= {"dependentSchemas": depends} if depends else {}
    schema |= {"allOf": rules} if rules else {}
    return {**schema, "additionalProperties": False}


def _keys(section: Section, fields: Mapping[str, Field], name: str, is_branch: bool = False) -> tuple[Schema, Schema, list[Schema]]:
    """Schemas of these keys of a section and of what they can name; which entry takes which; what an entry needs beside it."""
    entries = [entry for table in _tables(section).values() for entry in table.entries.values()]
    properties = {}
    for key, declared in fields.items():
        ranged = next((suited(declared, key, entry) for entry in entries if key in entry.auto), declared)
        properties[key] = _field(ranged, section.is_space, name, key)
    depends: Schema = {}
    rules: list[Schema] = []
    for key, table in ((key, one) for key, one in fields.items() if isinstance(one, Table)):
        for arg in dict.fromkeys(arg for entry in table.entries.values() for arg in entry.args):
            takers = [one for one, entry in table.entries.items() if arg in entry.args]
            properties[arg] = any_of([_field(table.entries[one].args[arg], section.is_space) for one in takers])
            depends[arg] = {"properties": {key: _named(table, takers, section.is_space)}}
            if is_branch or table.default not in takers:
                depends[arg]["required"] = [key]
        rules += [rule for one, entry in table.entries.items() for rule in _needed(key, one, entry)]
    return properties, depends, rules


def _defs(name: str, section: Field) -> Schema:
    """What branches of a section's tables share, to be referred to: `SECTION_beside_TABLE` has the section's other keys.

    `SECTION_has_KEY` is where a required key stands: beside a table, or in every branch of it.
    """
    if not isinstance(section, Section):
        return {}
    tables = _tables(section)
    defs: Schema = {}
    for table in tables:
        beside = {key: one for key, one in section.fields.items() if key != table}
        if beside:
            properties, depends, rules = _keys(section, beside, name, is_branch=True)
            shared = {"properties": properties, "dependentSchemas": depends}
            defs[f"{name}_beside_{table}"] = {**shared, "allOf": rules} if rules else shared
            defs[f"{name}_keys_beside_{table}"] = {"enum": [*properties]}
    for key in (key for key, declared in section.fields.items() if _is_required(declared)):
        every = {"type": "object", "additionalProperties": {"$ref": f"#/$defs/{name}_has_{key}"}}
        choice = {"type": "object", "properties": {"choice": every}, "required": ["choice"]}
        others = [{"properties": {table: choice}, "required": [table]} for table in tables if table != key]
        defs[f"{name}_has_{key}"] = {"type": "object", "anyOf": [{"required": [key]}, *others]}
    return defs


def _tables(section: Section) -> dict[str, Table]:
    return {key: one for key, one in section.fields.items() if isinstance(one, Table)}


def _field(declared: Field, is_space: bool, section: str = "", key: str = "") -> Schema:
    """`section` and `key` are where a table stands, and the key where a section does."""
    if isinstance(declared, Items):
        return _items(declared)
    if isinstance(declared, Section):
        schema = _section(declared, key)
        if declared.short_for:
            return {"description": declared.doc, **any_of([schema, *_short(schema["properties"], declared)])}
        return {**schema, "anyOf": [{"required": [one]} for one in declared.one_of]} if declared.one_of else schema
    if isinstance(declared, Table):
        schema = _table(declared, is_space, section, key)
        return schema if declared.default is REQUIRED else {**schema, "default": declared.default}
    return arg_schema(declared, is_space)


def _short(properties: Schema, declared: Section) -> list[Schema]:
    """A list in place of the section, or one word."""
    rest = properties[declared.short_for]
    if not declared.first_for:
        return [rest]
    first = {key: value for key, value in properties[declared.first_for].items() if key != "default"}
    return [first, {"type": "array", "prefixItems": [first], "items": rest["items"], "minItems": 1, "uniqueItems": True}]


def _items(declared: Items) -> Schema:
    """A list; what a mapping in it may say is left to the parser."""
    if isinstance(declared.item, Section):
        keys = {key: _field(one, is_space=False, key=key) for key, one in declared.item.fields.items()}
        return {"description": declared.doc, "type": "array", "items": {"type": "object", "properties": keys}}
    if declared.item is not None:
        listed = {"type": "array", "items": value_schema(declared.item), "uniqueItems": True}
        return {"description": declared.doc, **listed}
    item: Schema = {"type": "string", "pattern": r"\S"}
    item = any_of([item, {"type": "object", "minProperties": 1}]) if declared.takes_recipes else item
    listed = {"type": "array", "items": item}
    return {"description": declared.doc, **any_of([listed, {"enum": [*declared.also]}] if declared.also else [listed])}


def _table(table: Table, is_space: bool, section: str, key: str) -> Schema:
    """One name; in a space also a choice of names, with or without branches."""
    names: Schema = {"oneOf": [{"const": name, "description": entry.doc} for name, entry in table.entries.items()]}
    if not is_space:
        return {"description": f"names one {table.what}", **names}
    has_others = len(getattr(SPACE.fields[section], "fields", {})) > 1
    branches = {name: _branch(entry, f"beside_{key}" if has_others else "", section) for name, entry in table.entries.items()}
    choices = [
        {"type": "array", "items": {"enum": [*table.entries]}, "minItems": 1, "uniqueItems": True},
        {"type": "object", "properties": branches, "minProperties": 1, "additionalProperties": False},
    ]
    choice = domain_schema({"choice": any_of(choices)}, "choice", table)
    return {"description": f"names one {table.what}, or a choice of them", **any_of([names, choice])}


def _branch(entry: Entry, beside: str, section: str) -> Schema:
    """An entry's own arguments, and the other keys of its section."""
    own = {arg: _field(declared, True) for arg, declared in entry.args.items()}
    schema: Schema = {"description": entry.doc, "type": ["object", "null"], "properties": own}
    if not beside:
        return {**schema, "additionalProperties": False}
    names: list[Schema] = [{"$ref": f"#/$defs/{section}_keys_{beside}"}, *([{"enum": [*own]}] if own else [])]
    return {**schema, "allOf": [{"$ref": f"#/$defs/{section}_{beside}"}], "propertyNames": any_of(names)}


def _named(table: Table, names: list[str], is_space: bool) -> Schema:
    """A table's value that can be nothing but one of `names`."""
    one: Schema = {"enum": names}
    several = any_of([{"type": "array", "items": one}, {"type": "object", "propertyNames": one}])
    return any_of([one, {"type": "object", "properties": {"choice": several}}]) if is_space else one


def _needed(key: str, name: str, entry: Entry) -> list[Schema]:
    """What must stand beside a constant name: required arguments, or one of the sections where it has nothing else."""
    needed = [arg for arg, declared in entry.args.items() if not isinstance(declared, Section) and declared.default is REQUIRED]
    is_named = {"properties": {key: {"const": name}}, "required": [key]}
    rules: list[Schema] = [{"if": is_named, "then": {"required": needed}}] if needed else []
    if entry.args and all(isinstance(declared, Section) for declared in entry.args.values()):
        rules.append({"if": is_named, "then": any_of([{"required": [arg]} for arg in entry.args])})
    return rules


def _is_required(declared: Field) -> bool:
    if isinstance(declared, Section):
        return any(_is_required(one) for one in declared.fields.values())
    return declared.default is REQUIRED
