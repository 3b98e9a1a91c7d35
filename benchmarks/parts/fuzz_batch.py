"""A batch of inputs for one target, in a process of its own that watches what Python does meanwhile."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import cv2
import torch

from parts.fuzz_targets import REFUSALS, targets

HANG_S = 5
"""Of the processor, which others on the machine have no share in; one that waits is noticed by who started the batch."""
_TELL_S = 2.0
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_PATHS = {"os.rename": 2, "os.remove": 1, "os.mkdir": 1, "os.rmdir": 1, "os.symlink": 2, "os.link": 2, "os.chmod": 1, "os.truncate": 1}
"""Events that change files, and how many of their first arguments are paths."""
_NEVER = ("subprocess.", "os.system", "os.exec", "os.posix_spawn", "os.fork", "socket.connect", "socket.getaddrinfo", "pickle.find_class")


@dataclass(frozen=True)
class Batch:
    """Inputs of `target` from number `first` on, at most `num_inputs` or what `seconds` have room for."""

    target: str
    seed: int
    first: int
    num_inputs: int
    folder: Path
    keep: Path
    seconds: float


class Hang(BaseException):
    """No Exception, so that nobody takes it for an error of an input."""


def kinds(folder: Path) -> Sequence[str]:
    """Names of the targets."""
    return [*targets(folder)]


def run_batch(batch: Batch, tell: Connection) -> None:
    """Send (counts so far, whether it is over) now and then."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    target, counts, told = targets(batch.folder)[batch.target], Counter[str](), time.monotonic()
    own = Path(tempfile.mkdtemp(dir=batch.folder)) / "own"
    own.mkdir()
    os.chdir(own)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # libpng and others write there for each picture
    with suppress(Exception):  # what a first call imports is no input's doing
        target.run(target.make(random.Random(batch.first)), own)
    watch = Watch(own)
    sys.addaudithook(watch)
    signal.signal(signal.SIGPROF, _hang)
    end = time.monotonic() + batch.seconds
    for number in range(batch.first, batch.first + batch.num_inputs):
        content = target.make(random.Random(f"{batch.seed} {batch.target} {number}"))
        started = time.monotonic()
        signal.setitimer(signal.ITIMER_PROF, HANG_S)
        watch.is_on, what, why = True, "accepted", ""
        try:
            what = "accepted" if target.run(content, own) else "refused"
        except REFUSALS as error:
            what = "refused" if str(error).strip() else "tracebacks"
        except Hang:
            what, why = "hangs", traceback.format_exc()
        except (Exception, SystemExit, KeyboardInterrupt):
            what, why = "tracebacks", traceback.format_exc()
        finally:
            watch.is_on = False
            signal.setitimer(signal.ITIMER_PROF, 0)
        spent_ms = round(1000 * (time.monotonic() - started))
        outside = watch.take()
        counts += Counter({what: 1, "inputs": 1, "ms": spent_ms, "outside": bool(outside)})
        counts["slowest_ms"] = max(counts["slowest_ms"], spent_ms)
        if why or outside:
            _keep(batch, number, content, why + "\n".join(outside))
        if time.monotonic() > end:
            break
        if time.monotonic() > told + _TELL_S:
            told = time.monotonic()
            tell.send((counts, False))
    if strays := sorted({one.name for one in own.parent.iterdir()} - {"own"}):
        counts["outside"] += 1
        _keep(batch, -1, b"", f"beside the folder: {strays}")
    tell.send((counts, True))


class Watch:
    """What Python does outside of a folder while it is on."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._found, self.is_on = f"{folder.resolve()}/", list[str](), False

    def __call__(self, event: str, args: tuple[Any, ...]) -> None:
        if not self.is_on:
            return
        if event == "open":
            if args[0] is not None and isinstance(args[2], int) and args[2] & _WRITES:
                self._look(event, args[:1])
        elif event in _PATHS:
            self._look(event, args[: _PATHS[event]])
        elif event.startswith(_NEVER):
            self._found.append(f"{event} {args!r}"[:300])

    def take(self) -> list[str]:
        """What was found since."""
        found, self._found = self._found, []
        return found

    def _look(self, event: str, paths: Sequence[Any]) -> None:
        for path in paths:
            if isinstance(path, int) or path == os.devnull:
                continue
            whole = os.path.realpath(os.fsdecode(path))
            if not f"{whole}/".startswith(self._folder):
                self._found.append(f"{event} {path!r}"[:300])


def _hang(*_: Any) -> None:
    raise Hang


def _keep(batch: Batch, number: int, content: bytes, why: str) -> None:
    """One of each kind of trouble: by target and the last lines of its traceback."""
    lines = [line for line in why.splitlines() if line.strip()]
    place = [line.strip() for line in lines if line.lstrip().startswith("File ")][-2:]
    last = lines[-1] if lines else ""
    name = hashlib.sha256(f"{place}{last.partition(':')[0]}".encode("utf-8", "replace")).hexdigest()[:8]
    folder = batch.keep / batch.target.replace(" ", "_").replace(",", "")
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / f"{name}.input").exists():
        (folder / f"{name}.input").write_bytes(content)
        (folder / f"{name}.txt").write_text(f"input {number} of seed {batch.seed}\n{why}\n", errors="replace")
