"""From a recipe's model section to a network. Config stops here: below are flat typed arguments.

Contract: x_NCHW float32, square pictures, normalised -> logits_NK, K classes. Every network ends in a child named `fc`.
The weights are a function of (model section, sizes, seed) alone; the global random state is read nowhere and left as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import nn

from visiontune.models.activations import gain_of
from visiontune.models.initialise import initialise
from visiontune.spec.declare import chosen
from visiontune.spec.tables.activations import ACTIVATIONS
from visiontune.spec.tables.inits import INITS
from visiontune.spec.tables.models import MODELS


def build_model(model: Mapping[str, Any], *, num_classes: int, in_channels: int, image_size: int, seed: int | None = None) -> nn.Module:
    """The network of a resolved `model` section; initialised as the section says where `seed` is given.

    Raises RuntimeError or ValueError where the network can't be built for such a picture.
    """
    entry, args = chosen(MODELS, model, "name")
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed or 0)
        network: nn.Module = entry.load()(num_classes=num_classes, in_channels=in_channels, image_size=image_size, **args)
        entry, args = chosen(ACTIVATIONS, model, "activation")
        activation = partial(entry.load(), **args)
        swap(network, nn.ReLU, activation)
        add_dropout(network, model["dropout"])
        if seed is not None:
            initialise(network, INITS.entries[model["init"]].load(), gain_of(activation()), torch.default_generator)
    return network


def swap(network: nn.Module, kind: type[nn.Module], make: Callable[[], nn.Module]) -> int:
    """Put a fresh `make()` in the place of every module of a kind, each place its own; gives the number of places."""
    places = [(parent, name) for parent in network.modules() for name, child in parent.named_children() if isinstance(child, kind)]
    for parent, name in places:
        setattr(parent, name, make())
    return len(places)


def add_dropout(network: nn.Module, probability: float) -> None:
    """Drop features before the classifier: `fc` becomes dropout and the old `fc`; 0 changes nothing."""
    if probability > 0:
        network.fc = nn.Sequential(nn.Dropout(probability), network.get_submodule("fc"))
