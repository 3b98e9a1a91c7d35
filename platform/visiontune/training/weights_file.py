"""Weights as safetensors: names and tensors only, nothing that could run when the file is opened."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from visiontune.errors import UserError, first_line
from visiontune.filesystem.atomic_write import write_whole

PREPROCESSING = "preprocessing."
"""The start of the names under which a file of weights holds what happens to pictures before the network."""
_LONGEST = 300


def save_weights(model: nn.Module, path: Path, metadata: Mapping[str, str] | None = None, preprocessing: nn.Module | None = None) -> None:
    """Write parameters and buffers of the model and of its preprocessing, whole or not at all. Raises OSError."""
    before = preprocessing.state_dict() if preprocessing is not None else {}
    save_tensors({**model.state_dict(), **{PREPROCESSING + name: tensor for name, tensor in before.items()}}, path, metadata)


def load_weights(model: nn.Module, path: Path) -> None:
    """Fill a model of the same recipe and sizes. Raises UserError where the file is missing, damaged or of another network."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        model.load_state_dict(split_weights(load(path.read_bytes()))[0])
    except (OSError, SafetensorError) as error:
        raise UserError(f"the weights {path} don't fit this network: {first_line(error)}") from error
    except RuntimeError as error:  # torch's first line says that there are errors, the others which
        first, *more = [line.strip().rstrip(".") for line in str(error).splitlines()[1:]] or [first_line(error)]
        others = f" (and {len(more)} more)" if more else ""
        raise UserError(f"the weights {path} don't fit this network: {first[:_LONGEST]}{others}") from error


def split_weights(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The network's state_dict and the preprocessing's, out of what a file holds."""
    before = {name.removeprefix(PREPROCESSING): tensor for name, tensor in tensors.items() if name.startswith(PREPROCESSING)}
    return {name: tensor for name, tensor in tensors.items() if not name.startswith(PREPROCESSING)}, before


def save_tensors(tensors: Mapping[str, Tensor], path: Path, metadata: Mapping[str, str] | None = None) -> None:
    """Write a file, whole or not at all. Raises OSError."""
    from safetensors.torch import save

    write_whole(path, save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, dict(metadata or {})))


def read_tensors(path: Path) -> dict[str, Tensor] | None:
    """The tensors of such a file; None where there is none that can be read."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        tensors: dict[str, Tensor] = load(path.read_bytes())
    except (OSError, SafetensorError):
        return None
    return tensors
