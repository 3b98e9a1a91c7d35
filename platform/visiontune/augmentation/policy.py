"""Policies: which ops a training picture gets. Pictures are uint8 NHWC, 0 to 255, square; index_N counts them in the store.

This module imports albumentations only when a policy with ops is built.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visiontune.augmentation.keyed import Stream
from visiontune.spec.errors import UserError
from visiontune.spec.tables.augmentation import OPS, POLICIES

Pictures = NDArray[np.uint8]
IntArray = NDArray[np.int64]
_COLOUR_OPS = ("HueSaturationValue",)


@dataclass(frozen=True)
class Op:
    """A named op: `transform` is albumentations' own, and always applies; the chance is drawn by the policy."""

    name: str
    probability: float
    transform: Any


@dataclass(frozen=True)
class Policy:
    """Ops in order. Not for several threads at once: they would share its generator."""

    ops: tuple[Op, ...]
    stream: Stream = field(default_factory=Stream, repr=False, compare=False)

    def __call__(self, images_NHWC: Pictures, *, seed: int, epoch: int, index_N: IntArray) -> Pictures:
        """Changed copies, in the same shape. What a picture gets depends on its own content, seed, epoch and index alone."""
        from visiontune.augmentation.batched import BATCHED

        pictures_NHWC = np.array(images_NHWC, np.uint8, order="C")
        for op in self.ops:
            self.stream.rekey(seed, epoch, op.name)
            rows_K = np.flatnonzero(self.stream.coins(index_N) < op.probability)
            if len(rows_K) == 0:
                continue
            apply = BATCHED.get(op.name, apply_each)
            apply(op.transform, self.stream, pictures_NHWC, rows_K, index_N[rows_K])
        return pictures_NHWC


def apply_each(transform: Any, stream: Stream, pictures_NHWC: Pictures, rows_K: IntArray, index_K: IntArray) -> None:
    """Call the transform on each of the rows, at the start of its index's stream."""
    for row, index in zip(rows_K.tolist(), index_K.tolist(), strict=True):
        stream.seek(index)
        pictures_NHWC[row] = transform(image=pictures_NHWC[row])["image"]


def build_policy(augmentation: Mapping[str, Any], *, image_size: int, channels: int) -> Policy | None:
    """The policy of a resolved section; None where nothing would change. Raises UserError for ops that can't be honoured."""
    problem = problem_of(augmentation, channels)
    if problem is not None:
        raise UserError(problem)
    entry = POLICIES.entries[augmentation["policy"]]
    if not entry.builder:
        return None
    args = {name: augmentation[name] for name in augmentation if name in entry.args}
    policy: Policy | None = entry.load()(image_size=image_size, **args)
    return policy


def fixed(*, image_size: int, **ops: Mapping[str, float]) -> Policy | None:
    """The ops in the order given. An op with probability or magnitude 0 is left out, as it changes nothing."""
    stream = Stream()
    built = tuple(_build(name, args, image_size, stream) for name, args in ops.items() if _changes(args))
    return Policy(built, stream) if built else None


def problem_of(augmentation: Mapping[str, Any], channels: int) -> str | None:
    """Why the section can't be honoured on pictures with this many channels, as one sentence; None if it can."""
    args = POLICIES.entries[augmentation["policy"]].args
    names = [name for name in augmentation if name in args and name in OPS.entries]
    if augmentation["policy"] == "fixed" and not names:
        return f"augmentation: policy fixed must name at least one op; choices: {', '.join(OPS.entries)}"
    grey = [name for name in names if name in _COLOUR_OPS]
    if channels != 3 and grey:
        others = ", ".join(name for name in OPS.entries if name not in _COLOUR_OPS)
        return f"augmentation.{grey[0]} needs pictures with 3 channels, but these have {channels}; choices: {others}"
    return None


def _build(name: str, args: Mapping[str, float], image_size: int, stream: Stream) -> Op:
    own = {key: value for key, value in args.items() if key != "probability"}
    transform = OPS.entries[name].load()(**own, image_size=image_size)
    transform.set_random_state(stream.generator, stream.py_random)
    return Op(name, float(args["probability"]), transform)


def _changes(args: Mapping[str, float]) -> bool:
    return args["probability"] > 0 and args.get("magnitude", 1.0) > 0
