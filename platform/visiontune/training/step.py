"""One optimizer step: mixing, forward, loss, backward (twice where sharpness counts), penalties, noise, clipping, update, averages.

A batch may pass through the device in micro-batches (`micro_batch`): their losses are weighted by their pictures, so that gradients are
those of the whole batch; only batch normalisation sees micro-batches. Pictures are mixed before, over the whole batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from visiontune.augmentation.mixing import Mixing, split_targets, unmixed
from visiontune.spec.declarations.fingerprint import keyed_seed
from visiontune.training.arithmetic import Arithmetic
from visiontune.training.compiled import Compiled
from visiontune.training.loss import Loss
from visiontune.training.optim.lookahead import ALONE, SlowWeights
from visiontune.training.optim.optimizer import load_state, set_lr
from visiontune.training.optim.penalties import add_gradient_noise, add_penalties, clip_gradients, gradients_of
from visiontune.training.optim.schedule_free import ScheduleFree
from visiontune.training.optim.sharpness_aware import Sharpness, one_pass
from visiontune.training.optim.weight_average import WeightAverage, is_in_swa
from visiontune.training.ranks import ONE_RANK, Ranks
from visiontune.training.teacher import Teaching, untaught

_OF_RANKS = "where several workers train, every parameter that learns must get a gradient"


def num_micro_batches(num: int, micro_batch: int) -> int:
    """How many micro-batches of about `micro_batch` pictures a batch of `num` is divided into; 0 is the whole batch.

    None is a single picture, which batch normalisation can't take, unless `num` or `micro_batch` is 1: rather one has a picture
    more than `micro_batch`.
    """
    if micro_batch == 0:
        return 1
    return max(1, min(-(-num // micro_batch), num if micro_batch == 1 else num // 2))


def num_at_once(training: Mapping[str, Any]) -> int:
    """How many pictures pass through the device together, at most; as many fit where gradients are kept, so where none are, too."""
    batch_size: int = training["batch_size"]
    return min(batch_size, training["micro_batch"] or batch_size)


def half_at_once(training: Mapping[str, Any]) -> int:
    """Half as many, for where memory ran out; 0 where that would be single pictures, which batch normalisation can't take."""
    half = -(-num_at_once(training) // 2)
    return half if half > 1 else 0


class Stepper:
    """Trains `network` a batch at a time; `regularization` and `training` are sections of the recipe.

    `model` is the network, compiled where the recipe says so, for whoever evaluates it.
    """

    def __init__(
        self,
        network: nn.Module,
        loss: Loss,
        optimizer: Optimizer,
        weights: list[Tensor],
        regularization: Mapping[str, Any],
        training: Mapping[str, Any],
        arithmetic: Arithmetic,
        mixing: Mixing = unmixed,
        *,
        sharpness: Sharpness = one_pass,
        slow_weights: SlowWeights = ALONE,
        teaching: Teaching = untaught,
        ranks: Ranks = ONE_RANK,
    ) -> None:
        self._optimizer = optimizer
        self._params: list[Tensor] = [parameter for parameter in network.parameters() if parameter.requires_grad]
        self.model = Compiled(network, training["compile_mode"]) if training["use_compile"] else network
        self._ranks, self._forward = ranks, self.model if ranks.num == 1 else ranks.parallel(network)
        self._loss, self._weights, self._regularization, self._device = loss, weights, regularization, arithmetic.device
        self._mixing, self._sharpness, self._slow_weights, self._teaching = mixing, sharpness, slow_weights, teaching
        self._micro_batch, self._seed, self._arithmetic = training["micro_batch"], training["seed"], arithmetic
        self._use_channels_last = training["use_channels_last"]  # as pictures come
        self._scaler = torch.amp.GradScaler(arithmetic.device.type, enabled=arithmetic.precision == "fp16")
        self._num_epochs, self._swa_share = training["num_epochs"], regularization["swa_share"]
        self._average = WeightAverage(network) if regularization["ema_decay"] or self._swa_share else None

    def step(self, x_NCHW: Tensor, y_N: Tensor, lr: float, number: int, num_pictures: int = 0) -> Tensor:
        """Step `number` of the whole training, counted from 0; gives the mean cross-entropy of the batch before it, without a graph.

        It is that of the mixed pictures against their mixed labels, where the recipe mixes. Where several ranks share a batch, it has
        `num_pictures`, and the mean is that of this rank's; then UserError where a parameter that learns gets no gradient.
        """
        total = self._sharpness(lambda: self._gradients(x_NCHW, y_N, number, num_pictures or len(y_N)))
        if self._ranks.num > 1:
            gradients_of(self._params, _OF_RANKS)  # with one that is missing DistributedDataParallel has not added up the others
        self._update(lr, number)
        return total

    def _gradients(self, x_NCHW: Tensor, y_N: Tensor, number: int, num_pictures: int) -> Tensor:
        num_ranks = self._ranks.num
        num = min(num_micro_batches(num_pictures, self._micro_batch), max(1, num_pictures // num_ranks))
        x_NCHW, targets = self._ranks.mixed(self._mixing, x_NCHW, y_N, number, num_pictures)
        micro_batches = x_NCHW.tensor_split(num)  # sizes differ by one at most
        total = torch.zeros((), device=self._device)
        for part, (x, target) in enumerate(zip(micro_batches, split_targets(targets, num), strict=True), 1):
            weight = len(x) * num_ranks / num_pictures  # gradients of ranks are averaged
            with self._ranks.alone(self._forward, is_last=part == num):
                with self._arithmetic.autocast():
                    outputs = self._forward(x if self._use_channels_last else x.contiguous())
                    loss, cross_entropy = self._loss(outputs, target)
                    loss = self._teaching(loss, outputs, x)
                self._scaler.scale(loss if weight == 1 else loss * weight).backward()  # type: ignore[no-untyped-call]
            total += cross_entropy * (len(x) / len(y_N))
        return total

    def _update(self, lr: float, number: int) -> None:
        self._scaler.unscale_(self._optimizer)
        self._adjust_gradients(number)
        set_lr(self._optimizer, lr)
        self._slow_weights.step(lambda: self._scaler.step(self._optimizer))  # nothing where a gradient overflowed
        self._optimizer.zero_grad()
        self._scaler.update()
        if self._average is not None and self._regularization["ema_decay"]:
            self._average.update(self._regularization["ema_decay"])

    def end_epoch(self, epoch: int) -> None:
        """What is due after the last step of an epoch, counted from 1, before its weights are evaluated."""
        self._slow_weights.end_epoch()
        if self._average is not None and self._swa_share and is_in_swa(epoch, self._num_epochs, self._swa_share):
            self._average.include()

    def exchange(self) -> None:
        """Swap the network's weights with the averages, or back; nothing without averages."""
        if isinstance(self._optimizer, ScheduleFree):
            self._optimizer.exchange()
        if self._average is not None:
            self._average.exchange()

    def state_dict(self) -> dict[str, Any]:
        """The state of optimizer, averages and loss scale; live, not copied."""
        return {
            "optimizer": self._optimizer.state_dict(),
            "ema": self._average.state_dict() if self._average is not None else {},
            "scaler": self._scaler.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from such a state. Raises ValueError where it is of other parameter groups."""
        load_state(self._optimizer, state["optimizer"])
        if self._average is not None:
            self._average.load_state_dict(state["ema"])
        if state["scaler"]:
            self._scaler.load_state_dict(state["scaler"])

    def _adjust_gradients(self, number: int) -> None:
        """Penalties, noise and clipping, in this order, between backward and the update."""
        regularization = self._regularization
        add_penalties(self._weights, regularization["l1"], regularization["l2"])
        if regularization["gradient_noise"]:
            generator = torch.Generator(self._device).manual_seed(keyed_seed(self._seed, "noise", number))
            add_gradient_noise(self._params, regularization["gradient_noise"], number, generator)
        if regularization["clip_norm"]:
            clip_gradients(self._params, regularization["clip_norm"])
