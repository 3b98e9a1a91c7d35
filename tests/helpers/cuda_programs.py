"""Lines that run in a process of their own, as a GPU's limits and broken contexts are the process's."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager

from places import HELPERS, PLATFORM

ENV = {**os.environ, "PYTHONPATH": os.pathsep.join([str(PLATFORM), str(HELPERS)])}
PROGRAM = """
import sys, time
import torch
from visiontune.training import gpu
total = torch.cuda.mem_get_info()[1] if torch.cuda.is_available() else 0
def take(num_bytes):
    return torch.empty(int(num_bytes), dtype=torch.uint8, device="cuda")
def fails(num_bytes):
    try:
        take(num_bytes)
    except Exception as error:
        return error
"""


def run(program: str) -> subprocess.CompletedProcess[str]:
    """After PROGRAM, whose names it has."""
    return subprocess.run([sys.executable, "-c", PROGRAM + textwrap.dedent(program)], env=ENV, capture_output=True, text=True, timeout=120)


@contextmanager
def neighbour(program: str) -> Iterator[None]:
    """Another process that has run `program`, and then stays until the block ends. Fails where it does not get there."""
    lines = f"{PROGRAM}\n{program}\nprint('held', flush=True)\ntime.sleep(120)"
    process = subprocess.Popen([sys.executable, "-c", lines], env=ENV, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        yield
    finally:
        process.kill()
        process.wait()
