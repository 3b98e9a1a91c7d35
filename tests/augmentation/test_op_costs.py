"""What ops cost: every op is measured once, by the engine that policies use. Figures themselves are not judged."""

from __future__ import annotations

import cv2
import pytest

from visiontune.augmentation import op_costs
from visiontune.augmentation.engines.batched import BATCHED
from visiontune.augmentation.op_costs import costs_of
from visiontune.cli import main
from visiontune.results.entry_lists import table_lines
from visiontune.spec.tables.ops import COLOUR_OPS, LABEL_CHANGING


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(op_costs, "_LONG_ENOUGH_S", 1e-9)


def test_named_ops_are_measured_and_grey_pictures_leave_out_colour_ops() -> None:
    threads = cv2.getNumThreads()
    names = ["Affine", "Hue", "Emboss"]
    colour, grey = [*costs_of(names, 8)], [*costs_of(names, 8, channels=1)]
    assert [cost.name for cost in colour] == names and [cost.name for cost in grey] == ["Affine", "Emboss"]
    assert [cost.engine for cost in colour] == ["batched", "batched", "albumentations"]
    assert all(0 < cost.us < 1e6 for cost in colour) and cv2.getNumThreads() == threads


def test_the_verb_prints_every_op_the_cheapest_first(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("visiontune.results.entry_lists.OPS", type("Few", (), {"entries": ["GlassBlur", "HorizontalFlip"]}))
    assert main(["list", "ops", "--costs", "--image-size", "16"]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert "16 pixels" in head and [line.split()[1:] for line in lines] == [["HorizontalFlip", "batched"], ["GlassBlur", "albumentations"]]
    assert main(["list", "models", "--costs"]) == 2
    assert "list ops --costs" in capsys.readouterr().err


def test_the_list_says_what_ops_ask_for() -> None:
    lines = {line.split()[0]: line for line in table_lines("ops")}
    assert {*BATCHED} <= {*lines}
    assert {name for name, line in lines.items() if "colour pictures only" in line} == COLOUR_OPS
    assert {name for name, line in lines.items() if "may change the label" in line} == LABEL_CHANGING
