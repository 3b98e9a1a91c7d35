"""`auto` against the same file with the declared ranges written out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from file_schema import VALIDATOR
from spec_files import GOOD, load

from visiontune.errors import UserError
from visiontune.results.entry_lists import table_lines
from visiontune.spec.declarations.declare import Arg, Range, Section, Table
from visiontune.spec.declarations.domains import Choice, Float
from visiontune.spec.parse import load_recipe
from visiontune.spec.reading.domain_reader import read_value_or_domain
from visiontune.spec.reading.value_reader import Problems
from visiontune.spec.space.auto_ranges import auto_domain
from visiontune.spec.space.defaults import default_of
from visiontune.spec.space.sections import SPACE
from visiontune.spec.space.space import Space
from visiontune.spec.tables.optimizers import OPTIMIZERS
from visiontune.spec.yaml.yaml_node import node_of
from visiontune.spec.yaml.yaml_reader import read_yaml


def args(fields: Any, name: str = "") -> Iterator[tuple[str, Arg]]:
    for key, one in fields.items():
        if isinstance(one, Arg):
            yield f"{name}.{key}", one
        elif isinstance(one, Section):
            yield from args(one.fields, f"{name}.{key}")
        elif isinstance(one, Table):
            for entry, row in one.entries.items():
                yield from args(row.args, f"{name}.{entry}")


ARGS = dict(args(SPACE.fields))


def section(tmp_path: Path, optimizer: str, *overrides: str) -> tuple[dict[str, Any], Space]:
    head, _, rest = GOOD.partition("  optimizer:\n")
    text = f"{head}  optimizer: {optimizer}\n{rest[rest.index('  augmentation') :]}"
    spec = load(tmp_path, text, *overrides)
    assert not list(VALIDATOR.iter_errors(read_yaml(tmp_path / "space.yaml", []).plain()))
    return spec.identity(), spec.space


@pytest.mark.parametrize("name", [name for name, arg in ARGS.items() if arg.auto is not None])
def test_every_declared_range_is_a_domain_that_its_argument_takes(name: str) -> None:
    arg = ARGS[name]
    assert arg.auto is not None
    problems = Problems()
    found = read_value_or_domain(node_of("auto", "f"), arg, name, problems, True)
    written = (
        read_value_or_domain(node_of(auto_domain(arg.auto, arg).to_plain(), "f"), arg, name, problems, True)
        if isinstance(arg.auto, Range)
        else read_value_or_domain(node_of({"choice": found.choices}, "f"), arg, name, problems, True)
    )
    assert not problems.found
    assert found == written
    if isinstance(found, Choice) and arg.default is not None:
        assert arg.default in found.choices or arg.default == 0.5  # what a search begins with


def test_an_optimizer_s_rates_lie_about_what_suits_it() -> None:
    for name, entry in OPTIMIZERS.entries.items():
        rates = entry.auto["lr"]
        assert isinstance(rates, Range) and rates.log
        assert (rates.low * rates.high) ** 0.5 == pytest.approx(default_of("optimizer.lr", {"optimizer.name": name}))
    low, high = OPTIMIZERS.entries["sgd"].auto["lr"].low, OPTIMIZERS.entries["sgd"].auto["lr"].high
    assert low < 0.025 and high > 0.16  # DeepOBS's best
    assert OPTIMIZERS.entries["adam"].auto["lr"].low < 1.6e-4


@pytest.mark.parametrize(
    ("optimizer", "written"),
    [
        ("{name: adamw, lr: auto}", "{name: adamw, lr: {float: [1e-4, 1e-2], log: true}}"),
        ("{name: adamw, lr: {float: auto}}", "{name: adamw, lr: {float: [1e-4, 1e-2], log: true}}"),
        (
            "{name: {choice: {sgd: {lr: auto, nesterov: auto, momentum: auto}, adamw: {lr: 0.1}}}}",
            "{name: {choice: {sgd: {lr: {float: [0.005, 0.5], log: true}, nesterov: {choice: [false, true]}, "
            "momentum: {float: [0.8, 0.99]}}, adamw: {lr: 0.1}}}}",
        ),
        (
            "{lr: auto, name: {choice: [sgd, adam]}}",
            "{name: {choice: {sgd: {lr: {float: [0.005, 0.5], log: true}}, adam: {lr: {float: [1e-4, 1e-2], log: true}}}}}",
        ),
        (
            "{name: {choice: {sgd: {momentum: 0.9}, adamw: {}}}, weight_decay: auto, lr: 0.1}",
            "{name: {choice: {sgd: {momentum: 0.9, weight_decay: {float: [1e-5, 1e-2], log: true}}, "
            "adamw: {weight_decay: {float: [1e-3, 1e-1], log: true}}}}, lr: 0.1}",
        ),
        ("{name: {choice: [adam, radam]}, lr: auto}", "{name: {choice: [adam, radam]}, lr: {float: [1e-4, 1e-2], log: true}}"),
    ],
)
def test_a_file_says_the_same_with_its_ranges_written_out(tmp_path: Path, optimizer: str, written: str) -> None:
    identity, _ = section(tmp_path, optimizer)
    assert identity == section(tmp_path, written)[0]
    assert not [key for key, value in identity.items() if key.startswith("space.") and value == "auto"]


def test_lines_and_messages_of_what_auto_put_into_branches(tmp_path: Path) -> None:
    _, space = section(tmp_path, "{name: {choice: [sgd, adam]}, lr: auto}")
    assert {name: domain for name, domain, _ in space.domains() if name.endswith("lr")} == {
        "optimizer.sgd.lr": Float(0.005, 0.5, log=True),
        "optimizer.adam.lr": Float(1e-4, 1e-2, log=True),
    }
    assert space.line("optimizer.adam.lr") == 9
    with pytest.raises(UserError, match=r"space\.yaml:9: space\.optimizer\.lr: stands here and in a branch"):
        section(tmp_path, "{name: {choice: {sgd: {lr: 0.1}, adam: {}}}, lr: auto}")
    with pytest.raises(UserError, match="the grid sampler needs a step for every float"):
        section(tmp_path, "{name: {choice: [sgd, adam]}, lr: auto}", "sampler.name=grid")


def test_a_path_may_be_called_auto_and_a_recipe_knows_no_auto(tmp_path: Path) -> None:
    spec = load(tmp_path, GOOD, "space.transfer={regime: linear, weights: auto}")
    assert spec.space.tree["transfer"]["weights"] == "auto"
    recipe = {"data": {"source": "digits"}, "model": {"name": "cnn"}, "optimizer": {"name": "sgd", "lr": "auto"}}
    with pytest.raises(UserError, match=r"optimizer\.lr: must be a float from 1e-08 to 100, but got 'auto'"):
        load_recipe(recipe | {"training": {"num_epochs": 1}})


def test_the_ranges_are_listed() -> None:
    (line,) = [line for line in table_lines("optimizers") if line.startswith("adamw ")]
    assert "weight_decay=0.01 (auto 0.001 to 0.1, log)" in line and "lr (auto 0.0001 to 0.01, log)" in line
    assert any("auto 0 to 0.5" in line for line in table_lines("model") if line.startswith("dropout "))
