"""From a source to a store: decode on all cores, set bad pictures aside, find repeats, write one file.

Finished chunks lie in a hidden folder beside the store until it is whole, so that the same call goes on after a kill or a full disk.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from visiontune.data.ingest.assemble import assemble
from visiontune.data.ingest.bad_pictures import BadPictureLimit
from visiontune.data.ingest.choose_form import choose_form
from visiontune.data.ingest.chunk import Colourful, Counter, do_chunk, load_chunk
from visiontune.data.ingest.chunk_file import Chunk
from visiontune.data.ingest.cut_chunks import Rows, are_split, cut
from visiontune.data.ingest.find_depth import find_depth
from visiontune.data.ingest.known_pictures import Known, save_known
from visiontune.data.ingest.plan import Plan, make_plan
from visiontune.data.ingest.progress import Progress, Stopped, Tell
from visiontune.data.ingest.worker_pool import open_pool
from visiontune.data.ingest.write_store import STORE, head_bytes, write_split, write_store
from visiontune.data.picture.decode import decode
from visiontune.data.picture.stored_form import Form, load_form, save_form
from visiontune.data.source import Source, Stamps
from visiontune.filesystem.atomic_write import write_whole

_STALE_S = 7 * 86_400
# Processes take 20 ms to start.
_FORK_PIXELS = 4 << 20


class Changed(Exception):
    """Files have changed while they were read; what was decoded of all others stays for the next call."""


def ingest(
    source: Source,
    data: Mapping[str, Any],
    folder: Path,
    path_of: Callable[[bytes], tuple[Path, str]],
    *,
    stamps: Stamps | None = None,
    is_digested: bool = False,
    tell: Tell = lambda progress: None,
    stop: threading.Event | None = None,
) -> Path:
    """Make the store, and return where it is: `path_of` of the SHA-256 of all pictures' files, end to end; b"" unless `is_digested`.

    It also gives the key for `save_known`.

    Finished chunks lie in `folder`. `stamps` are the source's before anything was read: where they are others afterwards, it is unknown
    what was decoded of the files that changed. Raises Changed for that, UserError for pictures that can't be used, OSError when the disk
    refuses, Stopped once `stop` is set, Died where a process was killed.
    """
    plan = make_plan(source, data)
    folder.mkdir(exist_ok=True)
    _remove_stale(folder)
    rows = cut(plan.rows, source.first(), source.begins, stamps, is_digested=is_digested)
    form = _form(source, data, plan, folder, stamps, tell)
    chunks, form, num_kept = _decode_all(source, data, plan, rows, form, folder, stop or threading.Event(), tell)
    if source.stamps is not None and stamps is not None and source.stamps().text != stamps.text:
        raise Changed
    num, num_bad = len(plan.label_N), sum(len(chunk.bad) for chunk in chunks)

    def compared(share: float) -> None:
        tell(Progress("comparing", round(share * num), num, num_kept, num_bad))
        if stop is not None and stop.is_set():
            raise Stopped

    compared(0.0)
    path, key = path_of(b"".join(chunk.content_R.tobytes() for chunk in chunks))
    content, report = assemble(source, data, plan, chunks, form, path.stem, compared)
    tell(Progress("writing", num, num, num_kept, num_bad))
    write_store(path, folder / STORE, content, report)
    save_known(path, key, form, chunks, content.order_P())
    shutil.rmtree(folder, ignore_errors=True)
    return path


def split_again(source: Source, data: Mapping[str, Any], known: Known, path: Path, *, tell: Tell, stop: threading.Event) -> Path | None:
    """A store of pictures that another one has, with other splits; nothing is decoded. Raises UserError, OSError, Stopped.

    None where other training pictures ask for other pixels: `data.depth` may go by what they hold.
    """
    plan, num = make_plan(source, data), len(known.row_K)
    if find_depth(source, data, plan, tell) != known.form.depth:
        return None

    def compared(share: float) -> None:
        tell(Progress("comparing", round(share * num), num, num, len(known.chunk.bad)))
        if stop.is_set():
            raise Stopped

    compared(0.0)
    content, report = assemble(source, data, plan, [known.chunk], known.form, path.stem, compared)
    tell(Progress("writing", num, num, num, len(known.chunk.bad)))
    write_split(path, content, report, known.base.stem, known.row_K[content.order_N])
    return path


def _form(source: Source, data: Mapping[str, Any], plan: Plan, folder: Path, stamps: Stamps | None, tell: Tell) -> Form:
    """That of an earlier call, if it was of the same files and splits: others may have another size or depth, or be grey."""
    split = hashlib.sha256(plan.code_N.tobytes()).hexdigest()
    path, text = folder / "stamps.txt", split if stamps is None else f"{stamps.text} {split}"
    if path.exists() and path.read_text() == text and (known := load_form(folder / "form.json")) is not None:
        return known
    form = _choose_form(source, data, plan, folder, tell)
    before = load_form(folder / "form.json")
    save_form(form if before is None else replace(form, kind=before.kind, reason=before.reason), folder / "form.json")
    write_whole(path, text, use_fsync=False)
    return load_form(folder / "form.json") or form


def _decode_all(
    source: Source, data: Mapping[str, Any], plan: Plan, rows: list[Rows], form: Form, folder: Path, stop: threading.Event, tell: Tell
) -> tuple[list[Chunk], Form, int]:
    """Chunks in order, their form, and how many pictures an earlier call had decoded."""
    while True:
        save_form(form, folder / "form.json")
        counter = Counter()
        try:
            return _decode(source, data, plan, rows, form, folder, counter, stop, tell), form, counter.num_kept
        except Colourful:
            form = replace(form, channels=3)


def _choose_form(source: Source, data: Mapping[str, Any], plan: Plan, folder: Path, tell: Tell) -> Form:
    low, high = find_depth(source, data, plan, tell)
    return replace(choose_form(source, data, len(plan.label_N), folder), low=low, high=high)


def _decode(
    source: Source,
    data: Mapping[str, Any],
    plan: Plan,
    rows: list[Rows],
    form: Form,
    folder: Path,
    counter: Counter,
    stop: threading.Event,
    tell: Tell,
) -> list[Chunk]:
    first = source.first()
    limit = BadPictureLimit(source, plan, data["allow_bad"])
    is_worth_it = first[0] * first[1] * len(plan.label_N) > _FORK_PIXELS
    use_processes = source.can_fork and is_worth_it and not are_split(rows, source.begins)
    (folder / STORE).touch()
    head_bytes(form)  # known before processes are forked

    def do(number: int) -> None:
        do_chunk(source, rows[number], form, folder, counter)

    def show() -> None:
        tell(Progress("decoding", counter.num_done, len(plan.label_N), counter.num_kept, limit.num_bad))

    show()
    done: dict[int, Chunk] = {}
    with open_pool(do, use_processes=use_processes, try_out=_try_out) as pool:
        try:
            for finished in pool.finished(range(len(rows))):
                for number in finished:
                    if (chunk := load_chunk(rows[number], form, folder)) is None:
                        raise OSError(errno.EIO, f"{folder} was changed by somebody else")
                    done[number] = chunk
                    limit.add(chunk)
                show()
                if stop.is_set():
                    raise Stopped
            limit.check()
        finally:
            counter.stop.set()
    return [done[number] for number in range(len(rows))]


def _try_out() -> None:
    import cv2

    decode(cv2.imencode(".png", np.zeros((8, 8), np.uint8))[1].tobytes())


def _remove_stale(folder: Path) -> None:
    """Chunks and temporary files that were left for a week: their source has changed since, most likely."""
    for other in (*folder.parent.glob(".*.parts"), *folder.parent.glob(".*.tmp")):
        with contextlib.suppress(FileNotFoundError):  # other processes remove theirs
            if other == folder or time.time() - other.stat().st_mtime < _STALE_S:
                continue
            if other.is_dir():
                shutil.rmtree(other, ignore_errors=True)
            else:
                other.unlink()
