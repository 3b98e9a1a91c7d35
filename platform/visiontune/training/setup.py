"""From a recipe and a store to everything that the train loop uses: network, pictures, order, stepper and lr schedule."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from visiontune.augmentation.mixing import build_mixing, problem_of_mixing
from visiontune.errors import UserError
from visiontune.models.anatomy import anatomy_of
from visiontune.models.build import build_model
from visiontune.models.frozen_body import split_network
from visiontune.models.lp_ft import enter_phase, head_first
from visiontune.models.published_weights import weights_of
from visiontune.models.shape_check import problem_of_other_sizes
from visiontune.models.transfer import adapt, frozen_of
from visiontune.spec.declarations.declare import chosen
from visiontune.spec.declarations.fingerprint import keyed_seed
from visiontune.spec.declarations.teacher_files import teachers_of
from visiontune.spec.declarations.trial_recipe import TrialRecipe
from visiontune.spec.plugins import uses_plugins
from visiontune.spec.tables.lr_schedules import LR_SCHEDULES
from visiontune.spec.tables.optimizers import OPTIMIZERS
from visiontune.spec.tables.sharpness import SHARPNESS
from visiontune.spec.tables.slow_weights import SLOW_WEIGHTS
from visiontune.training.arithmetic import Arithmetic
from visiontune.training.class_balance import build_order
from visiontune.training.compiled import problem_of_mode
from visiontune.training.fresh_statistics import statistics_bounds
from visiontune.training.gradient_checkpointing import checkpoint_stages
from visiontune.training.input.batches import Pictures
from visiontune.training.input.epoch_order import IntArray, whole_batches
from visiontune.training.input.fit_preprocessing import fit_preprocessing
from visiontune.training.input.open_pictures import open_pictures
from visiontune.training.input.open_splits import open_splits
from visiontune.training.input.picture_sizes import other_sizes, problem_of_sizes
from visiontune.training.input.preprocessing import Preprocessing
from visiontune.training.label_figures import members_of
from visiontune.training.loss import build_loss
from visiontune.training.lr_schedule import LrSchedule
from visiontune.training.optim.param_groups import learned_parameters, scaled_lr
from visiontune.training.optim.penalties import decayed_parameters
from visiontune.training.optim.sharpness_aware import problem_of_sharpness
from visiontune.training.optim.weight_average import problem_of_averages
from visiontune.training.ranks import ONE_RANK, Ranks, problem_of_ranks
from visiontune.training.step import Stepper, num_at_once
from visiontune.training.teacher import NEEDS_PICTURES, build_teaching

if TYPE_CHECKING:
    from visiontune.data.store.store import Store

NUM_SAMPLE_PICTURES = 256
"""Training pictures that a data-dependent initialisation sees."""


@dataclass(frozen=True)
class Setup:
    """`tail` is what is trained: the whole network, or what follows its frozen stages, with which it shares its tensors.

    `bounds` cut an epoch's order into batches; `statistics_bounds` that of epoch 0, which is no epoch: always the same pictures of
    `statistics_set`, which are training's at the size of val's, give batch normalisation its statistics. At most `num_at_once` pictures
    pass through the device together.
    """

    preprocessing: Preprocessing
    network: nn.Module
    tail: nn.Module
    train_set: Pictures
    statistics_set: Pictures
    val_set: Pictures
    order: Callable[[int, int], IntArray]
    bounds: list[int]
    statistics_bounds: list[int]
    num_at_once: int
    arithmetic: Arithmetic
    stepper: Stepper
    schedule: LrSchedule
    peak_lr: float

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps of an epoch."""
        return len(self.bounds) - 1


@uses_plugins
def set_up(
    recipe: TrialRecipe,
    store: Store,
    device: torch.device,
    trained: Mapping[str, Tensor] | None = None,
    *,
    epoch: int | None = None,
    network: nn.Module | None = None,
    fitted: Preprocessing | None = None,
    ranks: Ranks = ONE_RANK,
) -> Setup:
    """Build everything on the device. Raises UserError, RuntimeError or ValueError for a recipe that can't be built.

    With the `trained` weights of a checkpoint nothing is initialised and no pretrained weights are read; a `network` that is on the
    device goes on as it is, and so does what is `fitted`. What learns is what learns in that epoch, without one in the last.
    """
    training, seed, arithmetic = recipe.training, recipe.training["seed"], Arithmetic.of(recipe.training, device)
    preprocessing = fitted or fit_preprocessing(recipe.preprocessing, store, weights_of(recipe.transfer, recipe.model))
    network = make_network(recipe, store, preprocessing.in_full(), device, trained) if network is None else network
    enter_phase(network, epoch or training["num_epochs"], training["num_epochs"])
    if training["use_channels_last"]:
        network = network.to(memory_format=torch.channels_last)
    changes = recipe.augmentation["mixing"] != "none" or other_sizes(recipe.preprocessing, training, store.image_size)
    # LP-FT's later phase mixes, resizes or shows them.
    needs_pictures = head_first(network) is not None and bool(changes or teachers_of(recipe.loss))
    body, tail = split_network(network, 0 if needs_pictures else frozen_of(network))
    if training["use_gradient_checkpointing"]:
        checkpoint_stages(tail)
    _refuse(recipe, store, preprocessing.out_channels, use_features=body is not None, num_ranks=ranks.num, has_gpu=device.type == "cuda")

    splits = open_splits(recipe, store, device, preprocessing, body, ranks)
    labels_N = store.labels_N[store.train_idx]
    num_labels = len(store.class_names if store.label_sets is None else store.label_sets)
    order = build_order(recipe.balance, labels_N, num_labels, training["repeated_augmentation"])
    bounds = whole_batches(len(order(seed, 1)), training["batch_size"])
    at_once = num_at_once(training)

    members_SK = None if store.label_sets is None else members_of(store)
    aux_weight = anatomy_of(network).aux_weight
    loss = build_loss(recipe.loss, recipe.balance, labels_N, len(store.class_names), aux_weight, members_SK=members_SK)
    weights = decayed_parameters(tail, use_decay_for_all=recipe.regularization["use_decay_for_all"])
    mixing = build_mixing(recipe.augmentation, seed)
    optimizer, around = _optimizer(recipe, tail, weights), _around(recipe, tail)
    around["teaching"] = build_teaching(recipe.loss, preprocessing, len(store.class_names), device)
    stepper = Stepper(tail, loss, optimizer, weights, recipe.regularization, training, arithmetic, mixing, **around, ranks=ranks)
    schedule = _schedule(recipe, steps_per_epoch=len(bounds) - 1)
    peak_lr = scaled_lr(recipe.optimizer["lr"], training["batch_size"], recipe.optimizer["lr_scaling"])
    sizes = (bounds, statistics_bounds(tail, bounds[-1], at_once), at_once)
    return Setup(preprocessing, network, tail, *splits, order, *sizes, arithmetic, stepper, schedule, peak_lr)


@uses_plugins
def make_network(
    recipe: TrialRecipe, store: Store, preprocessing: Preprocessing, device: torch.device, trained: Mapping[str, Tensor] | None = None
) -> nn.Module:
    """The recipe's network, frozen as its regime says: with `trained` weights, or initialised, or with its pretrained ones.

    `trained` has every parameter and buffer. Raises RuntimeError where they are of another network.
    """
    seed, num_classes, image_size = recipe.training["seed"], len(store.class_names), store.image_size

    def sample() -> Tensor:
        index_N = np.sort(np.random.default_rng([seed, 0]).permutation(store.train_idx)[:NUM_SAMPLE_PICTURES])
        pictures = open_pictures(store, index_N, device=device, preprocessing=preprocessing)
        return next(iter(pictures.batches(np.arange(len(index_N)), [0, len(index_N)])))[0]

    sizes: dict[str, Any] = {"num_classes": num_classes, "in_channels": preprocessing.out_channels, "image_size": image_size}
    transfer = {**recipe.transfer, "weights": weights_of(recipe.transfer, recipe.model)}
    name = recipe.model.get("model") or recipe.model["name"]
    if trained is None:
        network = build_model(recipe.model, **sizes, seed=keyed_seed(seed, "weights"), sample=sample, device=device)
        return adapt(network, transfer, name, **sizes)
    network = adapt(build_model(recipe.model, **sizes, device=device), transfer, name, **sizes, use_weights=False)
    network.load_state_dict(trained)
    return network


def _refuse(recipe: TrialRecipe, store: Store, channels: int, *, use_features: bool, num_ranks: int, has_gpu: bool) -> None:
    """Raise UserError for what can't go together."""
    training, size = recipe.training, store.image_size
    problem = problem_of_mixing(recipe.augmentation, batch_size=training["batch_size"], use_features=use_features)
    problem = problem or problem_of_ranks(num_ranks, batch_size=training["batch_size"], use_compile=training["use_compile"])
    problem = problem or problem_of_mode(training, has_gpu=has_gpu)
    problem = problem or (NEEDS_PICTURES if use_features and teachers_of(recipe.loss) else None)
    problem = problem or problem_of_sizes(recipe.preprocessing, training, image_size=size, use_features=use_features)
    if sizes := other_sizes(recipe.preprocessing, training, size):
        shapes: dict[str, Any] = {"num_classes": len(store.class_names), "in_channels": channels, "image_size": size}
        problem = problem or problem_of_other_sizes(recipe.model, sizes, **shapes)
    if problem is not None:
        raise UserError(problem)


def _optimizer(recipe: TrialRecipe, tail: nn.Module, weights: list[Tensor]) -> Optimizer:
    entry, args = chosen(OPTIMIZERS, recipe.optimizer, "name")
    factors = {key: recipe.optimizer[key] for key in ("head_lr_factor", "layer_decay")}
    optimizer: Optimizer = entry.load()(learned_parameters(tail, weights, **factors), **args)
    return optimizer


def _around(recipe: TrialRecipe, tail: nn.Module) -> dict[str, Any]:
    """What goes around the optimizer. Raises UserError for what can't go together."""
    _, averages = problem_of_averages(recipe.regularization, recipe.optimizer) or ("", None)
    problem = problem_of_sharpness(recipe.optimizer, recipe.training) or averages
    if problem is not None:
        raise UserError(problem)
    entries = {key: chosen(table, recipe.optimizer, key) for key, table in (("sharpness", SHARPNESS), ("slow_weights", SLOW_WEIGHTS))}
    return {key: entry.load()(tail, **args) for key, (entry, args) in entries.items()}


def _schedule(recipe: TrialRecipe, steps_per_epoch: int) -> LrSchedule:
    entry, args = chosen(LR_SCHEDULES, recipe.schedule, "name")
    schedule: LrSchedule = entry.load()(steps_per_epoch=steps_per_epoch, num_epochs=recipe.training["num_epochs"], **args)
    return schedule
