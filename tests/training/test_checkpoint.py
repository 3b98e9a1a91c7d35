"""Checkpoints under damage, a full disk and kill -9: what is read is always whole, and the newest that is."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from places import PLATFORM

from visiontune.training import checkpoint


def state(epoch: int, num: int = 1000) -> dict[str, Any]:
    return {
        "fingerprint": "0123456789abcdef",
        "epoch": epoch,
        "history": [{"epoch": k, "metrics": {"val_loss": 1 / k}, "time_ms": k} for k in range(1, epoch + 1)],
        "model": {"w": torch.full((num,), float(epoch)), "num": torch.tensor(epoch)},
        "optimizer": {"momentum": [torch.arange(4.0)]},
    }


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_round_trip(tmp_path: Path) -> None:
    path = checkpoint.save(tmp_path / "trial" / "00001", 3, state(3))
    loaded = checkpoint.load_newest(path.parent)
    assert loaded is not None and torch.equal(loaded["model"]["w"], state(3)["model"]["w"])
    assert loaded["history"] == state(3)["history"] and torch.equal(loaded["optimizer"]["momentum"][0], torch.arange(4.0))
    assert checkpoint.size_bytes(path.parent) == path.stat().st_size > 4000


def test_the_newest_and_the_one_before_are_kept(tmp_path: Path) -> None:
    (tmp_path / "epoch-000001.ckpt.999.tmp").write_bytes(b"left behind by a killed process")
    for epoch in (1, 2, 10):
        checkpoint.save(tmp_path, epoch, state(epoch))
    assert names(tmp_path) == ["epoch-000002.ckpt", "epoch-000010.ckpt"]


def test_nothing_there(tmp_path: Path) -> None:
    assert checkpoint.load_newest(tmp_path / "none") is None and checkpoint.size_bytes(tmp_path / "none") == 0


@pytest.mark.parametrize("kept", [0.0, 0.001, 0.5, 0.999])
def test_a_truncated_one_is_skipped(kept: float, tmp_path: Path) -> None:
    checkpoint.save(tmp_path, 1, state(1))
    new = checkpoint.save(tmp_path, 2, state(2))
    new.write_bytes(new.read_bytes()[: int(kept * new.stat().st_size)])
    found = checkpoint.find_newest(tmp_path)
    assert found.state is not None and found.state["epoch"] == 1 and found.damaged == (new,)


@pytest.mark.parametrize("where", [0.0, 0.004, 0.01, 0.3, 0.7, 0.9999])
def test_one_with_a_flipped_bit_is_skipped(where: float, tmp_path: Path) -> None:
    path = checkpoint.save(tmp_path, 1, state(1))
    content = bytearray(path.read_bytes())
    content[int(where * len(content))] ^= 0x10
    path.write_bytes(content)
    assert checkpoint.load_newest(tmp_path) is None


def test_a_pickle_that_runs_code_is_not_run(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(tmp_path / "was_run"),)

    checkpoint.save(tmp_path, 1, {"epoch": Evil()})
    assert checkpoint.load_newest(tmp_path) is None and not (tmp_path / "was_run").exists()


def test_a_disk_that_takes_no_more_leaves_the_old_one(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, 1, state(1))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))  # the kernel refuses bytes beyond, in the middle of a write
    try:
        with pytest.raises(OSError, match="too large"):
            checkpoint.save(tmp_path, 2, state(2, num=100_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert names(tmp_path) == ["epoch-000001.ckpt"]
    loaded = checkpoint.load_newest(tmp_path)
    assert loaded is not None and loaded["epoch"] == 1


def test_a_full_disk_takes_the_one_before_and_leaves_the_newest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for epoch in (1, 2):
        checkpoint.save(tmp_path, epoch, state(epoch))

    def full(descriptor: int) -> None:
        if any(name.endswith(".tmp") for name in names(tmp_path)) and len(checkpoint.states_in(tmp_path)) > num_fit:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    num_fit = 1
    checkpoint.save(tmp_path, 3, state(3))
    assert names(tmp_path) == ["epoch-000002.ckpt", "epoch-000003.ckpt"]
    num_fit = 0
    with pytest.raises(OSError, match="No space left"):
        checkpoint.save(tmp_path, 4, state(4))
    assert names(tmp_path) == ["epoch-000003.ckpt"]


# One process imports torch, then forks writers and kills them: many kills for the price of one start.
KILLS = """
import os, random, signal, sys, time
from pathlib import Path
sys.path.insert(0, {platform!r})
import torch
from visiontune.training import checkpoint
folder, seen = Path({folder!r}), 0
random.seed(0)
for kill in range({num_kills}):
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        for epoch in range(seen + 1, 10**6):
            checkpoint.save(folder, epoch, {{"epoch": epoch, "w": torch.full((20_000,), float(epoch))}})
            os.write(writing, epoch.to_bytes(4, "big"))
    while int.from_bytes(os.read(reading, 4), "big") < seen + 2:
        pass
    time.sleep(random.random() * 0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(writing)
    told = seen + 2
    while word := os.read(reading, 4):
        told = int.from_bytes(word, "big")
    os.close(reading)
    state = checkpoint.load_newest(folder)
    assert state["epoch"] >= told and bool((state["w"] == state["epoch"]).all()), (state["epoch"], told)
    assert len(list(folder.iterdir())) <= 4
    seen = state["epoch"]
print("whole", seen)
"""


@pytest.mark.heavy
def test_killed_writers_leave_a_whole_one_never_older_than_what_was_told(tmp_path: Path) -> None:
    script = KILLS.format(platform=str(PLATFORM), folder=str(tmp_path), num_kills=20)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("whole ") and int(done.stdout.split()[1]) >= 40
