"""A network before its first update: its loss beside log(number of classes), and how much of it reaches every stage."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from visiontune.models.anatomy import anatomy_of, depth_of
from visiontune.spec.declarations.trial_recipe import TrialRecipe
from visiontune.training.checks.check import Check, worst
from visiontune.training.checks.training_steps import finite, make_step, model_words, without_augmentation
from visiontune.training.setup import set_up

if TYPE_CHECKING:
    from visiontune.data.store.store import Store

TOLERANCE, SATURATED = 1.5, 3.0
"""Class scores that are chance, of standard deviation s, cost about s^2 / 2 above log K. Initialisations that keep a signal as
strong as it came give s of 1 to 1.7 (Glorot's head, maximum pooling), so a loss within 1.5 of log K; 3 above it (s near 3 for ten
classes), a network is sure of what it can't know yet, and first has to unlearn it."""
DEAD_SHARE, VANISHED = 0.4, 1e-4
"""Stanford's CS231n has seen 40 % of ReLUs dead where rates were too high; before training it is hardly any. A stage whose
gradient is a ten-thousandth of another's, relative to its weights, hardly changes while the other learns."""
_BATCH, _FEWEST, _PIXELS = 64, 8, 1 << 18


@dataclass(frozen=True)
class Start:
    """`gradients` is |gradient| / |weights| by stage, `dead_share` the share of ReLU units that no picture activates (None: no ReLU)."""

    words: str
    loss: float
    dead_share: float | None
    gradients: dict[str, float]


def measure_start(recipe: TrialRecipe, store: Store, device: torch.device) -> Start:
    """One step at learning rate 0 on a batch of 8 to 64 training pictures, the fewer the larger they are."""
    num = min(_BATCH, max(_FEWEST, _PIXELS // math.prod(store.images_NHWC.shape[1:3])))
    setup = set_up(without_augmentation(recipe, training={"batch_size": num}), store, device)
    alive, norms = _watch(setup.tail)
    loss = make_step(setup, recipe.training["seed"])(0.0)
    dead_share = 1 - float(torch.cat(alive).float().mean()) if alive else None
    return Start(model_words(recipe), loss, dead_share, _by_stage(setup.tail, norms))


def start_checks(model: str, starts: Sequence[Start], num_classes: int, *, has_many: bool = False) -> Iterator[Check]:
    """Two checks of a model choice over several recipes: bad where all are, for one bad corner is the search's to find.

    Where pictures have several classes the loss is a sum over classes, of which scores of deviation s cost K s^2 / 8 in place of s^2 / 2.
    """
    chance, unit = (num_classes * math.log(2), num_classes / 4) if has_many else (math.log(num_classes), 1.0)
    yield _loss_check(f"loss at step 0: {model}", starts, chance, unit)
    yield _gradient_check(f"gradients at step 0: {model}", starts)


def _loss_check(name: str, starts: Sequence[Start], expected: float, unit: float) -> Check:
    verdicts = [_loss_verdict((start.loss - expected) / unit) for start in starts]
    losses = ", ".join(f"{start.loss:.3g}" for start in starts)
    said = f"{losses} in {len(starts)} recipes; chance is {expected:.3g}, and up to {TOLERANCE * unit:g} away from it is usual"
    hint = "scores are too large before training: another init or norm, zero gamma, or pixels that are not standardised"
    figures = {"chance": expected, "recipes": [{"model": start.words, "loss": finite(start.loss)} for start in starts]}
    return _judged(name, verdicts, said, hint, starts, figures)


def _loss_verdict(above: float) -> str:
    return "bad" if not above <= SATURATED else "ok" if abs(above) <= TOLERANCE else "look"


def _gradient_check(name: str, starts: Sequence[Start]) -> Check:
    dead = [start.dead_share for start in starts if start.dead_share is not None]
    said = f"the weakest stage has {min(map(_ratio, starts)):.1g} of the strongest's, relative to weights"
    said += f"; {max(dead):.0%} of ReLUs dead at most" if dead else ""
    hint = "the loss hardly reaches some stages: another activation or init, batch normalisation, or use_lsuv"
    figures = {"recipes": [{"model": s.words, "dead_share": s.dead_share, "gradients": _finite(s.gradients)} for s in starts]}
    return _judged(name, [_gradient_verdict(start) for start in starts], said, hint, starts, figures)


def _gradient_verdict(start: Start) -> str:
    values = start.gradients.values()
    if not any(values) or not all(map(math.isfinite, values)):
        return "bad"
    return "look" if (start.dead_share or 0.0) > DEAD_SHARE or _ratio(start) < VANISHED else "ok"


def _judged(name: str, verdicts: list[str], said: str, hint: str, starts: Sequence[Start], figures: dict[str, Any]) -> Check:
    if (gravest := worst(verdicts)) == "ok":
        return Check(name, "ok", said, "", figures)
    odd = starts[verdicts.index(gravest)].words
    return Check(name, "bad" if set(verdicts) == {"bad"} else "look", said, f"{odd}: {hint}", figures)


def _watch(network: nn.Module) -> tuple[list[Tensor], dict[str, Tensor]]:
    """Filled by the next forward and backward pass: which units of each ReLU any picture activates, and the norm of each gradient."""
    alive: list[Tensor] = []
    norms: dict[str, Tensor] = {}

    def see_units(_module: nn.Module, _inputs: Any, out: Tensor) -> None:
        alive.append((out.detach().transpose(0, 1).flatten(1) > 0).any(1))

    def see_gradient(name: str, parameter: Tensor) -> None:
        assert parameter.grad is not None
        norms[name] = parameter.grad.norm()

    for module in network.modules():
        if isinstance(module, nn.ReLU | nn.ReLU6):
            module.register_forward_hook(see_units)
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            parameter.register_post_accumulate_grad_hook(partial(see_gradient, name))  # type: ignore[no-untyped-call]
    return alive, norms


def _by_stage(network: nn.Module, norms: dict[str, Tensor]) -> dict[str, float]:
    depth, weights, num_stages = depth_of(network), dict(network.named_parameters()), len(anatomy_of(network).stages)
    stages: dict[str, float] = {}
    for number in sorted({depth[name] for name in norms}):
        names = [name for name in norms if depth[name] == number]
        gradient = math.hypot(*(float(norms[name]) for name in names))
        length = math.hypot(*(float(weights[name].detach().norm()) for name in names))
        stages["head" if number == num_stages else f"stage {number}"] = gradient / max(length, 1e-30)
    return stages


def _ratio(start: Start) -> float:
    values = start.gradients.values()
    return min(values, default=0.0) / max(max(values, default=0.0), 1e-30)


def _finite(values: dict[str, float]) -> dict[str, float | None]:
    return {key: finite(value) for key, value in values.items()}
