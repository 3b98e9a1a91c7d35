"""Which ops of a search space change labels, asked of the best network that the study has by now: a check among those of `check --run`."""

from __future__ import annotations

from visiontune.augmentation.op_ranges import ops_by_class, ops_of
from visiontune.data.store.store import DataInfo
from visiontune.filesystem.study_folder import StudiesFolder
from visiontune.inference.class_confusions import Effect, effects, spared
from visiontune.results.checks.label_warnings import notes_of, verdict
from visiontune.results.use.trained_network import ask
from visiontune.spec.space.study_spec import StudySpec
from visiontune.spec.tables.ops import LABEL_CHANGING
from visiontune.spec.tables.several_labels import has_many
from visiontune.training.checks.check import Check

_NAME, _MOST = "labels", 3


def label_check(spec: StudySpec, studies: StudiesFolder, info: DataInfo) -> Check | None:
    """None where the space augments nothing, and where pictures have several classes.

    "look" where ops that can change labels make the network take classes for others.
    """
    section = spec.space.tree.get("augmentation", {})
    ops = ops_of(section, info.channels)
    if not ops or has_many(spec.data):
        return None
    asked = ask(studies.study(spec.study), studies.data_cache, info)
    if isinstance(asked, str):
        return _unasked([name for name in ops if name in LABEL_CHANGING])
    found = spared(effects(*asked, {name: span.high for name, span in ops.items()}), ops_by_class(section, info.channels, info.class_names))
    return _of_effects(found, asked[0].name, spec.space.file)


def _unasked(suspects: list[str]) -> Check:
    by_table = f"the table of ops suspects {', '.join(suspects)}" if suspects else "the table of ops suspects none"
    return Check(_NAME, "ok", f"no network of this study is trained yet, which could be asked what ops do to labels; {by_table}")


def _of_effects(found: tuple[Effect, ...], who: str, file: str) -> Check:
    notes = notes_of(found)
    changing = [effect.op for effect in found if verdict(effect) == "look"]
    figures = {effect.op: effect.top1_after for effect in found} | {"as they are": found[0].top1_before}
    if not changing:
        return Check(
            _NAME, "ok", f"{who} takes no class for another after any op that can change labels, of {len(found)} ops", figures=figures
        )
    said = "; ".join(f"{name}: {notes[name]}" for name in changing[:_MOST])
    more = f", and {len(changing) - _MOST} more ops" if len(changing) > _MOST else ""
    hint = f"leave out what makes another class, or weaken it; `visiontune preview {file}` shows it on pictures"
    return Check(_NAME, "look", f"{who} takes classes for others after {said}{more}", hint, figures)
