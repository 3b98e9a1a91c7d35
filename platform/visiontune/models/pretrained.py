"""Pretrained weights: from a safetensors file, or by torchvision's or timm's own names and downloaded through them.

Nothing that could run is opened: safetensors, or torch.load with weights_only as both libraries do. Entries under
"preprocessing." (`visiontune train --out` writes them) and of auxiliary classifiers that a network has not are left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from visiontune.errors import NotAtHand, UserError, first_line, near_names
from visiontune.filesystem.path_kind import kind_of
from visiontune.models.anatomy import anatomy_of
from visiontune.models.published_weights import SUFFIX, from_timm, from_torchvision

Shapes = Mapping[str, tuple[int, ...]]
Stamp = tuple[int, int] | None
_PICKLES = (".pt", ".pth", ".bin", ".ckpt", ".pkl")
# Names of auxiliary classifiers in torchvision's GoogLeNet and Inception-v3.
_LEFT_OUT = re.compile(r"preprocessing\.|aux\d*\.|AuxLogits\.")
# Files of old leave it out, and torch fills it with 0. Only an average without momentum would read it.
_COUNTER = ".num_batches_tracked"


def load_pretrained(network: nn.Module, weights: str, *, model_name: str, use_head: bool = True) -> None:
    """Fill parameters and running statistics; all but the head where its shape differs or `use_head` is false.

    A stem for one channel takes the sum of filters for three: grey is red, green and blue alike. Raises UserError where the
    weights can't be had or are of another network.
    """
    tensors = read_weights(weights)
    if mismatch(network, _shapes(tensors), weights, model_name=model_name) is not None:
        tensors = _fitted(network, tensors)
    problem = mismatch(network, _shapes(tensors), weights, model_name=model_name)
    if problem is not None:
        raise UserError(problem)
    own = network.state_dict()
    head = f"{anatomy_of(network).head}."
    fits = use_head and all(name in tensors and tensors[name].shape == own[name].shape for name in own if name.startswith(head))
    taken = {name: tensors[name] for name in own if name in tensors and (fits or not name.startswith(head))}
    grey = {name: tensor.sum(1, keepdim=True) for name, tensor in taken.items() if tensor.shape != own[name].shape}
    network.load_state_dict({**taken, **grey}, strict=False)


def mismatch(network: nn.Module, shapes: Shapes, weights: str, *, model_name: str) -> str | None:
    """Why weights of these names and shapes are of another network; None where they fit all but the head."""
    anatomy = anatomy_of(network)
    stems, head = tuple(f"{name}." for name in anatomy.stages[0]), f"{anatomy.head}."
    own = {name: shape for name, shape in _shapes(network.state_dict()).items() if not name.startswith(head)}
    extra = [name for name in shapes if name not in own and not name.startswith(head) and not _LEFT_OUT.match(name)]
    wrong = [name for name, shape in own.items() if name in shapes and shapes[name] != shape]
    missing = [name for name in own if name not in shapes and not name.endswith(_COUNTER)]
    if missing or extra:
        said = [*_first("they lack", missing), *_first("they have besides", extra)]
        return f"the weights {weights} are not of this {model_name}: {'; '.join(said)}"
    for name in [name for name in wrong if name.startswith(stems) and _is_stem(shapes[name], own[name])]:
        took, has = shapes[name][1], own[name][1]
        if (took, has) != (3, 1):
            return f"the weights {weights} were trained on {took} channels and the pictures have {has}; only 3 can become 1"
        wrong.remove(name)
    if wrong:
        pairs = [f"{name} is {_by(shapes[name])} and should be {_by(own[name])}" for name in wrong]
        return f"the weights {weights} are not of this {model_name}: {'; '.join(_first('', pairs))}"
    return None


def problem_of_weights(network: nn.Module, weights: str, *, model_name: str) -> str | None:
    """Why these weights can't fill the network, which may be on the meta device; None where they can. Raises UserError for none at all."""
    problem = mismatch(network, shapes_of(weights), weights, model_name=model_name)
    if problem is None or anatomy_of(network).fit is None:
        return problem
    with torch.device("cpu"):
        tensors = _fitted(network, read_weights(weights))
    return mismatch(network, _shapes(tensors), weights, model_name=model_name)


def _fitted(network: nn.Module, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Of another picture size, as the network's library fits them; what it can't fit stays as it is."""
    fit = anatomy_of(network).fit
    try:
        return tensors if fit is None else fit(network, tensors)
    except (RuntimeError, ValueError, KeyError, AssertionError, AttributeError):
        return tensors


def read_weights(weights: str) -> dict[str, Tensor]:
    """Names and tensors, on the CPU. Raises UserError: one for an unknown name, another where the server can't be reached."""
    if weights.endswith(SUFFIX):
        return _from_file(weights)
    if "/" in weights or Path(weights).suffix in _PICKLES:
        raise UserError(f"weights in a file end in {SUFFIX}, as opening another kind can run what is in it, but got {weights!r}")
    return from_torchvision(weights) if "_Weights" in weights else from_timm(weights)


def shapes_of(weights: str) -> Shapes:
    """Names and shapes; cached, errors too, as a space of many networks asks for the same weights often. Raises UserError."""
    found = _shapes_or_error(weights, stamp_of(weights))
    if isinstance(found, UserError):
        raise type(found)(*found.problems)
    return found


def stamp_of(weights: str) -> Stamp:
    """(time of change, size) of a file, which differ for another file of the same name; None for what is no file."""
    try:
        state = Path(weights).stat()
    except OSError:
        return None
    return state.st_mtime_ns, state.st_size


@lru_cache(maxsize=64)
def _shapes_or_error(weights: str, stamp: Stamp) -> Shapes | UserError:
    try:
        with torch.device("cpu"):  # a check on the meta device needs the tensors all the same
            return _shapes(read_weights(weights))
    except UserError as error:
        return error.with_traceback(None)


@contextmanager
def open_tensors(weights: str) -> Iterator[Any]:
    """A safetensors file, its tensors still on the disk. Raises UserError where it is missing or damaged."""
    from safetensors import SafetensorError, safe_open

    if kind_of(weights) != "file":
        near = near_names(Path(weights).name, (path.name for path in Path(weights).parent.glob(f"*{SUFFIX}")))
        raise NotAtHand(f"there is no file of weights {weights}{near}")
    try:
        with safe_open(weights, framework="pt") as file:
            yield file
    except (OSError, SafetensorError) as error:
        raise NotAtHand(f"the weights {weights} can't be read: {first_line(error)}") from error


def _from_file(weights: str) -> dict[str, Tensor]:
    with open_tensors(weights) as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def _shapes(tensors: Mapping[str, Tensor]) -> Shapes:
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def _is_stem(theirs: tuple[int, ...], own: tuple[int, ...]) -> bool:
    """Filters that differ in nothing but the channels they see."""
    return len(theirs) == len(own) == 4 and theirs[:1] + theirs[2:] == own[:1] + own[2:]


def _first(what: str, names: list[str]) -> list[str]:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return [f"{what} {', '.join(names[:3])}{more}".strip()] if names else []


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "a number"
