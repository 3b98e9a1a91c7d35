"""The JSON Schema accepts what the parser accepts and refuses what it refuses, as judged by the jsonschema package."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest
from file_schema import SCHEMA, VALIDATOR
from spec_files import BAD, BRANCHED, FULL, GOOD, Bad, load, write

from visiontune.errors import UserError
from visiontune.spec.yaml.yaml_reader import read_yaml


def errors(folder: Path, text: str) -> list[str]:
    return [error.message for error in VALIDATOR.iter_errors(read_yaml(write(folder, text), []).plain())]


@pytest.mark.heavy
def test_it_is_a_schema_of_draft_2020_12() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["properties"]["budget"]["properties"]["num_trials"]["description"] == "trials to start"


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        FULL,
        BRANCHED,
        GOOD.replace(
            "name: {choice: {sgd: {momentum: {float: [0.8, 0.99]}}, adamw: {}}}", "name: {choice: [sgd, adamw]}\n    weight_decay: 1"
        ),
        GOOD.replace("policy: none", "policy: fixed, Affine: {magnitude: {choice: [0, 1]}}, HorizontalFlip: "),
        GOOD.replace("name: cnn, depth: {int: [1, 3]}", "name: lenet5, activation: prelu, slope: {float: [0, 1]}"),
        GOOD.replace("sampler: {name: tpe}", "start: [{optimizer.lr: 0.1}, {optimizer: {name: adamw}}]"),
        GOOD.replace("sampler: {name: tpe}", "start: {recipes: [{optimizer.lr: 0.1}], portfolio: auto, studies: [digits]}"),
        GOOD.replace("{metric: val_top1}", "[val_top1, num_parameters, latency_ms]"),
        GOOD.replace("{metric: val_top1}", "val_loss"),
        GOOD.replace("{name: tpe}", "random").replace("{name: asha}", "hyperband"),
        GOOD.replace("{name: tpe}", "").replace("{name: asha}", "{stop: true}"),
        GOOD.replace("max_epochs: 9", "max_epochs: 9, hours: null").replace("val_top1", "val_loss, mode: min"),
        GOOD.replace("space:", "resources: {gpus_per_trial: {}}\nspace:").replace("{}}\nspace", "auto}\nspace"),
    ],
)
def test_what_the_parser_accepts_it_accepts(tmp_path: Path, text: str) -> None:
    load(tmp_path, text)
    assert errors(tmp_path, text) == []


def test_a_required_key_stands_beside_a_table_or_in_each_of_its_branches(tmp_path: Path) -> None:
    text = BRANCHED.replace("adamw: {lr: {float: [1e-4, 1e-2], log: true}, head_lr_factor: 10}", "adamw: {head_lr_factor: 10}")
    with pytest.raises(UserError) as error:
        load(tmp_path, text)
    (problem,) = error.value.problems
    assert (problem.line, problem.where) == (20, "space.optimizer.name.choice.adamw.lr")
    assert problem.rule == (
        "required key 'lr' stands in the branch of sgd, but not in that of adamw (0.001 suits it); "
        "write it in every branch, or once beside the choice"
    )
    assert errors(tmp_path, text)
    nested = "model: {activation: {choice: {relu: {init: {choice: {he_normal: {name: cnn}, zeros: {}}}}}}}"
    good = GOOD.replace("model: {name: cnn, depth: {int: [1, 3]}}", nested.replace("zeros: {}", "lecun_normal: {name: lenet5}"))
    load(tmp_path, good)
    assert errors(tmp_path, good) == []
    bad = good.replace("lecun_normal: {name: lenet5}", "lecun_normal: {}")
    with pytest.raises(UserError, match=r"init\.choice\.lecun_normal\.name: required key 'name' stands in the branch of he_normal"):
        load(tmp_path, bad)
    assert errors(tmp_path, bad)


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.text.strip())
def test_what_the_parser_refuses_for_its_shape_it_refuses(tmp_path: Path, bad: Bad) -> None:
    assert bool(errors(tmp_path, bad.content)) is bad.is_shape
