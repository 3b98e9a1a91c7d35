"""The command `visiontune`: parse, run one verb, and say what went wrong in a way that the user can act on.

Exit codes: 0 done; 2 input that can't be used (every problem on stderr), or a check of `check --run` that is bad; 1 anything else (one
sentence on stderr, the traceback in a log file; `--debug` shows it), also a search that was interrupted (its last line says how to go
on) or has no trial with a finite value, and damage that `data --verify` found.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import os
import sys
import tempfile
import traceback
from collections.abc import Sequence

from visiontune.cli.arguments import parse
from visiontune.cli.terminal import command_line, has_no_reader
from visiontune.errors import UserError, first_line


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return the exit code; argparse itself exits, with 2, for options that are wrong."""
    words, args = sys.argv[1:] if argv is None else argv, argparse.Namespace()
    try:
        args = parse(words)
        code: int = args.run(args)
        sys.stdout.flush()
        return code
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    except BrokenPipeError as error:
        if not has_no_reader(sys.stdout):  # another pipe's
            return _failed(error, is_debug=hasattr(args, "debug"))
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python's own last flush must not complain either
        return 1
    except KeyboardInterrupt:
        print(f"interrupted; go on: {command_line(words)}", file=sys.stderr)
        return 1
    except Exception as error:
        return _failed(error, is_debug=hasattr(args, "debug"))


def _failed(error: Exception, *, is_debug: bool) -> int:
    if is_debug:
        traceback.print_exception(error)
        return 1
    first = first_line(error)
    if isinstance(error, OSError) and error.strerror:
        first = f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    if isinstance(error, ModuleNotFoundError):
        first += f" for {sys.executable}: is this the Python of the environment that has visiontune's dependencies?"
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        first += "; what is on the disk is whole, and the same command goes on once there is room"
    print(f"visiontune: {first}", file=sys.stderr)
    with contextlib.suppress(OSError), tempfile.NamedTemporaryFile("w", prefix="visiontune-", suffix=".log", delete=False) as file:
        traceback.print_exception(error, file=file)
        print(f"details: {file.name}", file=sys.stderr)
    return 1
