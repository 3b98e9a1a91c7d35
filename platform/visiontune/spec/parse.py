"""YAML files to the frozen records: `load_study` gives a StudySpec, `load_recipe` a TrialRecipe. All problems at once."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from visiontune.errors import Problem, UserError
from visiontune.filesystem.path_kind import kind_of
from visiontune.spec.declarations.bounds import bound_of
from visiontune.spec.declarations.declare import Items, Section
from visiontune.spec.declarations.fingerprint import keyed_seed
from visiontune.spec.declarations.former_policies import as_meant, is_older
from visiontune.spec.declarations.start import Start, StartRecipe
from visiontune.spec.declarations.trial_recipe import TrialRecipe
from visiontune.spec.plugins import in_use, load_named, uses_plugins
from visiontune.spec.reading.items_reader import read_items
from visiontune.spec.reading.overrides import COMMAND_LINE, misspelt, override
from visiontune.spec.reading.phases_reader import read_phases, split_phases
from visiontune.spec.reading.section_reader import Reader, required
from visiontune.spec.reading.study_rules import check_study
from visiontune.spec.reading.value_reader import Problems
from visiontune.spec.space.defaults import with_pictures_of_weights
from visiontune.spec.space.fit_recipe import fit_to_space
from visiontune.spec.space.older_data import as_recipe, without_added
from visiontune.spec.space.sections import PLUGINS, RECIPE, STUDY
from visiontune.spec.space.space import Space, fill
from visiontune.spec.space.study_spec import Budget, Objective, Resources, StudySpec
from visiontune.spec.tables.metrics import FULL_METRICS, METRICS
from visiontune.spec.tables.several_labels import ONE, with_many_of, with_metric, with_usable_metrics
from visiontune.spec.wandb_sweep import is_sweep
from visiontune.spec.yaml.yaml_node import Node, node_of
from visiontune.spec.yaml.yaml_reader import read_yaml

Source = Path | str | Mapping[str, Any]
_OF_SPACES, _OF_RECIPES = {"study", "space", "budget"}, {"model", "optimizer"}


def load_study(source: Source, overrides: Sequence[str] = ()) -> StudySpec:
    """A search-space file, or its content, with `key=value` overrides on top. Raises UserError with every problem."""
    reader = Reader(with_domains=True)
    root = _root(source, reader, STUDY, overrides)
    plugins = load_named(root)
    with in_use(plugins):
        return _read_study(reader, root, source, plugins)


def _read_study(reader: Reader, root: Node, source: Source, plugins: tuple[str, ...]) -> StudySpec:
    tree = reader.file(root, with_usable_metrics(_labels_of(root), STUDY.fields))
    tree["space"] = with_many_of(tree.get("data", {}), with_pictures_of_weights(tree.get("space", {})))
    tree["objective"] = with_metric(tree.get("data", {}), tree.get("objective", {}))
    settings = fill({key: declared for key, declared in STUDY.fields.items() if key != "space"}, tree)
    filled = {**settings, "space": tree.get("space", {})}
    check_study(reader, filled, root)
    lines = {key.removeprefix("space."): node.line for key, node in reader.nodes.items() if key.startswith("space.")}
    space = Space(filled["space"], lines, name_of(source))
    start = read_start(filled["start"], space, reader.problems)
    if reader.problems.found:
        raise UserError(*reader.problems.sorted())
    return _study({**filled, "plugins": plugins}, space, start, {key: (node.file, node.line) for key, node in reader.nodes.items()})


def _labels_of(root: Node) -> Any:
    """What the section `data` says of them, before it is read."""
    data = root.items.get("data")
    labels = data[1].items.get("labels") if data is not None else None
    return ONE if labels is None else labels[1].plain()


def read_start(given: Mapping[str, Any], space: Space, problems: Problems) -> Start:
    """What a search begins with, recipe files read. Problems are added, of recipes too of which the space has nothing."""
    recipes = [_start_recipe(one, problems) for one in given["recipes"]]
    if not problems.found:
        for one in recipes:
            if (fitted := fit_to_space(space, one.values)).is_outside:
                what = ", ".join(fitted.said[:3]) or "it says nothing of what varies"
                problems.found.append(Problem(one.file, one.line, "start", f"{one.name} lies wholly outside the space: {what}"))
    return Start(tuple(recipes), given["portfolio"], given["studies"])


def _start_recipe(given: StartRecipe, problems: Problems) -> StartRecipe:
    """With the values of its file, if it is one."""
    if given.values:
        return given
    try:
        if kind_of(given.name) == "file" and is_space(given.name):
            raise UserError(Problem("", 0, "", f"{given.name} is a search space, no recipe: name one such as studies/NAME/winner.yaml"))
        recipe = load_recipe(given.name)
    except UserError as error:
        there = [one for one in error.problems if one.line]  # what is wrong inside of the file has a place of its own
        here = [Problem(given.file, given.line, "start.recipes", f"the recipe {one}") for one in error.problems if not one.line]
        problems.found += [*here, *(replace(one, rule=f"as a start recipe: {one.rule}") for one in there)]
        return given
    return replace(given, values=recipe.flat())


def load_recipe(source: Source, overrides: Sequence[str] = ()) -> TrialRecipe:
    """One trial's file, or its content, constants only, with `key=value` overrides on top. Raises UserError with every problem."""
    reader = Reader(with_domains=False)
    root = _root(source, reader, RECIPE, overrides)
    root, phases = split_phases(root)
    plugins = load_named(root)
    with in_use(plugins):
        tree = with_pictures_of_weights(reader.file(root, {"plugins": PLUGINS, **RECIPE.fields}))
        tree = with_many_of(tree.get("data", {}), tree)
        if reader.problems.found:
            raise UserError(*reader.problems.sorted())
        if is_older(tree, {*RECIPE.fields}):
            tree = {**tree, "augmentation": as_meant(tree["augmentation"])}
        filled = fill(RECIPE.fields, tree)
        filled["data"] = as_recipe(tree["data"], filled["data"])
        recipe = TrialRecipe(**filled, plugins=plugins)
        found = read_phases(phases, recipe.flat(), reader.problems)
        if reader.problems.found:
            raise UserError(*reader.problems.sorted())
        return replace(recipe, phases=found)


def study_name(source: Source, overrides: Sequence[str] = ()) -> str:
    """What a search space calls its study, "" where it does not say; nothing else of it is read. Raises UserError for what is none."""
    found = _root(source, Reader(with_domains=True), STUDY, overrides).items.get("study")
    return "" if found is None else str(found[1].value)


def load_start_recipe(source: Source | None, overrides: Sequence[str] = ()) -> StartRecipe:
    """A recipe to begin with: a file, or its content, with overrides on top; without one, what the overrides say. Raises UserError."""
    if source is not None:
        return StartRecipe(load_recipe(source, overrides).flat(), name_of(source))
    problems = Problems()
    root = override(Node("mapping", (), COMMAND_LINE, 0), overrides, problems.found, RECIPE.fields)
    is_all_told = bool(problems.found) and not root.value
    found = [] if is_all_told else read_items(Node("list", (root,), COMMAND_LINE, 0), Items("", takes_recipes=True), "", problems)
    if problems.found:
        raise UserError(*(replace(one, where=one.where.removeprefix("[0]").removeprefix(".")) for one in problems.found))
    return found[0]  # type: ignore[no-any-return]


def load_model(name: str, overrides: Sequence[str]) -> dict[str, Any]:
    """A resolved model section out of a name and `key=value` items, such as width=2 or model.width=2. Raises UserError."""
    reader = Reader(with_domains=False)
    items = [f"model.name={name}", *(item if item.startswith("model.") else f"model.{item}" for item in overrides)]
    root = override(Node("mapping", (), COMMAND_LINE, 0), items, reader.problems.found, RECIPE.fields)
    tree = reader.file(root, {"model": RECIPE.fields["model"]})
    if reader.problems.found:
        raise UserError(*reader.problems.found)
    return fill({"model": RECIPE.fields["model"]}, tree)["model"]  # type: ignore[no-any-return]


def is_space(source: Source) -> bool:
    """Whether it is a search space and no recipe, by keys that only a search space has. Raises UserError for a file that can't be read."""
    return kind_of_file(source) == "search space"


def kind_of_file(source: Source) -> str | None:
    """ "search space" or "recipe", by keys that only such a file has; None for any other. Raises UserError for what can't be read."""
    root = node_of(source, name_of(source)) if isinstance(source, Mapping) else read_yaml(Path(source))
    keys = {*root.items} if root.kind == "mapping" else set[str]()
    return "search space" if _OF_SPACES & keys else "recipe" if len(_OF_RECIPES & keys) > 1 else None


@uses_plugins
def make_recipe(spec: StudySpec, sections: Mapping[str, Any], number: int) -> TrialRecipe:
    """The recipe of trial `number`: resolved sections (`Space.resolve`), the study's data and full budget, and a seed of its own.

    Where a trial has several networks all trials share the seed, so that they are paired.
    """
    seed = keyed_seed(spec.sampler["seed"], "trial", number if spec.num_repeats == 1 else 0)
    training = {**sections["training"], "num_epochs": spec.budget.max_epochs, "seed": seed}
    if spec.objective.metric in FULL_METRICS:
        training["use_full_metrics"] = True
    filled = fill(RECIPE.fields, {**sections, "data": spec.data, "training": training})
    filled["data"] = without_added(filled["data"], spec.data)
    return TrialRecipe(**filled, plugins=spec.plugins)


def _study(tree: Mapping[str, Any], space: Space, start: Start, places: Mapping[str, tuple[str, int]]) -> StudySpec:
    objective = tree["objective"]
    return StudySpec(
        study=tree["study"],
        data=tree["data"],
        objective=Objective(objective["metric"], objective["mode"] or METRICS[objective["metric"]], tuple(objective["costs"])),
        budget=Budget(**tree["budget"]),
        sampler=tree["sampler"],
        trial_scheduler=tree["trial_scheduler"],
        resources=Resources(**tree["resources"]),
        storage=tree["storage"],
        confirm=tree["confirm"],
        space=space,
        start=start,
        places=places,
        plugins=tree["plugins"],
        constraints={name: bound_of(bound) for name, bound in tree["constraints"].items() if bound is not None},
        register=tree["register"],
    )


def _root(source: Source, reader: Reader, declared: Section, overrides: Sequence[str]) -> Node:
    """The tree with overrides on top."""
    try:
        root = _tree(source, reader, declared)
    except UserError as error:
        raise UserError(*error.problems, *misspelt(overrides)) from None
    return override(root, overrides, reader.problems.found, declared.fields)


def _tree(source: Source, reader: Reader, declared: Section) -> Node:
    name = name_of(source)
    found, is_recipe = reader.problems.found, declared is RECIPE
    root = node_of(source, name) if isinstance(source, Mapping) else read_yaml(Path(source), found, is_recipe=is_recipe)
    if root.value is None or root.value == ():
        raise UserError(Problem(name, root.line, "", f"the file is empty; it should be {declared.doc} with {_listed(declared)}"))
    if root.kind != "mapping":
        rule = f"must be a mapping with {_listed(declared)}, but is a {root.kind}: {root.shown()}"
        raise UserError(Problem(name, root.line, "", rule))
    _refuse_other(root, name, declared)
    return root


def _refuse_other(root: Node, name: str, declared: Section) -> None:
    """Raise UserError for a search space where a recipe is due, and the other way round: every key of it would be wrong."""
    file = shlex.quote(name) if root.line else "FILE"  # content of a mapping is in no file
    own = {*root.items} & {*RECIPE.fields, "plugins", "phases"}
    is_like_space, is_like_recipe = bool(_OF_SPACES & {*root.items}), bool(_OF_RECIPES & own) and 2 * len(own) > len(root.items)
    if not is_like_space and is_sweep({key: value.plain() for key, (_, value) in root.items.items()}):
        how = f"`visiontune import {file}` makes a search space of it"
        raise UserError(Problem(name, root.line, "", f"is a sweep of W&B: {how}"))
    if declared is RECIPE and is_like_space and not is_like_recipe:
        how = f"`visiontune search {file}` searches it, `visiontune sample {file}` prints recipes out of it"
        raise UserError(Problem(name, root.line, "", f"a recipe was expected, but this is a search space: {how}"))
    if declared is STUDY and is_like_recipe and not is_like_space:
        how = f"`visiontune train {file}` trains it"
        raise UserError(Problem(name, root.line, "", f"a search space was expected, but this is a recipe: {how}"))


def name_of(source: Source) -> str:
    """What messages call a source: its path, or "mapping"."""
    return "mapping" if isinstance(source, Mapping) else str(source)


def _listed(declared: Section) -> str:
    return "the keys " + ", ".join(dict.fromkeys(key.partition(".")[0] for key in required(declared.fields)))
