"""YAML files to the frozen records: `load_study` gives a StudySpec, `load_recipe` a TrialRecipe. All problems at once."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from visiontune.errors import Problem, UserError
from visiontune.spec.declare import REQUIRED, Section
from visiontune.spec.fingerprint import keyed_seed
from visiontune.spec.section_reader import Reader
from visiontune.spec.sections import RECIPE, STUDY
from visiontune.spec.space import Space, fill
from visiontune.spec.study_rules import check_study
from visiontune.spec.study_spec import Budget, Objective, Resources, StudySpec
from visiontune.spec.tables.metrics import FULL_METRICS, METRICS
from visiontune.spec.trial_recipe import TrialRecipe
from visiontune.spec.yaml_node import Node, node_of
from visiontune.spec.yaml_reader import compose, read_yaml

COMMAND_LINE = "command line"
Source = Path | str | Mapping[str, Any]


def load_study(source: Source, overrides: Sequence[str] = ()) -> StudySpec:
    """A search-space file, or its content, with `key=value` overrides on top. Raises UserError with every problem."""
    reader = Reader(with_domains=True)
    root = override(_root(source, reader, STUDY), overrides, reader.problems.found)
    tree = reader.file(root, STUDY.fields)
    settings = fill({key: declared for key, declared in STUDY.fields.items() if key != "space"}, tree)
    filled = {**settings, "space": tree.get("space", {})}
    check_study(reader, filled, root)
    if reader.problems.found:
        raise UserError(*reader.problems.sorted())
    lines = {key.removeprefix("space."): node.line for key, node in reader.nodes.items()}
    return _study(filled, Space(filled["space"], lines, name_of(source)))


def load_recipe(source: Source, overrides: Sequence[str] = ()) -> TrialRecipe:
    """One trial's file, or its content, constants only, with `key=value` overrides on top. Raises UserError with every problem."""
    reader = Reader(with_domains=False)
    root = override(_root(source, reader, RECIPE), overrides, reader.problems.found)
    tree = reader.file(root, RECIPE.fields)
    if reader.problems.found:
        raise UserError(*reader.problems.sorted())
    return TrialRecipe(**fill(RECIPE.fields, tree))


def load_model(name: str, overrides: Sequence[str]) -> dict[str, Any]:
    """A resolved model section out of a name and `key=value` items, such as width=2 or model.width=2. Raises UserError."""
    reader = Reader(with_domains=False)
    items = [f"model.name={name}", *(item if item.startswith("model.") else f"model.{item}" for item in overrides)]
    root = override(Node("mapping", (), COMMAND_LINE, 0), items, reader.problems.found)
    tree = reader.file(root, {"model": RECIPE.fields["model"]})
    if reader.problems.found:
        raise UserError(*reader.problems.found)
    return fill({"model": RECIPE.fields["model"]}, tree)["model"]  # type: ignore[no-any-return]


def is_space(source: Source) -> bool:
    """Whether it is a search space and no recipe, by keys that only a search space has. Raises UserError for a file that can't be read."""
    root = node_of(source, name_of(source)) if isinstance(source, Mapping) else read_yaml(Path(source))
    return root.kind == "mapping" and bool({"study", "space", "budget"} & set(root.items))


def make_recipe(spec: StudySpec, sections: Mapping[str, Any], number: int) -> TrialRecipe:
    """The recipe of trial `number`: resolved sections (`Space.resolve`), the study's data and full budget, and a seed of its own."""
    seed = keyed_seed(spec.sampler["seed"], "trial", number)
    training = {**sections["training"], "num_epochs": spec.budget.max_epochs, "seed": seed}
    if spec.objective.metric in FULL_METRICS:
        training["use_full_metrics"] = True
    return TrialRecipe(**fill(RECIPE.fields, {**sections, "data": spec.data, "training": training}))


def _study(tree: Mapping[str, Any], space: Space) -> StudySpec:
    objective = tree["objective"]
    return StudySpec(
        study=tree["study"],
        data=tree["data"],
        objective=Objective(objective["metric"], objective["mode"] or METRICS[objective["metric"]]),
        budget=Budget(**tree["budget"]),
        sampler=tree["sampler"],
        trial_scheduler=tree["trial_scheduler"],
        resources=Resources(**tree["resources"]),
        storage=tree["storage"],
        confirm=tree["confirm"],
        space=space,
    )


def _root(source: Source, reader: Reader, declared: Section) -> Node:
    name = name_of(source)
    root = node_of(source, name) if isinstance(source, Mapping) else read_yaml(Path(source), reader.problems.found)
    if root.value is None or root.value == ():
        raise UserError(Problem(name, root.line, "", f"the file is empty; it should be {declared.doc} with {_listed(declared)}"))
    if root.kind != "mapping":
        rule = f"must be a mapping with {_listed(declared)}, but is a {root.kind}: {root.shown()}"
        raise UserError(Problem(name, root.line, "", rule))
    return root


def name_of(source: Source) -> str:
    """What messages call a source: its path, or "mapping"."""
    return "mapping" if isinstance(source, Mapping) else str(source)


def override_texts(overrides: Mapping[str, Any]) -> list[str]:
    """Python's keyword arguments as `key=value`: two underscores stand for a dot, as in scikit-learn's set_params.

    >>> override_texts({"budget__num_trials": 8, "space.optimizer.lr": 0.1})
    ['budget.num_trials=8', 'space.optimizer.lr=0.1']
    """
    plain = {key.replace("__", "."): node_of(value, COMMAND_LINE).plain() for key, value in overrides.items()}
    # JSON is YAML, so that a string may hold whatever YAML would read as something else.
    return [f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in plain.items()]


def override(root: Node, overrides: Sequence[str], found: list[Problem]) -> Node:
    """The tree with every `key=value` put under its dotted key; the value is YAML. Problems are added to `found`."""
    seen: set[str] = set()
    for text in overrides:
        key, equals, value = text.partition("=")
        key = key.strip()
        if not equals or not all(key.split(".")):
            found.append(Problem(COMMAND_LINE, 0, text, "an override is written key=value, like budget.num_trials=8"))
        elif key in seen:
            found.append(Problem(COMMAND_LINE, 0, key, "a key may be given once, but it is given again"))
        else:
            seen.add(key)
            try:
                root = _put(root, key.split("."), compose(value, COMMAND_LINE, found, line=0), key)
            except UserError as error:
                found.extend(replace(problem, where=key) for problem in error.problems)
    return root


def _put(node: Node, path: Sequence[str], value: Node, whole: str) -> Node:
    if not path:
        return value
    if node.kind != "mapping" and node.value is not None:
        above = whole.removesuffix(".".join(path)).rstrip(".")
        raise UserError(Problem(COMMAND_LINE, 0, whole, f"{above} holds no keys, but is {node.shown()}"))
    key, *deeper = path
    pairs = list(node.value or ())
    at = next((number for number, (one, _) in enumerate(pairs) if one.value == key), len(pairs))
    if at == len(pairs):
        pairs.append((Node("scalar", key, COMMAND_LINE, 0), Node("scalar", None, COMMAND_LINE, 0)))
    pairs[at] = (pairs[at][0], _put(pairs[at][1], deeper, value, whole))
    return Node("mapping", tuple(pairs), node.file, node.line)


def _listed(declared: Section) -> str:
    needed = [key for key, one in declared.fields.items() if isinstance(one, Section) or one.default is REQUIRED]
    return "the keys " + ", ".join(needed)
