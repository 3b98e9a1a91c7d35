"""The last page: spread against the statistics of numpy, endings, failures of a retraining."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sample_study import RECORD

from visiontune.filesystem.study_folder import StudyFolder
from visiontune.results.search_summary import spread, summary
from visiontune.results.study import Study
from visiontune.spec.space.study_spec import Objective
from visiontune.tuning.records.records import Confirmation, Ending, StudyRecord

GO_ON = "visiontune search digits.yaml"


def page(record: StudyRecord = RECORD, status: str = "finished", num_new: int = 6, folder: Path = Path("none")) -> str:
    study = Study(StudyFolder(folder), record, status, num_new, num_new_epochs=3 * num_new)
    return summary(study, go_on=GO_ON, ui_command="visiontune ui")


def test_spread_is_the_sample_standard_deviation() -> None:
    values = [0.91, 0.95, 0.92]
    mean, std = (float(text) for text in spread(values).split(" ± "))
    assert mean == pytest.approx(np.mean(values), rel=1e-3)
    assert std == pytest.approx(np.std(values, ddof=1), rel=1e-3)


def test_a_finished_search_names_winner_test_figure_and_mlflow(tmp_path: Path) -> None:
    confirmations = (Confirmation(1, 0.95, 0.9, 0.3), Confirmation(2, 0.97, 0.92, 0.2))
    (tmp_path / "winner.yaml").touch()
    (tmp_path / "registered.json").write_text('{"name": "digits", "said": "version 2, not the champion: one seed has no interval"}')
    text = page(replace(RECORD, confirmations=confirmations, ending=Ending({"num_trials": 6}, "num_trials", 2)), folder=tmp_path)
    assert f"winner: trial 2 after 9 epochs, recipe in {tmp_path}/winner.yaml" in text
    assert "2 fresh seeds (mean ± standard deviation): test top1 0.91 ± 0.01414, test loss" in text
    on_few = page(replace(RECORD, confirmations=confirmations, pictures={"splits": {"train": 80, "val": 20, "test": 21}}))
    assert "test top1 0.91 ± 0.01414 on 21 test pictures, test loss" in on_few
    assert "registered as digits: version 2, not the champion: one seed has no interval" in text
    assert text.endswith("look at the trials: visiontune ui")


def test_an_objective_of_its_own_is_told_on_the_test_set_too() -> None:
    recall = tuple(Confirmation(seed, 0.95, 0.9, 0.3, test_value=value) for seed, value in ((1, 0.8), (2, 0.84)))
    text = page(replace(RECORD, objective=Objective("val_macro_recall", "max"), confirmations=recall))
    assert "test macro_recall 0.82 ± 0.02828, val_macro_recall 0.95" in text


def test_a_failed_retraining_is_told_and_not_averaged() -> None:
    nan = float("nan")
    confirmations = (Confirmation(1, 0.95, 0.9, 0.3), Confirmation(2, nan, nan, nan, "diverged: loss is NaN"))
    text = page(replace(RECORD, confirmations=confirmations))
    assert "one fresh seed: test top1 0.9," in text
    assert "retraining on seed 2 failed: diverged: loss is NaN" in text


def test_the_last_line_of_an_interrupted_search_says_how_to_go_on() -> None:
    assert page(status="interrupted", num_new=2).splitlines()[-1] == f"go on: {GO_ON}"


def test_a_spent_budget_says_what_it_had_no_room_for_and_how_to_give_it_more(tmp_path: Path) -> None:
    (tmp_path / "winner.yaml").touch()
    best = replace(RECORD.trials[4], state="waiting")
    record = replace(RECORD, trials=(best,), best=best, ending=Ending({"hours": 0.01}, "hours", 3))
    lines = page(record, "budget", folder=tmp_path).splitlines()
    assert f"winner: trial 4 after 3 of 9 epochs, recipe in {tmp_path}/winner.yaml" in lines
    assert "of 3 confirmations the budget had room for 0" in lines
    assert "the budget of 0.01 hours has no room for more; 6 trials and 18 epochs were new" in lines
    assert lines[-1] == f"trials that wait go on with more of it: {GO_ON} budget.hours=0.02"
    assert "the budget of 1 hour has" in page(replace(record, ending=Ending({"hours": 1.0}, "hours", 3)), "budget")
    record = replace(record, ending=Ending({"hours": 0.01}, "hours", 3, hours_to_go_on=0.05))
    assert page(record, "budget").endswith(f" {GO_ON} budget.hours=0.05"), "the next call's start takes more than it would be given"


def test_a_call_that_only_confirmed_says_so() -> None:
    """A resume that trained for two minutes is not one in which nothing was left to do."""
    assert "0 trials and 27 epochs were new" in summary(
        Study(StudyFolder(Path("none")), RECORD, "finished", 0, num_new_epochs=27), go_on=GO_ON, ui_command="ui"
    )
    assert "nothing was left to do" in page(num_new=0)


def test_a_budget_in_which_no_epoch_ended_says_so() -> None:
    """A machine so busy that Ray's start took all of it."""
    waiting = replace(RECORD.trials[4], state="waiting", epoch=0, value=None, values={})
    record = replace(RECORD, trials=(waiting,), best=None, ending=Ending({"hours": 0.01}, "hours", 3))
    text = summary(Study(StudyFolder(Path("none")), record, "budget", 1), go_on=GO_ON, ui_command="ui")
    assert "1 trial and 0 epochs were new" in text
    assert "no epoch of any trial came to its end, so there is no winner" in text
    assert "the budget of 0.01 hours has no room for more; nothing was trained" in page(replace(record, trials=()), "budget", num_new=0)


def test_a_search_in_which_nothing_worked_says_so() -> None:
    assert "no trial gave a finite val_top1" in page(replace(RECORD, best=None))


def test_a_second_call_says_that_nothing_was_left() -> None:
    assert "nothing was left to do" in page(num_new=0)
