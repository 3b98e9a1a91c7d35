"""What each verb that looks at trials and studies that are done does; see verbs.py."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping

from visiontune import api


def replay(args: argparse.Namespace) -> int:
    """Train a trial again from its record and name the first figure that differs; exit code 0 where none does, else 1."""

    def on_epoch(epoch: int, recorded: Mapping[str, float], replayed: Mapping[str, float]) -> None:
        same = [name for name, value in recorded.items() if replayed.get(name) == value]
        other = [f"{name} {value!r} -> {replayed[name]!r}" for name, value in recorded.items() if name in replayed and name not in same]
        print(f"epoch={epoch} " + (", ".join(other) or f"equal: {', '.join(same)}"), flush=True)

    how = {"epochs": args.epochs, "device": args.device, "studies_dir": args.studies_dir, "storage": args.storage}
    found = api.replay(args.study, args.trial, **how, **({} if args.json else {"on_epoch": on_epoch}))
    print(json.dumps(found.to_dict(), indent=1) if args.json else found)
    return 0 if found.is_equal else 1


def importance(args: argparse.Namespace) -> int:
    """Print which params mattered, by how much, what is not known yet, and what to search next."""
    found = api.load_study(args.study, studies_dir=args.studies_dir, storage=args.storage).importance(args.seed)
    print(json.dumps(found.to_dict(), indent=1) if args.json else found)
    return 0
