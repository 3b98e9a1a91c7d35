"""Decoded pictures of some hundred rows in a file of their own, so that an ingest that was killed need not do them again.

File: what the store will hold of each good picture, end to end; then a numpy archive of what is known of them; its length as 8
bytes and its SHA-256. It counts only when it is whole and every picture has its digest.

Letters: K good pictures of a chunk, in the order of the plan; B pictures of a block.
"""

from __future__ import annotations

import hashlib
import io
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from visiontune.data.decode import BadPicture, Picture, decode
from visiontune.data.forms import Form
from visiontune.data.pictures import refuse_size
from visiontune.data.sources import Source
from visiontune.data.splits import IntArray

Digests = NDArray[np.uint64]
Bytes = NDArray[np.uint8]

THUMB = 8
# What stays in the cache while it is resized, compared and counted: 4 MiB take twice as long.
_BLOCK_BYTES = 1 << 20
_LARGE_BYTES = 64 << 10
_WORK_PIXELS, _MOST_PIXELS, _MOST_CHUNKS = 1 << 20, 64 << 20, 64
_FEWEST_ROWS, _MOST_ROWS = 16, 1024
_TAIL = 8 + 32


class Colourful(Exception):
    """A picture in colour among grey ones: three channels are needed."""


class Stopped(Exception):
    """Somebody asked to stop; what is finished stays."""


@dataclass(frozen=True)
class Rows:
    """A chunk's share of the plan: rows of one part, and where the first of them stands in the plan."""

    number: int
    part: str
    rows: IntArray
    start: int


@dataclass(frozen=True)
class Chunk:
    """What is known of a finished chunk. `stored` are the lengths of what the file holds of each picture, `bad` is (place, reason)."""

    path: Path
    place_K: IntArray
    digest_K2: Digests
    check_K2: Digests
    thumb_KP: Bytes
    shape_K2: IntArray
    length_K: IntArray
    sum_2C: IntArray
    bad: tuple[tuple[int, str], ...] = ()

    def offsets(self) -> IntArray:
        """(K + 1,) where each picture begins in the file."""
        return np.concatenate([[0], np.cumsum(self.length_K)]).astype(np.int64)


@dataclass
class Counter:
    """Pictures that threads have done; `stop` asks them to end."""

    num_done: int = 0
    num_kept: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    stop: threading.Event = field(default_factory=threading.Event)

    def add(self, num: int, *, is_kept: bool = False) -> None:
        if self.stop.is_set():
            raise Stopped
        with self.lock:
            self.num_done += num
            self.num_kept += num * is_kept


def cut(rows_by_part: Mapping[str, IntArray], first: tuple[int, int, int]) -> list[Rows]:
    """Chunks of a second's work or so: enough of them to keep many cores busy, not so small that a file is opened for nothing."""
    num, pixels = sum(map(len, rows_by_part.values())), first[0] * first[1]
    wanted = max(_WORK_PIXELS // pixels, min(_MOST_PIXELS // pixels, num // _MOST_CHUNKS))
    step = min(max(wanted, _FEWEST_ROWS), _MOST_ROWS)
    chunks: list[Rows] = []
    start = 0
    for part, rows in rows_by_part.items():
        for low in range(0, len(rows), step):
            chunks.append(Rows(len(chunks), part, rows[low : low + step], start))
            start += len(chunks[-1].rows)
    return chunks


def do_chunk(source: Source, chunk: Rows, form: Form, is_train_N: NDArray[np.bool_], folder: Path, counter: Counter) -> Chunk:
    """Found finished in `folder`, or decoded and written there. Raises Colourful, Stopped, UserError, OSError."""
    path = folder / f"{chunk.number:06d}.chunk"
    found = _read(path, chunk, form)
    if found is not None:
        counter.add(len(chunk.rows), is_kept=True)
        return found
    part = path.with_suffix(".tmp")
    try:
        with part.open("wb") as file:
            known = _write(file, source, chunk, form, is_train_N, counter)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return _chunk(path, known)


def digests_of(images: Bytes) -> Digests:
    """(B, 2) 128 bits of each picture; (B, ...) contiguous.

    Sums of 64-bit words times fixed random numbers, modulo 2^64, over the words and over the words turned round (so that every
    byte reaches all bits of one of both). Two that differ agree by chance of about 2^-64; against an adversary it is none. A
    tenth of the time of SHA-256 on small pictures.
    """
    num, length = len(images), int(np.prod(images.shape[1:]))
    words = -(-length // 8)
    flat = images.reshape(num, length)
    if length % 8:
        flat = np.zeros((num, words * 8), np.uint8)
        flat[:, :length] = images.reshape(num, length)
    word_BW = flat.view("<u8")
    factors = _factors(words)
    return np.stack([word_BW @ factors[0], word_BW.byteswap() @ factors[1]], axis=1)


def digests_of_bytes(contents: list[bytes]) -> Digests:
    """(B, 2) 128 bits of BLAKE2b."""
    digests = b"".join(hashlib.blake2b(content, digest_size=16).digest() for content in contents)
    return np.frombuffer(digests, "<u8").reshape(-1, 2).astype(np.uint64)


def thumbs_of(images_BHWC: Bytes) -> Bytes:
    """(B, 64): green, or grey, in 8 x 8 areas; of large pictures over 64 x 64 of their pixels."""
    import cv2

    num, size, _, channels = images_BHWC.shape
    # A block of pictures is one tall picture: an area never crosses from one to the next.
    tall = np.ascontiguousarray(images_BHWC[..., channels // 2]).reshape(num * size, size)
    if size > 8 * THUMB:
        tall = cv2.resize(tall, (8 * THUMB, 8 * THUMB * num), interpolation=cv2.INTER_NEAREST)
    small: Bytes = cv2.resize(tall, (THUMB, THUMB * num), interpolation=cv2.INTER_AREA)
    return small.reshape(num, THUMB * THUMB)


@cache
def _factors(num: int) -> Digests:
    # The bit generator's raw stream is the same in every version of numpy.
    return (np.random.PCG64(1).random_raw(2 * num) | np.uint64(1)).reshape(2, num)


def _write(
    file: BinaryIO, source: Source, chunk: Rows, form: Form, is_train_N: NDArray[np.bool_], counter: Counter
) -> dict[str, NDArray[Any]]:
    """The whole file; what is known of the pictures, by name."""
    known: dict[str, list[NDArray[Any]]] = {name: [] for name in ("place_K", "digest_K2", "check_K2", "thumb_KP", "shape_K2", "length_K")}
    sum_2C = np.zeros((2, form.channels), np.int64)
    bad: list[tuple[int, str]] = []
    pictures = enumerate(_every(source, chunk, form))
    step = max(1, _BLOCK_BYTES // form.picture_bytes)
    block_BHWC = np.empty((min(step, len(chunk.rows)), form.stored_size, form.stored_size, form.channels), np.uint8)
    while items := list(_fill(islice(pictures, step), block_BHWC, chunk, form, bad)):
        places, shapes, contents = zip(*items, strict=True)
        images = block_BHWC[: sum(place >= 0 for place in places)]
        if len(images):
            place_K = np.array([place for place in places if place >= 0], np.int64)
            encoded = [content for content in contents if content is not None]
            digest_K2 = digests_of(images)
            block: dict[str, NDArray[Any]] = {
                "place_K": place_K,
                "digest_K2": digest_K2,
                "check_K2": digests_of_bytes(encoded) if form.kind == "encoded" else digest_K2,
                "thumb_KP": thumbs_of(images),
                "shape_K2": np.array([shape for shape in shapes if shape is not None], np.int64),
                "length_K": np.array([len(one) for one in encoded] or [form.picture_bytes] * len(images), np.int64),
            }
            for name, values in block.items():
                known[name].append(values)
            sum_2C += sums_of(images, is_train_N[place_K])
            file.write(b"".join(encoded) if form.kind == "encoded" else images.data)
        counter.add(len(items))
    next(pictures, None)
    whole = {name: np.concatenate(values) if values else _empty(name) for name, values in known.items()}
    reasons = np.array([reason for _, reason in bad], np.str_)
    whole |= {"sum_2C": sum_2C, "bad": np.array([place for place, _ in bad], np.int64), "reasons": reasons}
    whole["what"] = np.array(_what(chunk, form))
    archive = io.BytesIO()
    np.savez(archive, **cast("dict[str, Any]", whole))
    text = archive.getvalue()
    file.write(text + len(text).to_bytes(8, "little") + hashlib.sha256(text).digest())
    return whole


def sums_of(images_BHWC: Bytes, is_asked_B: NDArray[np.bool_]) -> IntArray:
    """(2, C) of the values of the asked pictures, and of their squares."""
    import cv2

    _, size, _, channels = images_BHWC.shape
    asked = np.flatnonzero(is_asked_B)
    is_large = images_BHWC[0].nbytes > _LARGE_BYTES  # then gathering them costs more than a call for each
    talls = [images_BHWC[row] for row in asked] if is_large else [images_BHWC[asked].reshape(-1, size, channels)] * bool(len(asked))
    sum_2C = np.zeros((2, channels), np.int64)
    for tall in talls:
        mean_C1, std_C1 = cv2.meanStdDev(tall)
        # Sums of whole numbers below 2^50: rounding gives them back.
        sum_2C += np.rint(np.stack([mean_C1, std_C1**2 + mean_C1**2])[..., 0] * (tall.shape[0] * size)).astype(np.int64)
    return sum_2C


def _every(source: Source, chunk: Rows, form: Form) -> Iterator[tuple[Picture | BadPicture, bytes | None]]:
    if form.kind == "raw":
        yield from ((picture, None) for picture in source.pictures(chunk.part, chunk.rows))
        return
    assert source.encoded is not None
    for content in source.encoded(chunk.part, chunk.rows):
        try:
            yield (content, None) if isinstance(content, BadPicture) else (decode(content), content)
        except BadPicture as error:
            yield error, None


def _fill(
    pictures: Iterator[tuple[int, tuple[Picture | BadPicture, bytes | None]]],
    block_BHWC: Bytes,
    chunk: Rows,
    form: Form,
    bad: list[tuple[int, str]],
) -> Iterator[tuple[int, tuple[int, int] | None, bytes | None]]:
    """Good pictures into the block; (place in the plan, or -1 for a bad one, height and width, encoded bytes)."""
    num = 0
    for number, (picture, content) in pictures:
        place = chunk.start + number
        if isinstance(picture, BadPicture):
            bad.append((place, str(picture)))
            yield -1, None, None
            continue
        height, width, channels = picture.shape
        if channels > form.channels:
            raise Colourful
        if not form.is_resized and (height, width) != (form.stored_size, form.stored_size):
            refuse_size(f"data.{chunk.part}: row {chunk.rows[number]}", picture, form.stored_size)
        form.put(picture, block_BHWC[num])
        num += 1
        yield place, (height, width), content


def _read(path: Path, chunk: Rows, form: Form) -> Chunk | None:
    """None for a file that is missing, of other settings, or damaged anywhere."""
    try:
        content = np.memmap(path, np.uint8, "r")
        length = int.from_bytes(content[-_TAIL:-32].tobytes(), "little")
        text = content[-_TAIL - length : -_TAIL].tobytes()
        if hashlib.sha256(text).digest() != content[-32:].tobytes():
            return None
        with np.load(io.BytesIO(text), allow_pickle=False) as archive:
            known = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, KeyError):
        return None
    if str(known.pop("what")) != _what(chunk, form):
        return None
    found = _chunk(path, known)
    stored = content[: -_TAIL - length]
    return found if np.array_equal(checks_of(stored, found.length_K, form), found.check_K2) else None


def checks_of(stored: Bytes, length_K: IntArray, form: Form) -> Digests:
    """What `check_K2` must be for these bytes."""
    if form.kind == "raw":
        if len(stored) != len(length_K) * form.picture_bytes:
            return np.zeros((0, 2), np.uint64)
        step = max(1, _BLOCK_BYTES // form.picture_bytes)
        images = stored.reshape(len(length_K), form.picture_bytes)
        found = [digests_of(images[low : low + step]) for low in range(0, len(images), step)]
        return np.concatenate(found) if found else np.zeros((0, 2), np.uint64)
    ends = np.cumsum(length_K)
    return digests_of_bytes([stored[end - length : end].tobytes() for end, length in zip(ends, length_K, strict=True)])


def _chunk(path: Path, known: Mapping[str, NDArray[Any]]) -> Chunk:
    fields = {name: values for name, values in known.items() if name not in ("bad", "reasons", "what")}
    return Chunk(path, bad=tuple(zip(known["bad"].tolist(), known["reasons"].tolist(), strict=True)), **fields)


def _what(chunk: Rows, form: Form) -> str:
    rows = hashlib.sha256(chunk.rows.tobytes()).hexdigest()
    return f"{chunk.part} {chunk.start} {rows} {form.kind} {form.stored_size} {form.channels}"


def _empty(name: str) -> NDArray[Any]:
    width = {"digest_K2": (0, 2), "check_K2": (0, 2), "thumb_KP": (0, THUMB**2), "shape_K2": (0, 2)}.get(name, (0,))
    return np.zeros(width, {"digest_K2": np.uint64, "check_K2": np.uint64, "thumb_KP": np.uint8}.get(name, np.int64))
