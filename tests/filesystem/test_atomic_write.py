"""Files that are whole or not there, whatever happens in between."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from places import PLATFORM

from visiontune.filesystem.atomic_write import leftovers_of, replacing, write_whole


def test_what_is_written_takes_the_place_of_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    for content in (b"one", "zwei ü"):
        write_whole(path, content)
        assert path.read_bytes() == (content.encode() if isinstance(content, str) else content)
    assert [one.name for one in path.parent.iterdir()] == ["file"]


def test_a_block_that_raises_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_whole(path, b"old")
    with pytest.raises(ZeroDivisionError), replacing(path) as temporary:
        temporary.write_bytes(b"half of the n")
        1 / 0  # noqa: B018
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_the_disk_has_bytes_and_name_before_and_after_the_rename(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    fsync, rename = os.fsync, Path.replace

    def watched(handle: int) -> None:
        told.append("folder" if Path(f"/proc/self/fd/{handle}").is_dir() else "file")
        fsync(handle)

    monkeypatch.setattr(os, "fsync", watched)
    monkeypatch.setattr(Path, "replace", lambda self, target: told.append("rename") or rename(self, target))
    write_whole(tmp_path / "file", b"x")
    assert told == ["file", "rename", "folder"]
    told.clear()
    write_whole(tmp_path / "file", b"y", use_fsync=False)
    assert told == ["rename"]


KILLED = """
import sys
sys.path.insert(0, {platform!r})
from pathlib import Path
from visiontune.filesystem.atomic_write import write_whole
number = 0
while True:
    number += 1
    write_whole(Path({path!r}), bytes([number % 256]) * 200_000, use_fsync=False)
    print(number, flush=True)
"""


@pytest.mark.heavy
def test_kill_9_leaves_a_whole_file_and_at_most_a_hidden_one(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for num_written in (3, 10, 30):
        code = KILLED.format(platform=str(PLATFORM), path=str(path))
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            for _ in range(num_written):
                writer.stdout.readline()
            writer.send_signal(signal.SIGKILL)
        content = path.read_bytes()
        assert len(content) == 200_000 and len({*content}) == 1
        assert {one.name for one in tmp_path.iterdir()} == {"file", *(one.name for one in leftovers_of(path))}
