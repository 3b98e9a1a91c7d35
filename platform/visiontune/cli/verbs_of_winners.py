"""What each verb that uses a trained network does; see verbs.py."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace

from visiontune import api
from visiontune.cli.terminal import as_typed, sigterm_interrupts, width
from visiontune.errors import UserError


def predict(args: argparse.Namespace) -> int:
    """Say what a study's winner, weights or an ONNX model make of pictures: probabilities by class, decoded as in training."""
    kind = "csv" if args.csv else "json" if args.json else None
    pictures = _with_lines(args.pictures) if "-" in args.pictures else args.pictures
    how = {"classes": args.classes, "test_time": args.test_time, "calibrated": args.calibrated, "device": args.device, "depth": args.depth}
    found = api.predict(args.model, pictures, **how, studies_dir=args.studies_dir)
    found = replace(found, notes=tuple(map(as_typed, found.notes)))
    if args.out is not None:
        found.write(args.out, kind)
        print(f"predictions: {args.out}", file=sys.stderr)
    else:
        found.print(kind or ("table" if sys.stdout.isatty() else "csv"))
    return 0


def _with_lines(words: Sequence[str]) -> Iterator[str]:
    for word in words:
        if word != "-":
            yield word
            continue
        for line in sys.stdin.buffer:
            if name := os.fsdecode(line.rstrip(b"\r\n")):
                yield name


def evaluate(args: argparse.Namespace) -> int:
    """Print how well a study's winner, weights or an ONNX model do on another labelled set; without one, on its validation pictures."""
    if args.diagram is not None and args.diagram.suffix != ".png":
        raise UserError(f"--diagram draws a picture, such as reliability.png, but got {str(args.diagram)!r}")
    how = {
        "skip_unknown": args.skip_unknown,
        "test_time": args.test_time,
        "calibrated": args.calibrated,
        "device": args.device,
        "depth": args.depth,
    }
    found = api.evaluate(args.model, args.source, args.overrides, **how, studies_dir=args.studies_dir)
    if args.diagram is not None:
        found.write_diagram(args.diagram)
    print(json.dumps(found.to_dict(), indent=1, ensure_ascii=False) if args.json else as_typed("\n".join(found.lines(width()))))
    return 0


def inspect(args: argparse.Namespace) -> int:
    """Look at what a study's winner sees: what it gets wrong, doubted labels, corruptions, filters, maps, Grad-CAM, receptive fields."""
    only = None if args.only is None else [name.strip() for name in args.only.split(",") if name.strip()]
    with sigterm_interrupts():
        how = {"only": only, "out": args.out, "folds": args.folds, "device": args.device, "progress": not args.json}
        found = api.inspect(args.study, **how, studies_dir=args.studies_dir)
    said = f"{found}\npictures and an index of them in {found.folder}"
    print(json.dumps(found.to_dict(), indent=1, ensure_ascii=False) if args.json else as_typed(said))
    return 0


def export(args: argparse.Namespace) -> int:
    """Write a study's winner, or a file of weights, as ONNX, for torch.export, or by timm's or torchvision's names; and a model card."""
    how = {"out": args.out, "precision": args.precision, "calibrated": args.calibrated}
    print(api.export(args.model, args.to, **how, studies_dir=args.studies_dir, storage=args.storage))
    return 0
