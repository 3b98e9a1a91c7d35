"""What verbs know of the terminal that they were typed at: its width, its signals, its readers, and what to type for this program."""

from __future__ import annotations

import contextlib
import os
import select
import shlex
import shutil
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TextIO


def program() -> list[str]:
    """What to type for this program here: an environment that is not activated has it under a path."""
    if shutil.which("visiontune"):
        return ["visiontune"]
    return [sys.argv[0]] if Path(sys.argv[0]).name == "visiontune" else [sys.executable, "-m", "visiontune"]


def command_line(argv: Sequence[str]) -> str:
    """What to type for the same call again."""
    return shlex.join([*program(), *argv])


def width() -> int | None:
    """In columns; None where output is no terminal."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def has_no_reader(stream: TextIO) -> bool:
    """Whether it leads into a pipe whose reader has seen enough."""
    try:
        pipe = select.poll()
        pipe.register(stream.fileno(), 0)  # errors and hang-ups are told without being asked for
        return bool(pipe.poll(0))
    except (OSError, ValueError):  # no file of the system's
        return False


def silence(stream: TextIO) -> None:
    """Nothing more comes of it, so that Python's own last flush does not complain either."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def ask(question: str, default: str) -> str:
    """The answer to a question; empty, for the default, also where input ends."""
    try:
        return input(f"{question} [{default}]: ")
    except EOFError:
        print()
        return ""


@contextlib.contextmanager
def sigterm_interrupts() -> Iterator[None]:
    """As ctrl-C does, so that it is said how to go on."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
