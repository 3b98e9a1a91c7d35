"""Options of the verbs that use a winner or take it away."""

from __future__ import annotations

from pathlib import Path

from visiontune.cli import verbs_of_winners
from visiontune.cli.shared_options import Verb, folds, positive, takes_studies_dir, takes_study


def winner_options(verb: Verb) -> None:
    """Using the winner."""
    predict, evaluate = verb(verbs_of_winners.predict), verb(verbs_of_winners.evaluate)
    for one in (predict, evaluate):
        one.add_argument("model", metavar="STUDY|MODEL", help="a study, whose winner is asked, or WEIGHTS.safetensors or MODEL.onnx")
    what = "files, folders, patterns, URIs; - for names on standard input, one a line"
    predict.add_argument("pictures", nargs="+", metavar="PICTURES", help=what)
    predict.add_argument("--classes", type=positive, metavar="K", help="so many a picture, the most probable first (1; of several all)")
    form = predict.add_mutually_exclusive_group()
    form.add_argument("--csv", action="store_true", help="as CSV, also on a terminal")
    form.add_argument("--json", action="store_true", help="as JSON, an object a line")
    predict.add_argument("--out", type=Path, metavar="FILE", help="write here, as .csv or .json")
    evaluate.add_argument("source", nargs="?", metavar="DATA", help="what `visiontune ingest` takes; else the validation pictures")
    evaluate.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="of the section data, such as max_pictures=1000")
    evaluate.add_argument("--skip-unknown", action="store_true", help="leave out what is of classes that the network does not know")
    evaluate.add_argument("--diagram", type=Path, metavar="FILE.png", help="draw how reliable the probabilities are")
    evaluate.add_argument("--json", action="store_true", help="everything, for programs")
    for one in (predict, evaluate):
        one.add_argument("--test-time", default="none", metavar="VIEWS", help="none, flip or ten_crops: the mean over these (none)")
        one.add_argument("--calibrated", action="store_true", help="by a temperature fitted to the validation pictures")
        depth = "values of files with more than 8 bits that become 0 and 255; else as in training"
        one.add_argument("--depth", nargs=2, type=float, metavar=("LOW", "HIGH"), help=depth)
        one.add_argument("--device", default="auto", metavar="WHERE", help="auto, cpu or cuda (auto)")
        takes_studies_dir(one)
    inspect = verb(verbs_of_winners.inspect)
    takes_study(inspect)
    inspect.add_argument("--out", type=Path, metavar="FOLDER", help="of the pictures; else STUDY/inspection")
    views = "confusion, mistakes, labels, corruptions, filters, maps, attribution, receptive_field, visualisation; else all"
    inspect.add_argument("--only", metavar="VIEW,VIEW", help=views)
    parts = "labels of training pictures too: train the winner's recipe K times, without a part of the pictures each"
    inspect.add_argument("--folds", type=folds, metavar="K", help=parts)
    inspect.add_argument("--json", action="store_true", help="figures and names, for programs; the pictures are written as without it")
    inspect.add_argument("--device", default="auto", metavar="WHERE", help="auto, cpu or cuda (auto)")
    takes_studies_dir(inspect)


def export_options(verb: Verb) -> None:
    """Taking the winner away."""
    export = verb(verbs_of_winners.export)
    export.add_argument("model", metavar="STUDY|WEIGHTS.safetensors", help="a study, whose winner is written, or a file of weights")
    export.add_argument("--to", default="onnx", metavar="FORM", help="onnx (the default), torch, safetensors or timm")
    export.add_argument("--out", type=Path, metavar="FILE", help="else the name with .onnx, .pt2 or .safetensors, here")
    export.add_argument("--precision", default="fp32", metavar="P", help="of ONNX: fp32, fp16 or int8, whose cost is measured (fp32)")
    export.add_argument("--calibrated", action="store_true", help="logits divided by a temperature fitted to the validation pictures")
    export.add_argument("--storage", default="journal", metavar="URL", help="of a study with storage.url")
    takes_studies_dir(export)
