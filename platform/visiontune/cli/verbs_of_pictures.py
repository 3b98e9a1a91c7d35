"""What each verb does that reads pictures or draws what is done to them; see verbs.py."""

from __future__ import annotations

import argparse
import json
import shlex
import sys

from visiontune import api
from visiontune.cli.terminal import as_typed, ask, program, sigterm_interrupts
from visiontune.errors import UserError
from visiontune.filesystem.uri import shown


def init(args: argparse.Namespace) -> int:
    """Look at pictures and write a search space that suits them; on a terminal it asks up to four questions."""
    is_asked = not args.yes and sys.stdin.isatty() and sys.stdout.isatty()
    space = api.init_space(
        args.source,
        args.overrides,
        out=args.out,
        name=args.name,
        pretrained=args.pretrained,
        mirrored=args.mirrored,
        hours=args.hours,
        force=args.force,
        ask=ask if is_asked else None,
        command=shlex.join(["visiontune", *(shown(word) for word in args.words)]),
    )
    file = shlex.quote(str(space.path))
    print(as_typed(f"{space}\nnext: visiontune check {file} --run"), f"      {shlex.join(program())} search {file}", sep="\n")
    return 0


def ingest(args: argparse.Namespace) -> int:
    """Read pictures as they lie, set aside what can't be used and say why, and keep the rest for fast reading."""
    with sigterm_interrupts():
        how = {"name": args.name, "studies_dir": args.studies_dir, "progress": "plain" if args.plain else True}
        print(as_typed(str(api.ingest(args.source, args.overrides, **how))))
    return 0


def data(args: argparse.Namespace) -> int:
    """Print what an ingest made: counts, sizes, balance, statistics, what was set aside and why; without a name all that there is."""
    if args.data is None or args.prune is not None:
        return _all_data(args)
    dataset = api.load_data(args.data, studies_dir=args.studies_dir)
    if args.sheet is not None:
        dataset.write_sheet(args.sheet)
    if args.pairs is not None:
        dataset.write_pairs(args.pairs)
    damaged = dataset.verify() if args.verify else None
    if args.json:
        print(json.dumps(dataset.to_dict(damaged), indent=1, ensure_ascii=False))
    else:
        sheets = {"contact sheet": args.sheet, "pairs": args.pairs}
        drawn = [f"  {what} in {path}" for what, path in sheets.items() if path is not None]
        print(*map(as_typed, dataset.summary(damaged)), *drawn, sep="\n")
    return 1 if damaged else 0


def _all_data(args: argparse.Namespace) -> int:
    if args.data is not None and args.prune is not None:
        raise UserError(f"--prune takes no name, but got {args.data!r}: what has a name stays")
    if args.sheet or args.pairs or args.verify:
        raise UserError("--sheet, --pairs and --verify are of one NAME; `visiontune data` lists them")
    where = {"studies_dir": args.studies_dir, "storage": args.storage}
    found = api.list_data(**where) if args.prune is None else api.prune_data(args.prune, **where)
    print(json.dumps(found.to_dict(), indent=1, ensure_ascii=False) if args.json else as_typed(str(found)))
    return 0


def preview(args: argparse.Namespace) -> int:
    """Draw what a policy does to pictures, warn of labels it may change, or write it for albumentations and torchvision."""
    if args.export is not None:
        api.export_policy(args.file, args.export, args.overrides)
        print(f"policy: {args.export}")
        return 0
    print(api.preview(args.file, args.overrides, num=args.n, out=args.out, study=args.study, studies_dir=args.studies_dir))
    return 0
