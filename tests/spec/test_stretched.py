"""A stretched recipe's learning rate against the original's at the same share of the way, for every lr schedule of the table."""

from __future__ import annotations

import pytest
from tiny import make_recipe

from visiontune import UserError
from visiontune.spec.declarations.declare import chosen
from visiontune.spec.declarations.trial_recipe import TrialRecipe
from visiontune.spec.stretched import stretched
from visiontune.spec.tables.lr_schedules import LR_SCHEDULES
from visiontune.training.lr_schedule import LrSchedule

IN_EPOCHS = {
    "step": {"step_epochs": 4},
    "multi_step": {"first_drop_epochs": 2, "second_drop_share": 0.5},
    "exponential": {"decay_epochs": 2},
    "cosine_restarts": {"period_epochs": 3},
    "one_cycle": {"rise_epochs": 4},
    "cyclic": {"cycle_epochs": 6},
}


def schedule(recipe: TrialRecipe) -> LrSchedule:
    entry, args = chosen(LR_SCHEDULES, recipe.schedule, "name")
    made: LrSchedule = entry.load()(steps_per_epoch=100, num_epochs=recipe.training["num_epochs"], **args)
    return made


@pytest.mark.parametrize("name", sorted(set(LR_SCHEDULES.entries) - {"plateau"}))
@pytest.mark.parametrize("is_by_share", [False, True])
def test_the_rate_is_that_of_the_same_share_of_the_way(name: str, is_by_share: bool) -> None:
    args = {} if is_by_share and name != "step" else IN_EPOCHS.get(name, {})
    args = {"step_share": 0.25, "step_epochs": 10} if is_by_share and name == "step" else args
    recipe = make_recipe(schedule=name, schedule_args=args, num_epochs=12)
    longer, changes = stretched(recipe, 36)
    short, long = schedule(recipe), schedule(longer)
    for step in range(0, 1200, 7):
        assert long(3 * step, ()) == pytest.approx(short(step, ()), abs=0.01), step
    assert changes["training.num_epochs"] == (12, 36) and longer.training["num_epochs"] == 36
    assert all(after == 3 * before for before, after in changes.values())


def test_patience_is_stretched_and_warm_up_is_not() -> None:
    regularization = {"early_stop_epochs": 4}
    recipe = make_recipe(
        schedule="plateau", schedule_args={"warmup_epochs": 2, "patience_epochs": 3}, num_epochs=9, regularization=regularization
    )
    longer, changes = stretched(recipe, 30)
    assert (longer.schedule["warmup_epochs"], longer.schedule["patience_epochs"]) == (2, 10)
    assert changes == {"regularization.early_stop_epochs": (4, 13), "schedule.patience_epochs": (3, 10), "training.num_epochs": (9, 30)}
    with pytest.raises(UserError, match="more than the recipe's 9 epochs, but got epochs=9"):
        stretched(recipe, 9)
