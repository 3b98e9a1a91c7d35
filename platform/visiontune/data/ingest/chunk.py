"""Some hundred pictures at a time, decoded and written, so that an ingest that was killed need not do them again.

Letters: K good pictures of a chunk, in the order of the plan; B pictures of a block.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from visiontune.data.ingest.chunk_file import Chunk, is_whole, read_chunk, write_end
from visiontune.data.ingest.cut_chunks import Rows
from visiontune.data.ingest.progress import Stopped
from visiontune.data.ingest.worker_pool import CONTEXT
from visiontune.data.ingest.write_store import STORE, head_bytes
from visiontune.data.picture.bad_picture import BadPicture, Picture, Values
from visiontune.data.picture.decode import values_and_size
from visiontune.data.picture.depth import eight_bits
from visiontune.data.picture.digest import BLOCK_BYTES, Bytes, digests_of, digests_of_bytes, digests_of_each
from visiontune.data.picture.formats import installed_readers
from visiontune.data.picture.moments import sums_of_each
from visiontune.data.picture.shape import refuse_size
from visiontune.data.picture.stored_form import Form
from visiontune.data.picture.thumbnail import THUMB, thumbs_of
from visiontune.data.picture.traits import traits_of
from visiontune.data.source import Source
from visiontune.filesystem.atomic_write import replacing
from visiontune.spec.declarations.image_size import pixels

_COLUMNS = {"place_K": (), "digest_K2": (2,), "check_K2": (2,), "thumb_KP": (THUMB**2,), "shape_K2": (2,), "trait_K": (), "length_K": ()}
_TYPES: Mapping[str, Any] = {"digest_K2": np.uint64, "check_K2": np.uint64, "thumb_KP": np.uint8, "trait_K": np.uint8}

# A picture, its height and width as it came, its file's bytes if there are any, and its traits; or what is wrong with it.
Item = tuple[Picture, tuple[int, int], bytes | None, int] | BadPicture
# The same with its place in the chunk.
Good = tuple[int, Picture, tuple[int, int], bytes | None, int]


class Colourful(Exception):
    """A picture in colour among grey ones: three channels are needed."""


class Counter:
    """Pictures that threads or processes have done, and which of them an earlier call had; `stop` asks them to end."""

    def __init__(self) -> None:
        self._done, self._kept = CONTEXT.Value("q"), CONTEXT.Value("q")
        self.stop = CONTEXT.Event()

    def add(self, num: int, *, is_kept: bool = False) -> None:
        """Raises Stopped."""
        if self.stop.is_set():
            raise Stopped
        for value in (self._done, self._kept)[: 1 + is_kept]:
            with value.get_lock():
                value.value += num

    @property
    def num_done(self) -> int:
        """Of both."""
        return int(self._done.value)

    @property
    def num_kept(self) -> int:
        """Of earlier calls."""
        return int(self._kept.value)


def do_chunk(source: Source, chunk: Rows, form: Form, folder: Path, counter: Counter) -> None:
    """Find it finished in `folder`, or decode and write it there. Raises Colourful, Stopped, UserError, OSError.

    `load_chunk` gives it. Were it returned, a process that is killed could leave half of it in the pipe, and the parent would wait for
    the rest for ever.
    """
    found = load_chunk(chunk, form, folder)
    if found is not None and is_whole(found, form) and (len(found.content_R) or not chunk.is_digested):
        counter.add(len(chunk.rows), is_kept=True)
        return
    path, pictures, at = _places(chunk, form, folder)
    bad: list[tuple[int, str]] = []
    # Not waited for: a chunk counts only if its digests fit.
    with replacing(path, use_fsync=False) as part, part.open("wb") as file:
        with nullcontext(file) if pictures == path else pictures.open("r+b") as target:
            target.seek(at)
            known = _write(target, source, chunk, form, counter, bad)
        write_end(file, known, bad, _what(chunk, form))


def load_chunk(chunk: Rows, form: Form, folder: Path) -> Chunk | None:
    """What is known of a finished one; None where there is none."""
    path, pictures, at = _places(chunk, form, folder)
    return read_chunk(path, pictures, at, chunk.start, _what(chunk, form))


def _places(chunk: Rows, form: Form, folder: Path) -> tuple[Path, Path, int]:
    """Its file, the file of its pictures, and at which byte they begin there."""
    path = folder / f"{chunk.number:06d}.chunk"
    return (path, folder / STORE, head_bytes(form) + chunk.start * form.picture_bytes) if form.is_even else (path, path, 0)


def _write(
    file: BinaryIO,
    source: Source,
    chunk: Rows,
    form: Form,
    counter: Counter,
    bad: list[tuple[int, str]],
) -> dict[str, NDArray[Any]]:
    """The pictures, block by block; what is known of them, by name."""
    known: dict[str, list[NDArray[Any]]] = {name: [_empty(name, form)] for name in (*_COLUMNS, "sum_K2C")}
    step = max(1, BLOCK_BYTES // form.picture_bytes)
    block_BHWC = np.empty((min(step, len(chunk.rows)), *form.stored_size, form.channels), np.uint8)
    digests: list[bytes] = []
    items = enumerate(_every(source, chunk, form, digests))
    while some := list(islice(items, step)):
        good = [(number, *item) for number, item in some if not isinstance(item, BadPicture)]
        bad += [(chunk.start + number, str(item)) for number, item in some if isinstance(item, BadPicture)]
        if good:
            block = _write_block(file, source, chunk, form, good, block_BHWC[: len(good)])
            for name, values in block.items():
                known[name].append(values)
        counter.add(len(some))
    whole = {name: np.concatenate(values) for name, values in known.items()}
    return {**whole, "content_R": np.frombuffer(b"".join(digests), np.uint8)}


def _write_block(file: BinaryIO, source: Source, chunk: Rows, form: Form, good: list[Good], images: Bytes) -> dict[str, NDArray[Any]]:
    """Some good pictures, put into `images`; what is known of them."""
    kept = [
        _put(picture, shape, images[place], form, partial(_name, source, chunk, number))
        for place, (number, picture, shape, *_) in enumerate(good)
    ]
    digest_K2 = digests_of_each(kept) if form.is_whole else digests_of(images)
    if form.kind == "encoded":
        contents = [content for *_, content, _ in good if content is not None]
        file.write(b"".join(contents))
        check_K2, length_K = digests_of_bytes(contents), [len(content) for content in contents]
    else:
        for one in kept if form.is_whole else (images,):
            file.write(one.data)
        check_K2, length_K = digest_K2, [one.nbytes for one in kept]
    return {
        "place_K": np.array([chunk.start + number for number, *_ in good], np.int64),
        "digest_K2": digest_K2,
        "check_K2": check_K2,
        "thumb_KP": thumbs_of(images),
        "shape_K2": np.array([shape for _, _, shape, *_ in good], np.int64),
        "trait_K": np.array([traits for *_, traits in good], np.uint8),
        "length_K": np.array(length_K, np.int64),
        "sum_K2C": sums_of_each(images) if form.has_sums else _empty("sum_K2C", form),
    }


def _every(source: Source, chunk: Rows, form: Form, digests: list[bytes]) -> Iterator[Item]:
    """Decoded here where pictures are files, so that large ones need not be decoded whole; `digests` takes those of their bytes."""
    if source.encoded is None:
        for picture in source.pictures(chunk.part, chunk.rows):
            yield picture if isinstance(picture, BadPicture) else _item(picture, picture.shape[:2], None, form)
        return
    side = form.side
    for content in source.encoded(chunk.part, chunk.rows):
        if chunk.is_digested:
            digests.append(hashlib.sha256(content.content if isinstance(content, BadPicture) else content).digest())
        try:
            yield content if isinstance(content, BadPicture) else _item(*values_and_size(content, side), content, form)
        except BadPicture as error:
            yield error


def _item(values: Values, size: tuple[int, int], content: bytes | None, form: Form) -> Item:
    traits = traits_of(content, has_eight_bits=values.dtype == np.uint8)
    return eight_bits(values, form.depth), size, content, traits


def _name(source: Source, chunk: Rows, number: int) -> str:
    return source.names(chunk.part)[int(chunk.rows[number])]


def _put(picture: Picture, shape: tuple[int, int], out: Bytes, form: Form, name: Callable[[], str]) -> Bytes:
    """What is kept of it; what lies in the frame goes to `out`."""
    if picture.shape[2] > form.channels:
        raise Colourful
    if not form.is_resized and shape != form.stored_size:
        refuse_size(name(), picture, form.stored_size)
    if not form.is_whole:
        form.put(picture, out, shape)
        return out
    kept = np.ascontiguousarray(form.apply(picture, shape))
    out[...] = form.seen(kept)
    return kept


def _what(chunk: Rows, form: Form) -> str:
    rows = hashlib.sha256(chunk.rows.tobytes()).hexdigest()
    kept = f"{form.kind} {pixels(form.stored_size)} {form.channels} {form.frame} {form.depth}"
    readers = " ".join(installed_readers())  # what was bad for want of one may be read by now
    return f"{chunk.part} {chunk.start} {rows} {chunk.stamp} {kept} {readers}"


def _empty(name: str, form: Form) -> NDArray[Any]:
    shape = (2, form.channels) if name == "sum_K2C" else _COLUMNS[name]
    return np.zeros((0, *shape), _TYPES.get(name, np.int64))
