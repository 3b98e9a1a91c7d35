"""The store of some data: found by a digest of content and settings, or made once, by whichever process comes first."""

from __future__ import annotations

import errno
import logging
import math
import shutil
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from visiontune.data.ingest.content_cache import ContentCache, is_new
from visiontune.data.ingest.progress import Progress, Stopped, Tell
from visiontune.data.picture.stored_form import sizes_of
from visiontune.data.source import Source
from visiontune.data.split import refuse_few, refuse_small
from visiontune.data.store.remote_cache import fetch, put, remote_cache
from visiontune.data.store.store import DataInfo, Store, is_good
from visiontune.data.store.stores import mark_used
from visiontune.data.store_keys import digest_of, key_of_pixels
from visiontune.errors import Problem, UserError
from visiontune.filesystem.file_lock import locked
from visiontune.spec.declarations.declare import Arg, chosen
from visiontune.spec.declarations.depth_rule import problem_of_depth
from visiontune.spec.declarations.image_size import image_size
from visiontune.spec.space.older_data import ADDED
from visiontune.spec.space.sections import DATA
from visiontune.spec.tables.sources import SOURCES

_log = logging.getLogger(__name__)
_TRIES = 3


def describe(data: Mapping[str, Any], source: Source | None = None) -> DataInfo:
    """What `prepare` would make: reads labels and a few pictures only. Raises UserError for what can't be used.

    `source` is what `source_of` gave of the same data: it may have taken a listing of a million files.
    """
    data = with_defaults(data)
    source = source or source_of(data)
    num_parts = 1 + (not source.has_val) + (not source.has_test)
    refuse_small(source.counts_C, source.class_names, num_parts, source.names_of)
    if source.label_sets is None:
        refuse_few(source.counts_C, data["max_pictures"], 1 + (not source.has_val))
    first = source.first()
    return DataInfo(image_size(sizes_of(first, data["image_size"])[0]), first[2], len(source.class_names), source.class_names)


def num_train_about(data: Mapping[str, Any], source: Source) -> int:
    """Training pictures of this source of the data, up to what rounding, repeats and bad pictures take."""
    data = with_defaults(data)
    share = 1.0 - (0 if source.has_val else data["val_fraction"]) - (0 if source.has_test else data["test_fraction"])
    return round(share * min(source.num_train, data["max_pictures"] or math.inf))


def prepare(
    data: Mapping[str, Any], cache: Path, *, tell: Tell | None = None, stop: threading.Event | None = None, source: Source | None = None
) -> Path:
    """The store of this data: found in `cache` by the digest of content and settings, or made there once under a lock.

    Several processes may call at once. A damaged file is made again. `tell` is called with the progress of an ingest; `stop` ends it with
    `Stopped`; `source` as in `describe`. Raises UserError, also when `cache` can't be written, Died where a process that decodes was
    killed; what is decoded is kept for the next call.
    """
    data = with_defaults(data)
    source = source or source_of(data)
    try:
        cache.mkdir(parents=True, exist_ok=True)
        wanted = _Wanted(source, data, cache, tell or (lambda progress: None), stop or threading.Event())
        path = wanted.found() or wanted.made()
        mark_used(path)
        refuse_bad(path, data["allow_bad"])
        _put(path)
    except OSError as error:
        is_full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        more = "; what is decoded is kept, and the same command goes on once there is room" if is_full else ""
        raise UserError(f"the folder {cache} must take the decoded pictures, but: {error.strerror or error}{more}") from error
    return path


def found_store(data: Mapping[str, Any], cache: Path, source: Source) -> Path | None:
    """Its store, where it is there and no picture must be read to know that."""
    data = with_defaults(data)
    if source.stamps is not None and is_new(source, cache):
        return None
    content = ContentCache(source, cache).known()
    path = None if content is None else cache / f"{digest_of(source, data, content)}.arrow"
    return path if path is not None and is_good(path) else None


def with_defaults(data: Mapping[str, Any]) -> dict[str, Any]:
    """The section `data` of a study with what it leaves out; one without an added key is of a recipe from before there was the key."""
    defaults = {name: field.default for name, field in DATA.fields.items() if isinstance(field, Arg) and name not in ADDED}
    return {**defaults, **data}


def _put(path: Path) -> None:
    """Copy the store to the remote cache, if there is one, for other machines. Where that fails this machine still has it."""
    if (remote := remote_cache()) is not None:
        try:
            put(remote, path)
        except UserError as error:
            _log.warning("%s; so every machine makes the store of its own", error)


def source_of(data: Mapping[str, Any]) -> Source:
    """What reads these pictures; their labels are read. Raises UserError."""
    entry, args = chosen(SOURCES, data, "source")
    if (rule := problem_of_depth(data.get("depth", "auto"))) is not None:
        raise UserError(Problem("", 0, "data.depth", rule))
    source: Source = entry.load()(**args)
    return source


class _Wanted:
    """A store that is asked for. `_content` is None while it is unknown: then pictures are read once, to decode and to digest them."""

    def __init__(self, source: Source, data: Mapping[str, Any], cache: Path, tell: Tell, stop: threading.Event) -> None:
        self._source, self._data, self._cache, self._tell, self._stop = source, data, cache, tell, stop
        self._contents = ContentCache(self._source, cache)
        self._content = None if self._is_digested_later() else self._contents.read(self._read)

    def found(self) -> Path | None:
        """Where the store is, if it is here and whole."""
        if self._content is None:
            return None
        path = self._path(self._content)
        if not is_good(path):
            return None
        if self._parts.is_dir():  # of a call that was killed at its very end
            shutil.rmtree(self._parts, ignore_errors=True)
        return path

    def made(self) -> Path:
        """Where the store is once it was made: by who held the lock before, by another machine, or here."""
        with locked(self._cache / f"{self._key}.lock", lambda: self._say("waiting", 0.0)):
            self._content = self._content or self._contents.known()
            return self.found() or self._fetched() or self._split_again() or self._ingested()

    @property
    def _key(self) -> str:
        # Of what changes with single files chunks know by themselves, so that those of all others stay.
        stamps = self._contents.stamps
        return key_of_pixels(self._source, self._data, str(self._content) if stamps is None else stamps.place)

    @property
    def _parts(self) -> Path:
        return self._cache / f".{self._key}.parts"

    def _is_digested_later(self) -> bool:
        """Whether the files' digests may be taken as they are decoded: no store can have these pictures already."""
        is_whole = self._source.content_of is not None and self._data["max_pictures"] is None
        return is_whole and remote_cache() is None and self._contents.known() is None and self._contents.is_new

    def _read(self, share: float) -> None:
        """Report the share of all files that was read for their digests. Raises Stopped."""
        self._say("reading", share)

    def _say(self, stage: str, share: float) -> None:
        """Raises Stopped."""
        num = sum(map(len, self._source.labels().values()))
        self._tell(Progress(stage, round(share * num), num, 0, 0))
        if self._stop.is_set():
            raise Stopped

    def _fetched(self) -> Path | None:
        if (remote := remote_cache()) is None or self._content is None:
            return None
        self._say("fetching", 0.0)
        path = self._path(self._content)
        return path if fetch(remote, path) else None

    def _split_again(self) -> Path | None:
        """Where the pictures lie in a store with other splits already: a small file beside it."""
        from visiontune.data.ingest.known_pictures import find_known
        from visiontune.data.ingest.run_ingest import split_again

        if self._content is None:
            return None
        known = find_known(self._cache, key_of_pixels(self._source, self._data, self._content))
        path = self._path(self._content)
        if known is None or known.base == path:
            return None
        return split_again(self._source, self._data, known, path, tell=self._tell, stop=self._stop)

    def _ingested(self) -> Path:
        from visiontune.data.ingest.run_ingest import Changed, ingest

        for _ in range(_TRIES):
            stamps, is_digested = self._contents.stamps, self._content is None
            try:
                return ingest(
                    self._source,
                    self._data,
                    self._parts,
                    self._path_of,
                    stamps=stamps,
                    is_digested=is_digested,
                    tell=self._tell,
                    stop=self._stop,
                )
            except Changed:
                self._look_again()
        raise UserError(
            f"pictures must stay as they are while they are read, but files have changed {_TRIES} times; the same command reads those anew"
        )

    def _look_again(self) -> None:
        self._contents = ContentCache(self._source, self._cache)
        self._content = None if self._is_digested_later() else self._contents.read(self._read)

    def _path_of(self, digests: bytes) -> tuple[Path, str]:
        """Where the store belongs, and the key of its pixels; `digests` of all files say so where the content was not known before."""
        if self._content is None:
            assert self._source.content_of is not None
            self._content = self._source.content_of(digests)
            self._contents.keep(self._content)
        return self._path(self._content), key_of_pixels(self._source, self._data, self._content)

    def _path(self, content: str) -> Path:
        return self._cache / f"{digest_of(self._source, self._data, content)}.arrow"


def refuse_bad(path: Path, allow_bad: float) -> None:
    """Raise UserError for a store with more bad pictures than that share: an earlier ingest may have allowed them."""
    report = Store.open(path).report()
    num_bad = sum(one["is_bad"] for one in report.set_aside)
    if num_bad / max(1, report.num_seen) > allow_bad:
        rule = f"{num_bad:,} of {report.num_seen:,} pictures can't be used, more than the share that data.allow_bad = {allow_bad:g} allows"
        raise UserError(f"{rule}; `visiontune data {path.stem}` lists them")
