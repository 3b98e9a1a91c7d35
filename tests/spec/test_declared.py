"""Rules over every declaration, so that an entry added later can't break the flat form of a recipe."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from visiontune.errors import Problem, nearest
from visiontune.spec.declarations.declare import REQUIRED, Arg, Field, Section, Table
from visiontune.spec.space.sections import RECIPE, SPACE, STUDY, TABLES


def sections(fields: dict[str, Field], name: str) -> Iterator[tuple[str, dict[str, Field]]]:
    yield name, fields
    for key, declared in fields.items():
        if isinstance(declared, Section):
            yield from sections(dict(declared.fields), f"{name}.{key}")


@pytest.mark.parametrize(("name", "fields"), [*sections(dict(STUDY.fields), "study"), *sections(dict(RECIPE.fields), "recipe")])
def test_keys_of_a_section_and_of_its_entries_never_collide(name: str, fields: dict[str, Field]) -> None:
    tables = [declared for declared in fields.values() if isinstance(declared, Table)]
    args = [{arg for entry in table.entries.values() for arg in entry.args} for table in tables]
    for one, other in itertools.combinations([{*fields}, *args], 2):
        assert not one & other
    assert not {entry for table in tables for entry in table.entries} & {*fields, *set().union(*args)}  # a branch is a level of its own
    assert not any(isinstance(arg, Table) for table in tables for entry in table.entries.values() for arg in entry.args.values())


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_defaults_lie_in_their_own_range_and_everything_is_described(table: Table) -> None:
    assert table.default is REQUIRED or table.default in table.entries
    for name, entry in table.entries.items():
        assert entry.doc, name
        assert {*entry.needs, *entry.needs.values(), *entry.excludes, *entry.excludes.values()} <= {*entry.args}
        for arg in entry.args.values():
            assert arg.doc
            if isinstance(arg, Arg) and arg.default not in (REQUIRED, None, *arg.also):
                assert type(arg.default) is arg.type
                assert arg.low is None or arg.low <= arg.default
                assert arg.high is None or arg.default <= arg.high
                assert not arg.choices or arg.default in arg.choices


def test_a_recipe_has_the_sections_of_the_space() -> None:
    assert {*RECIPE.fields} == {"data", *SPACE.fields}
    assert {*SPACE.fields["training"].fields} < {*RECIPE.fields["training"].fields}


def test_a_problem_reads_as_one_line() -> None:
    assert str(Problem("a.yaml", 3, "space.optimizer.lr", "is wrong")) == "a.yaml:3: space.optimizer.lr: is wrong"
    assert str(Problem("command line", 0, "budget", "is wrong")) == "command line: budget: is wrong"
    assert nearest("adamm", ["adam", "sgd"]) == "nearest is 'adam'; choices: adam, sgd"
    assert nearest("zzz", ["adam", "sgd"]) == "choices: adam, sgd"
