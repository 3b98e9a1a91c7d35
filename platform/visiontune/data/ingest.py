"""From a source to a store: decode on all cores, set bad pictures aside, find repeats, write one file.

Finished chunks lie in a hidden folder beside the store until it is whole, so that the same call goes on after a kill or a full disk.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from visiontune.data.audit import find_repeats
from visiontune.data.chunk_files import Chunk
from visiontune.data.chunks import Colourful, Counter, Stopped, cut, do_chunk
from visiontune.data.decode import decode
from visiontune.data.digests import Bytes, sums_of
from visiontune.data.forms import Form, choose_form, load_form, save_form
from visiontune.data.processes import crew, num_cores
from visiontune.data.report import Report, make_report
from visiontune.data.sources import Source
from visiontune.data.splits import LEFT_OUT, TEST, TRAIN, VAL, Codes, IntArray, recover, split_rows
from visiontune.data.writing import Content, write_store
from visiontune.spec.errors import Problem, UserError

_MAX_LISTED = 5
_TICK_S = 0.1
_STALE_S = 7 * 86_400
# Processes take 20 ms to start.
_FORK_PIXELS = 4 << 20


@dataclass(frozen=True)
class Plan:
    """What is decoded: rows of each of the source's parts, then label, split and name of every picture, in the file's order."""

    rows: Mapping[str, IntArray]
    label_N: IntArray
    code_N: Codes
    names: Mapping[str, Sequence[str]]

    def name(self, place: int) -> str:
        """Where the source has the picture."""
        for part, rows in self.rows.items():
            if place < len(rows):
                return self.names[part][int(rows[place])]
            place -= len(rows)
        raise IndexError(place)


@dataclass(frozen=True)
class Progress:
    """How far an ingest is. `num_kept` of those done were decoded by an earlier call; `stage` is decoding, comparing or writing."""

    stage: str
    num_done: int
    num: int
    num_kept: int
    num_bad: int


Tell = Callable[[Progress], None]


def make_plan(source: Source, data: Mapping[str, Any]) -> Plan:
    """Choose the rows. Raises UserError when a class is too small to be split."""
    labels = source.labels()
    code_N = split_rows(labels["train"], source.keys("train"), source.groups("train"), source.class_names, **fractions(source, data))
    rows = {"train": np.flatnonzero(code_N != LEFT_OUT)}
    label, code = [labels["train"][rows["train"]]], [code_N[rows["train"]]]
    for part, number in (("val", VAL), ("test", TEST)):
        if part in labels:
            rows[part] = np.arange(len(labels[part]), dtype=np.int64)
            label.append(labels[part])
            code.append(np.full(len(labels[part]), number, np.uint8))
    return Plan(rows, np.concatenate(label), np.concatenate(code), {part: source.names(part) for part in rows})


def fractions(source: Source, data: Mapping[str, Any]) -> dict[str, Any]:
    """What `split_rows` takes: None for a part that the source has."""
    return {
        "seed": data["seed"],
        "val_fraction": None if source.has_val else data["val_fraction"],
        "test_fraction": None if source.has_test else data["test_fraction"],
        "max_pictures": data["max_pictures"],
    }


def ingest(
    source: Source,
    data: Mapping[str, Any],
    digest: str,
    path: Path,
    *,
    stamp: str = "",
    tell: Tell = lambda progress: None,
    stop: threading.Event | None = None,
) -> None:
    """Make the store at `path`. Raises UserError for pictures that can't be used, OSError when the disk refuses, Stopped, Died.

    `stamp` is the source's before anything was read: where it is another one afterwards, nobody can say what was decoded.
    """
    plan = make_plan(source, data)
    folder = path.with_name(f".{path.stem}.parts")
    folder.mkdir(exist_ok=True)
    _remove_stale(folder)
    chunks, form, num_kept = _decode_all(source, data, plan, folder, stop or threading.Event(), tell)
    if source.stamp is not None and source.stamp() != stamp:
        shutil.rmtree(folder, ignore_errors=True)
        raise UserError("pictures must stay as they are while they are read, but files have changed; the same command reads them anew")
    num, num_bad = len(plan.label_N), sum(len(chunk.bad) for chunk in chunks)
    tell(Progress("comparing", num, num, num_kept, num_bad))
    content, report = _conclude(source, data, plan, chunks, form, digest)
    tell(Progress("writing", num, num, num_kept, num_bad))
    write_store(path, content, report)
    shutil.rmtree(folder, ignore_errors=True)


def _decode_all(
    source: Source, data: Mapping[str, Any], plan: Plan, folder: Path, stop: threading.Event, tell: Tell
) -> tuple[list[Chunk], Form, int]:
    """Chunks in order, their form, and how many pictures an earlier call had decoded."""
    form = load_form(folder / "form.json") or choose_form(source, data, len(plan.label_N), folder)
    while True:
        save_form(form, folder / "form.json")
        counter = Counter()
        try:
            return _decode(source, data, plan, form, folder, counter, stop, tell), form, counter.num_kept
        except Colourful:
            form = replace(form, channels=3)


def _decode(
    source: Source,
    data: Mapping[str, Any],
    plan: Plan,
    form: Form,
    folder: Path,
    counter: Counter,
    stop: threading.Event,
    tell: Tell,
) -> list[Chunk]:
    first = source.first()
    rows = cut(plan.rows, first)
    limit = _Limit(source, plan, data["allow_bad"])
    done: dict[int, Chunk] = {}
    use_processes = source.can_fork and first[0] * first[1] * len(plan.label_N) > _FORK_PIXELS
    is_train_N = plan.code_N == TRAIN

    def do(number: int) -> Chunk:
        return do_chunk(source, rows[number], form, is_train_N, folder, counter)

    with crew(do, use_processes=use_processes, try_out=_try_out) as submit:
        futures: set[Future[Chunk]] = set()
        waiting = iter(range(len(rows)))
        try:
            while len(done) < len(rows):
                # A few ahead, so that a million pictures are not a million futures.
                futures |= {submit(number) for number in islice(waiting, 2 * num_cores() - len(futures))}
                ended, futures = wait(futures, _TICK_S, FIRST_COMPLETED)
                for future in ended:
                    chunk = future.result()
                    done[int(chunk.path.stem)] = chunk
                    limit.add(chunk)
                tell(Progress("decoding", counter.num_done, len(plan.label_N), counter.num_kept, limit.num_bad))
                if stop.is_set():
                    raise Stopped
            limit.check()
        finally:
            counter.stop.set()
    return [done[number] for number in range(len(rows))]


def _try_out() -> None:
    import cv2

    decode(cv2.imencode(".png", np.zeros((8, 8), np.uint8))[1].tobytes())


class _Limit:
    """Bad pictures so far, against data.allow_bad."""

    def __init__(self, source: Source, plan: Plan, allow_bad: float) -> None:
        before = [one for one in source.set_aside if one.is_bad]
        self._plan, self._allow_bad = plan, allow_bad
        self._num, self._num_before = len(plan.label_N) + len(before), len(before)
        self._num_seen = self._num_before
        self._before = [Problem(one.name, 0, "", one.reason) for one in before[:_MAX_LISTED]]
        self._bad: list[tuple[int, str]] = []

    @property
    def num_bad(self) -> int:
        return self._num_before + len(self._bad)

    def add(self, chunk: Chunk) -> None:
        self._bad += chunk.bad
        self._num_seen += len(chunk.place_K) + len(chunk.bad)
        self.check()

    def check(self) -> None:
        """Raise UserError above the share, with the first of them."""
        if self.num_bad <= self._allow_bad * self._num:
            return
        listed = [Problem(self._plan.name(place), 0, "", f"picture {reason}") for place, reason in sorted(self._bad)[:_MAX_LISTED]]
        so_far = "" if self._num_seen == self._num else " so far"
        rule = f"of {self._num:,} pictures {self.num_bad:,}{so_far} can't be used"
        rule += f", more than the share that data.allow_bad = {self._allow_bad:g} allows; with a larger one the same command goes on"
        raise UserError(*[*listed, *self._before][:_MAX_LISTED], Problem("", 0, "", rule))


def _conclude(
    source: Source, data: Mapping[str, Any], plan: Plan, chunks: Sequence[Chunk], form: Form, digest: str
) -> tuple[Content, Report]:
    """Splits of what is good, repeats out of val and test, figures of the training split."""
    place_K = np.concatenate([chunk.place_K for chunk in chunks])
    label_K, code_K = plan.label_N[place_K], plan.code_N[place_K].copy()
    _cover(source, data, plan, place_K, code_K)
    look = _Looker(chunks, form)
    repeats, equal_K = find_repeats(
        np.concatenate([chunk.digest_K2 for chunk in chunks]),
        np.concatenate([chunk.thumb_KP for chunk in chunks]),
        code_K,
        look,
        is_colour=form.channels == 3,
    )
    is_kept_K = np.ones(len(place_K), np.bool_)
    if data["duplicates"] == "drop":
        is_kept_K[[repeat.row for repeat in repeats]] = False
    _refuse_empty(code_K[is_kept_K], label_K, code_K, plan, source.class_names)
    changed = np.flatnonzero((code_K == TRAIN) != (plan.code_N[place_K] == TRAIN))
    sum_2C = sum(chunk.sum_2C for chunk in chunks) + sum(
        sums_of(look(row)[np.newaxis], np.ones(1, np.bool_)) * (1 if code_K[row] == TRAIN else -1) for row in changed.tolist()
    )
    mean_C, std_C = _moments_of(np.asarray(sum_2C), int((code_K == TRAIN).sum()) * form.stored_size**2)
    content = Content(digest, form, source.class_names, chunks, is_kept_K, label_K, code_K, mean_C, std_C)
    return content, make_report(source, data, plan, chunks, form, code_K, is_kept_K, repeats, equal_K)


def _cover(source: Source, data: Mapping[str, Any], plan: Plan, place_K: IntArray, code_K: Codes) -> None:
    """Bad pictures may have been all that a class had in some part."""
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
    recover(code, labels_N, [keys[row] for row in rows], chosen, source.class_names, seed=data["seed"], parts=parts)
    code_K[is_split] = code


def _refuse_empty(kept_code: Codes, label_K: IntArray, code_K: Codes, plan: Plan, class_names: Sequence[str]) -> None:
    for part, code in (("train", TRAIN), ("val", VAL), ("test", TEST)):
        if not (kept_code == code).any() and (plan.code_N == code).any():
            why = "all are bad or repeat pictures of other splits; look at `data.duplicates: keep`"
            raise UserError(f"{part} must have pictures, but {why}")
    planned_C = np.bincount(plan.label_N[plan.code_N == TRAIN], minlength=len(class_names))
    lost = np.flatnonzero((planned_C > 0) & (np.bincount(label_K[code_K == TRAIN], minlength=len(class_names)) == 0))
    if len(lost):
        raise UserError(f"every class must have good training pictures, but all of {class_names[lost[0]]!r} are bad")


class _Looker:
    """Whole pictures as a store would give them, out of the chunks."""

    def __init__(self, chunks: Sequence[Chunk], form: Form) -> None:
        self._chunks, self._form = chunks, form
        self._start = np.cumsum([0, *(len(chunk.place_K) for chunk in chunks)])

    def __call__(self, row: int) -> Bytes:
        number = int(np.searchsorted(self._start, row, "right")) - 1
        chunk, within = self._chunks[number], row - int(self._start[number])
        low, high = chunk.offsets()[within : within + 2].tolist()
        with chunk.path.open("rb") as file:
            file.seek(low)
            content = file.read(high - low)
        if self._form.kind == "encoded":
            return self._form.picture_of(content)
        size = self._form.stored_size
        return np.frombuffer(content, np.uint8).reshape(size, size, self._form.channels)


def _moments_of(sum_2C: IntArray, num: int) -> tuple[list[float], list[float]]:
    """As `moments`, out of sums over `num` values and over their squares, in whole numbers."""
    pairs = [(int(first), int(second)) for first, second in sum_2C.T]
    deviations = [(num * second - first**2) ** 0.5 / (255 * num) for first, second in pairs]
    return [first / (255 * num) for first, _ in pairs], [max(one, 1 / 255) for one in deviations]


def moments(histogram_CV: NDArray[np.int64]) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each channel, values divided by 255; a constant channel counts as one level wide."""
    share_CV = histogram_CV / histogram_CV.sum(axis=1, keepdims=True)
    value_V = np.arange(256) / 255
    mean_C = share_CV @ value_V
    std_C = np.sqrt(np.maximum((share_CV * (value_V - mean_C[:, np.newaxis]) ** 2).sum(axis=1), 0.0))
    return mean_C.tolist(), np.maximum(std_C, 1 / 255).tolist()


def _remove_stale(folder: Path) -> None:
    """What nobody has gone on with for a week: its source has changed since, most likely."""
    for other in folder.parent.glob(".*.parts"):
        if other != folder and time.time() - other.stat().st_mtime > _STALE_S:
            shutil.rmtree(other, ignore_errors=True)
