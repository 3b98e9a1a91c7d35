"""What a worker does with the weights of confirmations: keep them, test them, and make their mean. No Ray."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from visiontune.data.store.store import Store
from visiontune.filesystem.atomic_write import write_whole
from visiontune.filesystem.study_folder import StudyFolder
from visiontune.spec.complete_recipe import completed
from visiontune.training.arithmetic import Arithmetic
from visiontune.training.evaluate import evaluate, measure
from visiontune.training.fresh_statistics import refresh_statistics
from visiontune.training.input.preprocessing import Preprocessing
from visiontune.training.loop import Epoch
from visiontune.training.setup import make_network, set_up
from visiontune.training.step import num_at_once
from visiontune.training.train_recipe import examine, examine_views, thresholds_of
from visiontune.training.weights_file import read_tensors, save_weights, split_weights
from visiontune.training.weights_metadata import WeightsMetadata
from visiontune.tuning.records.leg import Leg


def keep_weights(leg: Leg, epoch: Epoch, store: Store, folder: StudyFolder) -> None:
    """Those of a leg's last epoch, under its name. Raises OSError."""
    metadata = WeightsMetadata.of(leg.recipe, store, use_val=leg.use_val, thresholds=thresholds_of(epoch, store)).to_strings()
    save_weights(epoch.model, folder.confirmed_weights(leg.weights), metadata, epoch.preprocessing)


def reopen(leg: Leg, store: Store, folder: StudyFolder, device: str) -> Epoch | None:
    """The network whose weights a leg names, as it was when they were kept; None where they are gone."""
    tensors = read_tensors(folder.confirmed_weights(leg.weights))
    if tensors is None:
        return None
    weights, before = split_weights(tensors)
    place = torch.device(device)
    preprocessing = Preprocessing.of(before).to(place)
    network = make_network(leg.recipe, store, preprocessing.in_full(), place, weights)
    if leg.recipe.training["use_channels_last"]:
        network = network.to(memory_format=torch.channels_last)
    training = {**leg.recipe.training, **({"micro_batch": leg.micro_batch} if leg.micro_batch else {})}
    arithmetic = Arithmetic.of(training, place)
    return Epoch(0, {}, 0, True, "", arithmetic, num_at_once(training), network.eval(), preprocessing, dict)


def test_figures(leg: Leg, epoch: Epoch, store: Store, folder: StudyFolder) -> dict[str, float]:
    """Of a network on the test split; with `leg.is_winner` its weights and its table of classes become the study's. Raises OSError."""
    views = examine_views(epoch, store, leg.test_time)
    if not leg.is_winner:
        use_full = leg.recipe.training["use_full_metrics"]
        where: dict[str, Any] = {"preprocessing": epoch.preprocessing, "arithmetic": epoch.arithmetic, "batch_size": epoch.num_at_once}
        found = evaluate(epoch.model, store, "test", use_full_metrics=use_full, thresholds=thresholds_of(epoch, store), **where)
        return {f"test_{name}": value for name, value in found.items()} | views
    figures, classes = examine(epoch, store)
    metadata = WeightsMetadata.of(leg.recipe, store, use_val=leg.use_val, thresholds=thresholds_of(epoch, store)).to_strings()
    save_weights(epoch.model, folder.winner_weights, metadata, epoch.preprocessing)
    write_whole(folder.winner_test, json.dumps({"metrics": figures, **classes.to_dict()}))
    return figures | views


def average(leg: Leg, store: Store, folder: StudyFolder, device: str) -> dict[str, float] | None:
    """Keep the mean of the weights that a leg names, with batch normalisation's statistics taken anew; its figures on val.

    None where one of them is gone. Wortsman et al. 2022, "Model soups". Raises OSError.
    """
    found = [read_tensors(folder.confirmed_weights(name)) for name in leg.averaged]
    tensors = [one for one in found if one is not None]
    if len(tensors) < len(found):
        return None
    weights, before = split_weights(mean_of(tensors))
    place = torch.device(device)
    fitted = Preprocessing.of(before).to(place)
    setup = set_up(completed(leg.recipe), store, place, weights, fitted=fitted)
    with setup.arithmetic.evaluating():
        order = setup.order(leg.recipe.training["seed"], 0)
        refresh_statistics(setup.tail, setup.statistics_set.batches(order, setup.statistics_bounds, 1))
        val = measure(setup.tail, setup.val_set, setup.num_at_once, use_full_metrics=leg.recipe.training["use_full_metrics"])
    metadata = WeightsMetadata.of(leg.recipe, store).to_strings()
    save_weights(setup.network, folder.confirmed_weights(leg.weights), metadata, fitted)
    return {f"val_{name}": value for name, value in val.items()}


def mean_of(tensors: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """By name, the mean of what has a fraction; of counts the first's."""
    first = tensors[0]
    means = {name: torch.stack([one[name].double() for one in tensors]).mean(0).to(first[name]) for name in first}
    return {name: mean if first[name].is_floating_point() else first[name] for name, mean in means.items()}
