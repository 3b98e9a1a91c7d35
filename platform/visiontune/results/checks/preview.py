"""`visiontune preview`: the sheet of a policy, what it may do to labels, and the policy as files of other programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from visiontune.augmentation.op_ranges import ops_by_class, ops_of, policies_of
from visiontune.errors import UserError, nearest
from visiontune.filesystem.atomic_write import write_whole
from visiontune.filesystem.study_folder import StudiesFolder, StudyFolder
from visiontune.spec.declarations.domains import HeldParams
from visiontune.spec.declarations.fingerprint import keyed_seed
from visiontune.spec.declarations.trial_recipe import TrialRecipe
from visiontune.spec.parse import make_recipe
from visiontune.spec.plugins import uses_plugins
from visiontune.spec.space.study_spec import StudySpec
from visiontune.tuning.study.study_place import find_study

if TYPE_CHECKING:
    from visiontune.augmentation.sheet_pictures import Draw
    from visiontune.data.store.store import Store
    from visiontune.inference.class_confusions import Effect


@dataclass(frozen=True)
class Subject:
    """What is previewed. `section` is a recipe's or the space's; `folder` is where its study would be, `out` where its sheet goes."""

    title: str
    data: Mapping[str, Any]
    section: Mapping[str, Any]
    draws: Mapping[str, Sequence[Draw]]
    mixings: Sequence[Mapping[str, Any]]
    folder: StudyFolder
    out: Path


@dataclass(frozen=True)
class Preview:
    """`sheet` is the picture that was written. `effects` says which classes ops confuse, empty where no network was asked."""

    sheet: Path
    lines: tuple[str, ...]
    effects: tuple[Effect, ...] = ()

    def __str__(self) -> str:
        return "\n".join(self.lines)


@dataclass(frozen=True)
class LabelWarnings:
    """What ops may do to labels: notes beside them on the sheet, lines below it; `effects` as in a Preview."""

    notes: Mapping[str, str]
    lines: Sequence[str]
    effects: tuple[Effect, ...] = ()


_NOT_MEASURED = "what a network takes for another class is measured where pictures have one class, and these have several"


@uses_plugins
def preview(shown: StudySpec | TrialRecipe, name: str, *, studies: StudiesFolder, num: int, out: Path | None, study: str | None) -> Preview:
    """Write the sheet of a space or recipe from the file `name`, and say which ops may change labels. Raises UserError."""
    from visiontune.augmentation.preview_sheet import make_sheet, save_sheet
    from visiontune.augmentation.sheet_pictures import pick
    from visiontune.data.prepare import prepare
    from visiontune.data.store.store import Store

    if out is not None and out.suffix != ".png":
        raise UserError(f"a sheet is a picture, such as sheet.png, but got {str(out)!r}")
    subject = _of_recipe(shown, Path(name)) if isinstance(shown, TrialRecipe) else _of_study(shown, studies)
    if not subject.draws and not subject.mixings:
        raise UserError(f"{name}: the policy is none and nothing is mixed, so there is nothing to show")
    folder = subject.folder if study is None else find_study(studies, study)
    store = Store.open(prepare(subject.data, studies.data_cache))
    sample = pick(store, num)
    warnings = _warnings(subject, store, folder, studies.data_cache, must_measure=study is not None)
    sheet = make_sheet(subject.title, sample, subject.section, subject.draws, subject.mixings, warnings.notes)
    save_sheet(sheet, out or subject.out)
    return Preview(out or subject.out, (*warnings.lines, f"sheet: {out or subject.out}"), warnings.effects)


def _warnings(subject: Subject, store: Store, folder: StudyFolder, cache: Path, *, must_measure: bool) -> LabelWarnings:
    """Which classes a study's network confuses; without one what the table of ops suspects, or UserError if it must be measured."""
    from visiontune.augmentation.preview_sheet import suspicions
    from visiontune.inference.class_confusions import effects, spared
    from visiontune.results.checks.label_warnings import measured_lines, notes_of, suspected_lines
    from visiontune.results.use.trained_network import ask

    channels = store.info.channels
    ops = ops_of(subject.section, channels)
    asked = ask(folder, cache, store.info) if store.label_sets is None else _NOT_MEASURED
    if not isinstance(asked, str):
        found = spared(
            effects(*asked, {name: span.high for name, span in ops.items()}), ops_by_class(subject.section, channels, store.class_names)
        )
        return LabelWarnings(notes_of(found), measured_lines(found, f"{asked[0].name} of {folder.path}"), found)
    if must_measure:
        raise UserError(asked)
    return LabelWarnings(suspicions(ops), suspected_lines(ops, asked))


@uses_plugins
def export(recipe: StudySpec | TrialRecipe, name: str, to: Path) -> None:
    """Write the policy of a recipe from the file `name` for another program, by the suffix of `to`. Raises UserError, also for a space."""
    from visiontune.augmentation.export.policy_files import FORMATS, export_policy

    if to.suffix not in FORMATS:
        raise UserError(f"a policy is written as {', '.join(FORMATS)}, but got {str(to)!r}; {nearest(to.suffix, FORMATS)}")
    if isinstance(recipe, StudySpec):
        raise UserError(f"{name} is a search space, of many policies; one recipe's is written, such as that of studies/NAME/winner.yaml")
    from visiontune.data.prepare import describe

    info = describe(recipe.data)
    text = export_policy(
        recipe.augmentation,
        image_size=info.image_size,
        channels=info.channels,
        num_epochs=recipe.training["num_epochs"],
        suffix=to.suffix,
        title=f"Augmentation policy {recipe.augmentation['policy']} of {Path(name).name}, recipe {recipe.fingerprint}.",
    )
    _write(to, text)


def _of_recipe(recipe: TrialRecipe, path: Path) -> Subject:
    from visiontune.augmentation.preview_sheet import acting
    from visiontune.augmentation.sheet_pictures import draws_of

    section, num_epochs = recipe.augmentation, recipe.training["num_epochs"]
    draws = {name: draws_of(section, num_epochs)} if (name := acting(section)) else {}
    mixings = [section] if section["mixing"] != "none" else []
    folder = StudyFolder(path.parent)
    out = folder.augmentation_sheet.with_name(f"{path.stem}_{folder.augmentation_sheet.name}")
    return Subject(f"{path.name}: {_words(section)}", recipe.data, section, draws, mixings, folder, out)


def _of_study(spec: StudySpec, studies: StudiesFolder) -> Subject:
    section = spec.space.tree.get("augmentation", {})
    everywhere = spec.space.values("augmentation.policy")
    policies = [name for name in dict.fromkeys(name for name, _ in policies_of(section)) if name in everywhere]
    named = {name: name for name in policies}
    if not policies and any(spec.space.places("augmentation.by_class")):
        named = {"by class": "none"}
    mixings = [name for name in spec.space.values("augmentation.mixing") if name != "none"]
    folder = studies.study(spec.study)
    return Subject(
        f"study {spec.study}: policies {', '.join(policies) or 'none'}",
        spec.data,
        section,
        {said: [_drawn(spec, "policy", name, number) for number in range(1, 9)] for said, name in named.items()},
        [_drawn(spec, "mixing", name, 1).section for name in mixings],
        folder,
        folder.augmentation_sheet,
    )


def _drawn(spec: StudySpec, key: str, name: str, number: int) -> Draw:
    """A recipe of the space with that policy or mixing, chosen at random otherwise, in an epoch of its own."""
    from visiontune.augmentation.sheet_pictures import Draw

    held = spec.space.choosing(f"augmentation.{key}", name)
    sections = spec.space.resolve(HeldParams(keyed_seed(spec.sampler["seed"], "preview", name, number), held=held))
    epoch = 1 + (number - 1) * (spec.budget.max_epochs - 1) // 7
    return Draw(f"recipe {number}, epoch {epoch}", make_recipe(spec, sections, number).augmentation, epoch, spec.budget.max_epochs)


def _words(section: Mapping[str, Any]) -> str:
    mixing = "" if section["mixing"] == "none" else f", mixing {section['mixing']}"
    return f"policy {section['policy']}{mixing}"


def _write(path: Path, text: str) -> None:
    try:
        write_whole(path, text)
    except OSError as error:
        raise UserError(f"the file {path} can't be written: {error.strerror or error}") from None
