"""The command line: a parser of every verb, and what the words after it mean; options are in options_of_*.py."""

from __future__ import annotations

import argparse
import platform
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path

from visiontune.cli import verbs
from visiontune.cli.options_of_pictures import picture_options, table_options
from visiontune.cli.options_of_searches import retraining_options, search_options
from visiontune.cli.options_of_trials import ended_options, trial_options
from visiontune.cli.options_of_winners import export_options, winner_options
from visiontune.cli.terminal import command_line
from visiontune.cli.verb_parser import Parser
from visiontune.errors import UserError
from visiontune.filesystem.path_kind import kind_of
from visiontune.spec.declarations.declare import Field
from visiontune.spec.reading.overrides import is_key, num_apart
from visiontune.spec.space.sections import RECIPE, STUDY


def make_parser() -> Parser:
    """A parser of every verb and option; the function of the verb is `run` in what it gives."""
    debug = Parser(add_help=False, argument_default=argparse.SUPPRESS)
    debug.add_argument("--debug", action="store_true", help="show the whole traceback of an error")
    parser = Parser("visiontune", description="A YAML search space and pictures in, the best recipe out.", parents=[debug])
    version = f"visiontune {metadata.version('visiontune')}, Python {platform.python_version()}"
    parser.add_argument("--version", action="version", version=version)
    subparsers = parser.add_subparsers(metavar="VERB")

    def verb(run: Callable[[argparse.Namespace], int], name: str = "") -> argparse.ArgumentParser:
        doc = (run.__doc__ or "").strip()
        one = subparsers.add_parser(name or run.__name__, help=doc, description=doc, parents=[debug])
        one.set_defaults(run=run, parser=one)
        return one

    picture_options(verb)
    search_options(verb)
    retraining_options(verb)
    trial_options(verb)
    ended_options(verb)
    winner_options(verb)
    export_options(verb)
    table_options(verb)
    return parser


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Arguments; overrides may also stand after options, where argparse alone would refuse them. Raises UserError."""
    parser = make_parser()
    parser.refuse_before_verb(argv)
    args: argparse.Namespace
    args, late = parser.parse_known_args(argv)
    if not hasattr(args, "run"):
        parser.refuse(late)
        raise UserError(parser.format_help().rstrip())
    verb: Parser = args.parser
    words: list[str] = getattr(args, "overrides", getattr(args, "files", []))
    takes_words = hasattr(args, "overrides") or hasattr(args, "files")
    verb.refuse([word for word in late if word.startswith("-") or not takes_words])
    words += late
    if hasattr(args, "files"):
        args.overrides, args.files = _parted(args.files, RECIPE.fields if args.run is verbs.enqueue else STUDY.fields)
        if args.run is verbs.check and not args.files and args.plugin is None:
            verb.error("FILE must be given")
        if args.run is verbs.enqueue and len(args.files) > 1:
            verb.error(f"one RECIPE is taken, but got {len(args.files)}: {', '.join(map(str, args.files))}")
    args.words, args.command_line = list(argv), command_line(argv)
    return args


def _parted(words: Sequence[str], fields: Mapping[str, Field]) -> tuple[list[str], list[Path]]:
    """Overrides, those among them that were written with spaces and will be refused as such; and files."""
    overrides, files, rest = list[str](), list[Path](), list(words)
    while rest:
        num = 0 if kind_of(rest[0]) else num_apart(rest, fields) or int("=" in rest[0] or is_key(rest[0], fields))
        overrides += rest[:num]
        files += map(Path, rest[: 1 - min(num, 1)])
        del rest[: max(num, 1)]
    return overrides, files
