"""When a state gets to the disk, and what of it."""

from __future__ import annotations

import shutil
import threading
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import make_recipe, make_store

from visiontune.errors import Superseded
from visiontune.filesystem.checkpoint_files import states_in
from visiontune.training import checkpoint_writer
from visiontune.training.checkpoint import load_newest, save
from visiontune.training.checkpoint_writer import CheckpointWriter, copied
from visiontune.training.loop import train

NEVER = 1e6


def state(epoch: int, num: int = 1000) -> dict[str, Any]:
    return {"epoch": epoch, "w": torch.full((num,), float(epoch))}


def newest(folder: Path, wanted: int, timeout_s: float = 5.0) -> Any:
    deadline_s = time.monotonic() + timeout_s
    while (found := load_newest(folder)) is None or found["epoch"] != wanted:
        assert time.monotonic() < deadline_s, found
        time.sleep(0.02)
    return found


@pytest.mark.parametrize(("every_s", "is_asked"), [(0.05, lambda: False), (NEVER, lambda: True)], ids=["it is time", "asked"])
def test_a_thread_writes_what_was_kept_though_training_goes_on(every_s: float, is_asked: Callable[[], bool], tmp_path: Path) -> None:
    live = state(3)
    with CheckpointWriter(tmp_path, every_s, is_asked) as writer:
        writer.keep(3, live)
        live["w"].zero_()
        assert bool((newest(tmp_path, 3)["w"] == 3).all())


@pytest.mark.parametrize("every_s", [0.0, 0.01, NEVER])
def test_whether_it_is_asked_is_looked_at_from_the_first_epoch_on(every_s: float, tmp_path: Path) -> None:
    """Not before a state was kept, and not while one was due, which is all the while where epochs take longer than `every_s`."""
    asked = threading.Event()

    def is_asked() -> bool:
        asked.set()
        return False

    with CheckpointWriter(tmp_path, every_s, is_asked):
        assert asked.wait(2)


def test_without_a_reason_it_is_written_at_the_end_only_and_not_where_the_trial_is_over(tmp_path: Path) -> None:
    with CheckpointWriter(tmp_path / "a", NEVER) as writer:
        writer.keep(1, state(1))
        writer.keep(2, state(2))
        time.sleep(0.6)
        assert load_newest(tmp_path / "a") is None and writer.size_bytes == 0
    newest(tmp_path / "a", 2, 0)
    with CheckpointWriter(tmp_path / "b", NEVER) as writer:
        writer.keep(1, state(1))
        writer.forget()
    assert load_newest(tmp_path / "b") is None


def test_a_rung_is_on_the_disk_at_once_and_what_was_kept_before_it_never_replaces_it(tmp_path: Path) -> None:
    with CheckpointWriter(tmp_path, NEVER) as writer:
        writer.keep(1, state(1))
        writer.write(2, state(2))
        assert newest(tmp_path, 2, 0) and writer.size_bytes > 4000
    assert [one.epoch for one in states_in(tmp_path)] == [2]


def test_a_folder_that_is_gone_is_told_by_the_next_epoch(tmp_path: Path) -> None:
    writer = CheckpointWriter(tmp_path / "trial", 0.01)
    shutil.rmtree(tmp_path / "trial")
    (tmp_path / "trial").touch()
    writer.keep(1, state(1))
    with pytest.raises(Superseded, match="over: it has ended"), writer:
        while True:
            time.sleep(0.02)
            writer.keep(2, state(2))


def test_there_is_one_copy_and_it_is_used_again(tmp_path: Path) -> None:
    """Bytes that Python holds: torch.save into memory, its content and the packed file were three times the state."""
    live = state(1, num=5_000_000)
    first = copied(live)
    tracemalloc.start()
    save(tmp_path, 1, first)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 2_000_000
    live["w"].fill_(7)
    again = copied(live, first)
    assert again["w"].data_ptr() == first["w"].data_ptr() and bool((again["w"] == 7).all())


def test_a_run_that_goes_on_from_a_copy_is_equal_to_the_last_bit() -> None:
    """Of everything that a state has: averages, moments, history."""
    recipe = make_recipe(num_epochs=3, regularization={"ema_decay": 0.9})
    copies = []
    for epoch in train(recipe, make_store()):
        copies.append(copied(epoch.state()))
        last = epoch.metrics["val_loss"]
    *_, resumed = train(recipe, make_store(), resume=copies[0])
    assert resumed.metrics["val_loss"] == last


def test_a_copy_that_breaks_off_never_gets_to_the_disk(tmp_path: Path) -> None:
    def broken(live: Any, old: Any = None) -> Any:
        old["a"].fill_(2)  # of the next epoch, in the memory of the one before
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    with pytest.raises(RuntimeError), CheckpointWriter(tmp_path, 1e6) as writer:
        writer.keep(1, {"a": torch.ones(3), "b": torch.ones(3)})
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(checkpoint_writer, "copied", broken)
            writer.keep(2, {"a": torch.full((3,), 2.0), "b": torch.full((3,), 2.0)})
    assert load_newest(tmp_path) is None
