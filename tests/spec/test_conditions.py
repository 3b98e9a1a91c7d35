"""Conditions across sections: what a `when` lets exist, against counts by hand and against Optuna."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import optuna
import pytest
from file_schema import VALIDATOR
from spec_files import GOOD, load, write
from test_read_identity import assert_round_trip

from visiontune.augmentation.op_ranges import ops_of, policies_of
from visiontune.errors import UserError
from visiontune.spec.declarations.domains import FixedParams, HeldParams, RandomParams
from visiontune.spec.parse import load_study
from visiontune.spec.space.defaults import default_params
from visiontune.spec.space.epoch_forecast import cost
from visiontune.spec.space.fit_recipe import fit_to_space
from visiontune.spec.yaml.yaml_reader import read_yaml
from visiontune.tuning.proposals.sobol import sobol_params

ACROSS = """\
study: across
data: {source: digits}
objective: {metric: val_top1}
budget: {num_trials: 99, max_epochs: 9}
space:
  model:
    dropout: {choice: [0.0, 0.2, 0.4], when: {model.name: [resnet18, wideresnet]}, otherwise: 0.1}
    name: {choice: [resnet18, wideresnet, cnn]}
    init: {choice: [he_normal, lecun_normal], when: {optimizer.name: sgd, augmentation.policy: trivialaugment}}
  optimizer:
    name: {choice: {sgd: {momentum: {choice: [0.8, 0.9]}, weight_decay: {choice: [0, 0.1], when: {training.batch_size: 32}}}, adamw: {}}}
    lr: {choice: [0.01, 0.1], when: {optimizer.name: sgd}, otherwise: 0.001}
  augmentation:
    policy:
      choice: {trivialaugment: {flip_probability: {choice: [0.0, 0.5]}}, none: {}}
      when: {model.dropout: [0.1, 0.4]}
      otherwise: trivialaugment
  training: {batch_size: {choice: [32, 64]}}
"""
"""dropout, init, policy and weight_decay name what stands later; policy hangs on dropout, init on policy."""


def by_hand() -> list[dict[str, object]]:
    """Points of ACROSS in the words of the recipe, those that a nest of loops with the conditions as `if` would make."""
    points = []
    for model, optimizer, batch in itertools.product(["resnet18", "wideresnet", "cnn"], ["sgd", "adamw"], [32, 64]):
        for dropout in [0.1] if model == "cnn" else [0.0, 0.2, 0.4]:
            policies = [("trivialaugment", 0.0), ("trivialaugment", 0.5), ("none", None)]
            for policy, flip in policies if dropout in (0.1, 0.4) else [("trivialaugment", "default")]:
                is_sgd = optimizer == "sgd"
                inits = ["he_normal", "lecun_normal"] if is_sgd and policy == "trivialaugment" else ["default"]
                rates = [(0.01, 0.8), (0.01, 0.9), (0.1, 0.8), (0.1, 0.9)] if is_sgd else [(0.001, None)]
                decays = [0, 0.1] if is_sgd and batch == 32 else ["default"]
                for init, (lr, momentum), decay in itertools.product(inits, rates, decays):
                    keys = ("model", "optimizer", "batch", "dropout", "policy", "flip", "init", "lr", "momentum", "decay")
                    points.append(dict(zip(keys, (model, optimizer, batch, dropout, policy, flip, init, lr, momentum, decay), strict=True)))
    return points


def test_points_of_the_grid_are_those_of_nested_loops(tmp_path: Path) -> None:
    space = load(tmp_path, ACROSS).space
    points, expected = list(space.grid()), by_hand()
    assert len({json.dumps(point, sort_keys=True) for point in points}) == len(points) == len(expected) == space.num_points
    assert space.num_params == 10
    assert cost(load(tmp_path, ACROSS, "sampler.name=grid", "budget.num_trials=9999")).num_trials == len(expected)
    fallback = {"flip": 0.0, "init": "he_normal"}  # of trivialaugment and of the table
    made = []
    for point in points:
        sections = space.resolve(FixedParams(point))
        assert space.params(FixedParams(point)) == point
        assert space.resolve(optuna.trial.FixedTrial(point)) == sections
        model, optimizer, augmentation = sections["model"], sections["optimizer"], sections["augmentation"]
        named = (model["name"], optimizer["name"], sections["training"]["batch_size"], model["dropout"], augmentation["policy"])
        flip, init = augmentation.get("flip_probability"), model["init"]
        made.append((*named, flip, init, optimizer["lr"], optimizer.get("momentum"), optimizer["weight_decay"]))
    decays = {"sgd": 0.0, "adamw": 0.01}
    wanted = [
        tuple(
            (decays[str(one["optimizer"])] if key == "decay" else fallback[key]) if value == "default" else value
            for key, value in one.items()
        )
        for one in expected
    ]
    assert sorted(made, key=str) == sorted(wanted, key=str)


def test_optuna_is_asked_for_what_exists_and_sections_keep_the_order_of_the_file(tmp_path: Path) -> None:
    space = load(tmp_path, ACROSS).space
    allowed = {json.dumps(point, sort_keys=True) for point in space.grid()}
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=0, multivariate=True, group=True))
    for number in range(40):
        trial = study.ask()
        sections = space.resolve(trial)
        assert json.dumps(trial.params, sort_keys=True) in allowed
        assert ("model.dropout" in trial.params) is (sections["model"]["name"] != "cnn")
        assert ("augmentation.trivialaugment.flip_probability" in trial.params) <= ("augmentation.policy" in trial.params)
        study.tell(trial, sections["model"]["dropout"])
        assert json.dumps(sobol_params(space, 0, number), sort_keys=True) in allowed
        assert json.dumps(space.params(RandomParams(number)), sort_keys=True) in allowed
    assert [name for name, _, _ in space.domains()][:2] == ["model.dropout", "model.name"]


def test_ops_keep_the_order_of_the_file_whatever_is_asked_first(tmp_path: Path) -> None:
    ops = (
        "augmentation: {policy: fixed, GaussNoise: {probability: {choice: [0.1, 0.9], when: {augmentation.Affine.magnitude: 1}}}, "
        "Affine: {magnitude: {choice: [0, 1], when: {optimizer.name: sgd}, otherwise: 0.5}}, HorizontalFlip: {}}"
    )
    space = load(tmp_path, GOOD.replace("augmentation: {policy: none}", ops)).space
    seen = set()
    for number in range(40):
        section = space.resolve(RandomParams(number))["augmentation"]
        assert list(section) == ["crop", "policy", "GaussNoise", "Affine", "HorizontalFlip", "mixing"]
        seen.add((section["Affine"]["magnitude"], section["GaussNoise"]["probability"]))
    assert seen == {(0.0, 0.5), (1.0, 0.1), (1.0, 0.9), (0.5, 0.5)}
    assert ops_of(space.tree["augmentation"], 3)["Affine"].high == 1.0


def test_corners_are_points_and_hold_what_stands_elsewhere(tmp_path: Path) -> None:
    space = load(tmp_path, ACROSS).space
    resolved = [space.resolve(FixedParams(point)) for point in space.grid()]
    for section in ("model", "optimizer", "augmentation"):
        corners = {json.dumps(corner) for corner in space.corners(section)}
        assert corners == {json.dumps(one[section]) for one in resolved}
    assert {(one["name"], one["dropout"]) for one in space.corners("model") if one["name"] == "cnn"} == {("cnn", 0.1)}


def test_thinned_corners_reach_both_ends_where_the_param_exists(tmp_path: Path) -> None:
    model = (
        "model: {name: {choice: {lenet5: {}, cnn: {depth: {int: [1, 8]}, width: {int: [1, 512]}, kernel_size: {choice: [1, 3, 5, 7]}}}}, "
        "activation: {choice: [relu, prelu, elu, leaky_relu]}, init: {choice: [he_normal, he_uniform, lecun_normal, lecun_uniform]}, "
        "dropout: {float: [0.2, 0.5], when: {model.kernel_size: 5, optimizer.name: adamw}}}"
    )
    space = load(tmp_path, GOOD.replace("model: {name: cnn, depth: {int: [1, 3]}}", model)).space
    found = {(corner.get("kernel_size"), corner["dropout"]) for corner in space.corners("model")}
    assert {(5, 0.2), (5, 0.5)} <= found
    assert all(dropout == 0.0 for kernel_size, dropout in found if kernel_size != 5)


def test_defaults_and_recipes_fit_with_what_exists_there(tmp_path: Path) -> None:
    space = load(tmp_path, ACROSS).space
    params = default_params(space)
    assert space.params(FixedParams(params)) == params
    fitted = fit_to_space(space, {"model.name": "cnn", "model.dropout": 0.4, "optimizer.name": "adamw", "optimizer.lr": 0.1})
    assert fitted.said == ("model.dropout 0.4 -> 0.1", "optimizer.lr 0.1 -> 0.001")
    assert "model.dropout" not in fitted.params and "optimizer.lr" not in fitted.params
    assert (fitted.num_kept, fitted.num_moved) == (2, 0)
    for point in itertools.islice(space.grid(), 0, None, 7):
        flat = {f"{section}.{key}": value for section, values in space.resolve(FixedParams(point)).items() for key, value in values.items()}
        assert fit_to_space(space, flat).params == point


def test_a_key_is_brought_to_a_value_with_what_its_conditions_need(tmp_path: Path) -> None:
    space = load(tmp_path, ACROSS).space
    for key, value in {"model.init": "lecun_normal", "augmentation.policy": "none", "optimizer.lr": 0.001, "model.dropout": 0.2}.items():
        section, _, name = key.partition(".")
        for seed in range(5):
            assert space.resolve(HeldParams(seed, held=space.choosing(key, value)))[section][name] == value
    both = {"optimizer.name": "sgd", "model.init": "lecun_normal", "model.name": "wideresnet"}
    assert all(space.resolve(HeldParams(0, held=space.holding(both)))[key.split(".")[0]][key.split(".")[1]] == both[key] for key in both)
    assert space.holding({"optimizer.name": "adamw", "model.init": "lecun_normal"}) is None
    assert set(space.values("augmentation.policy")) == {"trivialaugment", "none"}
    assert set(space.values("model.dropout")) == {0.0, 0.2, 0.4, 0.1}
    assert {name for name, _ in policies_of(space.tree["augmentation"])} == {"trivialaugment"}


def test_identity_has_conditions_and_comes_back(tmp_path: Path) -> None:
    spec = load(tmp_path, ACROSS)
    assert_round_trip(spec)
    identity = spec.identity()
    assert identity["space.model.dropout.when.model.name"] == ["resnet18", "wideresnet"]
    assert identity["space.model.dropout.otherwise"] == 0.1
    assert "space.model.init.otherwise" not in identity
    same = ACROSS.replace("{model.name: [resnet18, wideresnet]}", "{model: {name: [wideresnet, resnet18]}}")
    assert load(tmp_path, same).identity() == identity
    for change in ("space.optimizer.lr.otherwise=0.2", "space.optimizer.lr.when={optimizer.name: adamw}"):
        assert load(tmp_path, ACROSS, change).identity() != identity
    assert not any("when" in key for key in load(tmp_path, GOOD).identity())


def test_the_schema_takes_conditions_beside_every_kind_of_domain(tmp_path: Path) -> None:
    more = ACROSS
    more += "  regularization:\n    l1: {float: auto, when: {model.name: cnn}}\n"
    more += "    l2: {float: [0, 0.1], step: 0.1, when: {model: {name: cnn}}}\n"
    more += "    early_stop_epochs: {int: [0, 4], when: {model.name: cnn}, otherwise: 2}\n"
    more += "    use_decay_for_all: {choice: [true, false], when: {regularization.l2: 0.1}}\n"
    load(tmp_path, more)
    assert [error.message for error in VALIDATOR.iter_errors(read_yaml(write(tmp_path, more), []).plain())] == []


TWO = GOOD.replace(
    "model: {name: cnn, depth: {int: [1, 3]}}", "model: {name: {choice: {cnn: {}, lenet5: {width: {choice: [1, 2]}}}}, LINE}"
)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("dropout: {float: [0, 0.3], when: {model.name: [cnn, lenet5]}}", "dropout.when.model.name: this condition always holds, so"),
        ("dropout: {float: [0, 0.3], when: {model.name: resnet18}}", "model.name is never 'resnet18' in this space; choices: cnn, lenet5"),
        ("dropout: {float: [0, 0.3], when: {model.width: 3}}", "model.width is never 3 in this space; nearest is 2"),
        (
            "dropout: {float: [0, 0.3], when: {model.name: cnn, model.width: 2}, otherwise: 0.1}",
            "`when` never holds (model.name and model.width), so nothing varies; write the constant 0.1 instead",
        ),
        (
            "init: {choice: {he_normal: {dropout: {choice: [0, 0.2], when: {model.init: he_normal}}}, lecun_normal: {}}}",
            "model.he_normal.dropout.when.model.init: this condition always holds under he_normal",
        ),
        (
            "init: {choice: {he_normal: {dropout: {choice: [0, 0.2], when: {model.init: lecun_normal}}}, lecun_normal: {}}}",
            "`when` never holds under he_normal (model.init), so nothing varies; write its default instead",
        ),
        (
            "init: {choice: {he_normal: {dropout: {choice: [0, 0.2]}}, lecun_normal: {}}, when: {model.dropout: 0}}",
            "a circle of conditions: model.init needs model.dropout needs model.init",
        ),
    ],
)
def test_conditions_that_say_nothing_are_told(tmp_path: Path, line: str, words: str) -> None:
    with pytest.raises(UserError) as error:
        load(tmp_path, TWO.replace("LINE", line))
    (problem,) = error.value.problems
    assert problem.line == 8 and words in str(problem)


def test_a_required_key_stands_beside_a_choice_with_conditions(tmp_path: Path) -> None:
    name = "name: {choice: {sgd: {lr: 0.1}, adamw: {lr: 0.1}}, when: {model.depth: 1}, otherwise: sgd}"
    text = "\n".join(line for line in GOOD.splitlines() if "lr:" not in line)
    text = text.replace("name: {choice: {sgd: {momentum: {float: [0.8, 0.99]}}, adamw: {}}}", name)
    with pytest.raises(
        UserError, match=r"yaml:10: space\.optimizer\.lr: required key 'lr' stands only in branches of name, which don't exist"
    ):
        load(tmp_path, text)
    beside = name.replace("sgd: {lr: 0.1}, adamw: {lr: 0.1}", "sgd: {}, adamw: {}")
    with pytest.raises(UserError, match="auto gives each optimizer a range of its own, but the choice has `when`"):
        load(tmp_path, text.replace(name, f"{beside}\n    lr: auto"))


def test_arguments_suit_what_a_choice_is_elsewhere(tmp_path: Path) -> None:
    name = "name: {choice: [sgd, rmsprop], when: {model.depth: 1}, otherwise: adamw}\n    momentum: 0.9"
    with pytest.raises(UserError, match="sgd and rmsprop can take 'momentum', but adamw can't"):
        load(tmp_path, GOOD.replace("name: {choice: {sgd: {momentum: {float: [0.8, 0.99]}}, adamw: {}}}", name))
    policy = "policy: {choice: {fixed: {Affine: {}}, none: {}}, when: {model.depth: 1}, otherwise: fixed}"
    with pytest.raises(UserError, match="'fixed' needs at least one of its sections"):
        load(tmp_path, GOOD.replace("policy: none", policy))


def test_an_override_adds_a_condition(tmp_path: Path) -> None:
    spec = load(tmp_path, GOOD, "space.optimizer.lr.when={model.depth: 1}", "space.optimizer.lr.otherwise=0.5")
    drawn = [spec.space.resolve(RandomParams(number)) for number in range(30)]
    assert all((one["optimizer"]["lr"] == 0.5) is (one["model"]["depth"] != 1) for one in drawn)
    content = read_yaml(write(tmp_path, ACROSS), []).plain()
    assert load_study(content).space.tree == load(tmp_path, ACROSS).space.tree
