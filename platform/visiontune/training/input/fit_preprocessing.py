"""Preprocessing fitted on the training split alone, with its colour changed but without augmentation.

What takes long is kept in a file beside the store, so that a node's trials fit it once.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from itertools import count
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from visiontune.errors import UserError
from visiontune.filesystem.file_lock import locked
from visiontune.spec.declarations.declare import chosen
from visiontune.spec.declarations.image_size import ImageSize, both_sides, pixels, sides, with_shorter
from visiontune.spec.tables.preprocessings import AS_PRETRAINED, MAX_WHITENED, PREPROCESSINGS, channels_after
from visiontune.training.input.picture_sizes import evaluation_size
from visiontune.training.input.preprocessing import Preprocessing, Scaling, Tensors, Whitening, coloured
from visiontune.training.weights_file import read_tensors, save_tensors

if TYPE_CHECKING:
    from visiontune.data.store.store import Store

_FITTED_VERSION = 1
_CHUNK_VALUES = 4 << 20


def fit_preprocessing(preprocessing: Mapping[str, Any], store: Store, weights: str | None = None) -> Preprocessing:
    """Fitted on the store's training split, or read where a trial before did so; `as_pretrained` goes by the weights, where there are any.

    It is for what is evaluated; training's pictures have it `in_full`. Raises UserError for pictures too large to whiten, and for weights
    that don't say what their pictures went through.
    """
    size, channels = store.image_size, store.images_NHWC.shape[3]
    problem = problem_of_preprocessing(preprocessing, image_size=size, channels=channels)
    if problem is not None:
        raise UserError(problem)
    entry, args = chosen(PREPROCESSINGS, preprocessing, "name")
    if preprocessing["name"] == AS_PRETRAINED:
        entry, args = (entry, {"weights": weights}) if weights else (PREPROCESSINGS.entries[PREPROCESSINGS.default], {})
    eval_size = evaluation_size(preprocessing, size)
    values = entry.load()(store, channels_after(preprocessing["colour"], channels), **args)
    return Preprocessing(values, eval_size if eval_size != size else None)


def problem_of_preprocessing(preprocessing: Mapping[str, Any], *, image_size: ImageSize, channels: int) -> str | None:
    """Why the section can't be honoured on such stored pictures, as one sentence; None if it can."""
    entry = PREPROCESSINGS.entries[preprocessing["name"]]
    channels = channels_after(preprocessing["colour"], channels)
    num_values = prod(sides(image_size)) * channels
    if "whitening_eps" not in entry.args or num_values <= MAX_WHITENED:
        return None
    values = f"{both_sides(image_size)} x {channels} = {num_values:,}"
    works = next(
        with_shorter(image_size, side) for side in count(1) if prod(sides(with_shorter(image_size, side + 1))) * channels > MAX_WHITENED
    )
    rule = f"{preprocessing['name']} takes at most {MAX_WHITENED:,} values a picture, but {values}"
    return f"{rule}; the largest that work have {pixels(works)} px"


def standardize(store: Store, channels: int) -> Scaling:
    """(x / 255 - mean) / deviation."""
    mean_C, std_C = _moments(store, channels)
    return _scaling(store, 1 / (255 * std_C), mean_C / std_C)


def center(store: Store, channels: int) -> Scaling:
    """x / 255 - mean."""
    mean_C, _ = _moments(store, channels)
    return _scaling(store, np.full(channels, 1 / 255, np.float32), mean_C)


def rescale(store: Store, channels: int) -> Scaling:
    """x / 255."""
    return _scaling(store, np.full(channels, 1 / 255, np.float32), np.zeros(channels, np.float32))


def pca_whitening(store: Store, channels: int, *, whitening_eps: float) -> Whitening:
    """Component i of x / 255 - mean, divided by sqrt(variance_i + eps), largest variance first; a vector in a picture's shape."""
    found = _components(store, channels)
    return _whitening(found, found["vectors_DD"].T * _scale(found, whitening_eps))


def zca(store: Store, channels: int, *, whitening_eps: float) -> Whitening:
    """The same turned back by the components: of all whitened pictures the nearest to the picture."""
    found = _components(store, channels)
    return _whitening(found, found["vectors_DD"].T * _scale(found, whitening_eps) @ found["vectors_DD"])


def _scaling(store: Store, scale_C: NDArray[Any], shift_C: NDArray[Any]) -> Scaling:
    height, width = sides(store.image_size)
    return Scaling(torch.from_numpy(scale_C).repeat(width, 1), torch.from_numpy(shift_C).repeat(width, 1), height)


def _moments(store: Store, channels: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    stored = store.images_NHWC.shape[3]
    if channels >= stored:
        return np.repeat(store.mean_C, channels // stored), np.repeat(store.std_C, channels // stored)
    found = _kept(store, "grey", lambda: _fit_grey(store))
    return found["mean_C"].numpy(), found["std_C"].numpy()


def _fit_grey(store: Store) -> Tensors:
    from visiontune.data.picture.moments import moments

    histogram_V = torch.zeros(256, dtype=torch.int64)
    for x_NHWC in _training_pictures(store, 1):
        histogram_V += torch.bincount(x_NHWC.flatten().long(), minlength=256)
    mean_C, std_C = moments(histogram_V[None].numpy())
    return {"mean_C": torch.tensor(mean_C), "std_C": torch.tensor(std_C)}


def _whitening(found: Tensors, matrix_DD: Tensor) -> Whitening:
    return Whitening(255 * found["mean_HWC"].float(), (matrix_DD / 255).float())


def _scale(found: Tensors, eps: float) -> Tensor:
    """For each component; 0 where training pictures don't vary: what others have there would be blown up by 1 / sqrt(eps)."""
    variance_D = found["variance_D"]
    return torch.where(variance_D > 0, (variance_D + eps).rsqrt(), 0.0)


def _components(store: Store, channels: int) -> Tensors:
    """mean_HWC, variance_D falling and vectors_DD in rows, float64, of values in [0, 1]; variance 0 for what is only rounding."""
    found = _kept(store, f"components{channels}", lambda: _fit_components(store, channels))
    return {name: tensor.double() for name, tensor in found.items()}


def _fit_components(store: Store, channels: int) -> Tensors:
    num, shape = len(store.train_idx), (*store.images_NHWC.shape[1:3], channels)
    mean_D = sum(x_NHWC.double().flatten(1).sum(0) for x_NHWC in _training_pictures(store, channels)) / num
    scatter_DD = torch.zeros(len(mean_D), len(mean_D), dtype=torch.float64)
    for x_NHWC in _training_pictures(store, channels):
        centred_ND = x_NHWC.double().flatten(1) - mean_D
        scatter_DD.addmm_(centred_ND.T, centred_ND)
    variance_D, vectors_DD = torch.linalg.eigh(scatter_DD / ((num - 1) * 255**2))
    variance_D, vectors_DD = variance_D.flip(0), vectors_DD.T.flip(0)
    # A component and its opposite are equally good; scikit-learn's rule is that the largest of its values is positive.
    vectors_DD = vectors_DD * vectors_DD.gather(1, vectors_DD.abs().argmax(1, keepdim=True)).sign()
    rounding = max(num, len(mean_D)) * torch.finfo(torch.float64).eps * variance_D[0]
    variance_D = torch.where(variance_D > rounding, variance_D, 0.0)
    return {"mean_HWC": mean_D.view(shape) / 255, "variance_D": variance_D, "vectors_DD": vectors_DD.float()}


def _training_pictures(store: Store, channels: int) -> Any:
    num = max(1, _CHUNK_VALUES // store.images_NHWC[0].size)
    for start in range(0, len(store.train_idx), num):
        yield coloured(torch.from_numpy(store.images_NHWC[store.train_idx[start : start + num]]), channels)


def _kept(store: Store, name: str, fit: Callable[[], Tensors]) -> Tensors:
    """What `fit` gives, from the file that an earlier call wrote; where none can be written it is fitted each time."""
    if not store.path.is_file():
        return fit()
    path: Path = store.path.with_name(f"{store.path.stem}.{name}-{_FITTED_VERSION}.safetensors")
    if (found := read_tensors(path)) is not None:
        return found
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError, UserError):
            stack.enter_context(locked(path.with_suffix(".lock")))
        if (found := read_tensors(path)) is not None:
            return found
        fitted = fit()
        with contextlib.suppress(OSError):
            save_tensors(fitted, path)
    return fitted
