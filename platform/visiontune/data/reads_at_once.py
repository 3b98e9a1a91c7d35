"""Many calls at once where each one travels: a file of object storage takes 20 to 100 ms, whatever its length.

Local files are read one after another by whoever wants them.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from typing import TypeVar

from visiontune.data.picture.bad_picture import BadPicture

AT_ONCE = 32
"""Calls ahead of one reader; MOST_AT_ONCE of all in a process."""
MOST_AT_ONCE = 64
_HELD_BYTES = 64 << 20

T = TypeVar("T")
Read = Callable[[str], bytes]


def submit(call: Callable[[str], T], name: str) -> Future[T]:
    """Run it beside others; it may not submit anything itself."""
    return _threads(os.getpid()).submit(call, name)


def each(call: Callable[[str], T], names: Iterable[str], *, is_remote: bool) -> Iterator[T]:
    """What `call` gives for each name, in order."""
    if not is_remote:
        yield from map(call, names)
        return
    waiting = deque[Future[T]]()
    for name in names:
        waiting.append(submit(call, name))
        if len(waiting) > AT_ONCE:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def contents(read: Read, names: Iterable[str], *, is_remote: bool) -> Iterator[bytes | BadPicture]:
    """The bytes of each file, in order; of one that can't be read the exception. Raises UserError as `read` does.

    Of large files fewer are read ahead, so that a reader holds about 64 MiB.
    """
    waiting, largest = deque[Future[bytes | BadPicture]](), 1

    def first() -> bytes | BadPicture:
        nonlocal largest
        found = waiting.popleft().result()
        largest = max(largest, 0 if isinstance(found, BadPicture) else len(found))
        return found

    for name in names:
        if not is_remote:
            yield _or_bad(read, name)
            continue
        waiting.append(submit(lambda name: _or_bad(read, name), name))
        while len(waiting) > min(AT_ONCE, _HELD_BYTES // largest):
            yield first()
    while waiting:
        yield first()


def _or_bad(read: Read, name: str) -> bytes | BadPicture:
    try:
        return read(name)
    except BadPicture as error:
        return error


@cache
def _threads(process: int) -> ThreadPoolExecutor:
    """Of this process: threads are not there in one that was forked."""
    return ThreadPoolExecutor(MOST_AT_ONCE, thread_name_prefix="read")
