"""Pictures of a store before and after: by one op alone, by a whole policy, mixed as a batch. What a preview's sheet shows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from visiontune.augmentation.by_class import Classes
from visiontune.augmentation.of_store import augmented
from visiontune.augmentation.policy import build_policy
from visiontune.augmentation.sheet_drawing import Picture, drawable
from visiontune.data.label_sets import name_of
from visiontune.spec.declarations.image_size import image_size
from visiontune.spec.tables.ops import OPS

if TYPE_CHECKING:
    from visiontune.data.store.store import Store

MAGNITUDES = (0.1, 0.5, 0.9)
NUM_DRAWS = 8
_SEED = 0


@dataclass(frozen=True)
class Draw:
    """One use of a whole policy: a recipe's section, the epoch it stands at of `num_epochs`, and what to call it."""

    name: str
    section: Mapping[str, Any]
    epoch: int
    num_epochs: int


@dataclass(frozen=True)
class Sample:
    """The pictures that a sheet shows, rows of a store, of one class each as far as there are classes."""

    store: Store
    images_NHWC: NDArray[np.uint8]
    index_N: NDArray[np.int64]
    labels_N: NDArray[np.int64]
    names: tuple[str, ...]
    mean_C: NDArray[np.float32]
    std_C: NDArray[np.float32]

    @property
    def columns(self) -> list[str]:
        """Class names, of several classes all; a number where the typeface lacks a letter."""
        return [self.name(int(label)) for label in self.labels_N]

    def name(self, label: int) -> str:
        """As above, for one label."""
        name = name_of(label, self.names, self.store.label_sets)
        return name if drawable(name) else f"class {label}" if self.store.label_sets is None else f"classes {self.store.label_sets[label]}"


def pick(store: Store, num: int) -> Sample:
    """Training pictures: the first ones of classes that are spread evenly over all."""
    num_classes = len(store.class_names)
    classes_K = np.unique(np.linspace(0, num_classes - 1, min(num, num_classes)).round().astype(int))
    train_N = store.train_idx
    of_class = [store.with_class(train_N, label) for label in classes_K.tolist()]
    places = dict.fromkeys(int(rows[turn]) for turn in range(num) for rows in of_class if turn < len(rows))
    index_N = np.array([*places][:num], np.int64)
    return Sample(store, store.images_NHWC[index_N], index_N, store.labels_N[index_N], store.class_names, store.mean_C, store.std_C)


def of_class(sample: Sample, name: str) -> Sample:
    """As many training pictures of one class, or all that it has."""
    train_N = sample.store.train_idx
    index_N = sample.store.with_class(train_N, sample.names.index(name))[: len(sample.index_N)]
    images_NHWC, labels_N = sample.store.images_NHWC[index_N], sample.store.labels_N[index_N]
    return replace(sample, index_N=index_N, images_NHWC=images_NHWC, labels_N=labels_N)


def whole_policy(sample: Sample, draw: Draw) -> NDArray[np.uint8]:
    """The pictures as training would get them."""
    size, channels = image_size(sample.images_NHWC.shape[1:3]), sample.images_NHWC.shape[3]
    classes = Classes(sample.names, sample.store.labels_N)
    policy = build_policy(draw.section, image_size=size, channels=channels, num_epochs=draw.num_epochs, classes=classes)
    if policy is None:
        return sample.images_NHWC
    return augmented(policy, sample.store, sample.index_N, sample.index_N, seed=_SEED, epoch=draw.epoch)


def draws_of(section: Mapping[str, Any], num_epochs: int) -> list[Draw]:
    """Eight uses of a recipe's policy, spread over its epochs where it changes over them."""
    is_changing = any(key == "final_magnitude" and value is not None for key, value in _flat(section))
    epochs = np.linspace(1, num_epochs, NUM_DRAWS).round().astype(int) if is_changing else np.arange(1, 1 + NUM_DRAWS)
    return [Draw(f"epoch {epoch}", section, int(epoch), num_epochs) for epoch in epochs]


def apply_op(
    name: str, magnitude: float | None, images_NHWC: NDArray[np.uint8], index_N: NDArray[np.int64], epoch: int = 1
) -> NDArray[np.uint8]:
    """The op on every picture. Raises UserError where the pictures lack the channels for it."""
    size, channels = image_size(images_NHWC.shape[1:3]), images_NHWC.shape[3]
    args = {"probability": 1.0} if magnitude is None else {"probability": 1.0, "magnitude": magnitude}
    policy = build_policy({"policy": "fixed", name: args}, image_size=size, channels=channels)
    return images_NHWC if policy is None else policy(images_NHWC, seed=_SEED, epoch=epoch, index_N=index_N)


def op_alone(sample: Sample, name: str) -> list[NDArray[np.uint8]]:
    """At the three magnitudes; of an op without one three draws, or one where it draws nothing."""
    if "magnitude" in OPS.entries[name].args:
        return [apply_op(name, magnitude, sample.images_NHWC, sample.index_N) for magnitude in MAGNITUDES]
    draws = [apply_op(name, None, sample.images_NHWC, sample.index_N, epoch) for epoch in range(1, 1 + len(MAGNITUDES))]
    return draws[:1] if all(np.array_equal(draw, draws[0]) for draw in draws) else draws


def _flat(section: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in section.items():
        yield from value.items() if isinstance(value, Mapping) else [(key, value)]


def mixed_batch(sample: Sample, section: Mapping[str, Any], step: int) -> tuple[str, list[Picture], list[str]]:
    """A batch of standardised pictures, shown as pixels again: shares, pictures, classes."""
    import torch

    from visiontune.augmentation.mixing import build_mixing

    x_NHWC = (sample.images_NHWC / np.float32(255) - sample.mean_C) / sample.std_C
    mix: Callable[..., Any] = build_mixing(section, _SEED)
    labels_N = torch.from_numpy(sample.labels_N)
    x_NCHW, targets = mix(torch.from_numpy(x_NHWC.astype(np.float32)).permute(0, 3, 1, 2), labels_N, step)
    shown = (x_NCHW.permute(0, 2, 3, 1).numpy() * sample.std_C + sample.mean_C) * 255
    head, names = f"step {step}", sample.columns
    if not isinstance(targets, torch.Tensor):
        head += f": {targets.share:.2f} and {1 - targets.share:.2f}"
        names = [f"{name}, {sample.name(other)}" for name, other in zip(names, targets.other_N.tolist(), strict=True)]
    return head, list(shown.round().clip(0, 255).astype(np.uint8)), names
