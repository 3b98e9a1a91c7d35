"""Ops that may change a picture's label, with numbers where there is a trained network to measure it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from visiontune.inference.class_confusions import Effect, Pair
from visiontune.results.screens.text import aligned, number
from visiontune.spec.tables.ops import LABEL_CHANGING

_MOST_PAIRS = 3
_WEAK = 0.5


def measured_lines(effects: Sequence[Effect], who: str, metric: str = "val top1") -> list[str]:
    """A table of all ops, those that confuse classes first; then what the figures can't tell."""
    if not effects:
        return []
    first = effects[0]
    head = f"labels, asked of {who} on {first.num_pictures} val pictures ({metric} {first.top1_before:.3f}), each op with probability 1:"
    ordered = sorted(effects, key=lambda effect: (not effect.pairs, effect.top1_after))
    rows = [("verdict", "op", "magnitude", metric, "taken for another class"), *(_row(effect) for effect in ordered)]
    lines = [head, *(f"  {line}" for line in aligned(rows))]
    if first.top1_before < _WEAK:
        lines.append(f"  this network is right on {first.top1_before:.0%} of the pictures as they are: what it confuses says little")
    if any(effect.pairs and effect.op not in LABEL_CHANGING for effect in effects):
        lines.append("  (hard): its kind leaves labels as they are; it is too strong for this network, or was no part of its training")
    return lines


def suspected_lines(ops: Iterable[str], missing: str) -> list[str]:
    """What the table alone says; `missing` tells why there is no network."""
    suspects = [name for name in ops if name in LABEL_CHANGING]
    if not suspects:
        return []
    return [
        f"look: {', '.join(suspects)} may make another class of a picture (a 6 turned is a 9, a crop may lose the object);",
        f"  the table of ops says so, no network was asked: {missing}",
    ]


def notes_of(effects: Sequence[Effect]) -> Mapping[str, str]:
    """The largest confusion of each op that has one, in a few words."""
    return {effect.op: _said(effect.pairs[0]) for effect in effects if effect.pairs}


def verdict(effect: Effect) -> str:
    """ "look" where classes stand out, "(hard)" where they do so for an op that leaves labels as they are, else "ok"."""
    if not effect.pairs:
        return "ok"
    return "look" if effect.op in LABEL_CHANGING else "(hard)"


def _row(effect: Effect) -> tuple[str, ...]:
    more = len(effect.pairs) - _MOST_PAIRS
    said = ", ".join(_said(pair) for pair in effect.pairs[:_MOST_PAIRS]) + (f", and {more} more pairs" if more > 0 else "")
    strength = "-" if effect.magnitude is None else number(float(effect.magnitude))
    return verdict(effect), effect.op, strength, f"{effect.top1_before:.3f} to {effect.top1_after:.3f}", said or "-"


def _said(pair: Pair) -> str:
    return f"{pair.true} as {pair.taken} {pair.share:.0%}"
