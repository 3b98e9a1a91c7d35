"""Who won and by how much, against scipy's own interval and figures by hand."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
from sample_study import RECIPE, RECORD
from scipy import stats

from visiontune.data.picture.stored_form import Form
from visiontune.exports.model_card import Written, model_card
from visiontune.results.search_summary import winner_lines
from visiontune.results.tables.leaderboard import to_json
from visiontune.results.tables.winner_lines import Estimate, race_json
from visiontune.results.use.export_winner import origin_of
from visiontune.spec.declarations.trial_recipe import TrialRecipe
from visiontune.tuning.records.records import Candidate, Confirmation, Ending, StudyRecord


def raced() -> StudyRecord:
    """Of three recipes, the second best of the search has won; two of its three seeds are tested, one is not yet."""
    first, second, third = RECORD.trials[:3]
    own = (Confirmation(1, 0.95, 0.9, 0.3), Confirmation(2, 0.97, 0.92, 0.2), Confirmation(3, 0.96))
    others = (Confirmation(1, 0.94), Confirmation(1, float("nan"), failure="diverged: loss is NaN"))
    candidates = (
        Candidate(first.number, 0.98, others[:1], 0.05),
        Candidate(second.number, 0.975, own, 0.95),
        Candidate(third.number, 0.97, others[1:], 0.0),
    )
    return replace(RECORD, winner=second, candidates=candidates, confirmations=own, num_tests=1)


def test_the_interval_is_scipys() -> None:
    values = [0.91, 0.95, 0.92, 0.97]
    found = Estimate.of(values)
    assert found is not None
    assert (found.low, found.high) == pytest.approx(stats.t.interval(0.95, 3, loc=sum(values) / 4, scale=stats.sem(values)))
    cut = Estimate.of([0.98, 1.0, 0.97], "val_top1")
    assert cut is not None and cut.low is not None and cut.low > 0.94 and cut.high == 1.0, "an accuracy is no more than 1"
    assert Estimate.of([]) is None and Estimate.of([0.5]) == Estimate(0.5, 1)


def test_a_line_for_each_recipe_with_what_it_lost_and_how_sure_it_is() -> None:
    lines = winner_lines(raced())
    assert lines[0] == "the best 3 recipes trained again in full on fresh seeds, 5 times; trial 1 has won"
    assert lines[2].split() == ["0", "0.98", "1", "0.94", "+0.0400", "5%"]
    assert lines[3].split() == ["1", "0.975", "3", "0.96", "±", "0.01", "(0.9352", "to", "0.9848)", "+0.0150", "95%"]
    assert lines[4].split() == ["2", "0.97", "0", "failed", "-", "0%"]
    assert lines[5] == "the test split was met once" and "2 fresh seeds" in lines[6]
    wanted = replace(raced(), ending=Ending({}, "num_trials", 3, {"top": 5}))
    assert winner_lines(wanted)[5] == "confirm.top is 5, but only 3 recipes were trained in full by the search"
    wanted = replace(raced(), ending=Ending({"hours": 1.0}, "hours", 3, {"top": 3, "use_val": True}))
    assert "confirm.use_val is true, but the budget had no room for it" in winner_lines(wanted)[5]
    alone = replace(raced(), candidates=(Candidate(1, 0.96 - 1e-9, raced().confirmations, 1.0),))
    assert winner_lines(alone)[2].split()[-2:] == ["+0.0000", "-"], "one that ran alone has beaten nobody"
    assert winner_lines(replace(raced(), winner=None, candidates=(), confirmations=(), num_tests=0)) == []


def test_programs_get_the_same() -> None:
    found = json.loads(json.dumps(to_json(raced()), allow_nan=False))
    assert found["winner"] == 1 and found["num_tests"] == 1 and race_json(raced())["candidates"][1]["winners_curse"] == pytest.approx(0.015)
    assert found["candidates"][2]["value"] is None and found["candidates"][1]["value"]["deviation"] == pytest.approx(0.01)


def test_a_model_card_counts_a_meeting_with_the_test_as_the_study_does_and_has_the_figure_of_what_was_kept() -> None:
    recipe = TrialRecipe(**{"preprocessing": {}, "transfer": {}, "loss": {}, "balance": {}, **RECIPE})
    form = Form("raw", (8, 8), (8, 8), 3, is_resized=False)
    known = {
        "class_names": ("a", "b"),
        "recipe": recipe,
        "form": form,
        "image_size": 8,
        "metadata": SimpleNamespace(use_val=True, depth=(0, 65_535), thresholds=None),
    }
    classifier = SimpleNamespace(**known, arithmetic=SimpleNamespace(precision="fp32"))
    with_val = replace(raced(), with_val=Confirmation(9, math.nan, 0.93, 0.25))
    card = model_card(classifier, origin_of(with_val, None), Written("onnx", "made.onnx"))  # type: ignore[arg-type]
    assert "The test split was met once." in card and "3 times" not in card
    assert "train and val together, so without a figure on val: test top1 0.93, test loss 0.25." in card
