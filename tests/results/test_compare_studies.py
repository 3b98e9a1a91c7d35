"""Studies side by side, against Student's sleep data as R tells of them; and the list of a folder with all that may lie there."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from sample_study import RECORD
from simulated_search import drive, make_spec
from tiny import make_recipe, model_section

from visiontune import UserError, compare, list_studies
from visiontune.cli import main
from visiontune.filesystem.study_folder import StudyFolder
from visiontune.results.compare_studies import Comparison, compare_studies
from visiontune.results.study import Study
from visiontune.results.tables.study_list import StudyList, StudySummary
from visiontune.spec.space.study_spec import Objective
from visiontune.tuning.records.records import Confirmation, Ending, StudyRecord
from visiontune.tuning.study.driver_lock import driver_lock

SLEEP = (
    (0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0),
    (1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4),
)
"""Extra hours of ten patients after two drugs (Student 1908)."""


def study(name: str, values: tuple[float, ...], first_seed: int = 0, **changes: object) -> Study:
    confirmations = tuple(Confirmation(seed, value, 0.5, 1.0) for seed, value in enumerate(values, first_seed))
    trial = replace(RECORD.trials[0], recipe=make_recipe(model_section(width=1 if name == "one" else 2)).to_dict())
    ending = Ending({"num_trials": 6}, "num_trials", len(values))
    known: dict[str, object] = {"name": name, "confirmations": confirmations, "ending": ending, "trials": (trial,), "best": trial}
    record: StudyRecord = replace(RECORD, **(known | changes))  # type: ignore[arg-type]
    return Study(StudyFolder(Path(name)), record)


def compared(first_seed: int) -> Comparison:
    return compare_studies([study("one", SLEEP[0]), study("two", SLEEP[1], first_seed)])


@pytest.mark.parametrize(
    ("first_seed", "test", "p", "interval"),
    [
        (0, "a paired t test over 10 seeds", 0.002833, (0.7001142, 2.4598858)),
        (100, "Welch's t test of 10 and 10 seeds", 0.07939, (-0.2054832, 3.3654832)),
    ],
)
def test_the_difference_is_rs(first_seed: int, test: str, p: float, interval: tuple[float, float]) -> None:
    (found,) = compared(first_seed).differences
    assert (found.test, found.is_significant) == (test, p < 0.05) and found.difference == pytest.approx(1.58)
    assert found.p == pytest.approx(p, rel=1e-3) and found.interval == pytest.approx(interval)


def test_a_winner_of_train_and_val_has_the_test_figure_of_that_training() -> None:
    """Its seeds have met no test, or met it before."""
    with_val = Confirmation(9, math.nan, 0.7, 0.2)
    found = compare_studies([study("one", SLEEP[0]), study("two", SLEEP[1], with_val=with_val)])
    assert [one.test_top1 for one in found.winners] == [0.5, 0.7] and " test top1 " in str(found)


def test_studies_of_one_name_are_told_by_their_folders() -> None:
    other = replace(study("one", SLEEP[1]), folder=StudyFolder(Path("other/one")))
    found = compare_studies([study("one", SLEEP[0]), other])
    assert [one.study for one in found.winners] == ["one", "other/one"] and "\nother/one - one: +1.58" in str(found)


def test_pictures_with_several_classes_are_told_by_their_test_map() -> None:
    tests = tuple(Confirmation(seed, 0.9, test_loss=1.0, test_map=value) for seed, value in enumerate((0.6, 0.8)))
    changes = {"confirmations": tests, "objective": Objective("val_map", "max")}
    both = compare_studies([study("one", SLEEP[0]), study("two", SLEEP[1], **changes)])
    assert [(one.test_top1, one.test_map) for one in both.winners] == [(0.5, None), (None, 0.7)]
    assert "top1 0.5" in str(both) and "map 0.7" in str(both) and "see their tests" in both.note
    alone = str(compare_studies([study("two", SLEEP[1], **changes), study("three", SLEEP[1], **changes)]))
    assert " test map " in alone and "top1" not in alone
    listed = [StudySummary(name, "finished", datetime(2026, 1, 1), test_map=value) for name, value in (("a", 0.7), ("b", None))]
    assert [line.split()[6:8] for line in str(StudyList(Path(), tuple(listed))).splitlines()] == [
        ["test", "map"],
        ["0.7", "2026-01-01"],
        ["-", "2026-01-01"],
    ]


def test_what_can_not_be_compared_is_said() -> None:
    one = study(
        "one",
        SLEEP[0],
        pictures={"digest": "a"},
        identity={"budget.max_epochs": 9, "space.optimizer.lr": 0.1, "space.model.dropout.step": None},
    )
    two = study("two", SLEEP[1], pictures={"digest": "b"}, identity={"budget.max_epochs": 27, "space.optimizer.lr": 0.1})
    found = compare_studies([one, two])
    assert not found.differences and "other pictures" in found.note and found.files == {"budget.max_epochs": (9, 27)}
    order, policy = {"space.augmentation.order": ["a", "b"]}, {"space.augmentation.policy": "fixed"}
    for more, keys in ((order, list(order)), ({**order, **policy}, list(policy))):
        changed = replace(one.record, identity={**one.record.identity, **more})
        assert list(compare_studies([one, Study(StudyFolder(Path("two")), changed)]).files) == keys
    assert found.recipes == {"model.width": (1, 2)}
    few = compare_studies([one, study("three", (0.9,), pictures={"digest": "a"})])
    assert not few.differences and "three: confirmed on fewer than two seeds" in str(few)
    for names, rule in (([one], "of two studies or more, but got one"), ([one, two, one], "named once in a comparison, but one is twice")):
        with pytest.raises(UserError, match=rule):
            compare_studies(names)


def test_the_list_tells_what_each_folder_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, num in (("begun", 4), ("driven", 2)):
        drive(make_spec(tmp_path / name, num), tmp_path / name)
    for name in ("begun", "database", "junk"):
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / "driver.lock").touch()
    (tmp_path / "junk" / "study.journal").write_text("no JSON\n")
    with driver_lock(StudyFolder(tmp_path / "driven")):
        found = {one.name: one for one in list_studies(tmp_path)}
    assert {name: one.state for name, one in found.items()} == {
        "begun": "stopped",
        "driven": "running",
        "database": "unreadable",
        "junk": "unreadable",
    }
    assert (found["begun"].num_trials, found["begun"].num_wanted, found["begun"].problem) == (4, 4, "")
    assert main(["studies", "--json", "--studies-dir", str(tmp_path)]) == 0
    assert {one["name"] for one in json.loads(capsys.readouterr().out)} == set(found)
    (tmp_path / "space.yaml").touch()
    for place, said in (("nowhere", "nowhere is not there"), ("space.yaml", "space.yaml is a file")):
        with pytest.raises(UserError, match=f"studies lie in a folder, but .*{said}"):
            list_studies(tmp_path / place)
    for words in (["begun", "driven", "--studies-dir", str(tmp_path)], [str(tmp_path / "begun"), f"{tmp_path}/driven/"]):
        assert main(["compare", *words]) == 0
        assert "confirmed on fewer than two seeds" in capsys.readouterr().out
    with pytest.raises(UserError, match="no study 'begin'"):
        compare(["begin", "driven"], studies_dir=tmp_path)
