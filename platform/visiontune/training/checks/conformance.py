"""What every row of every table is held to, those that ship by the tests, a plugin's by `visiontune check --plugin`. Raises Unfit."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from visiontune.data.store.store import Store
from visiontune.errors import UserError
from visiontune.models.anatomy import anatomy_of
from visiontune.spec.declarations.declare import plugins_in_use
from visiontune.spec.declarations.trial_recipe import TrialRecipe
from visiontune.spec.parse import load_study
from visiontune.training.loop import train
from visiontune.training.weights_file import load_weights, save_weights

Build = Callable[[int], nn.Module]
"""A network by the seed of its weights."""


class Unfit(Exception):
    """What a row does that none may."""


def must(is_so: bool, otherwise: str) -> None:
    """Raise Unfit unless it is so."""
    if not is_so:
        raise Unfit(otherwise)


def resumes(recipe: TrialRecipe, store: Store) -> None:
    """A recipe of two epochs learns, and from its state after the first comes to the same bits as without a pause."""
    states = []
    for epoch in train(recipe, store):
        buffer = io.BytesIO()
        torch.save(epoch.state(), buffer)
        states.append(torch.load(io.BytesIO(buffer.getvalue()), weights_only=True))
    must(len(states) == 2, f"trains {len(states)} epochs of 2")
    before, whole = (state["model"] for state in states)
    must(any(not torch.equal(whole[key], before[key]) for key in whole), "the second epoch changes no weight")
    (again,) = train(recipe, store, resume=states[0])
    changed = [key for key, tensor in again.model.state_dict().items() if not torch.equal(tensor, whole[key])]
    must(not changed, f"after a pause {', '.join(changed[:3])} differ from what they are without one: some state is in no state_dict")


def refuses_wrong_argument(part: str, values: Mapping[str, Any]) -> None:
    """A study whose space says this and one argument more, which nobody takes, is refused at its place."""
    space: dict[str, Any] = {"model": {"name": "lenet5"}, "optimizer": {"name": "sgd", "lr": 0.1}}
    space[part] = {**({"name": "lenet5"} if part == "model" else {}), **values, "wrong_argument": 1}
    rest = {"study": "s", "data": {"source": "digits"}, "budget": {"num_trials": 1, "max_epochs": 1}, "plugins": plugins_in_use()}
    try:
        load_study({**rest, "space": space})
    except UserError as error:
        is_told = [(one.where, "wrong_argument" in one.rule) for one in error.problems] == [(f"space.{part}.wrong_argument", True)]
        must(is_told, f"a wrong argument is not told as one: {error}")
        return
    raise Unfit("an argument that it does not take is accepted")


def learns(network: nn.Module, x_NCHW: Tensor, num_classes: int) -> None:
    """Logits for all classes, and a finite gradient for every parameter, by which a step is made."""
    for module in network.modules():
        if isinstance(module, _BatchNorm):
            module.momentum = None  # statistics are those of the one batch at once: a deep network runs over on half of them
    outputs = network.train()(x_NCHW)
    main, *others = outputs if isinstance(outputs, tuple) else (outputs,)
    must(main.shape == (len(x_NCHW), num_classes), f"gives outputs of shape {tuple(main.shape)} and not {(len(x_NCHW), num_classes)}")
    num_aux = len(anatomy_of(network).aux)
    must(len(others) == num_aux, f"gives {len(others)} outputs beside the main one, but is marked with {num_aux} auxiliary classifiers")
    sum(one.logsumexp(1).mean() - one[:, 0].mean() for one in (main, *others)).backward()
    without = [key for key, one in network.named_parameters() if one.grad is None or not one.grad.isfinite().all()]
    must(not without, f"no finite gradient comes to {', '.join(without[:3])}")
    nn.utils.clip_grad_norm_(network.parameters(), 1.0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.sub_(parameter.grad, alpha=0.01)  # type: ignore[arg-type]


def saves_and_loads(network: nn.Module, other: nn.Module, x_NCHW: Tensor, folder: Path) -> None:
    """One of other weights gives the same logits once it has those of the file, and in bf16 nearly the same."""
    with torch.inference_mode():
        logits_NK = network.eval()(x_NCHW)
        must(not torch.equal(other.eval()(x_NCHW), logits_NK), "gives the same logits with other weights")
        save_weights(network, folder / "weights.safetensors")
        load_weights(other, folder / "weights.safetensors")
        must(
            torch.equal(other(x_NCHW), logits_NK),
            "gives other logits once saved and loaded: some weights are no parameter and no buffer",
        )
        rounded = copy.deepcopy(network).bfloat16()(x_NCHW.bfloat16())
        must(rounded.dtype == torch.bfloat16 and bool(rounded.isfinite().all()), "does not compute in bf16")
        spread = logits_NK.std() + 1e-3
        is_near = bool(
            (rounded.float() - logits_NK).abs().max() < spread
        )  # eight bits: the same picture of the classes, not the same digits
        must(is_near, "gives other logits in bf16")


def is_exported(network: nn.Module, x_NCHW: Tensor) -> None:
    """As the winner is for MLflow, for batches of any size: torch.export makes of a length in Python a constant of the graph."""
    graph = torch.export.export(network.eval(), (x_NCHW[:2],), dynamic_shapes=({0: torch.export.Dim("batch")},)).module()
    with torch.inference_mode():
        for num in (1, len(x_NCHW) - 1):
            is_same = torch.allclose(graph(x_NCHW[:num]), network(x_NCHW[:num]), rtol=1e-3, atol=1e-4)
            must(is_same, f"gives other logits as a graph for {num} pictures")
