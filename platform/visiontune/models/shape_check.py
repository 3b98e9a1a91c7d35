"""Whether a network fits a picture, found on torch's meta device: shapes only, no memory, no arithmetic."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm
from torch.overrides import TorchFunctionMode

from visiontune.errors import UserError
from visiontune.models.anatomy import anatomy_of
from visiontune.models.build import build_model, built_by
from visiontune.models.initialisation import zero_gamma
from visiontune.models.norm import swap_norm
from visiontune.spec.declarations.declare import Arg, chosen, plugins_in_use
from visiontune.spec.declarations.image_size import ImageSize, pixels, sides, with_shorter
from visiontune.spec.tables.activations import NORMS
from visiontune.spec.tables.inits import INITS
from visiontune.spec.tables.models import MODELS
from visiontune.spec.tables.models_zoo import LIBRARY

_LARGEST = 1024
# What a network can't be built or run with: torch's own errors, and what timm asserts.
_ERRORS = (RuntimeError, ValueError, AssertionError, ZeroDivisionError)


@dataclass(frozen=True)
class _Corner:
    """All of a model section that decides about shapes, with the plugins; a name and its arguments as (name, ((key, value), ...)).

    Of another library's network, and with maxout, everything may decide: `whole` is the section as JSON.
    """

    model: tuple[str, tuple[tuple[str, Any], ...]]
    norm: tuple[str, tuple[tuple[str, Any], ...]]
    use_zero_gamma: bool
    num_classes: int
    in_channels: int
    batch_size: int
    plugins: tuple[str, ...]
    whole: str = ""

    def __str__(self) -> str:
        name, args = self.model
        declared = MODELS.entries[name].args
        own = [f"{key}={value}" for key, value in args if not isinstance(arg := declared[key], Arg) or value != arg.default]
        return f"{name} ({', '.join(own) or 'defaults'})"


def problem_of(model: Mapping[str, Any], *, num_classes: int, in_channels: int, image_size: ImageSize, batch_size: int = 2) -> str | None:
    """Why this model section can't be trained on such pictures, with the smallest that work; None if it can.

    A batch of one is a case of its own: batch normalisation has nothing to compare a picture with.
    """
    try:
        return _problem(_corner(model, num_classes, in_channels, min(batch_size, 2)), image_size)
    except UserError as error:  # no such network, or none of that kind at any size
        return str(error)


def problem_of_other_sizes(
    model: Mapping[str, Any], sizes: Sequence[ImageSize], *, num_classes: int, in_channels: int, image_size: ImageSize
) -> str | None:
    """Why a network for pictures of `image_size` can't take those of other sizes with the same weights; None if it can."""
    corner = _corner(model, num_classes, in_channels, 2)
    for size in sizes:
        if (reason := _failure(corner, size, image_size)) is not None:
            return f"{corner} for pictures of {pixels(image_size)} px can't take any of {pixels(size)} px with the same weights: {reason}"
    return None


def smallest_picture(model: Mapping[str, Any], *, num_classes: int, in_channels: int) -> int | None:
    """Pixels of the smallest square picture that this model section can be trained on; None where none up to 1,024 works."""
    corner = _corner(model, num_classes, in_channels, 2)
    return 1 if _failure(corner, 1) is None else _smallest(partial(_failure, corner), 1)


def num_parameters(model: Mapping[str, Any], *, num_classes: int, in_channels: int, image_size: ImageSize) -> int:
    """Parameters of the network, counted without making it; 4 bytes each, and as much again for gradient and each moment."""
    with torch.device("meta"):
        network = build_model(model, num_classes=num_classes, in_channels=in_channels, image_size=image_size)
    return sum(parameter.numel() for parameter in network.parameters())


def _corner(model: Mapping[str, Any], num_classes: int, in_channels: int, batch_size: int) -> _Corner:
    # Activation, initialisation and dropout change no shape: leaving them out makes most corners of a space one look-up.
    use_zero_gamma = bool(model.get("use_zero_gamma"))
    norm: tuple[str, tuple[tuple[str, Any], ...]] = ("published", ())
    if (batch_size == 1 or use_zero_gamma) and "norm" in model:
        norm = (model["norm"], tuple(chosen(NORMS, model, "norm")[1].items()))
    entry, given = chosen(MODELS, model, "name")
    args, whole = tuple(given.items()), ""
    if LIBRARY in entry.traits:
        args = tuple((key, json.dumps(value) if isinstance(value, dict) else value) for key, value in given.items() if value != {})
    if LIBRARY in entry.traits or given.get("num_pieces", 1) > 1:  # whose activations, too, may have no place
        whole = json.dumps({**model, "init": INITS.default, "use_zero_gamma": False})
    return _Corner((model["name"], args), norm, use_zero_gamma, num_classes, in_channels, batch_size, plugins_in_use(), whole)


@lru_cache(maxsize=4096)
def _problem(corner: _Corner, image_size: ImageSize) -> str | None:
    reason = _failure(corner, image_size)
    if reason is None:
        return _refusal(corner, image_size)

    def failure(shorter: int) -> str | None:
        return _failure(corner, with_shorter(image_size, shorter))

    works = _smallest(failure, min(sides(image_size)))
    if works is None:
        return f"{corner} can't be trained on pictures of {pixels(image_size)} px: {reason}"
    alone = " in batches of one" if corner.batch_size == 1 else ""
    start = f"{corner} is too deep for pictures of {pixels(image_size)} px{alone}"
    if all(failure(larger) is None for larger in (works + 1, works + 2, 2 * works + 1)):
        return f"{start}; the smallest that work have {pixels(with_shorter(image_size, works))} px"
    return f"{start}; not every size works, but {pixels(with_shorter(image_size, works))} px do"


def _smallest(failure: Callable[[int], str | None], fails: int) -> int | None:
    """The smallest size that works, by doubling the one that fails and bisection; some size that works if larger ones may fail again."""
    works = next((fails << k for k in range(1, 11) if fails << k <= _LARGEST and failure(fails << k) is None), None)
    if works is None:
        return None
    fails = works // 2
    while works - fails > 1:
        middle = (works + fails) // 2
        works, fails = (middle, fails) if failure(middle) is None else (works, middle)
    return works


@lru_cache(maxsize=4096)
def _failure(corner: _Corner, size: ImageSize, built_for: ImageSize | None = None) -> str | None:
    try:
        network = _built(corner, built_for or size)
        with torch.device("meta"), torch.no_grad(), nullcontext() if corner.whole else _ShapesOnly():
            network(torch.empty(2, corner.in_channels, *sides(size)))
    except _ERRORS as error:
        return str(error).partition("\n")[0]
    except TypeError as error:  # of a plugin's builder that calculates with one side
        if not corner.plugins or isinstance(size, int):
            raise
        return f"its builder must take image_size as (height, width) where pictures are no squares ({error})"
    return None


def _refusal(corner: _Corner, size: ImageSize) -> str | None:
    """Why a network that fits the picture can't be trained all the same; None if it can."""
    if corner.batch_size > 1 and not corner.use_zero_gamma:
        return None
    network = _built(corner, size)
    if corner.batch_size == 1 and any(isinstance(module, _BatchNorm) for module in network.modules()):
        return f"{corner} has batch normalisation, which learns nothing from batches of one: take larger ones, or norm group or layer"
    try:
        if corner.use_zero_gamma:
            zero_gamma(network)
    except ValueError as error:
        return f"{corner} can't be built: {error}"
    return None


def _built(corner: _Corner, size: ImageSize) -> nn.Module:
    """The network without memory or values, its normalisation swapped."""
    (name, args), (norm, norm_args) = corner.model, corner.norm
    sizes: dict[str, Any] = {"num_classes": corner.num_classes, "in_channels": corner.in_channels, "image_size": size}
    if corner.whole:
        with torch.device("meta"):
            return build_model(json.loads(corner.whole), **sizes)
    with torch.device("meta"), torch.no_grad(), _ShapesOnly():
        network = built_by(MODELS.entries[name], **sizes, **dict(args))
        if norm != "published":
            anatomy = anatomy_of(network)
            swap_norm(network, partial(NORMS.entries[norm].load(), **dict(norm_args)), (anatomy.head, *anatomy.aux))
    return network


# What gives the shape that it got, and what gives the shape to which its two inputs are broadcast.
_SAME = {
    *("relu", "relu6", "leaky_relu", "prelu", "rrelu", "elu", "selu", "celu", "gelu", "silu", "mish", "softplus", "sigmoid", "tanh"),
    *("hardswish", "hardsigmoid", "batch_norm", "group_norm", "layer_norm", "local_response_norm", "dropout", "dropout2d"),
}
_BROADCAST = {"add", "maximum", "mul", "__add__", "__mul__", "__radd__", "__rmul__"}


class _ShapesOnly(TorchFunctionMode):
    """Gives shapes without arithmetic, which on the meta device imports torch's compiler for 1.5 s; leaves out filling tensors.

    What it doesn't know runs as it is, so the compiler is all that it can cost.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        is_in_place = name.endswith("_") and not name.endswith("__") and name != "requires_grad_"
        if is_in_place or name in _SAME:
            return [*args, *kwargs.values()][0]
        if name in _BROADCAST and all(isinstance(arg, Tensor) for arg in args):
            return torch.empty_like(torch.broadcast_tensors(*args)[0])  # type: ignore[no-untyped-call]
        if name == "linear":
            return func(*args[:2])
        instead = {"cat": _joined, "avg_pool2d": _pooled, "adaptive_avg_pool2d": functional.adaptive_max_pool2d}
        return instead.get(name, func)(*args, **kwargs)


def _pooled(x: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False, *_: Any, **__: Any) -> Tensor:
    return functional.max_pool2d(x, kernel_size, stride, padding, ceil_mode=ceil_mode)


def _joined(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    shapes = [list(tensor.shape) for tensor in tensors]
    length = sum(shape.pop(dim) for shape in shapes)
    if any(shape != shapes[0] for shape in shapes):
        raise RuntimeError(f"sizes differ in what is joined: {', '.join(str(tuple(tensor.shape)) for tensor in tensors)}")
    shapes[0].insert(dim % tensors[0].ndim, length)
    return torch.empty(shapes[0])
