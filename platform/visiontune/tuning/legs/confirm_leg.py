"""What a worker does with the weights of confirmations: keep them, test them, and make their mean. No Ray."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
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
from visiontune.training.setup import Setup, make_network, set_up
from visiontune.training.step import num_at_once
from visiontune.training.train_recipe import examine, examine_views, thresholds_of
from visiontune.training.weights_file import read_tensors, save_weights, split_weights
from visiontune.training.weights_metadata import WeightsMetadata
from visiontune.tuning.records.leg import Leg


def keep_weights(leg: Leg, epoch: Epoch, store: Store, folder: StudyFolder) -> None:
    """Those of a leg's last epoch, under its name. Raises OSError."""
    _save(leg, epoch, store, folder.confirmed_weights(leg.weights))


def _save(leg: Leg, epoch: Epoch, store: Store, file: Path) -> None:
    metadata = WeightsMetadata.of(leg.recipe, store, use_val=leg.use_val, thresholds=thresholds_of(epoch, store)).to_strings()
    save_weights(epoch.model, file, metadata, epoch.preprocessing)


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
    return Epoch(
        epoch=0,
        metrics={},
        time_ms=0,
        is_last=True,
        pictures="",
        arithmetic=Arithmetic.of(training, place),
        num_at_once=num_at_once(training),
        model=network.eval(),
        preprocessing=preprocessing,
        state=dict,
    )


def test_figures(leg: Leg, epoch: Epoch, store: Store, folder: StudyFolder) -> dict[str, float]:
    """Of a network on the test split; with `leg.is_winner` its weights and its table of classes become the study's. Raises OSError."""
    views = examine_views(epoch, store, leg.test_time)
    if not leg.is_winner:
        use_full = leg.recipe.training["use_full_metrics"]
        where: dict[str, Any] = {"preprocessing": epoch.preprocessing, "arithmetic": epoch.arithmetic, "batch_size": epoch.num_at_once}
        found = evaluate(epoch.model, store, "test", use_full_metrics=use_full, thresholds=thresholds_of(epoch, store), **where)
        return {f"test_{name}": value for name, value in found.items()} | views
    figures, classes = examine(epoch, store)
    _save(leg, epoch, store, folder.winner_weights)
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
    val = _refreshed(setup, leg.recipe.training)
    save_weights(setup.network, folder.confirmed_weights(leg.weights), WeightsMetadata.of(leg.recipe, store).to_strings(), fitted)
    return {f"val_{name}": value for name, value in val.items()}


def _refreshed(setup: Setup, training: Mapping[str, Any]) -> dict[str, float]:
    """Figures on val, after batch normalisation's statistics were taken anew."""
    with setup.arithmetic.evaluating():
        order = setup.order(training["seed"], 0)
        refresh_statistics(setup.tail, setup.statistics_set.batches(order, setup.statistics_bounds, 1))
        return measure(setup.tail, setup.val_set, setup.num_at_once, use_full_metrics=training["use_full_metrics"])


def mean_of(tensors: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """By name, the mean of what has a fraction; of counts the first's."""
    first = tensors[0]
    means = {name: torch.stack([one[name].double() for one in tensors]).mean(0).to(first[name]) for name in first}
    return {name: mean if first[name].is_floating_point() else first[name] for name, mean in means.items()}
