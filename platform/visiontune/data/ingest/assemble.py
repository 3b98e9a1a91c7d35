"""What an ingest makes of its chunks: splits of the good pictures, repeats kept out of val and test, moments of the training split."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visiontune.data.ingest.chunk_file import Chunk
from visiontune.data.ingest.make_report import make_report
from visiontune.data.ingest.plan import Plan
from visiontune.data.ingest.repeats import Repeat, find_repeats
from visiontune.data.ingest.write_store import Content
from visiontune.data.label_sets import count_classes
from visiontune.data.picture.digest import Bytes
from visiontune.data.picture.moments import moments_of_sums, sums_of
from visiontune.data.picture.stored_form import Form
from visiontune.data.source import Source
from visiontune.data.split import TEST, TRAIN, VAL, Codes, IntArray, refill_parts
from visiontune.data.store.ingest_report import IngestReport
from visiontune.errors import UserError


def assemble(
    source: Source,
    data: Mapping[str, Any],
    plan: Plan,
    chunks: Sequence[Chunk],
    form: Form,
    digest: str,
    tell: Callable[[float], object] = lambda share: None,
) -> tuple[Content, IngestReport]:
    """What is written, and the report. Raises UserError where no good picture is left of a split, or none of a class for training.

    `tell` is called with the share of the pictures that is compared; what it raises ends it.
    """
    place_K = np.concatenate([chunk.place_K for chunk in chunks])
    label_K, code_K = plan.label_N[place_K], plan.code_N[place_K].copy()
    _refill_parts(source, data, plan, place_K, code_K)
    read_picture = _ChunkPictures(chunks, form)
    repeats, equal_K = find_repeats(
        np.concatenate([chunk.digest_K2 for chunk in chunks]),
        np.concatenate([chunk.thumb_KP for chunk in chunks]),
        code_K,
        label_K,
        read_picture,
        is_colour=form.channels == 3,
        tell=tell,
    )
    is_kept_K = np.ones(len(place_K), np.bool_)
    is_kept_K[[repeat.row for repeat in repeats if _is_dropped(repeat, data["duplicates"])]] = False
    _refuse_empty(code_K[is_kept_K], label_K, code_K, plan, source)
    sum_2C = _sums(chunks, form, code_K == TRAIN)
    mean_C, std_C = moments_of_sums(sum_2C, int((code_K == TRAIN).sum()) * form.picture_bytes // form.channels)
    order_N = _order(chunks, is_kept_K)
    content = Content(digest, form, source.class_names, chunks, order_N, label_K, code_K, mean_C, std_C, source.label_sets)
    return content, make_report(source, data, plan, chunks, form, code_K, order_N, repeats, equal_K)


def _sums(chunks: Sequence[Chunk], form: Form, is_train_K: NDArray[np.bool_]) -> IntArray:
    """`sums_of` the training pictures."""
    sum_2C, start = np.zeros((2, form.channels), np.int64), 0
    for chunk in chunks:
        is_train = is_train_K[start : start + len(chunk.place_K)]
        start += len(is_train)
        if form.has_sums:
            sum_2C += chunk.sum_K2C[is_train].sum(0)
        elif len(is_train):
            begin = int(chunk.begins().min())
            there = np.memmap(chunk.pictures, np.uint8, "r", begin, (len(is_train), *form.stored_size, form.channels))
            is_asked = np.zeros(len(is_train), np.bool_)
            is_asked[(chunk.begins() - begin) // form.picture_bytes] = is_train
            sum_2C += sums_of(np.asarray(there), is_asked)
    return sum_2C


def _is_dropped(repeat: Repeat, duplicates: str) -> bool:
    if repeat.is_equal:
        return duplicates != "keep"
    return duplicates == "drop" or (duplicates == "near" and repeat.is_same_label)


def _order(chunks: Sequence[Chunk], is_kept_K: NDArray[np.bool_]) -> IntArray:
    """(N,) indices of the kept pictures in the order of the file: each at its position in the plan, the last ones in the gaps of others."""
    position_K = np.concatenate([chunk.positions() for chunk in chunks])
    kept = np.flatnonzero(is_kept_K)
    is_inside = position_K[kept] < len(kept)
    order_N = np.full(len(kept), -1, np.int64)
    order_N[position_K[kept[is_inside]]] = kept[is_inside]
    order_N[order_N < 0] = kept[~is_inside]
    return order_N


def _refill_parts(source: Source, data: Mapping[str, Any], plan: Plan, place_K: IntArray, code_K: Codes) -> None:
    """Split again, in place of `code_K`, what is split here: bad pictures may have been all that a class had in some part."""
    num = len(plan.rows["train"])
    is_split = place_K < num
    if is_split.sum() == num:
        return
    rows = plan.rows["train"][place_K[is_split]].tolist()
    keys, groups = source.keys("train"), source.groups("train")
    parts = [*([] if source.has_test else [TEST]), *([] if source.has_val else [VAL]), TRAIN]
    code = code_K[is_split]
    labels_N = plan.label_N[place_K[is_split]]
    chosen = [groups[row] for row in rows] if groups is not None else None
    how: dict[str, Any] = {"seed": data["seed"], "parts": parts, "sets": source.label_sets}
    refill_parts(code, labels_N, [keys[row] for row in rows], chosen, source.class_names, **how)
    code_K[is_split] = code


def _refuse_empty(kept_code: Codes, label_K: IntArray, code_K: Codes, plan: Plan, source: Source) -> None:
    for part, code in (("train", TRAIN), ("val", VAL), ("test", TEST)):
        if not (kept_code == code).any() and (plan.code_N == code).any():
            why = "all are bad or repeat pictures of other splits; look at `data.duplicates: keep`"
            raise UserError(f"{part} must have pictures, but {why}")
    sets, num = source.label_sets, len(source.class_names)
    planned_C = count_classes(plan.label_N[plan.code_N == TRAIN], sets, num)
    lost = np.flatnonzero((planned_C > 0) & (count_classes(label_K[code_K == TRAIN], sets, num) == 0))
    if len(lost):
        raise UserError(f"every class must have good training pictures, but all of {source.class_names[lost[0]]!r} are bad")


class _ChunkPictures:
    """Row to what lies in the frame of the picture, as the store will have it, read out of the chunks."""

    def __init__(self, chunks: Sequence[Chunk], form: Form) -> None:
        self._chunks, self._form = chunks, form
        self._start = np.cumsum([0, *(len(chunk.place_K) for chunk in chunks)])

    def __call__(self, row: int) -> Bytes:
        number = int(np.searchsorted(self._start, row, "right")) - 1
        chunk, within = self._chunks[number], row - int(self._start[number])
        with chunk.pictures.open("rb") as file:
            file.seek(int(chunk.begins()[within]))
            content = file.read(int(chunk.length_K[within]))
        if self._form.kind == "encoded":
            return self._form.seen(self._form.picture_of(content))
        height, width = chunk.shape_K2[within].tolist()
        size = self._form.kept_size((height, width))
        return np.ascontiguousarray(self._form.seen(np.frombuffer(content, np.uint8).reshape(*size, self._form.channels)))
