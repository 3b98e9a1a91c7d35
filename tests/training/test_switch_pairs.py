"""Each pair of switches, and each with a network of every family that has batch normalisation: one step against torch's own modules."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tiny import least_args, make_recipe, make_store, model_section
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from visiontune.spec.tables.models import MODELS
from visiontune.training.setup import set_up

QUICK = ["cnn", "resnet18", "mobilenet_v3_small"]
SLOW = ["vgg11_bn", "wideresnet", "densenet121", "efficientnet", "googlenet"]
QUICK_TOO = ["mobilenet_v1", "preact_resnet"]
TOLERANCE = {"fp32": 1e-4, "bf16": 0.1, "fp16": 0.01}
ROWS = [(0, True, False), (0, False, True), (6, True, True), (6, False, False)]
"""An orthogonal array: of any two of micro_batch, use_channels_last and use_gradient_checkpointing, all four pairs of values."""


def pairs() -> Any:
    """Three of four rows for each network, one for each precision, so that each meets both values of each switch."""
    for number, name in enumerate([*QUICK, *SLOW, *QUICK_TOO]):
        for turn, precision in enumerate(TOLERANCE):
            marks = [pytest.mark.heavy] if name in SLOW else []
            yield pytest.param(name, precision, *ROWS[(number + turn) % 4], marks=marks, id=f"{name} {precision}")


@pytest.mark.parametrize(("name", "precision", "micro_batch", "use_channels_last", "use_again"), pairs())
def test_a_step_has_the_loss_and_the_statistics_of_plain_modules(
    name: str, precision: str, micro_batch: int, use_channels_last: bool, use_again: bool
) -> None:
    args = {key: value for key, value in least_args(MODELS.entries[name]).items() if key != "stochastic_depth"}
    off = {key: 0.0 for key in MODELS.entries[name].args if key == "inner_dropout"}
    model, store = model_section(name, **args, **off), make_store(size=64, num=40)
    switches = {"precision": precision, "use_channels_last": use_channels_last, "use_gradient_checkpointing": use_again}
    torch.manual_seed(0)
    x_NCHW, y_N = torch.randn(12, 1, 64, 64), torch.arange(12) % 3
    plain = set_up(make_recipe(model), store, torch.device("cpu")).network.train()
    setup = set_up(make_recipe(model, micro_batch=micro_batch, **switches), store, torch.device("cpu"))
    setup.network.train()

    found = setup.stepper.step(x_NCHW, y_N, lr=0.0, number=0)
    losses = []
    for x, y in zip(x_NCHW.split(micro_batch or 12), y_N.split(micro_batch or 12), strict=True):
        outputs = plain(x)
        losses.append(F.cross_entropy(outputs[0] if isinstance(outputs, tuple) else outputs, y).item())
    assert found.item() == pytest.approx(sum(losses) / len(losses), rel=TOLERANCE[precision])
    for one, other in zip(setup.network.modules(), plain.modules(), strict=True):
        if isinstance(one, _BatchNorm) and isinstance(other, _BatchNorm):
            assert one.num_batches_tracked == other.num_batches_tracked == len(losses)
            if precision == "fp32":
                torch.testing.assert_close(one.running_mean, other.running_mean, rtol=1e-3, atol=1e-4)
                torch.testing.assert_close(one.running_var, other.running_var, rtol=1e-3, atol=1e-4)
