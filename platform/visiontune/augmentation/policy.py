"""Policies: which ops a training picture gets. Pictures are uint8 NHWC, 0 to 255; index_N counts them in the store.

A policy is a sequence of steps. What a step draws for a picture is a function of (seed, epoch, step, index) alone: batches are the
same for any grouping, order and process. Pictures that drew the same op are changed together. They are an
array, or a tensor on a device (device.py says how close the results are). This module imports albumentations only when an op is applied.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple, overload

from visiontune.augmentation.apply_ops import IntArray, Ops, Pictures
from visiontune.augmentation.by_class import ByClass, Classes, Steps, by_class, problem_of_classes
from visiontune.augmentation.policy_steps import Chance, Ramp, Step
from visiontune.augmentation.resized_crop import ResizedCrop, crop_of, problem_of_crop
from visiontune.errors import UserError
from visiontune.spec.declarations.declare import Arg, Entry, chosen
from visiontune.spec.declarations.former_policies import as_meant
from visiontune.spec.declarations.image_size import ImageSize, pixels
from visiontune.spec.tables.ops import COLOUR, COLOUR_OPS, OPS, TURNING
from visiontune.spec.tables.policies import POLICIES

if TYPE_CHECKING:
    from torch import Tensor

_UNKNOWN = "augmentation.by_class goes by the classes of pictures, which are not known here"


@dataclass(frozen=True)
class Policy:
    """Steps in order."""

    steps: tuple[Step, ...]
    ops: Ops

    @property
    def names(self) -> tuple[str, ...]:
        """Of the ops that it may apply."""
        return tuple(dict.fromkeys(name for step in self.steps for name in step.names))

    @property
    def crop(self) -> ResizedCrop | None:
        """What comes first: where a store has whole pictures it is taken out of those, and `after_crop` is what is left to do."""
        first = self.steps[0] if self.steps else None
        return first if isinstance(first, ResizedCrop) else None

    def after_crop(self) -> Policy:
        """The steps behind it."""
        return replace(self, steps=self.steps[1:])

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


class Parts(NamedTuple):
    """A policy in two: `first` is the CPU's, `there` the device's, after it; `lacking` are ops that have no form for a device."""

    first: Policy | None
    there: Policy | None
    lacking: tuple[str, ...]


def on_device(policy: Policy, num_first: int = 0) -> Parts:
    """The CPU does the steps up to the last with an op that a device lacks, so that pictures go there once and never back.

    It does `num_first` at least.
    """
    from visiontune.augmentation.engines.device import left_to_cpu

    first, there = _parted(policy.steps, num_first)
    ops = Ops(policy.ops.image_size, "device", policy.ops.entries)
    return Parts(replace(policy, steps=first) if first else None, Policy(there, ops) if there else None, left_to_cpu(policy.names))


def _parted(steps: Steps, num_first: int = 0) -> tuple[Steps, Steps]:
    """Steps of the CPU and steps of the device, those of classes in themselves."""
    from visiontune.augmentation.engines.device import left_to_cpu

    num = max((number for number, step in enumerate(steps, start=1) if left_to_cpu(step.names)), default=0)
    last = steps[num - 1] if num > num_first else None
    if not isinstance(last, ByClass):
        num = max(num, num_first)
        return steps[:num], steps[num:]
    first, second = last.parted(_parted)
    return (*steps[: num - 1], *first), (*second, *steps[num:])


def build_policy(
    augmentation: Mapping[str, Any], *, image_size: ImageSize, channels: int, num_epochs: int = 1, classes: Classes | None = None
) -> Policy | None:
    """The policy of a resolved section; None where nothing would change. Raises UserError for ops that these pictures can't get.

    `num_epochs` is the full budget, over which magnitudes that change do so; `classes` are needed where some have policies of their own.
    """
    augmentation, items = as_meant(augmentation), augmentation.get("by_class", ())
    problem = problem_of(augmentation, channels) or problem_of_turning(augmentation, image_size) or problem_of_crop(augmentation)
    if problem is None and items:
        problem = _UNKNOWN if classes is None else problem_of_by_class(items, classes.names, image_size=image_size, channels=channels)
    if problem is not None:
        raise UserError(problem)
    own = _steps_of(augmentation, channels, num_epochs)
    if items and classes is not None:
        own = by_class(items, [_steps_of(item, channels, num_epochs) for item in items], own, classes)
    steps = (*crop_of(augmentation), *own)
    return Policy(steps, Ops(image_size)) if steps else None


def _steps_of(section: Mapping[str, Any], channels: int, num_epochs: int) -> Steps:
    """Those of the policy that it names."""
    entry = POLICIES.entries[section["policy"]]
    args = {name: section[name] for name in section if name in entry.args}
    return tuple(entry.load()(channels=channels, num_epochs=num_epochs, **args)) if entry.builder else ()


def fixed(*, channels: int, num_epochs: int, **ops: Mapping[str, Any]) -> list[Chance]:
    """The named ops in the order given, each with its own probability. One that changes nothing is left out."""
    magnitudes = {name: Ramp(args.get("magnitude", 1.0), args.get("final_magnitude"), num_epochs) for name, args in ops.items()}
    steps = [Chance(name, args["probability"], magnitudes[name]) for name, args in ops.items()]
    return [step for step in steps if not step.is_nothing]


def problem_of_by_class(items: Sequence[Mapping[str, Any]], names: Sequence[str], *, image_size: ImageSize, channels: int) -> str | None:
    """Why classes with these names can't have these policies of their own, as one sentence; None if they can."""
    for number, item in enumerate(items):
        at = f"augmentation.by_class[{number}]"
        problem = problem_of(item, channels, at) or problem_of_turning(item, image_size, at)
        if problem is not None:
            return problem
    return problem_of_classes(items, names)


def problem_of(augmentation: Mapping[str, Any], channels: int, at: str = "augmentation") -> str | None:
    """Why the section can't be honoured on pictures with this many channels, as one sentence; None if it can.

    Only ops that the section names can be wrong: policies that draw theirs out of a set leave out what does not suit.
    """
    entry, args = chosen(POLICIES, augmentation, "policy")
    if augmentation["policy"] == "fixed" and not args:
        return f"{at}: policy fixed must name at least one op; choices: {', '.join(OPS.entries)}"
    named = _named(entry, args)
    wrong = [name for name in named if not suits(name, channels)]
    if wrong:
        others = ", ".join(name for name in OPS.entries if not suits(name, channels))
        where = named[wrong[0]] if named[wrong[0]] == wrong[0] else f"{named[wrong[0]]}: {wrong[0]}"
        return f"{at}.{where} needs pictures with 3 channels, but these have {channels}; choices: every op but {others}"
    return None


def problem_of_turning(augmentation: Mapping[str, Any], image_size: ImageSize, at: str = "augmentation") -> str | None:
    """Why an op of the section, one that turns by 90 degrees, can't be had of pictures of that size; None if it can."""
    named = _named(*chosen(POLICIES, augmentation, "policy"))
    turning = None if isinstance(image_size, int) else next((name for name in named if name in TURNING), None)
    if turning is None:
        return None
    where = turning if named[turning] == turning else f"{named[turning]}: {turning}"
    rule = f"{at}.{where} swaps height and width, which must be equal, but data.image_size is {pixels(image_size)}"
    return f"{rule}; HorizontalFlip and VerticalFlip turn such pictures by 180 degrees"


def _named(entry: Entry, args: Mapping[str, Any]) -> dict[str, str]:
    """The ops that a section names, each with the key that does so."""
    return {(name if name in OPS.entries else args[name]): name for name in args if name in OPS.entries or _names_op(entry.args[name])}


def suits(name: str, channels: int) -> bool:
    """Whether an op can be applied to pictures with this many channels."""
    return channels == 3 or not (name in COLOUR_OPS or COLOUR in OPS.entries[name].traits)


def _names_op(declared: Any) -> bool:
    return isinstance(declared, Arg) and declared.choices == tuple(OPS.own)
