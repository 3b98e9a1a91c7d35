"""Whatever a file can name: it is refused with a wrong argument, trains, resumes to the same bit, saves, loads, moves to bf16.

Rows come from the tables themselves: an entry added later is held to all of this without a line here. What they are held to is in
training/checks/conformance.py, and so it is for a plugin's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from made_teacher import make_teacher
from tiny import least_args, make_recipe, make_store, model_section, section
from torch import nn

from visiontune.errors import UserError
from visiontune.models.build import build_model
from visiontune.models.shape_check import problem_of
from visiontune.spec.declarations.declare import Arg, Entry, Section, Table
from visiontune.spec.declarations.teacher_files import settle_teacher
from visiontune.spec.parse import load_study
from visiontune.spec.space.sections import RECIPE, SPACE
from visiontune.spec.tables.models import MODELS
from visiontune.spec.tables.models_own import OWN_MODELS
from visiontune.spec.tables.models_zoo import ZOO_MODELS
from visiontune.spec.tables.ops import COLOUR_OPS
from visiontune.training.checks import conformance
from visiontune.training.weights_file import save_weights


def tables() -> Iterator[tuple[str, str, str, Entry]]:
    """(section, key, name, entry) for everything but models that a recipe can name."""
    for name, declared in RECIPE.fields.items():
        assert isinstance(declared, Section)
        for key, field in declared.fields.items():
            if isinstance(field, Table) and name != "data" and field is not MODELS:
                yield from ((name, key, entry, field.entries[entry]) for entry in field.entries)


ENTRIES = list(tables())
IDS = [f"{part}.{key}={name}" for part, key, name, _ in ENTRIES]


def weights_file(folder: Path) -> Path:
    """Weights of a LeNet-5 of four classes."""
    path = folder / "pretrained.safetensors"
    save_weights(build_model(model_section("lenet5"), num_classes=4, in_channels=1, image_size=16, seed=3), path)
    return path


def values_of(part: str, key: str, name: str, entry: Entry, folder: Path) -> dict[str, Any]:
    """A section that names the entry, with what it can't do without."""
    needed: dict[str, Any] = {"weights": str(weights_file(folder))} if "weights" in entry.args else {}
    if "teacher_from" in entry.args:
        make_teacher(folder, make_store(num=60))
        needed = {"teacher_from": settle_teacher(str(folder / "big.yaml"), "")}
    if any(isinstance(arg, Section) for arg in entry.args.values()):
        needed = {op: section_defaults(arg) for op, arg in entry.args.items() if isinstance(arg, Section) and op not in COLOUR_OPS}
    needed |= {arg: True if declared.type is bool else declared.default for arg, declared in flags(entry).items()}
    return {key: name, **needed}


def section_defaults(declared: Section) -> dict[str, Any]:
    """Of an op."""
    return {key: arg.default for key, arg in declared.fields.items() if isinstance(arg, Arg)}


def flags(entry: Entry) -> Mapping[str, Arg]:
    """Those of `needs`, on."""
    return {flag: arg for flag in entry.needs if isinstance(arg := entry.args[flag], Arg)}


@pytest.mark.parametrize(("part", "key", "name", "entry"), ENTRIES, ids=IDS)
def test_a_recipe_with_it_trains_and_resumes_to_the_same_bit(part: str, key: str, name: str, entry: Entry, tmp_path: Path) -> None:
    store, given = make_store(num=60), values_of(part, key, name, entry, tmp_path)
    model = model_section("lenet5", **given) if part == "model" else model_section("lenet5", "elu")
    model = model_section("cnn", width=4, depth=1) if key == "resize" else model  # LeNet-5 takes one size of pictures
    recipe = make_recipe(model, num_epochs=2)
    if part != "model":
        required = {"optimizer": {"name": "sgd", "lr": 1e-3}, "training": {"num_epochs": 2, "batch_size": 16}}.get(part, {})
        recipe = replace(recipe, **{part: section(part, {**required, **given})})
    conformance.resumes(recipe, store)


TABLES = {(part, key): RECIPE.fields[part].fields[key] for part, key, _, _ in ENTRIES} | {("model", "name"): MODELS}  # type: ignore[union-attr]


@pytest.mark.parametrize(("part", "key"), TABLES, ids=lambda word: word)
def test_a_wrong_argument_of_each_entry_is_refused_at_its_line(part: str, key: str, tmp_path: Path) -> None:
    """All of a table in one file: the parser goes one way for all entries, and tells all problems at once."""
    table = TABLES[part, key]
    assert isinstance(table, Table)
    needed: dict[str, dict[str, Any]] = {"model": {"name": "lenet5"}, "optimizer": {"name": "sgd", "lr": 0.1}}
    own = {name: value for name, value in needed.pop(part, {}).items() if name != key}
    lines = ["study: s", "data: {source: digits}", "budget: {num_trials: 1, max_epochs: 1}", "space:"]
    for name, values in {**needed, part: own}.items():
        lines += [f"  {name}:", *(f"    {word}: {value}" for word, value in values.items())]
    lines += [f"    {key}:", "      choice:", *(f"        {name}: {{wrong_argument: 1}}" for name in table.entries)]
    path = tmp_path / "s.yaml"
    path.write_text("\n".join(lines))
    with pytest.raises(UserError) as caught:
        load_study(path)
    told = {(problem.line, problem.where) for problem in caught.value.problems if problem.rule.startswith("unknown key 'wrong_argument'")}
    first = len(lines) - len(table.entries) + 1
    assert told == {(first + number, f"space.{part}.{key}.choice.{name}.wrong_argument") for number, name in enumerate(table.entries)}


def test_no_table_of_the_space_is_left_out() -> None:
    found = {id(field) for declared in SPACE.fields.values() if isinstance(declared, Section) for field in declared.fields.values()}
    rows = {id(RECIPE.fields[part].fields[key]) for part, key, _, _ in ENTRIES}  # type: ignore[union-attr]
    assert {one for one in found if one in rows} == rows and len(rows) >= 10


FAMILIES = {re.sub(r"\d+|_(tiny|small|base|large)", "", name): name for name in reversed([*OWN_MODELS, *ZOO_MODELS])}
"""Sizes of one network share every line: the first of each stands for all where a whole one has to be built."""

LIBRARY_NETWORKS = {
    "vit": ("timm", {"model": "vit_tiny_patch16_224", "kwargs": {"embed_dim": 24, "depth": 2, "num_heads": 3, "patch_size": 8}}),
    "dinov3": ("timm", {"model": "vit_small_patch16_dinov3", "kwargs": {"embed_dim": 24, "depth": 2, "num_heads": 3, "patch_size": 8}}),
    "swin": ("timm", {"model": "swin_tiny_patch4_window7_224", "kwargs": {"embed_dim": 12, "depths": [1, 1, 1, 1], "patch_size": 1}}),
    "convnextv2": ("timm", {"model": "test_convnext2"}),
    "efficientnetv2": ("timm", {"model": "test_efficientnet"}),
    "regnet": ("timm", {"model": "regnetx_002"}),
    "mobilenetv4": ("timm", {"model": "mobilenetv4_conv_small_035"}),
    "torchvision": ("torchvision", {"model": "squeezenet1_1"}),
}
"""A small one of each kind that people ask timm for, and one of torchvision."""

LIGHT = {"lenet5", "nin", "cnn", "wideresnet", "vgg11", "resnet18", "resnet50", "densenet121", "efficientnet", "mobilenet_v3_small"}
"""One of each family that is quick; the others are in `make test` only."""

SMALLEST = {"lenet5", "resnet18"}
"""Those of them whose graph is traced in a moment."""

STANDING_FOR_ALL = [name for name in (*OWN_MODELS, *ZOO_MODELS) if name in LIGHT or name in FAMILIES.values()]
NETWORKS = [name if name in LIGHT else pytest.param(name, marks=pytest.mark.heavy) for name in (*STANDING_FOR_ALL, *LIBRARY_NETWORKS)]
EXPORTED = [*STANDING_FOR_ALL, "vit", "efficientnetv2"]


def build(name: str, seed: int = 0) -> tuple[nn.Module, torch.Tensor]:
    """The network at its least, and six pictures of the smallest of a few sizes that works.

    Fewer on 1 x 1 pixels would leave batch normalisation next to no spread, and what a rounding makes of that is anything.
    """
    entry, args = LIBRARY_NETWORKS.get(name) or (name, least_args(MODELS.entries[name]))
    model = model_section(entry, "elu", **args)
    sizes = {"num_classes": 4, "in_channels": 3}
    sides = (32, 64) if name in {*LIGHT, *LIBRARY_NETWORKS} else (64, 96, 160, 224, 299)
    size = next(side for side in sides if problem_of(model, **sizes, image_size=side) is None)
    network = build_model(model, **sizes, image_size=size, seed=seed)
    return network, torch.randn(6, 3, size, size, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_learns_saves_loads_and_moves_to_bf16(name: str, tmp_path: Path) -> None:
    network, x_NCHW = build(name)
    conformance.learns(network, x_NCHW, num_classes=4)
    conformance.saves_and_loads(network, build(name, seed=1)[0], x_NCHW, tmp_path)


@pytest.mark.parametrize("name", [name if name in SMALLEST else pytest.param(name, marks=pytest.mark.heavy) for name in EXPORTED])
def test_every_network_is_exported_for_batches_of_any_size(name: str) -> None:
    conformance.is_exported(*build(name))


def test_every_builder_of_a_network_refuses_a_wrong_argument() -> None:
    for entry in MODELS.entries.values():
        with pytest.raises(TypeError, match="wrong_argument"):
            entry.load()(num_classes=4, in_channels=3, image_size=64, wrong_argument=1)
