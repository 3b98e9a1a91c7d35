"""Which ops a policy can draw and how strong they can get, for one recipe's section as for the section of a space.

A section's values are constants or domains; those of a choice's branch stand under it. A recipe has constants alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from visiontune.spec.declarations.declare import Arg, Entry
from visiontune.spec.declarations.domains import Choice, Float, Int
from visiontune.spec.declarations.when import elsewhere
from visiontune.spec.tables.ops import COLOUR_OPS
from visiontune.spec.tables.policies import AUGMIX_OPS, DRAWN_OPS, NUM_SUBS, OPS, POLICIES


@dataclass(frozen=True)
class OpRange:
    """The weakest and the strongest magnitude that an op can have; both are None for an op without one."""

    low: float | None = None
    high: float | None = None

    def wider(self, other: OpRange) -> OpRange:
        """The range that holds both."""
        if self.low is None or self.high is None or other.low is None or other.high is None:
            return self
        return OpRange(min(self.low, other.low), max(self.high, other.high))


@dataclass(frozen=True)
class Args:
    """A policy's arguments as a section has them, defaults for those that it leaves out."""

    entry: Entry
    given: Mapping[str, Any]

    def values(self, key: str) -> tuple[Any, ...]:
        """Both ends of a number's domain, all values of a choice, or the constant; without None."""
        declared = self.entry.args[key]
        assert isinstance(declared, Arg)
        return tuple(value for value in _values(self.given.get(key, declared.default), declared.default) if value is not None)

    def magnitudes(self, *keys: str) -> OpRange:
        """From the least to the greatest value of these arguments."""
        found = [value for key in keys if key in self.entry.args for value in self.values(key)]
        return OpRange(min(found), max(found))


def one_by_one(section: Mapping[str, Any], channels: int) -> tuple[str, ...]:
    """What a section may apply picture by picture and not in batches: ops that the batched engine lacks, and torchvision's policies."""
    from visiontune.augmentation.engines.batched import left_to_reference

    alone = {policy: None for policy, _ in policies_of(section) if policy in ("autoaugment_published", "timm")}
    return (*left_to_reference(ops_of(section, channels)), *alone)


def ops_of(section: Mapping[str, Any], channels: int) -> dict[str, OpRange]:
    """Ops in the order in which the section names them or policies draw them; none that never changes a picture.

    A policy that draws ops out of a set draws none that grey pictures (1 channel) can't get.
    """
    found: dict[str, OpRange] = {}
    for policy, args in policies_of(section):
        for name, span in _OPS_OF.get(policy, _flip_and_crop)(args):
            if name in COLOUR_OPS and channels != 3 and policy not in ("fixed", "autoaugment"):
                continue
            span = span if "magnitude" in OPS.entries[name].args else OpRange()
            if span.high != 0:
                found[name] = found[name].wider(span) if name in found else span
    return found


def ops_by_class(section: Mapping[str, Any], channels: int, classes: Iterable[str]) -> dict[str, frozenset[str]]:
    """The ops that each class can get. A class whose own policy stands in a branch can get those of other branches too."""
    others = frozenset(ops_of({key: item for key, item in section.items() if key != "by_class"}, channels))
    own = {name: frozenset(ops_of(item, channels)) for item in section.get("by_class", ()) for name in item.get("classes", ())}
    return {name: own.get(name, others) for name in classes}


def policies_of(section: Mapping[str, Any]) -> Iterator[tuple[str, Args]]:
    """Each policy that the section can name, except `none`, with its own arguments; those of classes too."""
    for tree in _with_policy(section):
        item = tree["policy"]
        branches = [(name, item.branches.get(name, {})) for name in item.choices] if isinstance(item, Choice) else [(item, {})]
        for name, branch in (*branches, *((name, {}) for name in elsewhere(item, POLICIES.default))):
            entry = POLICIES.entries[name]
            if entry.builder:
                yield name, Args(entry, {key: value for key, value in {**tree, **branch}.items() if key in entry.args})


def _with_policy(tree: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The section, or those branches in it, that name policies; an entry's arguments stand beside its name or in its branch."""
    if "policy" in tree:
        yield tree
    yield from (item for item in tree.get("by_class", ()) if "policy" in item)
    for item in tree.values():
        for branch in item.branches.values() if isinstance(item, Choice) else ():
            yield from _with_policy(branch)


Found = Iterator[tuple[str, OpRange]]


def _fixed(args: Args) -> Found:
    for name, given in args.given.items():
        own = Args(Entry("", args=getattr(args.entry.args[name], "fields", {})), given)
        if max(own.values("probability")) > 0:
            yield name, own.magnitudes("magnitude", "final_magnitude") if "magnitude" in own.entry.args else OpRange()


def _flip_and_crop(args: Args) -> Found:
    if max(args.values("flip_probability")) > 0:
        yield "HorizontalFlip", OpRange()
    yield "PadAndCrop", args.magnitudes("crop_magnitude")


def _randaugment(args: Args) -> Found:
    yield from _flip_and_crop(args)
    yield from ((name, args.magnitudes("magnitude", "final_magnitude")) for name in DRAWN_OPS)


def _trivialaugment(args: Args) -> Found:
    yield from _flip_and_crop(args)
    yield from ((name, OpRange(0.0, 1.0)) for name in DRAWN_OPS)


def _autoaugment(args: Args) -> Found:
    yield from _flip_and_crop(args)
    for sub in range(1, NUM_SUBS + 1):
        for position in (1, 2):
            if max(args.values(f"sub{sub}_probability{position}")) > 0:
                span = args.magnitudes(f"sub{sub}_magnitude{position}")
                yield from ((name, span) for name in args.values(f"sub{sub}_op{position}"))


def _augmix(args: Args) -> Found:
    yield from _flip_and_crop(args)
    yield from ((name, OpRange(1 / 30, max(args.values("severity")) / 10)) for name in AUGMIX_OPS)


def _three_augment(args: Args) -> Found:
    """In magnitudes of the table: a threshold in the middle, a blur of up to 2 pixels, jitters of so much of 0.9."""
    yield from _flip_and_crop(args)
    yield from (("ToGray", OpRange()), ("Solarize", OpRange(0.5, 0.5)), ("GaussianBlur", OpRange(0.0, 1.0)))
    jitter = min(1.0, max(args.values("colour_jitter")) / 0.9)
    yield from ((name, OpRange(0.0, jitter)) for name in ("Brightness", "Contrast", "Saturation"))


_OPS_OF: Mapping[str, Callable[[Args], Found]] = {
    "fixed": _fixed,
    "randaugment": _randaugment,
    "trivialaugment": _trivialaugment,
    "autoaugment": _autoaugment,
    "augmix": _augmix,
    "three_augment": _three_augment,
    "soft_randaugment": _randaugment,
    "soft_trivialaugment": _trivialaugment,
    "soft_augmix": _augmix,
}
"""Others have torchvision's ops and only what comes before them is in the table."""


def _values(item: Any, default: Any) -> tuple[Any, ...]:
    ends = item.ends() if isinstance(item, Float | Int | Choice) else (item,)
    return (*ends, *elsewhere(item, default))
