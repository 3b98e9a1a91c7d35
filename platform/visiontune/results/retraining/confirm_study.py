"""The race for the winner of a study that has ended, run or extended, with screen and MLflow: what `visiontune confirm` does."""

from __future__ import annotations

from typing import Any

from visiontune.errors import UserError, nearest
from visiontune.filesystem.study_folder import StudyFolder
from visiontune.results.screens.search_screen import Screen
from visiontune.spec.declarations.call_ranges import RIVALS, SEEDS, refuse_given
from visiontune.tracking.tracker import tracker
from visiontune.tuning.cluster.ray_cluster import check_address
from visiontune.tuning.records.records import Outcome
from visiontune.tuning.retrain_study import retrain_study


def confirm_keys(*, top: int | None, seeds: int | None, weights: str | None, use_val: bool | None) -> dict[str, Any]:
    """Keys of the section confirm that are given, in types that a study can keep. Raises UserError for what is none of their values."""
    refuse_given(RIVALS, top=top)
    refuse_given(SEEDS, seeds=seeds)
    if weights not in (None, "best_seed", "soup"):
        raise UserError(f"weights must be best_seed or soup, but got {weights!r}; {nearest(str(weights), ('best_seed', 'soup'))}")
    if use_val not in (None, True, False):
        raise UserError(f"use_val must be true or false, but got {use_val!r}")
    given = {"top": (int, top), "num_seeds": (int, seeds), "weights": (str, weights), "use_val": (bool, use_val)}
    return {key: kind(value) for key, (kind, value) in given.items() if value is not None}


def confirm_study(
    folder: StudyFolder,
    *,
    top: int | None,
    seeds: int | None,
    weights: str | None,
    use_val: bool | None,
    address: str | None,
    storage: str,
    progress: bool | str,
    may_exit: bool,
) -> Outcome:
    """What is None stays as it was. Raises as `retrain_study` and `confirm_keys`."""
    confirm = confirm_keys(top=top, seeds=seeds, weights=weights, use_val=use_val)
    check_address(address)
    with Screen.of(progress) as screen:
        parts: dict[str, Any] = {"tracker": lambda: tracker(folder, say=screen.say), "screen": screen.update, "say": screen.say}
        return retrain_study(folder, confirm, **parts, url=storage, address=address, may_exit=may_exit)
