"""A recipe for a longer training: the lr schedule and what else lasts so many epochs are stretched with it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from visiontune.errors import UserError, plural
from visiontune.spec.declarations.declare import Table, chosen
from visiontune.spec.declarations.trial_recipe import AFTER, TrialRecipe
from visiontune.spec.plugins import uses_plugins
from visiontune.spec.tables.lr_schedules import LR_SCHEDULES
from visiontune.spec.tables.regimes import REGIMES

_EPOCHS, _WARMUP = "_epochs", "warmup_epochs"
_TABLES: dict[str, tuple[Table, str]] = {"schedule": (LR_SCHEDULES, "name"), "transfer": (REGIMES, "regime")}
Changes = dict[str, tuple[int, int]]


@uses_plugins
def stretched(recipe: TrialRecipe, num_epochs: int) -> tuple[TrialRecipe, Changes]:
    """The recipe for `num_epochs`, and what was changed for it, by its dotted key: (before, after).

    Shares of the full budget stretch by themselves, as do curves that span it. Durations in epochs (between drops, of a cycle, a patience,
    LP-FT's first phase, up to where a phase of the recipe begins) grow in proportion, all but the warm-up's: it guards the first steps,
    whatever comes after. Raises UserError where `num_epochs` is not longer.
    """
    before: int = recipe.training["num_epochs"]
    if num_epochs <= before:
        raise UserError(f"a longer training has more than the recipe's {plural(before, 'epoch')}, but got epochs={num_epochs}")
    after = {key: max(1, round(value * num_epochs / before)) for key, value in _durations(recipe).items()}
    after["training.num_epochs"] = num_epochs
    sections: dict[str, Any] = {name: {**getattr(recipe, name)} for name in ("schedule", "transfer", "regularization", "training")}
    changes: Changes = {}
    for key, value in after.items():
        section, _, name = key.partition(".")
        changes[key] = (sections[section][name], value)
        sections[section][name] = value
    phases = [{**phase, AFTER: round(phase[AFTER] * num_epochs / before)} for phase in recipe.phases]
    changes |= {f"phases[{place}].{AFTER}": (recipe.phases[place][AFTER], phase[AFTER]) for place, phase in enumerate(phases)}
    return replace(recipe, **sections, phases=tuple(phases)), changes


def _durations(recipe: TrialRecipe) -> dict[str, int]:
    """Those in epochs that count, by dotted key; of two that say the same, an entry's `excludes` tells which is ignored."""
    found = {"regularization.early_stop_epochs": recipe.regularization["early_stop_epochs"]}
    for name, (table, key) in _TABLES.items():
        entry, args = chosen(table, getattr(recipe, name), key)
        ignored = {one for one, other in entry.excludes.items() if args.get(other, 0) > 0}
        found |= {f"{name}.{arg}": args[arg] for arg in args if arg.endswith(_EPOCHS) and arg not in (*ignored, _WARMUP)}
    return {key: value for key, value in found.items() if value}
