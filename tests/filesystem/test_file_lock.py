"""Locks that end with their holder, and file systems that have none."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest
from places import PLATFORM

from visiontune.errors import UserError
from visiontune.filesystem.file_lock import Taken, locked, locked_at_once

HOLD = """
import sys, time
sys.path.insert(0, {platform!r})
from pathlib import Path
from visiontune.filesystem.file_lock import locked
with locked(Path({path!r})):
    print("held", flush=True)
    time.sleep(60)
"""


def test_another_process_has_it_until_it_is_killed(tmp_path: Path) -> None:
    path, asked = tmp_path / "lock", []
    code = HOLD.format(platform=str(PLATFORM), path=str(path))
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
        with pytest.raises(Taken), locked_at_once(path):
            pass

        def wait() -> None:
            asked.append(1)
            if len(asked) == 2:
                holder.kill()

        with locked(path, wait):
            assert holder.wait() < 0
    assert len(asked) >= 2 and path.exists()


def test_what_the_waiting_raises_ends_it(tmp_path: Path) -> None:
    code = HOLD.format(platform=str(PLATFORM), path=str(tmp_path / "lock"))
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None and holder.stdout.readline()
        with pytest.raises(ZeroDivisionError), locked(tmp_path / "lock", lambda: 1 / 0):
            pass
        holder.kill()


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
@pytest.mark.parametrize("hold", [locked, locked_at_once])
def test_a_file_system_without_locks_is_told_in_words(number: int, hold: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """NFS without its lock daemon gives ENOLCK, Lustre without -o flock ENOSYS; a mere lock file would outlive a killed holder."""

    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(UserError, match=f"must have locks, but says: {os.strerror(number)}; mount it with locks"), hold(tmp_path / "lock"):  # type: ignore[operator]
        pass
