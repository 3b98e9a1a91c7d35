"""`visiontune preview`: the sheet of a policy, what it may do to labels, and the policy as files of other programs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from visiontune.augmentation.op_ranges import ops_of, policies_of
from visiontune.errors import UserError, nearest
from visiontune.spec.domains import Choice, RandomParams
from visiontune.spec.parse import load_recipe, load_study, make_recipe
from visiontune.spec.recipe import StudySpec, TrialRecipe, keyed_seed
from visiontune.spec.yaml_reader import read_yaml

if TYPE_CHECKING:
    from visiontune.augmentation.preview_sheet import Draw

PICTURE = "augmentation.png"


@dataclass(frozen=True)
class Subject:
    """What is looked at. `section` is a recipe's or the space's; `folder` is where its study would be, `out` where its sheet goes."""

    title: str
    data: Mapping[str, Any]
    section: Mapping[str, Any]
    draws: Mapping[str, Sequence[Draw]]
    mixings: Sequence[Mapping[str, Any]]
    folder: Path
    out: Path


def preview(path: Path, overrides: Sequence[str], *, studies_dir: Path, num: int, out: Path | None, study: str | None) -> Iterator[str]:
    """Lines to print; the sheet is written before the last one. Raises UserError."""
    from visiontune.augmentation.preview_sheet import make_sheet, pick, save_sheet, suspicions
    from visiontune.data.prepare import prepare
    from visiontune.data.store.store import Store
    from visiontune.results.label_warnings import measured_lines, notes_of, suspected_lines
    from visiontune.results.trained_network import ask
    from visiontune.training.class_confusions import effects

    if out is not None and out.suffix != ".png":
        raise UserError(f"--out names a picture, such as sheet.png, but got {str(out)!r}")
    subject = _subject(path, overrides, studies_dir)
    if not subject.draws and not subject.mixings:
        raise UserError(f"{path}: the policy is none and nothing is mixed, so there is nothing to show")
    folder = subject.folder if study is None else _study_folder(study, studies_dir)
    cache = studies_dir / ".data"
    store = Store.open(prepare(subject.data, cache))
    sample = pick(store, num)
    ops = ops_of(subject.section, store.info.channels)
    asked = ask(folder, cache, store.info)
    if isinstance(asked, str):
        if study is not None:
            raise UserError(asked)
        notes: Mapping[str, str] = suspicions(ops)
        yield from suspected_lines(ops, asked)
    else:
        found = list(effects(*asked, {name: reach.high for name, reach in ops.items()}))
        notes = notes_of(found)
        yield from measured_lines(found, f"{asked[0].name} of {folder}")
    sheet = make_sheet(subject.title, sample, subject.section, subject.draws, subject.mixings, notes)
    save_sheet(sheet, out or subject.out)
    yield f"sheet: {out or subject.out}"


def export(path: Path, overrides: Sequence[str], to: Path) -> str:
    """Write a recipe's policy where other programs read it; the line to print. Raises UserError."""
    from visiontune.augmentation.export.policy_files import FORMS, export_policy

    if to.suffix not in FORMS:
        raise UserError(f"--export writes {', '.join(FORMS)}, but got {str(to)!r}; {nearest(to.suffix, FORMS)}")
    if _is_study(path):
        raise UserError(f"{path} is a search space, of many policies; --export takes one recipe, such as studies/NAME/winner.yaml")
    from visiontune.data.prepare import describe

    recipe = load_recipe(path, overrides)
    info = describe(recipe.data)
    text = export_policy(
        recipe.augmentation,
        image_size=info.image_size,
        channels=info.channels,
        num_epochs=recipe.training["num_epochs"],
        suffix=to.suffix,
        title=f"Augmentation policy {recipe.augmentation['policy']} of {path.name}, recipe {recipe.fingerprint}.",
    )
    _write(to, text)
    return f"policy: {to}"


def _subject(path: Path, overrides: Sequence[str], studies_dir: Path) -> Subject:
    if not _is_study(path):
        return _of_recipe(load_recipe(path, overrides), path)
    return _of_study(load_study(path, overrides), studies_dir)


def _is_study(path: Path) -> bool:
    """By the keys that only one of the two kinds of file has."""
    root = read_yaml(path)
    return root.kind == "mapping" and bool({"study", "space", "budget"} & set(root.items))


def _of_recipe(recipe: TrialRecipe, path: Path) -> Subject:
    from visiontune.augmentation.preview_sheet import draws_of

    section, num_epochs = recipe.augmentation, recipe.training["num_epochs"]
    draws = {section["policy"]: draws_of(section, num_epochs)} if section["policy"] != "none" else {}
    mixings = [section] if section["mixing"] != "none" else []
    out = path.parent / f"{path.stem}_{PICTURE}"
    return Subject(f"{path.name}: {_words(section)}", recipe.data, section, draws, mixings, path.parent, out)


def _of_study(spec: StudySpec, studies_dir: Path) -> Subject:
    section = spec.space.tree.get("augmentation", {})
    policies = [name for name, _ in policies_of(section)]
    mixing = section.get("mixing", "none")
    mixings = [name for name in (mixing.choices if isinstance(mixing, Choice) else (mixing,)) if name != "none"]
    folder = studies_dir / spec.study
    return Subject(
        f"study {spec.study}: policies {', '.join(policies) or 'none'}",
        spec.data,
        section,
        {name: [_drawn(spec, "policy", name, number) for number in range(1, 9)] for name in policies},
        [_drawn(spec, "mixing", name, 1).section for name in mixings],
        folder,
        folder / PICTURE,
    )


def _drawn(spec: StudySpec, key: str, name: str, number: int) -> Draw:
    """A recipe of the space with that policy or mixing, chosen at random otherwise, in an epoch of its own."""
    from visiontune.augmentation.preview_sheet import Draw

    sections = spec.space.resolve(_Named(keyed_seed(spec.sampler["seed"], "preview", name, number), f"augmentation.{key}", name))
    epoch = 1 + (number - 1) * (spec.budget.max_epochs - 1) // 7
    return Draw(f"recipe {number}, epoch {epoch}", make_recipe(spec, sections, number).augmentation, epoch, spec.budget.max_epochs)


@dataclass(frozen=True)
class _Named(RandomParams):
    """Random but for one choice."""

    key: str
    choice: str

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        return self.choice if name == self.key else super().suggest_categorical(name, choices)


def _words(section: Mapping[str, Any]) -> str:
    mixing = "" if section["mixing"] == "none" else f", mixing {section['mixing']}"
    return f"policy {section['policy']}{mixing}"


def _study_folder(study: str, studies_dir: Path) -> Path:
    folder = studies_dir / study
    if Path(study).name != study or not folder.is_dir():
        known = sorted(path.parent.name for path in studies_dir.glob("*/driver.lock"))
        raise UserError(f"no study {study!r} in {studies_dir}; {nearest(study, known)}")
    return folder


def _write(path: Path, text: str) -> None:
    from visiontune.training.weights_file import write_whole

    try:
        write_whole(path, text.encode())
    except OSError as error:
        raise UserError(f"the file {path} can't be written: {error.strerror or error}") from None
