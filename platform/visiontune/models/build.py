"""From a recipe's model section to a network. Sections of recipes end here: builders take flat typed arguments.

Contract: x_NCHW float32, square pictures, normalised -> logits_NK, K classes. Every network has its anatomy.
The weights are a function of (model section, sizes, seed, sample) alone; the global random state is read nowhere and left as it was.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from visiontune.models.activation import ACTIVATION_TYPES, fit_slopes, gain_of, is_timms_activation
from visiontune.models.anatomy import Anatomy, anatomy_of, replace
from visiontune.models.dropout import add_dropout
from visiontune.models.initialisation import initialise, zero_gamma
from visiontune.models.lsuv import scale_to_unit_variance
from visiontune.models.norm import swap_norm
from visiontune.models.skip_init import Unfilled
from visiontune.spec.declarations.declare import Entry, chosen
from visiontune.spec.declarations.image_size import ImageSize
from visiontune.spec.tables.activations import ACTIVATIONS, NORMS
from visiontune.spec.tables.inits import INITS
from visiontune.spec.tables.models import MODELS
from visiontune.spec.tables.models_zoo import LIBRARY

Kinds = type[nn.Module] | tuple[type[nn.Module], ...]

# Classes, of torchvision and timm, in which activations are gates or lie within the branch that makes a gate.
KEEP = {"SqueezeExcitation", "SqueezeExcite", "SEModule", "EffectiveSEModule"}


def build_model(
    model: Mapping[str, Any],
    *,
    num_classes: int,
    in_channels: int,
    image_size: ImageSize,
    seed: int | None = None,
    sample: Callable[[], Tensor] | None = None,
    device: torch.device | None = None,
) -> nn.Module:
    """The network of a resolved `model` section, on `device`; initialised as the section says where `seed` is given.

    Without a seed its weights are 0 and to be loaded. `sample` gives normalised training pictures x_NCHW on the device for LSUV; without
    it weights are not scaled. Raises RuntimeError or ValueError where the network can't be built for such a picture.
    """
    entry, args = chosen(MODELS, model, "name")
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed or 0)
        with Unfilled() if _is_filled_here(entry) else nullcontext():
            network = built_by(entry, num_classes=num_classes, in_channels=in_channels, image_size=image_size, **args)
        if not isinstance(entry.builder, str):  # so that what a plugin draws for itself changes no other weight
            torch.default_generator.manual_seed(seed or 0)
        _swap_published(network, model, in_channels, image_size)
        if seed is not None:  # drawn on the CPU: weights are the same on every device
            entry, args = chosen(INITS, model, "init")
            initialise(network, partial(entry.load(), **args), _gain(network), torch.default_generator, _heads(network))
        if model["use_zero_gamma"]:
            zero_gamma(network)
        if device is not None:
            network.to(device)
        if model["use_lsuv"] and seed is not None and sample is not None:
            scale_to_unit_variance(network, sample())
    add_dropout(network, model["dropout"], model["dropout_kind"], model["dropout_place"])
    return network


def _is_filled_here(entry: Entry) -> bool:
    """Whether `initialise` fills all that the builder fills at random: a library's or a plugin's network may have attention, embeddings."""
    return isinstance(entry.builder, str) and LIBRARY not in entry.traits


def built_by(entry: Entry, **args: Any) -> nn.Module:
    """What the builder of a table's row gives. Raises ValueError where that is no network with its anatomy."""
    network = entry.load()(**args)
    if not isinstance(network, nn.Module):
        raise ValueError(f"its builder gives a {type(network).__name__}, not a torch.nn.Module")
    if not isinstance(getattr(network, "anatomy", None), Anatomy):
        raise ValueError("its builder does not name the stages and the head: return mark(network, ...) of visiontune.models.anatomy")
    return network


def swap(
    network: nn.Module, kinds: type[nn.Module] | tuple[type[nn.Module], ...], make: Callable[[], nn.Module], keep: tuple[str, ...] = ()
) -> int:
    """Replace every module of these kinds by a `make()` of its own; gives their number.

    What lies under a name of `keep` or in a module whose class is in KEEP stays.
    """
    places = [*_places(network, kinds, keep)]
    for name, _ in places:
        replace(network, name, lambda _: make())
    return len(places)


def _swap_published(network: nn.Module, model: Mapping[str, Any], in_channels: int, image_size: ImageSize) -> None:
    """Replace the network's own normalisations and activations by those of the section."""
    anatomy = anatomy_of(network)
    if model["norm"] != "published":
        entry, args = chosen(NORMS, model, "norm")
        swap_norm(network, partial(entry.load(), **args), (anatomy.head, *anatomy.aux))
    if model["activation"] != "published":
        entry, args = chosen(ACTIVATIONS, model, "activation")
        num_swapped = swap(network, ACTIVATION_TYPES, partial(entry.load(), **args), anatomy.keep)
        _refuse_activation(model, num_swapped, is_shared=bool(anatomy.shared))
        fit_slopes(network, in_channels, image_size)


def _refuse_activation(model: Mapping[str, Any], num_swapped: int, *, is_shared: bool) -> None:
    """Raise ValueError where a network has no place for this activation."""
    if num_swapped == 0 and LIBRARY in MODELS.entries[model["name"]].traits:
        raise ValueError(f"{model['model']} has no activation that is a module, so {model['activation']} can't replace any")
    if num_swapped == 0:
        rule = f"{model['name']} has maxout in the place of activations, so {model['activation']} can't replace any"
        raise ValueError(f"{rule}; leave activation at published or num_pieces at 1")
    if is_shared and model["activation"] == "prelu":
        raise ValueError(f"{model['model']} calls one activation in several places, where prelu's slope would be learned for all of them")


def _gain(network: nn.Module) -> float:
    """The gain of the activation that the network has most often; 1 where it has none."""
    own = [module for _, module in _places(network, ACTIVATION_TYPES, anatomy_of(network).keep)]
    if not own:
        return 1.0
    kind = Counter(type(module) for module in own).most_common(1)[0][0]
    return gain_of(next(module for module in own if type(module) is kind))


def _heads(network: nn.Module) -> list[nn.Module]:
    """The layers that give class scores, with no activation after them: the head and the last layer of each auxiliary classifier."""
    anatomy = anatomy_of(network)
    layers = [[m for m in network.get_submodule(aux).modules() if isinstance(m, nn.Linear | nn.Conv2d)] for aux in anatomy.aux]
    return [network.get_submodule(anatomy.head), *(found[-1] for found in layers if found)]


def _places(module: nn.Module, kinds: Kinds, keep: tuple[str, ...], prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    for name, child in module.named_children():
        dotted = prefix + name
        if type(child).__name__ in KEEP or dotted in keep:
            continue
        if isinstance(child, kinds) or (kinds is ACTIVATION_TYPES and is_timms_activation(child)):
            yield dotted, child
        else:
            yield from _places(child, kinds, keep, f"{dotted}.")
