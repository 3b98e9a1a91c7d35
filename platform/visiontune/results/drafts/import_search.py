"""`visiontune import`: a sweep of W&B, a study of Optuna or the params of a Ray Tune trial as a search-space file or a recipe of ours."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from visiontune.errors import Problem, UserError
from visiontune.filesystem.atomic_write import write_whole
from visiontune.filesystem.path_kind import kind_of
from visiontune.spec.foreign_params import keys_of, space_of
from visiontune.spec.parse import load_recipe, load_study
from visiontune.spec.reading.overrides import override
from visiontune.spec.space.sections import RECIPE, STUDY
from visiontune.spec.wandb_sweep import UNUSED, is_sweep, read_sweep
from visiontune.spec.yaml.yaml_node import node_of
from visiontune.spec.yaml.yaml_reader import read_yaml
from visiontune.spec.yaml.yaml_writer import to_yaml

_TEXT = (".yaml", ".yml", ".json")
_EXAMPLES = {
    "data": "data.source=folder data.path=pictures",
    "budget": "budget.num_trials=40",
    "budget.max_epochs": "budget.max_epochs=27",
    **{
        prefix + key: " ".join(prefix + word for word in words)
        for prefix in ("space.", "")
        for key, words in {
            "model": ["model.name=resnet18"],
            "optimizer": ["optimizer.name=adamw", "optimizer.lr=0.001"],
            "optimizer.name": ["optimizer.name=adamw"],
            "optimizer.lr": ["optimizer.lr=0.001"],
        }.items()
    },
    **dict.fromkeys(("training", "training.num_epochs"), "training.num_epochs=27"),
}
"""What to type for a section or a key that is missing."""


@dataclass(frozen=True)
class Imported:
    """The file that was written, a search space or a recipe. `keys`: what each of the other program's params is called here; `said`: what
    was taken for granted.
    """

    path: Path
    kind: str
    keys: Mapping[str, str]
    said: tuple[str, ...]

    def __str__(self) -> str:
        renamed = [f"{name} is {key}" for name, key in self.keys.items() if name != key]
        return "\n".join([*renamed, *self.said, f"wrote {self.path}, a {self.kind}"])


def import_search(file: Path, words: Sequence[str], *, out: Path | None, study: str | None = None, force: bool = False) -> Imported:
    """Write `out`, else STUDY.yaml here; what the file can't say (data, networks, budget) is in `words`, key=value.

    Raises UserError with everything in the file that has no counterpart, and with what is missing.
    """
    _refuse_kind(file)
    if file.suffix in _TEXT:
        content = read_yaml(file).plain()
        if is_sweep(content):
            if study is not None:
                raise UserError(f"`study=NAME` names one of a storage's studies, but {file} is a sweep")
            return _space(file, *_of_sweep(content, str(file)), words=words, out=out, force=force)
        if isinstance(content, Mapping) and {"study", "space"} <= {*content}:
            raise UserError(f"{file} is a search space already: `visiontune search {shlex.quote(str(file))}` searches it")
        return _recipe(file, content, words, out, force=force)
    return _space(file, *_of_optuna(file, study), words=words, out=out, force=force)


def _refuse_kind(file: Path) -> None:
    if file.suffix == ".py":
        raise UserError(f"{file} is code, which is not run: import a trial's params.json, or write its space as YAML")
    if kind_of(file) != "file":
        raise UserError(f"a search to import is a file, but there is no file {file}")


Parts = tuple[dict[str, Any], dict[str, Any], list[Problem], tuple[str, ...]]
"""Domains by name, sections of the study, what can't be said, what was taken for granted."""


def _of_sweep(content: Mapping[str, Any], file: str) -> Parts:
    unused = [key for key in content if key in UNUSED]
    said = (f"left out, as they say nothing of the search: {', '.join(unused)}",) if unused else ()
    return *read_sweep(content, file), said


def _of_optuna(file: Path, study: str | None) -> Parts:
    from visiontune.tuning.proposals.foreign_study import read_foreign_study

    found = read_foreign_study(file, study)
    metric = "val_top1" if found.is_maximized else "val_loss"
    said = [f"objective.metric={metric} is taken for granted, as study {found.name} was {'max' if found.is_maximized else 'min'}imized"]
    known = [{keys_of(name): value for name, value in best.items()} for best in found.best]
    recipes = [{key: value for key, value in one.items() if key and not key.startswith("budget.")} for one in known]
    if recipes:
        said.append(f"begins with its best {len(recipes)}" if len(recipes) > 1 else "begins with its best")
    sections: dict[str, Any] = {"objective": {"metric": metric}, "start": {"recipes": recipes}}
    return found.domains, {"study": found.name, **sections}, list(found.problems), tuple(said)


def _space(
    file: Path,
    params: dict[str, Any],
    sections: dict[str, Any],
    problems: list[Problem],
    said: tuple[str, ...],
    *,
    words: Sequence[str],
    out: Path | None,
    force: bool,
) -> Imported:
    tree, constants, keys, unknown = space_of(params, str(file))
    if problems or unknown:
        raise UserError(*problems, *unknown)
    budget = {**sections.pop("budget", {}), **{key.partition(".")[2]: value for key, value in constants.items()}}
    name = "".join(one if one.isalnum() else "_" for one in sections.pop("study", file.stem)).strip("_") or "imported"
    content = _with_words({"study": name, **sections, "budget": budget, "space": tree}, words, file)
    try:
        spec = load_study(content)
    except UserError as error:
        raise UserError(*_with_hint(error.problems, f"{file} as a space")) from None
    path = out or Path(f"{spec.study}.yaml")
    _write(path, f"# Imported from {file.name}\n{to_yaml(content)}", force=force)
    return Imported(path, "search space", keys, said)


def _recipe(file: Path, content: Any, words: Sequence[str], out: Path | None, *, force: bool) -> Imported:
    if not isinstance(content, Mapping) or not content:
        raise UserError(f"{file} holds neither a sweep of W&B (parameters: ...) nor the params of a trial of Ray Tune")
    constants = {key: value for key, value in _flat(content).items() if not isinstance(value, Mapping)}
    tree, budget, keys, problems = space_of(constants, str(file))
    if problems:
        raise UserError(*problems)
    if "budget.max_epochs" in budget:
        tree.setdefault("training", {})["num_epochs"] = budget["budget.max_epochs"]
    whole = _with_words(tree, words, file)
    try:
        recipe = load_recipe(whole)
    except UserError as error:
        raise UserError(*_with_hint(error.problems, f"{file} as a recipe")) from None
    path = out or Path(f"{file.stem}_recipe.yaml")
    _write(path, f"# Imported from {file.name}\n{to_yaml(recipe.to_dict())}", force=force)
    return Imported(path, "recipe", keys, ())


def _with_hint(problems: Sequence[Problem], whose: str) -> Iterator[Problem | str]:
    """The problems, and what to type for those of keys that are not there."""
    yield from (replace(one, file=whose, line=0) for one in problems)
    if words := [_EXAMPLES[one.where] for one in problems if one.where in _EXAMPLES]:
        yield f"what the file does not say is given beside it, such as {' '.join(words)}"


def _flat(content: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in content.items():
        found |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return found


def _with_words(content: Mapping[str, Any], words: Sequence[str], file: Path) -> dict[str, Any]:
    problems: list[Problem] = []
    root = override(node_of(content, str(file)), words, problems, {**RECIPE.fields, **STUDY.fields})
    if problems:
        raise UserError(*problems)
    plain: dict[str, Any] = root.plain()
    return plain


def _write(path: Path, text: str, *, force: bool) -> None:
    if kind_of(path) is not None and not force:
        raise UserError(f"{path} is there already: give another file with `out=FILE`, or `force=True` to write over it")
    try:
        write_whole(path, text)
    except OSError as error:
        raise UserError(f"the file {path} can't be written: {error.strerror or error}") from None
