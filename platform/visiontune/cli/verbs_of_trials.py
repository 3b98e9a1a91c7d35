"""Verbs that tell of a study's trials, in the manner of verbs.py."""

from __future__ import annotations

import argparse
import json

from visiontune import api


def importance(args: argparse.Namespace) -> int:
    """Print which params mattered, by how much, what is not known yet, and what to search next."""
    found = api.load_study(args.study, studies_dir=args.studies_dir, storage=args.storage).importance(args.seed)
    print(json.dumps(found.to_dict(), indent=1) if args.json else found)
    return 0
