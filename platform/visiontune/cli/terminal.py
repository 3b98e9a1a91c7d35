"""What verbs know of the terminal that they were typed at: its width, its signals, and what to type for this program."""

from __future__ import annotations

import contextlib
import re
import shlex
import shutil
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from visiontune.filesystem.uri import shown

_COMMAND = re.compile(r"(?:(?<=`)|(?<=[:;] ))visiontune(?= [a-z])")
"""Where a sentence tells a command, and not what visiontune does."""
_ARGUMENT = re.compile(r"`([a-z_]+)=([^`]+)`")
"""Where it tells an argument of a function of `visiontune.api`, which is an option here."""


def program() -> list[str]:
    """What to type for this program here: an environment that is not activated has it under a path."""
    if shutil.which("visiontune"):
        return ["visiontune"]
    return [sys.argv[0]] if Path(sys.argv[0]).name == "visiontune" else [sys.executable, "-m", "visiontune"]


def command_line(argv: Sequence[str]) -> str:
    """What to type for the same call again; passwords in URIs are left for whoever types it."""
    return shlex.join([*program(), *map(shown, argv)])


def as_typed(text: str) -> str:
    """The text with its commands and arguments as they are typed here, which nobody knows where hints are written.

    >>> as_typed("`depth=(0, 4095)` maps them; `force=True` writes over it")
    '--depth 0 4095 maps them; --force writes over it'
    """
    return _ARGUMENT.sub(_option, _COMMAND.sub(lambda _: shlex.join(program()), text))


def _option(found: re.Match[str]) -> str:
    name, value = found[1].replace("_", "-"), found[2].translate(str.maketrans("", "", "(),'"))
    return f"--{name}" if value == "True" else f"--no-{name}" if value == "False" else f"--{name} {value}"


def width() -> int | None:
    """In columns; None where output is no terminal."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def ask(question: str, default: str) -> str:
    """The answer to a question; empty, for the default, also where input ends."""
    try:
        return input(f"{question} [{default}]: ")
    except EOFError:
        print()
        return ""


@contextlib.contextmanager
def sigterm_interrupts() -> Iterator[None]:
    """As ctrl-C does, so that it is said how to go on; so does the end of the terminal, unless nohup has that ignored."""
    names = [name for name in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(name) is not signal.SIG_IGN]
    before = {name: signal.signal(name, signal.default_int_handler) for name in names}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)
