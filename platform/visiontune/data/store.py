"""The store of some data: found by a digest of content and settings, or made once, whoever asks and however often."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from visiontune.data.forms import sizes_of
from visiontune.data.layout import VERSION
from visiontune.data.mapped import DataInfo, Shard, Store
from visiontune.data.remote_cache import fetch, put, remote_cache
from visiontune.data.sources import Source
from visiontune.data.splits import refuse_few, refuse_small
from visiontune.spec.declare import Arg, chosen
from visiontune.spec.errors import UserError
from visiontune.spec.recipe import fingerprint
from visiontune.spec.study import DATA
from visiontune.spec.tables.data import SOURCES

if TYPE_CHECKING:
    from visiontune.data.ingest import Progress

__all__ = ["DataInfo", "Shard", "Store", "describe", "locked", "prepare", "with_defaults"]

_CONTENTS = ".contents"


def describe(data: Mapping[str, Any]) -> DataInfo:
    """What `prepare` would make: reads labels and the first pictures only. Raises UserError for what can't be used."""
    data = with_defaults(data)
    source = _source(data)
    num_parts = 1 + (not source.has_val) + (not source.has_test)
    refuse_small(source.counts_C, source.class_names, num_parts)
    refuse_few(source.counts_C, data["max_pictures"], 1 + (not source.has_val))
    first = source.first()
    return DataInfo(sizes_of(first, data["image_size"])[0], first[2], len(source.class_names), source.class_names)


def prepare(
    data: Mapping[str, Any], cache: Path, *, tell: Callable[[Progress], None] | None = None, stop: threading.Event | None = None
) -> Path:
    """The store of this data: found in `cache` by the digest of content and settings, or made there once under a lock.

    Several processes may call at once. A damaged file is made again. `tell` hears how far an ingest is; `stop` ends it with
    `chunks.Stopped`. Raises UserError, also when `cache` can't be written; what is decoded is kept for the next call.
    """
    data = with_defaults(data)
    source = _source(data)
    tell = tell or (lambda progress: None)
    try:
        cache.mkdir(parents=True, exist_ok=True)
        stamp = source.stamp() if source.stamp is not None else ""
        digest = _digest(source, data, _content(source, stamp, cache))
        path = cache / f"{digest}.arrow"
        if not _is_good(path):
            with locked(cache / f"{digest}.lock"):
                if not _is_good(path):
                    _remove_leftovers(path)
                    _make(source, data, path, stamp, tell, stop)
        _refuse_bad(path, data["allow_bad"])
        if (remote := remote_cache()) is not None:
            put(remote, path)
    except OSError as error:
        is_full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        more = "; what is decoded is kept, and the same command goes on once there is room" if is_full else ""
        raise UserError(f"the folder {cache} must take the decoded pictures, but: {error.strerror or error}{more}") from error
    return path


def _make(
    source: Source, data: Mapping[str, Any], path: Path, stamp: str, tell: Callable[[Progress], None], stop: threading.Event | None
) -> None:
    """Fetched from where another machine has put it, else out of the source."""
    from visiontune.data.ingest import Progress, ingest

    if (remote := remote_cache()) is not None:
        tell(Progress("fetching", 0, int(source.counts_C.sum()), 0, 0))
        if fetch(remote, path):
            return
    ingest(source, data, path.stem, path, stamp=stamp, tell=tell, stop=stop)


def with_defaults(data: Mapping[str, Any]) -> dict[str, Any]:
    """The section `data` of a study with what it leaves out."""
    defaults = {name: field.default for name, field in DATA.fields.items() if isinstance(field, Arg)}
    return {**defaults, **data}


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of that file. Raises OSError where it can't be made."""
    # The kernel drops the lock with its process, however that ends; the file itself stays, as removing it would race.
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _source(data: Mapping[str, Any]) -> Source:
    entry, args = chosen(SOURCES, data, "source")
    source: Source = entry.load()(**args)
    return source


def _content(source: Source, stamp: str, cache: Path) -> str:
    """The source's text, read from its files only once for each state of them: what is read at two times, ingest notices."""
    if not stamp:
        return source.content()
    path = cache / _CONTENTS / hashlib.sha256(stamp.encode()).hexdigest()[:32]
    with contextlib.suppress(OSError, UnicodeDecodeError):
        known, _, check = path.read_text().rpartition("\n")
        if hashlib.sha256(known.encode()).hexdigest() == check:
            return known
    content = source.content()
    path.parent.mkdir(exist_ok=True)
    part = path.with_name(f".{path.name}.{threading.get_native_id()}.tmp")
    part.write_text(f"{content}\n{hashlib.sha256(content.encode()).hexdigest()}")
    part.replace(path)
    return content


def _digest(source: Source, data: Mapping[str, Any], content: str) -> str:
    """Content and settings; paths are left out, so that a moved file is not decoded again."""
    names = ("seed", "image_size", "max_pictures", "duplicates", "store")
    settings: dict[str, Any] = {name: data[name] for name in names}
    settings["val_fraction"] = None if source.has_val else data["val_fraction"]
    settings["test_fraction"] = None if source.has_test else data["test_fraction"]
    return fingerprint({"version": VERSION, "content": content, **settings})


def _refuse_bad(path: Path, allow_bad: float) -> None:
    """An earlier ingest may have allowed more bad pictures than this one does."""
    report = Store.open(path).report()
    num_bad = sum(one["is_bad"] for one in report.set_aside)
    if num_bad > allow_bad * report.num_seen:
        rule = f"{num_bad:,} of {report.num_seen:,} pictures can't be used, more than the share that data.allow_bad = {allow_bad:g} allows"
        raise UserError(f"{rule}; `visiontune data {path.stem}` lists them")


def _is_good(path: Path) -> bool:
    if not path.exists():
        return False
    try:
        Store.open(path)
    except UserError:
        return False
    return True


def _remove_leftovers(path: Path) -> None:
    for leftover in path.parent.glob(f".{path.stem}.*.tmp"):
        leftover.unlink(missing_ok=True)
