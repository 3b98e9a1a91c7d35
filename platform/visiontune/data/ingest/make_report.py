"""The report of an ingest, out of its plan, its chunks and the repeats that were found: rows become names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from visiontune.data.ingest.chunk_file import Chunk
from visiontune.data.ingest.find_depth import depth_note
from visiontune.data.ingest.notes_of_files import notes_of_files
from visiontune.data.ingest.plan import Plan
from visiontune.data.ingest.repeats import Repeat, first_of
from visiontune.data.label_sets import name_of
from visiontune.data.picture.frame import enlargement_note, unseen_N
from visiontune.data.picture.stored_form import Form
from visiontune.data.picture.traits import EIGHT_BITS
from visiontune.data.source import Source
from visiontune.data.split import Codes, IntArray
from visiontune.data.store.ingest_report import IngestReport, aside_of

_SPLITS = ("train", "val", "test")
_QUANTILES = {"min": 0.0, "median": 0.5, "max": 1.0}


def make_report(
    source: Source,
    data: Mapping[str, Any],
    plan: Plan,
    chunks: Sequence[Chunk],
    form: Form,
    code_K: Codes,
    order_N: IntArray,
    repeats: Sequence[Repeat],
    equal_K: IntArray,
) -> IngestReport:
    """The report, with names in place of rows. `repeats` and `equal_K` are what `repeats.find_repeats` gave.

    `order_N` are the kept pictures in the order of the file.
    """
    place_K, trait_K = (np.concatenate([getattr(chunk, name) for chunk in chunks]) for name in ("place_K", "trait_K"))
    shape_K2 = np.concatenate([chunk.shape_K2 for chunk in chunks])
    label_K = plan.label_N[place_K]
    stored_K = np.full(len(place_K), -1, np.int64)
    stored_K[order_N] = np.arange(len(order_N))

    def described(row: int, prefix: str = "") -> dict[str, Any]:
        split, label = _SPLITS[code_K[row]], name_of(int(label_K[row]), source.class_names, source.label_sets)
        names = (prefix.rstrip("_") or "name", f"{prefix}split", f"{prefix}label", f"{prefix}place")
        place = int(place_K[row])
        return dict(zip(names, (plan.name(place), split, label, place), strict=True))

    def pair(row: int, other: int) -> dict[str, Any]:
        rows = [stored if stored >= 0 else None for stored in stored_K[[row, other]].tolist()]
        return {**described(row), **described(other, "other_"), "rows": rows}

    def repeat(one: Repeat) -> dict[str, Any]:
        # Rounding must not make an equal one of a near one.
        similarity = 1.0 if one.is_equal else min(round(one.similarity, 5), 0.99999)
        return {**pair(one.row, one.other), "similarity": similarity, "is_dropped": bool(stored_K[one.row] < 0)}

    return IngestReport(
        source=data["source"],
        num_seen=len(plan.label_N) + sum(one.is_bad for one in source.set_aside),
        set_aside=_set_aside(source, plan, chunks),
        repeats=tuple(repeat(one) for one in repeats),
        num_equal_in_train=int((code_K == 0).sum() - len(np.unique(equal_K[code_K == 0]))),
        conflicts=tuple(pair(row, other) for row, other in _conflicts(equal_K, label_K)),
        heights=_quantiles(shape_K2[:, 0]),
        widths=_quantiles(shape_K2[:, 1]),
        num_shapes=len(np.unique(shape_K2, axis=0)),
        form=form.reason,
        notes=(
            *source.notes,
            *notes_of_files(plan, place_K, trait_K),
            *depth_note(form.depth),
            *(enlargement_note(shape_K2, form.image_size, form.rule) if form.is_resized else ()),
        ),
        unseen=_unseen(shape_K2, form),
        num_source_notes=len(source.notes),
        first_name=source.names("train")[0],
        has_eight_bits=bool((trait_K & EIGHT_BITS != 0).all()),
    )


def _set_aside(source: Source, plan: Plan, chunks: Sequence[Chunk]) -> tuple[Mapping[str, Any], ...]:
    """By the source before anything was decoded, then what could not be."""
    bad = sorted(item for chunk in chunks for item in chunk.bad)
    decoded = ({"name": plan.name(place), "reason": reason, "is_bad": True, "place": place} for place, reason in bad)
    return (*aside_of(source), *decoded)


def _conflicts(equal_K: IntArray, label_K: IntArray) -> list[tuple[int, int]]:
    """(row, row of the first equal picture) of each picture whose label differs from that one's."""
    first_K = first_of(equal_K)
    other_K = np.flatnonzero(label_K != label_K[first_K])
    return list(zip(other_K.tolist(), first_K[other_K].tolist(), strict=True))


def _unseen(shape_K2: IntArray, form: Form) -> dict[str, float]:
    if not form.is_resized:
        return {}
    share_K = unseen_N(shape_K2, form.image_size, form.rule)
    return {"median": round(float(np.median(share_K)), 4), "max": round(float(share_K.max()), 4)}


def _quantiles(values: IntArray) -> dict[str, int]:
    return {name: int(np.quantile(values, share, method="nearest")) for name, share in _QUANTILES.items()}
