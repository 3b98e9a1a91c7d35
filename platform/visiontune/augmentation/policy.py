"""Policies: which ops a training picture gets. Pictures are uint8 NHWC, 0 to 255, square; index_N counts them in the store.

A policy is a row of steps. What a step draws for a picture is a function of (seed, epoch, step, index) alone: batches are the
same for any grouping, order and process. Pictures that drew the same op at the same magnitude are changed together. They are an
array, or a tensor on a device (device.py says how close both are). This module imports albumentations only when an op is applied.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

from visiontune.augmentation.keyed_random import FloatArray, Stream
from visiontune.augmentation.policy_steps import Chance, Ramp, Step, has_magnitude
from visiontune.errors import UserError
from visiontune.spec.declare import Arg, chosen
from visiontune.spec.tables.ops import COLOUR_OPS, OPS
from visiontune.spec.tables.policies import POLICIES

if TYPE_CHECKING:
    from torch import Tensor

Pictures = NDArray[np.uint8]
IntArray = NDArray[np.int64]
Kinds = Sequence[tuple[str, float]]
_MOST_TRANSFORMS = 4096


class Ops:
    """Applies named ops and draws by key. Not for several threads at once: they would share its generator."""

    def __init__(self, image_size: int, engine: str = "batched") -> None:
        """`engine` is batched or albumentations: pictures are the same, to the bit. With device they are a tensor."""
        self.image_size, self.engine, self.stream = image_size, engine, Stream()
        self.transform = lru_cache(_MOST_TRANSFORMS)(self._transform)

    def __reduce__(self) -> tuple[type[Ops], tuple[int, str]]:
        """To other processes without what was built."""
        return Ops, (self.image_size, self.engine)

    def coins(self, index_N: IntArray, *key: int | str) -> FloatArray:
        """A number in [0, 1) for each index."""
        self.stream.rekey(*key)
        return self.stream.coins(index_N)

    def picks(self, num: int, index_N: IntArray, *key: int | str) -> IntArray:
        """A number from 0 to num - 1 for each index, all equally likely."""
        return (self.coins(index_N, *key) * num).astype(np.int64)

    def apply(self, name: str, magnitude: float, pictures_NHWC: Pictures, rows_K: IntArray, index_N: IntArray, *key: int | str) -> None:
        """Change these rows in place, each at its own place of the key's stream. An op without a magnitude takes any."""
        from visiontune.augmentation.engines.batched import engine_of

        if len(rows_K) == 0 or (magnitude == 0 and has_magnitude(name)):
            return
        self.stream.rekey(*key, name)
        if self.engine == "device":
            from visiontune.augmentation.engines.device import apply_on_device

            apply_on_device(name, self.transform(name, magnitude), self.stream, pictures_NHWC, rows_K, index_N[rows_K])  # type: ignore[arg-type]
            return
        engine_of(name, self.engine)(self.transform(name, magnitude), self.stream, pictures_NHWC, rows_K, index_N[rows_K])

    def apply_drawn(
        self, kinds: Kinds, which_K: IntArray, pictures_NHWC: Pictures, rows_K: IntArray, index_N: IntArray, *key: int | str
    ) -> None:
        """Each row gets the op and magnitude that its number among `kinds` says."""
        first: dict[tuple[str, float], int] = {}
        same = np.array([first.setdefault(kind if has_magnitude(kind[0]) else (kind[0], 1.0), n) for n, kind in enumerate(kinds)])
        kind_K = same[which_K]
        for number in np.unique(kind_K).tolist():
            name, magnitude = kinds[number]
            self.apply(name, magnitude, pictures_NHWC, rows_K[kind_K == number], index_N, *key)

    def array(self, values: NDArray[Any], pictures_NHWC: Pictures) -> Any:
        """Numbers of the CPU where they can be reckoned with the pictures."""
        if self.engine != "device":
            return values
        import torch

        return torch.from_numpy(values).to(pictures_NHWC.device)

    def copied(self, pictures_NHWC: Any) -> Any:
        """Pictures that may be changed in place."""
        return pictures_NHWC.clone() if self.engine == "device" else np.array(pictures_NHWC, np.uint8, order="C")

    def _transform(self, name: str, magnitude: float) -> Any:
        args = {"magnitude": magnitude} if has_magnitude(name) else {}
        transform = OPS.entries[name].load()(**args, image_size=self.image_size)
        transform.set_random_state(self.stream.generator, self.stream.py_random)
        return transform


@dataclass(frozen=True)
class Policy:
    """Steps in order."""

    steps: tuple[Step, ...]
    ops: Ops

    @overload
    def __call__(self, images_NHWC: Pictures, *, seed: int, epoch: int, index_N: IntArray) -> Pictures: ...
    @overload
    def __call__(self, images_NHWC: Tensor, *, seed: int, epoch: int, index_N: IntArray) -> Tensor: ...
    def __call__(self, images_NHWC: Any, *, seed: int, epoch: int, index_N: IntArray) -> Any:
        """Changed copies, in the same shape. What a picture gets depends on its own content, seed, epoch and index alone."""
        pictures_NHWC = self.ops.copied(images_NHWC)
        for step in self.steps:
            step(self.ops, pictures_NHWC, index_N, seed=seed, epoch=epoch)
        return pictures_NHWC


def on_device(policy: Policy) -> tuple[Policy | None, tuple[str, ...]]:
    """The same policy for pictures on a device; or None, and the ops that a device lacks."""
    from visiontune.augmentation.engines.device import left_to_cpu

    lacking = left_to_cpu(name for step in policy.steps for name in step.names)
    return (None, lacking) if lacking else (replace(policy, ops=Ops(policy.ops.image_size, "device")), ())


def build_policy(augmentation: Mapping[str, Any], *, image_size: int, channels: int, num_epochs: int = 1) -> Policy | None:
    """The policy of a resolved section; None where nothing would change. Raises UserError for ops that can't be honoured.

    `num_epochs` is the full budget, over which magnitudes that change do so.
    """
    problem = problem_of(augmentation, channels)
    if problem is not None:
        raise UserError(problem)
    entry = POLICIES.entries[augmentation["policy"]]
    if not entry.builder:
        return None
    args = {name: augmentation[name] for name in augmentation if name in entry.args}
    steps = tuple(entry.load()(channels=channels, num_epochs=num_epochs, **args))
    return Policy(steps, Ops(image_size)) if steps else None


def fixed(*, channels: int, num_epochs: int, **ops: Mapping[str, Any]) -> list[Chance]:
    """The ops in the order given. One that changes nothing is left out."""
    magnitudes = {name: Ramp(args.get("magnitude", 1.0), args.get("final_magnitude"), num_epochs) for name, args in ops.items()}
    steps = [Chance(name, args["probability"], magnitudes[name]) for name, args in ops.items()]
    return [step for step in steps if not step.is_nothing]


def problem_of(augmentation: Mapping[str, Any], channels: int) -> str | None:
    """Why the section can't be honoured on pictures with this many channels, as one sentence; None if it can.

    Only ops that the section names can be wrong: policies that draw theirs out of a set leave out what does not suit.
    """
    entry, args = chosen(POLICIES, augmentation, "policy")
    if augmentation["policy"] == "fixed" and not args:
        return f"augmentation: policy fixed must name at least one op; choices: {', '.join(OPS.entries)}"
    named = {(name if name in OPS.entries else args[name]): name for name in args if name in OPS.entries or _names_op(entry.args[name])}
    wrong = [name for name in named if not suits(name, channels)]
    if wrong:
        others = ", ".join(name for name in OPS.entries if not suits(name, channels))
        where = named[wrong[0]] if named[wrong[0]] == wrong[0] else f"{named[wrong[0]]}: {wrong[0]}"
        return f"augmentation.{where} needs pictures with 3 channels, but these have {channels}; choices: every op but {others}"
    return None


def suits(name: str, channels: int) -> bool:
    """Whether an op can be applied to pictures with this many channels."""
    return channels == 3 or name not in COLOUR_OPS


def _names_op(declared: Any) -> bool:
    return isinstance(declared, Arg) and declared.choices == tuple(OPS.entries)
