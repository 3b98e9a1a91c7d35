"""The command `visiontune`: parse, run one verb, and say what went wrong in a way that the user can act on.

Exit codes: 0 done; 2 input that can't be used (every problem on stderr), or a check of `check --run` that is bad; 1 anything else (one
sentence on stderr, the traceback in a log file; `--debug` shows it), also a search that was interrupted (its last line says how to go
on) or has no trial with a finite value, and damage that `data --verify` found.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import sys
import tempfile
import traceback
from collections.abc import Sequence

from visiontune.cli.arguments import parse
from visiontune.cli.streams import fit_streams
from visiontune.cli.terminal import as_typed, command_line
from visiontune.data.file_names import printable
from visiontune.errors import UserError, first_line
from visiontune.filesystem.uri import shown
from visiontune.results.screens.wording import WORDING

GOES_ON = {"train": ("--out", "--epochs"), "inspect": ("--folds",)} | dict.fromkeys(
    ("search", "confirm", "ablate", "ingest", "submit"), ("",)
)
"""Verbs that keep what they did before an interruption; those with options where one of them is given."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return the exit code; argparse itself exits, with 0, for --help and --version."""
    words, args = sys.argv[1:] if argv is None else argv, argparse.Namespace()
    if argv is None:
        fit_streams()
    before = WORDING.set(as_typed)
    try:
        args = parse(words)
        code: int = args.run(args)
        sys.stdout.flush()
        return code
    except UserError as error:
        _tell(str(error))
        return 2
    except KeyboardInterrupt:
        verb = next((word for word in words if not word.startswith("-")), "")
        is_kept = any(word.startswith(option) for option in GOES_ON.get(verb, ()) for word in words)
        what = "go on" if is_kept else "from its start again"
        _tell(f"interrupted; {what}: {command_line(words)}")
        return 1
    except Exception as error:
        return _failed(error, is_debug=hasattr(args, "debug"))
    finally:
        WORDING.reset(before)


def _failed(error: Exception, *, is_debug: bool) -> int:
    if is_debug:
        _tell("".join(traceback.format_exception(error)).rstrip())
        return 1
    first = first_line(error)
    if isinstance(error, OSError) and error.strerror:
        first = f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    if isinstance(error, ModuleNotFoundError):
        first += f" for {sys.executable}: is this the Python of the environment that has visiontune's dependencies?"
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        first += "; what is on the disk is whole, and the same command goes on once there is room"
    _tell(f"visiontune: {first}")
    with contextlib.suppress(OSError), tempfile.NamedTemporaryFile("w", prefix="visiontune-", suffix=".log", delete=False) as file:
        file.write(shown("".join(traceback.format_exception(error))))
        _tell(f"details: {file.name}")
    return 1


def _tell(text: str) -> None:
    """Commands as they are typed here; without passwords of URIs, and without what moves a terminal's cursor."""
    print("\n".join(map(printable, shown(as_typed(text)).split("\n"))), file=sys.stderr)
