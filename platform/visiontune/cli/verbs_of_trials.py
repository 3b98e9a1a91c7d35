"""Verbs that tell of a study's trials and of who has won, in the manner of verbs.py."""

from __future__ import annotations

import argparse
import json

from visiontune import api
from visiontune.cli.terminal import sigterm_interrupts


def importance(args: argparse.Namespace) -> int:
    """Print which params mattered, by how much, what is not known yet, and what to search next."""
    found = api.load_study(args.study, studies_dir=args.studies_dir, storage=args.storage).importance(args.seed)
    print(json.dumps(found.to_dict(), indent=1) if args.json else found)
    return 0


def confirm(args: argparse.Namespace) -> int:
    """Train the best of a study that has ended again, to find the winner among them; the same command goes on."""
    keys = ("top", "seeds", "weights", "use_val", "studies_dir", "storage", "address")
    with sigterm_interrupts():
        try:
            given = {key: getattr(args, key) for key in keys}
            study = api.confirm(args.study, **given, progress="plain" if args.plain else True, may_exit=True)
        except api.Interrupted as error:
            study = error.study
    from visiontune.results.search_summary import winner_lines

    print("\n".join(winner_lines(study.record)))
    if study.status == "interrupted":
        print(f"interrupted; what is done is kept; go on: {args.command_line}")
    return int(study.status == "interrupted" or study.record.winner is None)


def report(args: argparse.Namespace) -> int:
    """Write a study as one HTML file that works offline: who won and by how much, why, what it gets wrong, what it costs, its recipe."""
    with sigterm_interrupts():
        study = api.load_study(args.study, studies_dir=args.studies_dir, storage=args.storage)
        print(study.report(args.out, inspect=not args.no_inspection, device=args.device))
    return 0
