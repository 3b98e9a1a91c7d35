"""Spaces against Optuna, which reads the same domains in its own way, and against counts by hand."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys
from pathlib import Path

import optuna
import pytest
from ruamel.yaml import YAML
from spec_files import BRANCHED, FULL, GOOD, load

from visiontune.errors import UserError
from visiontune.spec.declarations.domains import Choice, FixedParams, Float, HeldParams, Int, RandomParams
from visiontune.spec.space.epoch_forecast import cost
from visiontune.spec.space.sections import SPACE
from visiontune.spec.space.space import MAX_CORNERS, Space, fill
from visiontune.spec.yaml.yaml_node import scalar

GRID = """\
study: grid
data: {source: digits}
objective: {metric: val_top1}
budget: {num_trials: 99, max_epochs: 9}
sampler: {name: grid}
space:
  optimizer:
    lr: {choice: [0.1, 0.2]}
    name: {choice: {sgd: {momentum: {float: [0.5, 0.9], step: 0.2}}, adam: {}}}
  model: {name: cnn, depth: {int: [1, 5], step: 2}}
"""


def test_plain_scalars_are_read_as_yaml_1_2_reads_them() -> None:
    words = "1e-3 1E3 .5 5. -0 +7 0o17 0x1F 1_0 on no yes True TRUE tRUE null ~ NULL Null .inf -.Inf 012 1.0 1e 0b1 12:30 2020-01-01 - e5"
    peer = YAML(typ="safe", pure=True)
    for word in words.split():
        theirs = peer.load(word)
        ours = scalar(word)
        if word in {"1_0", "012", "0b1", "2020-01-01", "12:30", "-"}:  # ruamel keeps some of YAML 1.1 here; the core schema does not
            assert ours == (12 if word == "012" else word)
        else:
            assert (type(ours), ours) == (type(theirs), theirs), word
    assert math.isnan(scalar(".nan"))


def test_a_space_asks_optuna_for_what_the_file_says(tmp_path: Path) -> None:
    space = load(tmp_path, FULL).space
    domains = {name: domain for name, domain, _ in space.domains()}
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    seen: set[str] = set()
    for _ in range(60):
        trial = study.ask()
        sections = space.resolve(trial)
        assert space.resolve(FixedParams(trial.params)) == sections
        assert space.resolve(optuna.trial.FixedTrial(trial.params)) == sections
        for name, distribution in trial.distributions.items():
            domain = domains[name]
            if isinstance(domain, Choice):
                assert distribution == optuna.distributions.CategoricalDistribution(domain.choices)
            elif isinstance(domain, Float):
                assert distribution == optuna.distributions.FloatDistribution(domain.low, domain.high, domain.log, domain.step)
            else:
                assert distribution == optuna.distributions.IntDistribution(domain.low, domain.high, domain.log, domain.step)
        seen |= set(trial.params)
        study.tell(trial, 0.0)
    assert seen == {*domains}
    assert {"model.name", "model.lenet5.width", "optimizer.sgd.momentum", "augmentation.fixed.Affine.magnitude"} <= seen
    assert space.num_params == len(domains)


def test_a_branch_s_params_exist_only_under_it_and_lie_flat_in_the_recipe(tmp_path: Path) -> None:
    space = load(tmp_path, GOOD).space
    sgd = space.resolve(FixedParams({"model.depth": 2, "optimizer.name": "sgd", "optimizer.sgd.momentum": 0.9, "optimizer.lr": 0.1}))
    adamw = space.resolve(FixedParams({"model.depth": 2, "optimizer.name": "adamw", "optimizer.lr": 0.1}))
    rest = {"lr": 0.1, "lr_scaling": "none", "head_lr_factor": 1.0, "layer_decay": 1.0, "sharpness": "none", "slow_weights": "none"}
    assert sgd["optimizer"] == {"name": "sgd", "momentum": 0.9, "nesterov": False, "weight_decay": 0.0, **rest}
    assert adamw["optimizer"] == {"name": "adamw", "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.01, **rest}
    assert sgd["training"] == fill(SPACE.fields["training"].fields, {"batch_size": 64})
    assert sgd["augmentation"] == {"crop": "none", "policy": "none", "mixing": "none"}
    with pytest.raises(UserError, match=r"optimizer\.lr"):
        space.resolve(FixedParams({"model.depth": 2, "optimizer.name": "adamw"}))


def test_ops_keep_the_order_of_the_file(tmp_path: Path) -> None:
    ops = "augmentation: {policy: fixed, GaussNoise: {}, Affine: {magnitude: 1}, HorizontalFlip: {}}"
    space = load(tmp_path, GOOD.replace("augmentation: {policy: none}", ops)).space
    section = space.resolve(RandomParams(0))["augmentation"]
    assert list(section) == ["crop", "policy", "GaussNoise", "Affine", "HorizontalFlip", "mixing"]
    assert section["Affine"] == {"probability": 0.5, "magnitude": 1.0, "final_magnitude": None}
    assert section["HorizontalFlip"] == {"probability": 0.5}


def test_random_params_reach_both_ends_and_depend_on_seed_and_name_alone() -> None:
    draws = [RandomParams(seed) for seed in range(400)]
    assert {draw.suggest_int("n", 1, 4) for draw in draws} == {1, 2, 3, 4}
    assert {draw.suggest_int("n", 1, 7, step=3) for draw in draws} == {1, 4, 7}
    assert {draw.suggest_int("n", 1, 8, log=True) for draw in draws} == {*range(1, 9)}
    assert {draw.suggest_float("x", 0.1, 0.3, step=0.1) for draw in draws} == {0.1, 0.2, 0.3}
    logs = [draw.suggest_float("x", 1e-4, 1.0, log=True) for draw in draws]
    assert min(logs) >= 1e-4
    assert max(logs) <= 1.0
    assert 0.4 < sum(value < 1e-2 for value in logs) / len(logs) < 0.6  # 1e-2 is half way; the standard error is 0.025
    assert RandomParams(3).suggest_float("a", 0, 1) == RandomParams(3).suggest_float("a", 0, 1)
    assert RandomParams(3).suggest_float("a", 0, 1) != RandomParams(3).suggest_float("b", 0, 1)


def test_stepped_floats_are_the_decimals_that_one_would_write() -> None:
    assert Float(0.1, 0.7, step=0.1).values() == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]
    assert Float(0.0, 1e-3, step=2.5e-4).values() == [0.0, 2.5e-4, 5e-4, 7.5e-4, 1e-3]
    assert list(Int(1, 7, step=2).values()) == [1, 3, 5, 7]


def test_the_grid_has_every_point_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    spec = load(tmp_path, GRID)
    points = list(spec.space.grid())
    optimizers = [("sgd", 0.5), ("sgd", 0.7), ("sgd", 0.9), ("adam", None)]
    by_hand = [
        {"optimizer.lr": lr, "optimizer.name": name, **({"optimizer.sgd.momentum": m} if m else {}), "model.depth": depth}
        for lr, (name, m), depth in itertools.product([0.1, 0.2], optimizers, [1, 3, 5])
    ]
    assert points == by_hand
    assert spec.space.num_points == len(points) == 24
    for point in points:
        assert spec.space.resolve(optuna.trial.FixedTrial(point)) == spec.space.resolve(FixedParams(point))
    assert cost(spec).num_trials == 24
    with pytest.raises(UserError, match=r"space\.yaml:11: space\.optimizer\.lr: a grid needs a step"):
        load(tmp_path, GOOD).space.grid()
    assert load(tmp_path, GOOD).space.num_points is None


def test_corners_hold_every_choice_and_both_ends(tmp_path: Path) -> None:
    space = load(tmp_path, FULL).space
    model = space.corners("model")
    kinds = [(corner["name"], corner.get("width"), corner.get("kernel_size")) for corner in model]
    assert {*kinds} >= {("resnet18", None, None), ("lenet5", 1, None), ("lenet5", 4, None), ("cnn", 32, 1), ("cnn", 32, 7)}
    # (1 resnet18 + 3 widths + 2 kernels) * (relu, prelu, 2 slopes) * 3 inits * 2 dropouts
    assert len(model) == 6 * 4 * 3 * 2
    flip, none = {"HorizontalFlip": {"probability": 0.5}}, {"crop": "none", "mixing": "none"}
    assert space.corners("augmentation") == [
        {"policy": "fixed", "Affine": {"probability": 0.5, "magnitude": m, "final_magnitude": None}, **flip, **none} for m in (0.0, 1.0)
    ] + [{"policy": "none", **none}]
    assert space.corners("schedule")[0]["name"] == "cosine"
    assert load(tmp_path, GOOD).space.corners("regularization") == [fill(SPACE.fields["regularization"].fields, {})]


def test_many_corners_are_thinned_but_each_choice_and_end_stays(tmp_path: Path) -> None:
    inits = "[he_normal, he_uniform, glorot_normal, glorot_uniform, lecun_normal, lecun_uniform]"
    model = (
        "model:\n    name: {choice: {lenet5: {}, cnn: {depth: {int: [1, 8]}, width: {int: [1, 512]}, "
        "kernel_size: {choice: [1, 3, 5, 7]}}}}\n"
        f"    activation: {{choice: [relu, prelu, elu, leaky_relu]}}\n    init: {{choice: {inits}}}\n    dropout: {{float: [0, 0.5]}}"
    )
    space = load(tmp_path, GOOD.replace("model: {name: cnn, depth: {int: [1, 3]}}", model)).space
    corners = space.corners("model")
    assert 20 < len(corners) <= MAX_CORNERS
    for key, values in {"name": 2, "init": 6, "activation": 4, "dropout": 2, "depth": 2, "width": 2, "kernel_size": 4}.items():
        assert len({corner[key] for corner in corners if key in corner}) == values
    assert any((c.get("depth"), c.get("width"), c.get("kernel_size")) == (8, 512, 7) for c in corners)


def test_lines_of_params(tmp_path: Path) -> None:
    space = load(tmp_path, GOOD).space
    assert [
        space.line(key)
        for key in ("model.depth", "optimizer.sgd.momentum", "optimizer.momentum", "optimizer.lr", "model.name.x", "training.batch_size")
    ] == [
        8,
        10,
        10,
        11,
        8,
        0,
    ]


def test_identity_knows_what_may_change_while_a_study_goes_on(tmp_path: Path) -> None:
    was = load(tmp_path, GOOD).identity()
    assert (
        load(
            tmp_path, GOOD, "budget.num_trials=99", "resources.cpus_per_trial=2", "resources.workers_per_trial=4", "confirm.num_seeds=0"
        ).identity()
        == was
    )
    assert load(tmp_path, GOOD.replace("lr: {float: [1e-4, 1.0], log: true}", "lr: {log: True, float: [0.0001, 1]}")).identity() == was
    for change in ("space.optimizer.lr=0.1", "sampler.seed=1", "space.model.depth={int: [1, 4]}", "data.seed=1", "budget.max_epochs=27"):
        assert load(tmp_path, GOOD, change).identity() != was


def test_the_cost_of_a_study(tmp_path: Path) -> None:
    spec = load(tmp_path, GOOD, "budget={num_trials: 27, max_epochs: 27}")
    # Successive halving from 27: 27 train to 1, 9 go on to 3, 3 to 9, 1 to 27 (Jamieson & Talwalkar 2016); promoting at once takes more.
    assert cost(spec).rungs == (1, 3, 9, 27)
    assert 27 * 1 + 9 * 2 + 3 * 6 + 1 * 18 + 26 < cost(spec).expected_epochs < 27 * 9
    assert cost(spec).worst_epochs == 27 * 27
    assert cost(spec).num_params == 4
    plain = cost(load(tmp_path, GOOD, "budget={num_trials: 27, max_epochs: 27}", "trial_scheduler.name=none"))
    assert (plain.rungs, plain.expected_epochs, plain.worst_epochs) == ((27,), 729, 729)


def test_overrides_take_the_place_of_what_the_file_says(tmp_path: Path) -> None:
    spec = load(
        tmp_path,
        GOOD,
        "budget.num_trials=3",
        "space.optimizer.lr=1e-3",
        "space.optimizer.name.choice.sgd.nesterov=true",
        "confirm.num_seeds=1",
        "space.schedule={name: cosine, warmup_epochs: {int: [0, 2]}}",
        "study=other",
    )
    sections = spec.space.resolve(
        FixedParams({"model.depth": 1, "optimizer.name": "sgd", "optimizer.sgd.momentum": 0.9, "schedule.warmup_epochs": 2})
    )
    assert (spec.study, spec.budget.num_trials, spec.confirm["num_seeds"]) == ("other", 3, 1)
    assert sections["optimizer"]["lr"] == 1e-3
    assert sections["optimizer"]["nesterov"] is True
    assert sections["schedule"] == {"name": "cosine", "warmup_epochs": 2, "warmup_share": 0.0, "final_fraction": 0.0}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("pics #2", "pics #2"),
        ("null", "null"),
        ("true", "true"),
        ("7", "7"),
        ("[a]: b", "[a]: b"),
        ("{a}", "{a}"),
        ("&x", "&x"),
        ("'pics #2'", "pics #2"),
        ('"7"', "7"),
        ("", None),
    ],
)
def test_a_text_on_the_command_line_is_that_text(tmp_path: Path, text: str, value: str | None) -> None:
    spec = load(tmp_path, GOOD, "data={source: manifest, path: a.csv}", f"data.images={text}")
    assert spec.data["images"] == value


def test_defaults_of_a_study(tmp_path: Path) -> None:
    spec = load(tmp_path, GOOD)
    assert spec.objective.mode == "max"
    assert load(tmp_path, GOOD, "objective.metric=val_loss").objective.mode == "min"
    assert spec.budget.rungs == (1, 3, 9)
    assert spec.resources.gpus_per_trial == "auto"
    expected = {"source": "digits", "val_fraction": 0.1, "test_fraction": 0.1, "seed": 0, "image_size": None, "max_pictures": None}
    assert spec.data == {
        **expected,
        "allow_bad": 0.01,
        "duplicates": "exact",
        "frame": "crop",
        "depth": "auto",
        "store": "auto",
        "folds": 1,
    }
    assert spec.trial_scheduler == {"name": "asha", "stop": False}


def test_reading_a_file_imports_nothing_heavy(tmp_path: Path) -> None:
    (tmp_path / "space.yaml").write_text(FULL)
    code = (
        "import sys; from pathlib import Path; from visiontune.spec.parse import load_study; import visiontune.spec.schema.json_schema;"
        f"load_study(Path({str(tmp_path / 'space.yaml')!r}));"
        "print([m for m in ('numpy', 'torch', 'ray', 'optuna', 'mlflow', 'albumentations') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONPATH": "platform"})
    assert done.stdout.strip() == "[]"


def test_keys_of_the_section_in_branches_vary_there_and_lie_flat_in_the_recipe(tmp_path: Path) -> None:
    space = load(tmp_path, BRANCHED).space
    names = {name for name, _, _ in space.domains()}
    assert {"optimizer.sgd.lr", "optimizer.adamw.lr", "model.lenet5.leaky_relu.slope", "augmentation.none.augmix.severity"} <= names
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    seen = set()
    for _ in range(60):
        trial = study.ask()
        sections = space.resolve(trial)
        assert space.resolve(FixedParams(trial.params)) == sections
        optimizer, model = sections["optimizer"], sections["model"]
        assert optimizer["lr"] == trial.params[f"optimizer.{optimizer['name']}.lr"]
        assert optimizer["head_lr_factor"] == (10 if optimizer["name"] == "adamw" else 1.0)
        if model["name"] == "lenet5":
            assert model["dropout"] == trial.params["model.lenet5.dropout"]
            assert model["norm"] == ("layer" if model["activation"] == "leaky_relu" else "published")
        else:  # what a branch does not mention has its default
            assert (model["activation"], model["dropout"]) == ("elu" if model["name"] == "cnn" else "published", 0.0)
        assert (sections["augmentation"]["policy"] == "none") is (sections["augmentation"]["mixing"] == "cutmix")
        seen |= {*trial.params}
        study.tell(trial, 0.0)
    assert seen == names


def test_points_and_corners_of_nested_branches_are_counted_as_by_hand(tmp_path: Path) -> None:
    space = load(tmp_path, BRANCHED).space
    model = Space({"model": space.tree["model"]})
    # lenet5: 2 widths * 2 dropouts * (2 slopes + tanh); cnn: 3 alphas; resnet18 alone; times 2 inits
    assert model.num_points == len(list(model.grid())) == (2 * 2 * 3 + 3 + 1) * 2
    assert len({*map(str, map(sorted, (point.items() for point in model.grid())))}) == 32
    resolved = [model.resolve(FixedParams(point))["model"] for point in model.grid()]
    corners = space.corners("model")
    assert len(corners) == (2 * 2 * 3 + 2 + 1) * 2
    assert all(corner in resolved for corner in corners)
    rates = {(corner["name"], corner["lr"]) for corner in space.corners("optimizer")}
    assert rates == {("sgd", 0.01), ("sgd", 1.0), ("adamw", 1e-4), ("adamw", 1e-2)}


def test_a_key_of_the_recipe_is_found_wherever_the_file_has_it(tmp_path: Path) -> None:
    space = load(tmp_path, BRANCHED).space
    assert [(name, given) for name, _, given in space.places("optimizer.lr")] == [
        ("optimizer.sgd.lr", {"optimizer.name": "sgd"}),
        ("optimizer.adamw.lr", {"optimizer.name": "adamw"}),
    ]
    assert space.choosing("model.activation", "tanh") == {"model.name": "lenet5", "model.lenet5.activation": "tanh"}
    assert space.choosing("model.activation", "elu") == {"model.name": "cnn"}
    assert space.choosing("training.batch_size", 64) == {}
    for key, value in {"model.activation": "tanh", "model.norm": "layer", "augmentation.policy": "augmix"}.items():
        section, _, name = key.partition(".")
        held = HeldParams(3, held=space.choosing(key, value))
        assert space.resolve(held)[section][name] == value
    assert space.line("optimizer.adamw.lr") == 20


def test_a_branch_s_key_is_part_of_the_identity(tmp_path: Path) -> None:
    was = load(tmp_path, BRANCHED).identity()
    assert was["space.optimizer.name.choice.sgd.lr.float"] == [0.01, 1.0]
    assert load(tmp_path, BRANCHED, "space.optimizer.name.choice.sgd.lr=0.1").identity() != was
