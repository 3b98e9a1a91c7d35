"""`visiontune check --plugin` finds in a plugin's rows what the conformance suite finds in the tables' own."""

from __future__ import annotations

from pathlib import Path

import pytest
from places import ROOT

from visiontune.cli import main

WRONG = """\
import torch
from torch import nn

from visiontune.models.anatomy import mark
from visiontune.spec.declarations.declare import Arg, Entry
from visiontune.training.optim.param_groups import groups_by


class Noisy(nn.ReLU):
    calls = 0

    def forward(self, x):
        self.calls += 1
        return super().forward(x) * (1 + 1 / self.calls)


def unmarked(*, num_classes, in_channels, image_size):
    return nn.Sequential(nn.Flatten(), nn.Linear(in_channels * image_size**2, num_classes))


def aside(*, num_classes, in_channels, image_size):
    head = nn.Linear(in_channels * image_size**2, num_classes)
    head.scale = torch.randn(num_classes)
    head.register_forward_hook(lambda module, x, out: out * module.scale)
    return mark(nn.Sequential(nn.Flatten(), head), stages=(("0",),), head="1")


def still(parameters):
    return torch.optim.SGD(groups_by(parameters, lambda one: {"lr_factor": 0.0}), lr=0.0)


MODELS = {"unmarked": Entry("no anatomy", unmarked), "aside": Entry("a weight that is none", aside)}
ACTIVATIONS = {"noisy": Entry("a state that is not kept", Noisy)}
OPTIMIZERS = {"still": Entry("never moves", still)}
SOURCES = {"asks": Entry("for a file", lambda file: None, {"file": Arg(str, "of anything")})}
"""


@pytest.mark.heavy
def test_every_row_of_the_examples_is_ok(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--plugin", str(ROOT / "examples" / "my_models.py")]) == 0
    assert "7 checks: 7 ok, 0 look, 0 bad" in capsys.readouterr().out
    for words in (["list", "models"], ["schema"]):
        assert main([*words, "--plugin", str(ROOT / "examples" / "my_models.py")]) == 0
        assert "tiny_net" in capsys.readouterr().out
    page = (ROOT / "docs" / "plugins.md").read_text()
    (tmp_path / "page.py").write_text(page.partition("```python\n")[2].partition("```")[0])
    assert main(["check", "--plugin", str(tmp_path / "page.py")]) == 0
    assert "2 checks: 2 ok, 0 look, 0 bad" in capsys.readouterr().out


def test_what_a_row_must_not_do_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "wrong.py"
    file.write_text(WRONG)
    assert main(["check", "--plugin", str(file)]) == 2
    told = capsys.readouterr().out
    for line in (
        "bad   models unmarked: unmarked (defaults) can't be trained on pictures of 299 px: its builder does not name the stages",
        "bad   models aside: gives other logits once saved and loaded",
        "bad   activations noisy: after a pause",
        "bad   optimizers still: the second epoch changes no weight",
        "look  sources asks: not tried: file has no default, no range and no choices",
        "5 checks: 0 ok, 1 look, 4 bad",
    ):
        assert line in told, told
