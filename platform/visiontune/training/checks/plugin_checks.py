"""`visiontune check --plugin FILE`: each row of a plugin through the suite that the tables' own rows go through, on made pictures."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from visiontune.data.prepare import describe, prepare
from visiontune.data.store.store import Store
from visiontune.errors import first_line
from visiontune.models.build import build_model
from visiontune.models.shape_check import problem_of
from visiontune.spec.declarations.declare import REQUIRED, Arg, Entry, Field, Range, Section, Table, plugins_in_use
from visiontune.spec.declarations.image_size import pixels
from visiontune.spec.declarations.trial_recipe import TrialRecipe
from visiontune.spec.plugins import Plugin, in_use, line_in
from visiontune.spec.space.sections import RECIPE, TABLES
from visiontune.spec.space.space import fill
from visiontune.spec.tables.models import MODELS
from visiontune.spec.tables.ops import OPS
from visiontune.spec.tables.sources import SOURCES
from visiontune.training.checks import conformance
from visiontune.training.checks.check import Check
from visiontune.training.checks.conformance import Unfit
from visiontune.training.checks.made_store import make_store

_SIZES = (16, 32, 64, 96, 160, 224, 299)
_CLASSES = 3


def check_rows(plugin: Plugin) -> Iterator[Check]:
    """One check for each row: bad with the first thing that it must not do, look where nobody can know its arguments."""
    by_what = {table.what: (name, table) for name, table in TABLES.items()}
    for what, rows in plugin.rows.items():
        for name in rows:
            with in_use([plugin.key]), tempfile.TemporaryDirectory() as folder:
                check = _of_row(plugin, *by_what[what], name, Path(folder))
            yield check


def _of_row(plugin: Plugin, title: str, table: Table, name: str, folder: Path) -> Check:
    entry = table.entries[name]
    unknown = [key for key, arg in entry.args.items() if _value(arg) is REQUIRED]
    if unknown:
        said = f"not tried: {', '.join(unknown)} has no default, no range and no choices"
        return Check(f"{title} {name}", "look", said, "a study that names it is its test")
    try:
        return Check(f"{title} {name}", "ok", _tried(table, name, entry, folder))
    except Exception as error:
        line = line_in(error, str(plugin.path))
        where = f"{plugin.path}:{line}: " if line else ""
        said = str(error) if isinstance(error, Unfit) else f"{type(error).__name__}: {first_line(error)}"
        return Check(f"{title} {name}", "bad", f"{where}{said}", "docs/plugins.md says what a row is called with and gives")


def _tried(table: Table, name: str, entry: Entry, folder: Path) -> str:
    """What it does, once it has done it."""
    given = {key: _value(arg) for key, arg in entry.args.items()}
    if table is SOURCES:
        return _of_source({"source": name, **given}, folder)
    part, values = ("augmentation", {"policy": "fixed", name: given}) if table is OPS else _section_with(table, name, given)
    said = "trains, resumes to the same bit, refuses a wrong argument"
    size = 16
    if table is MODELS:
        size, said = _of_network(fill(_fields("model"), values), folder), f"{said}, saves, loads, moves to bf16, is exported"
    if table is OPS:
        values = {**values, name: {**given, "probability": 1.0}}
    conformance.resumes(recipe_of(part, values), make_store(num=60, size=size, channels=3))
    needed = {"lr": 0.1} if part == "optimizer" else {}
    conformance.refuses_wrong_argument(part, {**values, **needed})
    return said


def _of_source(data: Mapping[str, Any], folder: Path) -> str:
    told, store = describe(data), Store.open(prepare(data, folder))
    conformance.must(told.class_names == store.class_names, "`class_names` are not those of the pictures")
    num = len(store.labels_N)
    return f"{num:,} pictures of {len(store.class_names)} classes, {pixels(store.image_size)} px, {store.images_NHWC.shape[3]} channels"


def _of_network(model: Mapping[str, Any], folder: Path) -> int:
    """The size of the pictures on which it is tried."""
    sizes: dict[str, Any] = {"num_classes": _CLASSES, "in_channels": 3}
    problems = {size: problem_of(model, **sizes, image_size=size) for size in _SIZES}
    size = next((size for size, problem in problems.items() if problem is None), 0)
    conformance.must(size > 0, problems[_SIZES[-1]] or "")

    def build(seed: int) -> nn.Module:
        return build_model(model, **sizes, image_size=size, seed=seed)

    x_NCHW = torch.randn(6, 3, size, size, generator=torch.Generator().manual_seed(0))
    network = build(0)
    conformance.learns(network, x_NCHW, _CLASSES)
    conformance.saves_and_loads(network, build(1), x_NCHW, folder)
    conformance.is_exported(network, x_NCHW)
    return size


def recipe_of(part: str, values: Mapping[str, Any]) -> TrialRecipe:
    """Two epochs of LeNet-5 by SGD, but for what the section says; plugins are those in use."""
    given: dict[str, Mapping[str, Any]] = {
        "model": {"name": "lenet5", "activation": "elu"},
        "optimizer": {"name": "sgd", "lr": 0.02},
        "training": {"batch_size": 16, "num_epochs": 2},
    }
    given[part] = {**({"lr": 1e-3} if part == "optimizer" else {}), **({"name": "lenet5"} if part == "model" else {}), **values}
    sections: dict[str, Any] = {name: fill(_fields(name), given.get(name, {})) for name in RECIPE.fields if name != "data"}
    return TrialRecipe(data={"source": "made"}, **sections, plugins=plugins_in_use())


def _section_with(table: Table, name: str, given: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The section in which the table stands, and what it says to name the row."""
    part, key = next((part, key) for part in RECIPE.fields for key, field in _fields(part).items() if field is table)
    return part, {key: name, **given}


def _fields(part: str) -> Mapping[str, Field]:
    section = RECIPE.fields[part]
    assert isinstance(section, Section)
    return section.fields


def _value(arg: Field) -> Any:
    """One that the argument may have, REQUIRED where nothing says any."""
    assert isinstance(arg, Arg)
    auto = (arg.auto.low,) if isinstance(arg.auto, Range) else arg.auto or ()
    known = (arg.default, *arg.choices, *auto, *([] if arg.low is None else [arg.type(arg.low)]))
    return next((value for value in known if value is not REQUIRED), REQUIRED)
