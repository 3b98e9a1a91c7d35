"""The command line: entry_point.py runs a verb and prints what went wrong, arguments.py has every option, verbs.py what each verb does."""

from visiontune.cli.entry_point import main

__all__ = ["main"]
