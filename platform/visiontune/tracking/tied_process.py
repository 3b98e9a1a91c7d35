"""A command that ends with whoever started it, kill -9 included: `python -m visiontune.tracking.tied_process COMMAND...`.

Standard input is a pipe that nobody writes to; the system closes it when the one who holds its other end is gone, however that was. Then
the process group, which this process leads, is ended with all that the command has started.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence

END_S = 5.0
"""Between SIGTERM and SIGKILL."""


def start_tied(command: Sequence[str], env: dict[str, str]) -> subprocess.Popen[bytes]:
    """Start it in a group of its own; it lives as long as it likes, and no longer than this process."""
    return subprocess.Popen(
        [sys.executable, "-m", "visiontune.tracking.tied_process", *command], env=env, process_group=0, stdin=subprocess.PIPE
    )


def _end_group_when_alone() -> None:
    os.read(0, 1)
    os.killpg(0, signal.SIGTERM)
    time.sleep(END_S)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    # It ends when the command has; a signal that was ignored would be ignored by the command too.
    signal.signal(signal.SIGTERM, lambda number, frame: None)
    with subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL) as child:
        threading.Thread(target=_end_group_when_alone, daemon=True).start()
        raise SystemExit(child.wait())
