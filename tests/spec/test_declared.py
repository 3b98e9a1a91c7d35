"""Rules over every declaration, so that an entry added later can't break the flat form of a recipe."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from visiontune.errors import Problem, closest, nearest, shortened
from visiontune.spec.declarations.declare import REQUIRED, Arg, Field, Section, Table
from visiontune.spec.reading import called_elsewhere
from visiontune.spec.reading.called_elsewhere import PARAMS
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


def keys(where: str) -> list[str]:
    """Of a section of a search space, arguments of its tables among them, or names of a table's entries."""
    if where in TABLES:
        return [*TABLES[where].entries]
    fields = dict(STUDY.fields)
    for name in filter(None, where.split(".")):
        fields = dict(fields[name].fields)  # type: ignore[union-attr]
    args = [arg for one in fields.values() if isinstance(one, Table) for entry in one.entries.values() for arg in entry.args]
    return [*dict.fromkeys([*fields, *args])]


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("", "bugdet:budget buget:budget budgget:budget budgets:budget Budget:budget objectiv:objective trial-scheduler:trial_scheduler"),
        ("budget", "max_epoch:max_epochs maxepochs:max_epochs nun_trails:num_trials trials:num_trials n_trials:num_trials hour:hours"),
        ("budget", "reduction:reduction_factor gpu-hours:gpu_hours patiance:patience num_samples:num_trials"),
        ("resources", "gpus:gpus_per_trial gpu:gpus_per_trial workers:workers_per_trial price:price_per_hour"),
        ("space.optimizer", "nesterow:nesterov momentun:momentum weightdecay:weight_decay beta_1:beta1 lr_scale:lr_scaling"),
        ("optimizers", "Adam:adam adamm:adam torch.optim.AdamW:adamw rms_prop:rmsprop shedule_free_sgd:schedule_free_sgd"),
        ("lr_schedules", "cosin:cosine CosineAnnealingLR:cosine StepLR:step ReduceLROnPlateau:plateau expontential:exponential"),
        ("models", "resnet81:resnet18 lenet:lenet5 ResNet18:resnet18 wide_resnet:wideresnet convnext-tiny:convnext_tiny"),
        ("budget", "colour:- momentum:- seed:- eta:- grace_period:- timeout:- metric:- direction:- pruner:- image:-"),
        ("", "accelerator:- version:- method:- program:- parameters:- hyperparameters:- direction:- wandb:- seed:-"),
        ("space.optimizer", "policy:- dropout:- kernel:- batch_size:- window:- clip_grad:-"),
        ("optimizers", "bayes:- resnet18:- relu:- newton:- cosine:- lbfgs:-"),
        ("policies", "mixup:- cutout:- flip:- imagenet:-"),
    ],
)
def test_a_misspelt_word_has_its_nearest_and_another_word_has_none(where: str, words: str) -> None:
    """What people type, after a table of thousands of made ones that is told in `closest`."""
    pairs = [pair.split(":") for pair in words.split()]
    assert {word: (closest(word, keys(where)) or ["-"])[0] for word, _ in pairs} == dict(pairs)


def test_a_suffix_makes_files_no_more_alike() -> None:
    assert closest("bog.safetensors", ["alone.safetensors", "big.safetensors"], num=3) == ["big.safetensors"]


def test_what_other_programs_call_a_key_is_a_key_of_a_file() -> None:
    args = {f"{name}.{key}" for name, fields in sections(dict(STUDY.fields), "") for key in [*fields, *keys(name.removeprefix("."))]}
    told = {*PARAMS.values(), *called_elsewhere._OF_A_FILE.values()}
    assert [one for one in told if not {f".{one}", f".space.{one}"} & args] == []


@pytest.mark.parametrize(
    ("text", "longest", "expected"),
    [
        ("It died. It was out of memory.", 30, "It died. It was out of memory."),
        ("It died. It was out of memory.", 29, "It died."),
        ("It died of something.", 12, "It died of …"),
        ("Failed: /a/long/path.txt", 20, "Failed: /a/long/pat…"),
        ("a" * 400, 300, "a" * 299 + "…"),
    ],
)
def test_a_long_text_keeps_whole_sentences_or_how_it_begins(text: str, longest: int, expected: str) -> None:
    assert shortened(text, longest) == expected and len(expected) <= longest
