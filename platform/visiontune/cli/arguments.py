"""The command line: every verb with its options, and what the words after it mean."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

from visiontune.cli import verbs, verbs_of_trials, verbs_of_winners
from visiontune.cli.terminal import command_line
from visiontune.cli.verb_parser import Parser
from visiontune.filesystem.path_kind import kind_of
from visiontune.filesystem.study_folder import StudiesFolder
from visiontune.spec.call_ranges import FACTOR, FEW, MANY, PORT, Range, rule_of

Verb = Callable[..., argparse.ArgumentParser]
"""Takes a function of verbs.py, and its name where that is another; gives the parser of its arguments."""


def make_parser() -> Parser:
    """A parser of every verb and option; the function of the verb is `run` in what it gives."""
    debug = Parser(add_help=False, argument_default=argparse.SUPPRESS)
    debug.add_argument("--debug", action="store_true", help="show the whole traceback of an error")
    parser = Parser("visiontune", description="A YAML search space and pictures in, the best recipe out.", parents=[debug])
    subparsers = parser.add_subparsers(required=True, metavar="VERB")

    def verb(run: Callable[[argparse.Namespace], int], name: str = "") -> argparse.ArgumentParser:
        doc = (run.__doc__ or "").strip()
        one = subparsers.add_parser(name or run.__name__, help=doc, description=doc, parents=[debug])
        one.set_defaults(run=run)
        return one

    _searches(verb)
    _retraining(verb)
    _trials(verb)
    _ended(verb)
    _winners(verb)
    _exports(verb)
    _pictures(verb)
    _tables(verb)
    parser.options = {one.get_default("run"): tuple(one._option_string_actions) for one in subparsers.choices.values()}
    return parser


def _searches(verb: Verb) -> None:
    search, check, show, enqueue = (verb(run) for run in (verbs.search, verbs.check, verbs.show, verbs.enqueue))
    rehearse, ui, submit = (verb(run) for run in (verbs.rehearse, verbs.ui, verbs.submit))
    enqueue.add_argument("study", metavar="STUDY")
    what = "a recipe, such as studies/OTHER/winner.yaml; or what differs from the tables' defaults, such as optimizer.lr=0.1"
    enqueue.add_argument("files", nargs="+", metavar="RECIPE|KEY=VALUE", help=what)
    _takes_file(search)
    search.add_argument("--name", help="another name for the study, such as after a change of the space")
    search.add_argument(
        "--address", metavar="RAY", help="Ray cluster to join, such as auto; else that of RAY_ADDRESS, else Ray starts here"
    )
    search.add_argument("--plain", action="store_true", help="lines of key=value also on a terminal")
    check.add_argument("files", nargs="*", metavar="FILE|KEY=VALUE", help="files; an override holds for all of them")
    tried = "on real data: labels, repeats, step 0, memorising one batch, learning rates"
    check.add_argument("--run", dest="is_tried", action="store_true", help=tried)
    check.add_argument("--json", action="store_true", help="what --run found, for programs")
    check.add_argument("--plugin", type=Path, metavar="FILE", help="also each row that this file adds to the tables, on made pictures")
    show.add_argument("--json", action="store_true", help="everything, for programs")
    show.add_argument("--costs", action="store_true", help="what each trial costs, and the winner's latency, measured here in some seconds")
    show.add_argument("--trial", type=_number, metavar="N", help="the life of this one, from its proposal to its end")
    show.add_argument("-n", type=_positive, default=10, help="trials in the table")
    rehearse.add_argument("--sampler", metavar="NAME", help="another one than the study's")
    rehearse.add_argument("--reduction-factor", type=_factor, metavar="N", help="another one than the study's")
    rehearse.add_argument("--min-epochs", type=_positive, metavar="N", help="another first rung than the study's")
    rehearse.add_argument("--workers", type=_few, default=4, metavar="N")
    rehearse.add_argument("--seeds", type=_positive, default=8, metavar="N", help="searches with each of the settings")
    rehearse.add_argument("--json", action="store_true", help="the table, for programs")
    for one in (show, rehearse):
        one.add_argument("study", metavar="STUDY")
    for one in (show, enqueue, rehearse):
        one.add_argument("--storage", default="journal", metavar="URL", help="of a study with storage.url")
    importance = verb(verbs_of_trials.importance)
    importance.add_argument("study", metavar="STUDY")
    importance.add_argument("--json", action="store_true", help="with each param's curve, for programs")
    importance.add_argument("--seed", type=int, default=0, help="of the forests")
    importance.add_argument("--storage", default="journal", metavar="URL", help="of a study with storage.url")
    _takes_studies_dir(importance)
    report = verb(verbs_of_trials.report)
    report.add_argument("study", metavar="STUDY")
    report.add_argument("--out", type=Path, metavar="FILE.html", help="else STUDY/report.html")
    report.add_argument("--no-inspection", action="store_true", help="don't ask the winner's network about the validation pictures")
    report.add_argument("--device", default="auto", help="auto, cpu or cuda")
    report.add_argument("--storage", default="journal", metavar="URL", help="of a study with storage.url")
    _takes_studies_dir(report)
    ui.add_argument("--port", type=lambda text: _in_range(text, PORT), default=5000)
    _takes_file(submit)
    submit.add_argument("--address", required=True, metavar="URL", help="Ray's dashboard, such as http://127.0.0.1:8265")
    submit.add_argument("--studies-dir", metavar="DIR", help="folder on the cluster that every node sees")
    for one in (search, check, show, rehearse, ui, enqueue):
        _takes_studies_dir(one)


def _retraining(verb: Verb) -> None:
    confirm, ablate = verb(verbs_of_trials.confirm), verb(verbs_of_trials.ablate)
    confirm.add_argument("--top", type=int, metavar="K", help="recipes that run for it, the search's best (as in the search, 3)")
    confirm.add_argument("--seeds", type=_positive, metavar="N", help="of the winner, at most of the others (as in the search, 3)")
    confirm.add_argument("--weights", metavar="WHICH", help="keep those of the best_seed, or the soup where that is better on val")
    confirm.add_argument("--use-val", action=argparse.BooleanOptionalAction, help="train the winner once more on train and val together")
    ablate.add_argument("--budget", metavar="EPOCHS|TIME", help="of all calls together, such as 200, 30m or 2h (no limit)")
    ablate.add_argument("--seeds", type=_positive, default=3, metavar="N", help="paired seeds that every recipe is trained on (3)")
    ablate.add_argument("--json", action="store_true", help="the tables, for programs")
    ablate.add_argument("--plot", type=Path, metavar="FILE.html", help="write the picture too")
    for one in (confirm, ablate):
        one.add_argument("study", metavar="STUDY", help="one whose search has ended")
        one.add_argument("--address", metavar="RAY", help="as of search")
        one.add_argument("--plain", action="store_true", help="lines of key=value also on a terminal")
        one.add_argument("--storage", default="journal", metavar="URL", help="of a study with storage.url")
        _takes_studies_dir(one)


def _trials(verb: Verb) -> None:
    sample, train, profile = verb(verbs.sample), verb(verbs_of_trials.train), verb(verbs.profile)
    _takes_file(sample)
    sample.add_argument("-n", type=_positive, default=3, help="number of recipes")
    sample.add_argument("--seed", type=int, default=0)
    train.add_argument("recipe", type=Path, metavar="RECIPE.yaml|STUDY", help="a recipe; or a study, whose winner is trained longer")
    train.add_argument("--epochs", type=_positive, metavar="N", help="of a study: more than it searched; its schedule is stretched")
    train.add_argument("--seeds", type=_positive, default=1, metavar="N", help="of a study: so many of its confirmations' (1)")
    train.add_argument("--device", default="auto", help="auto, cpu or cuda")
    shared = "processes that share every batch, on GPUs one on each (1)"
    train.add_argument("--workers", type=_few, default=1, metavar="K", help=shared)
    train.add_argument("--out", type=Path, metavar="FILE.safetensors", help="save the weights here; of a study STUDY/longer-N.safetensors")
    train.add_argument("--test-time", default="none", metavar="VIEWS", help="flip or ten_crops: test by the mean over such views too")
    _takes_studies_dir(train)
    profile.add_argument("model", metavar="MODEL", help="an entry of `visiontune list models`")
    profile.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="of the recipe's model section, such as width=2 or norm=group")
    profile.add_argument("--image-size", type=_positive, required=True, metavar="S", help="pixels of the square pictures")
    profile.add_argument("--classes", type=_positive, required=True, metavar="N")
    profile.add_argument("--channels", type=_positive, default=3, metavar="C")
    profile.add_argument("--batch", type=_positive, default=64, metavar="B", help="pictures in a step, for the memory that it takes")
    profile.add_argument("--json", action="store_true", help="everything, for programs")


def _ended(verb: Verb) -> None:
    replay, compare, studies = verb(verbs_of_trials.replay), verb(verbs_of_trials.compare), verb(verbs_of_trials.list_studies, "studies")
    foreign = verb(verbs_of_trials.import_search, "import")
    foreign.add_argument("search", type=Path, metavar="FILE", help="W&B's YAML, Optuna's journal or SQLite file, Ray Tune's params.json")
    foreign.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="what it does not say, such as data.source=pictures")
    foreign.add_argument("--out", type=Path, metavar="FILE.yaml", help="else STUDY.yaml here")
    foreign.add_argument("--study", metavar="NAME", help="one of several studies in a storage of Optuna's")
    foreign.add_argument("--force", action="store_true", help="write over a file that is there")
    compare.add_argument("studies", nargs="+", metavar="STUDY", help="two or more; the first is what the others are compared with")
    replay.add_argument("study", metavar="STUDY")
    replay.add_argument("trial", type=_number, metavar="TRIAL", help="its number")
    replay.add_argument("--epochs", type=_positive, metavar="N", help="only the first N; else all that are recorded")
    replay.add_argument("--device", help="auto, cpu or cuda; else what the search used")
    for one in (replay, compare):
        one.add_argument("--storage", default="journal", metavar="URL", help="of a study with storage.url")
    for one in (replay, compare, studies):
        one.add_argument("--json", action="store_true", help="the result, for programs")
        _takes_studies_dir(one)


def _winners(verb: Verb) -> None:
    predict, evaluate = verb(verbs_of_winners.predict), verb(verbs_of_winners.evaluate)
    for one in (predict, evaluate):
        one.add_argument("model", metavar="STUDY|MODEL", help="a study, whose winner is asked, or WEIGHTS.safetensors or MODEL.onnx")
    what = "files, folders, patterns, URIs; - for names on standard input, one a line"
    predict.add_argument("pictures", nargs="+", metavar="PICTURES", help=what)
    predict.add_argument("--top", type=_positive, default=1, metavar="K", help="classes of each picture, the most probable first")
    form = predict.add_mutually_exclusive_group()
    form.add_argument("--csv", action="store_true", help="also on a terminal")
    form.add_argument("--json", action="store_true", help="an object a line")
    predict.add_argument("--out", type=Path, metavar="FILE", help="write here, as .csv or .json")
    evaluate.add_argument("source", nargs="?", metavar="DATA", help="what `visiontune ingest` takes; else the validation pictures")
    evaluate.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="of the section data, such as max_pictures=1000")
    evaluate.add_argument("--skip-unknown", action="store_true", help="leave out pictures of classes that the network does not know")
    evaluate.add_argument("--diagram", type=Path, metavar="FILE.png", help="draw how reliable the probabilities are")
    evaluate.add_argument("--json", action="store_true", help="everything, for programs")
    for one in (predict, evaluate):
        one.add_argument("--tta", default="none", metavar="VIEWS", help="flip or ten_crops: the mean over such views of each picture")
        one.add_argument("--calibrated", action="store_true", help="by a temperature fitted to the validation pictures")
        one.add_argument("--device", default="auto", help="auto, cpu or cuda")
        _takes_studies_dir(one)
    inspect = verb(verbs_of_winners.inspect)
    inspect.add_argument("study", metavar="STUDY")
    inspect.add_argument("--out", type=Path, metavar="FOLDER", help="of the pictures; else STUDY/inspection")
    views = "confusion, mistakes, labels, corruptions, filters, maps, attribution, receptive_field, visualisation; else all"
    inspect.add_argument("--only", metavar="VIEW,VIEW", help=views)
    inspect.add_argument("--device", default="auto", help="auto, cpu or cuda")
    _takes_studies_dir(inspect)


def _exports(verb: Verb) -> None:
    export = verb(verbs_of_winners.export)
    export.add_argument("model", metavar="STUDY|WEIGHTS.safetensors", help="a study, whose winner is written, or a file of weights")
    export.add_argument("--to", default="onnx", metavar="FORM", help="onnx (the default), torch, safetensors or timm")
    export.add_argument("--out", type=Path, metavar="FILE", help="else the name with .onnx, .pt2 or .safetensors, here")
    export.add_argument("--precision", default="fp32", metavar="P", help="of ONNX: fp32, fp16 or int8; what it costs is measured")
    export.add_argument("--calibrated", action="store_true", help="logits divided by a temperature fitted to the validation pictures")
    export.add_argument("--storage", default="journal", metavar="URL", help="of a study with storage.url")
    _takes_studies_dir(export)


def _pictures(verb: Verb) -> None:
    init, ingest, data, preview = (verb(run) for run in (verbs.init, verbs.ingest, verbs.data, verbs.preview))
    what = "folder, manifest, Parquet, COCO's JSON, digits, torchvision:NAME; or source=... for all by KEY=VALUE"
    for one in (init, ingest):
        one.add_argument("source", metavar="SOURCE", help=what)
        one.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="of the section data, such as image_size=224")
    init.add_argument("--out", type=Path, metavar="FILE.yaml", help="else STUDY.yaml here")
    init.add_argument("--name", metavar="STUDY", help="of the study; else after the source")
    init.add_argument("--pretrained", action=argparse.BooleanOptionalAction, help="start from ImageNet's weights")
    init.add_argument("--mirrored", action=argparse.BooleanOptionalAction, help="a mirrored picture keeps its class")
    init.add_argument("--hours", metavar="H", help="that the search may take (1)")
    init.add_argument("--yes", action="store_true", help="ask nothing: what no option says is decided by the pictures")
    init.add_argument("--force", action="store_true", help="write over a file that is there")
    ingest.add_argument("--name", help="call it so, for `visiontune data NAME`")
    ingest.add_argument("--allow-bad", type=float, metavar="SHARE", help="go on with up to that share of bad pictures (0.01)")
    ingest.add_argument("--plain", action="store_true", help="lines of key=value also on a terminal")
    data.add_argument("data", metavar="NAME|DIGEST", help="of an ingest; the beginning of a digest is enough")
    data.add_argument("--json", action="store_true", help="everything, for programs")
    data.add_argument("--verify", action="store_true", help="read every pixel and tell which shard is damaged")
    data.add_argument("--sheet", type=Path, metavar="FILE.png", help="draw some training pictures of each class")
    preview.add_argument("file", type=Path, metavar="FILE|RECIPE", help="search-space file, or a recipe: studies/NAME/winner.yaml")
    preview.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="such as data.path=pictures in a recipe")
    preview.add_argument("-n", type=_few, default=4, help="pictures, each of another class")
    preview.add_argument("--out", type=Path, metavar="FILE.png", help="of the sheet; else in the study's folder or beside the recipe")
    preview.add_argument("--study", metavar="NAME", help="ask this study's winner which classes the ops confuse")
    where = "write a recipe's policy instead: .yaml, .json (albumentations) or .py (torchvision)"
    preview.add_argument("--export", type=Path, metavar="FILE", help=where)
    for one in (ingest, data, preview):
        _takes_studies_dir(one)


def _tables(verb: Verb) -> None:
    tables = verb(verbs.list_tables, "list")
    tables.add_argument("table", nargs="?", metavar="TABLE|SECTION", help="such as models, optimizers, training; without it all names")
    tables.add_argument("--cost", action="store_true", help="of ops: microseconds a picture, measured here, 15 s")
    tables.add_argument("--image-size", type=_size, default=32, metavar="PX", help="for --cost")
    tables.add_argument("--timm", metavar="PATTERN", help="of models: timm's names with their weights' tags, such as 'vit_*dinov3*'")
    tables.add_argument("--markdown", action="store_true", help="with ranges; models are counted and tried out, half a minute")
    schema = verb(verbs.schema)
    for one in (tables, schema):
        one.add_argument("--plugin", type=Path, metavar="FILE", help="with the rows that this file adds to the tables")


def _takes_file(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="search-space file")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="such as budget.num_trials=8")


def _takes_studies_dir(parser: argparse.ArgumentParser) -> None:
    where = "where studies live (VISIONTUNE_STUDIES, else ./studies)"
    parser.add_argument(
        "--studies-dir", type=lambda text: Path(text).expanduser(), default=StudiesFolder.of().path, metavar="DIR", help=where
    )


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Arguments; overrides may also stand after options, where argparse alone would refuse them."""
    parser = make_parser()
    args, late = parser.parse_known_args(argv)
    parser.verb = args.run
    words: list[str] = getattr(args, "overrides", getattr(args, "files", []))
    takes_words = hasattr(args, "overrides") or hasattr(args, "files")
    if late and (not takes_words or any(item.startswith("-") or "=" not in item for item in late)):
        parser.error(f"unrecognized arguments: {' '.join(late)}")
    words += late
    if hasattr(args, "files"):
        args.overrides = [item for item in args.files if "=" in item and kind_of(item) is None]
        args.files = [Path(item) for item in args.files if item not in args.overrides]
        if args.run is verbs.check and not args.files and args.plugin is None:
            parser.error("check needs a FILE")
        if args.run is verbs.enqueue and len(args.files) > 1:
            parser.error(f"enqueue takes one RECIPE, but got {len(args.files)}: {', '.join(map(str, args.files))}")
    args.words, args.command_line = list(argv), command_line(argv)
    return args


def _positive(text: str) -> int:
    return _in_range(text, MANY)


def _number(text: str) -> int:
    return _in_range(text, (0, MANY[1]))


def _size(text: str) -> int:
    return _in_range(text, (8, 4096))


def _few(text: str) -> int:
    return _in_range(text, FEW)


def _factor(text: str) -> int:
    return _in_range(text, FACTOR)


def _in_range(text: str, limits: Range) -> int:
    if not text.isdecimal() or not limits[0] <= int(text) <= limits[1]:
        raise argparse.ArgumentTypeError(rule_of(limits, text))
    return int(text)
