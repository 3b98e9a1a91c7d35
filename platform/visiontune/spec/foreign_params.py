"""Params of another program's search as a space of ours: each finds its key by name, and its branch by the tables; others are refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from visiontune.errors import Problem, near_names
from visiontune.spec.declarations.declare import Field, Section, Table
from visiontune.spec.reading.called_elsewhere import PARAMS, plain
from visiontune.spec.space.sections import RECIPE

OF_A_STUDY = {"seed": "sampler.seed says it for a whole search", "random_state": "sampler.seed says it for a whole search"}


def keys_of(name: str) -> str | None:
    """The dotted key that a param's name means; None where it means none of ours."""
    word = plain(name).replace("/", ".")
    if (known := PARAMS.get(word)) is not None:
        return known
    section, _, rest = word.partition(".")
    fields = getattr(RECIPE.fields.get(section), "fields", {})
    key = rest.rpartition(".")[2]  # a branch in between, as in model.cnn.width, is found again by the tables
    return f"{section}.{key}" if key and (key in fields or _tables_with(fields, key)) else None


def space_of(params: Mapping[str, Any], file: str) -> tuple[dict[str, Any], dict[str, Any], dict[str, str], list[Problem]]:
    """(tree of the space, constants of the study, our key by their name, what can't be said) of domains and constants by name."""
    found: dict[str, Any] = {}
    keys: dict[str, str] = {}
    problems: list[Problem] = []
    for name, value in params.items():
        if (key := keys_of(name)) is None:
            near = near_names(name, sorted({*PARAMS, *PARAMS.values()}))
            why = OF_A_STUDY.get(name.lower(), f"is no param of a recipe here, by this name{near}")
            problems.append(Problem(file, 0, name, f"{why}; leave it out, or name its key, such as model.width"))
        elif key in found:
            problems.append(Problem(file, 0, name, f"means {key}, and so does {next(one for one, own in keys.items() if own == key)}"))
        else:
            found[key], keys[name] = value, key
    study = {key: value for key, value in found.items() if key.startswith("budget.")}
    for key, value in study.items():
        if isinstance(value, Mapping):
            problems.append(
                Problem(file, 0, key, "is one number in a study, whose trials are stopped early, and no domain: give its largest")
            )
    tree: dict[str, Any] = {}
    for key in sorted(found.keys() - study.keys(), key=lambda key: not _is_table(key)):  # names first, as branches hang on them
        _place(tree, key, found[key], file, problems)
    return tree, study, keys, problems


def _is_table(key: str) -> bool:
    section, _, name = key.partition(".")
    return isinstance(_fields(section).get(name), Table)


def _fields(section: str) -> Mapping[str, Field]:
    declared = RECIPE.fields[section]
    return declared.fields if isinstance(declared, Section) else {}


def _tables_with(fields: Mapping[str, Field], key: str) -> dict[str, Table]:
    tables = {name: table for name, table in fields.items() if isinstance(table, Table)}
    return {name: table for name, table in tables.items() if any(key in entry.args for entry in table.entries.values())}


def _place(tree: dict[str, Any], key: str, value: Any, file: str, problems: list[Problem]) -> None:
    section, _, name = key.partition(".")
    here, fields = tree.setdefault(section, {}), _fields(section)
    if isinstance(table := fields.get(name), Table):
        here[name] = _entries(table, value)
    elif name in fields:
        here[name] = value
    else:
        _place_in_branches(here, name, value, _tables_with(fields, name), Problem(file, 0, key, ""), problems)


def _entries(table: Table, value: Any) -> Any:
    """Names of a table's entries as they are written there; several as a choice of branches."""

    def known(name: Any) -> Any:
        return next((one for one in table.entries if isinstance(name, str) and one == name.lower().replace("-", "_")), name)

    if isinstance(value, Mapping) and all(isinstance(one, str) for one in value.get("choice", [0])):
        return {"choice": {known(one): {} for one in value["choice"]}}
    return known(value)


def _place_in_branches(
    here: dict[str, Any], name: str, value: Any, tables: Mapping[str, Table], place: Problem, problems: list[Problem]
) -> None:
    """Beside a name that is fixed, or in each branch of the choice whose entry takes it."""
    for key, table in tables.items():
        chosen = here.get(key)
        if not isinstance(chosen, Mapping):
            here[name] = value  # the name is given beside the file; what does not fit it is told when the space is read
            return
        takers = [one for one in chosen["choice"] if one in table.entries and name in table.entries[one].args]
        for one in takers:
            chosen["choice"][one][name] = value
        if takers:
            return
    takes = [one for table in tables.values() for one, entry in table.entries.items() if name in entry.args]
    problems.append(Problem(place.file, 0, place.where, f"nothing that the file chooses from takes it; {', '.join(takes[:6])} do"))
