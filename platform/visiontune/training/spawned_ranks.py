"""One training by several processes of this machine: this one is rank 0, the others are started for it; on GPUs one for each."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch

from visiontune.data.ingest.worker_pool import end_with
from visiontune.data.store.store import Store
from visiontune.errors import UserError
from visiontune.spec.declarations.call_ranges import FEW, refuse_outside
from visiontune.spec.declarations.trial_recipe import TrialRecipe
from visiontune.spec.kept_files import keep_files, load_files
from visiontune.training.lead_ranks import Meeting, follow, train_by_ranks
from visiontune.training.less_memory import train_within_memory
from visiontune.training.loop import Epoch, train

_END_S = 5.0
_CODE = "import sys; from visiontune.training.spawned_ranks import be_follower; be_follower(sys.argv[1])"


def train_here(
    recipe: TrialRecipe, store: Store, *, device: str, num_workers: int, resume: Mapping[str, Any] | None = None, **more: Any
) -> Generator[Epoch, None, None]:
    """`train` by so many processes, within the memory that there is.

    Raises what it does, UserError for more workers than GPUs and for want of memory, LostRank where a process ended.
    """
    refuse_outside(FEW, workers=num_workers)
    run = partial(_train_here, recipe, store, device=device, num_workers=num_workers, **more)
    yield from train_within_memory(run, recipe, resume)


def _train_here(
    recipe: TrialRecipe, store: Store, *, device: str, num_workers: int, resume: Mapping[str, Any] | None, **more: Any
) -> Iterator[Epoch]:
    if num_workers == 1:
        yield from train(recipe, store, device=device, resume=resume, **more)
        return
    if device == "cuda" and num_workers > torch.cuda.device_count():
        there = torch.cuda.device_count()
        raise UserError(f"each worker takes a GPU of its own, but workers={num_workers} and there are {there}; nearest is {there}")
    mine = "cuda:0" if device == "cuda" else device
    with _threads_shared_by(num_workers) as num_threads, tempfile.TemporaryDirectory(prefix="visiontune-files-") as files:
        keep_files(recipe, Path(files))
        start = partial(_Spawned, store=store.path, files=files, num_threads=num_threads)
        yield from train_by_ranks(recipe, store, device=mine, num=num_workers, start=start, resume=resume, **more)


class _Spawned:
    """The followers as processes of their own. multiprocessing would run the caller's script again in each, or fork its threads."""

    def __init__(self, meeting: Meeting, *, store: Path, files: str, num_threads: int) -> None:
        shared = {"store": str(store), "files": files, "num_threads": num_threads, "parent": os.getpid()}
        place = {**vars(meeting), "recipe": meeting.recipe.to_dict()}
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        self._processes = [
            subprocess.Popen([sys.executable, "-c", _CODE, json.dumps({**shared, "rank": rank, "meeting": place})], env=environment)
            for rank in range(1, meeting.num)
        ]

    def lost(self) -> str | None:
        for number, process in enumerate(self._processes, 2):
            if process.poll() not in (None, 0):
                return f"worker {number} of {len(self._processes) + 1} was ended (exit code {process.returncode})"
        return None

    def end(self) -> None:
        ends_s = time.monotonic() + _END_S
        for process in self._processes:
            try:
                process.wait(max(0.0, ends_s - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def be_follower(text: str) -> None:
    """A process that is started as one of several workers, with what it is to do as JSON; ends with its parent."""
    content = json.loads(text)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes of a terminal: rank 0 handles it and ends the others
    end_with(content["parent"])
    torch.set_num_threads(content["num_threads"])
    rank, place = content["rank"], content["meeting"]
    meeting = Meeting(**{**place, "recipe": TrialRecipe(**place["recipe"])})
    device = f"cuda:{rank}" if meeting.device.startswith("cuda") else meeting.device
    try:
        load_files(meeting.recipe, Path(content["files"]))
        follow(meeting, rank, Store.open(Path(content["store"])), device)
    except Exception:
        sys.exit(1)  # rank 0 knows why


@contextmanager
def _threads_shared_by(num_workers: int) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(max(1, before // num_workers))
    try:
        yield torch.get_num_threads()
    finally:
        torch.set_num_threads(before)
