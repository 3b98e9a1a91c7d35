"""The verbs of `visiontune`. Each one parses, calls a floor and prints; what it needs it imports when it runs.

Exit codes: 0 done, 2 input that can't be used (every problem on stderr), 1 anything else (one sentence on stderr, the
traceback in a log file; `--debug` shows it). An interrupted search is 1, and its last line says how to go on.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import json
import os
import shlex
import shutil
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from visiontune.spec.errors import UserError, nearest

if TYPE_CHECKING:
    from visiontune.spec.recipe import StudySpec

DRAIN_S, HURRY_S = 15.0, 2.0
"""How long a finished and an interrupted search wait for MLflow; the writer sends on by itself, the outbox keeps the rest."""


def search(args: argparse.Namespace) -> int:
    """Search a space; the same command again goes on where it stopped."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # also while nothing is running yet
    spec = _load(args)
    folder = args.studies_dir / spec.study
    from visiontune.results.report import summary
    from visiontune.results.screen import Screen
    from visiontune.search.cluster import reach
    from visiontune.search.driver import run_search
    from visiontune.tracking.ui import ui_command

    reach(args.address)  # before anything is written
    with Screen(is_plain=args.plain) as screen:
        outcome = run_search(spec, folder, tracker=lambda: _tracker(folder), screen=screen.update, address=args.address)
    if outcome.status == "finished" and outcome.num_new_trials == 0:
        _send_leftovers(folder)
    print(summary(outcome, go_on=args.command_line, ui_command=ui_command(args.studies_dir, shlex.join(_program())), width=_width()))
    return 0 if outcome.status != "interrupted" and outcome.view.best is not None else 1


@contextlib.contextmanager
def _tracker(folder: Path, drain_s: float = HURRY_S) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """Takes events for MLflow while a search runs."""
    from visiontune.tracking.outbox import Outbox
    from visiontune.tracking.writer import start_writer

    writer, outbox = start_writer(folder, None, folder.parent), Outbox(folder)

    def put(event: Mapping[str, Any]) -> None:
        nonlocal drain_s
        drain_s = DRAIN_S if event["event"] == "study_end" else HURRY_S
        outbox.put(event)
        writer.tend()

    try:
        yield put
    finally:
        outbox.close()
        unsent = writer.drain(drain_s)
        writer.stop()
        if unsent:
            trouble = writer.trouble or "they are being sent"
            print(f"MLflow does not have {unsent} events yet ({trouble}); what stays behind, the same command sends", file=sys.stderr)


def _send_leftovers(folder: Path) -> None:
    """What an earlier call could not send, though the study itself is finished."""
    from visiontune.tracking.backend import tracking_uri
    from visiontune.tracking.outbox import num_unsent

    if num_unsent(folder, tracking_uri(folder.parent)):
        with _tracker(folder, DRAIN_S):
            pass


def check(args: argparse.Namespace) -> int:
    """Validate files, build every model, print sizes and cost; with --run try data, networks and learning rates out."""
    if args.json and not args.is_tried:
        raise UserError("--json is for the results of --run: give both")
    problems: list[Any] = []
    specs: list[StudySpec] = []
    for file in args.files:
        try:
            spec, facts = _checked(file, args.overrides)
            specs.append(spec)
            if not args.json:
                print(facts, flush=True)
        except UserError as error:
            problems += error.problems
    if problems:
        raise UserError(*problems)
    return _run_checks(specs, args) if args.is_tried else 0


def _checked(file: Path, overrides: Sequence[str]) -> tuple[StudySpec, str]:
    from visiontune.search.preflight import preflight
    from visiontune.spec.costs import cost
    from visiontune.spec.parse import load_study

    spec = load_study(file, overrides)
    total, info = cost(spec), preflight(spec)
    rungs = ", ".join(str(rung) for rung in total.rungs)
    return spec, (
        f"{file}: good\n"
        f"  pictures  {info.image_size} px, {info.channels} channels, {info.num_classes} classes\n"
        f"  params    {total.num_params}\n"
        f"  trials    {total.num_trials}, rungs at {rungs} epochs\n"
        f"  epochs    {total.worst_epochs} at worst, {total.expected_epochs} expected"
    )


def _run_checks(specs: Sequence[StudySpec], args: argparse.Namespace) -> int:
    from visiontune.results.checks import run_and_show

    results = []
    for spec in specs:
        if not args.json and len(specs) > 1:
            print(f"{spec.space.file}:", flush=True)
        results.append(run_and_show(spec, args.studies_dir, is_quiet=args.json))
    if args.json:
        print(json.dumps({"files": results}, indent=1))
    return 2 if any(result["verdict"] == "bad" for result in results) else 0


def sample(args: argparse.Namespace) -> int:
    """Print resolved recipes as YAML documents."""
    from visiontune.spec.domains import RandomParams
    from visiontune.spec.parse import make_recipe
    from visiontune.spec.recipe import keyed_seed
    from visiontune.spec.write import to_yaml

    spec = _load(args)
    for number in range(args.n):
        recipe = make_recipe(spec, spec.space.resolve(RandomParams(keyed_seed(args.seed, "sample", number))), number)
        print(f"--- # {number}, fingerprint {recipe.fingerprint}")
        print(to_yaml(recipe.to_dict()), end="")
    return 0


def preview(args: argparse.Namespace) -> int:
    """Draw what a policy does to pictures, warn of labels it may change, or write it for albumentations and torchvision."""
    from visiontune.results import preview as looking

    if args.export is not None:
        print(looking.export(args.file, args.overrides, args.export))
        return 0
    for line in looking.preview(args.file, args.overrides, studies_dir=args.studies_dir, num=args.n, out=args.out, study=args.study):
        print(line, flush=True)
    return 0


def ingest(args: argparse.Namespace) -> int:
    """Read pictures as they lie, set aside what can't be used and say why, and keep the rest for fast reading."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    from visiontune.results.data_command import ingest as make

    words = [*args.overrides, *([] if args.allow_bad is None else [f"allow_bad={args.allow_bad}"])]
    print(*make(args.source, words, args.studies_dir / ".data", name=args.name, is_plain=args.plain), sep="\n")
    return 0


def data(args: argparse.Namespace) -> int:
    """Print what an ingest made: counts, sizes, balance, statistics, what was set aside and why."""
    from visiontune.results.data_command import tell

    is_whole, text = tell(args.data, args.studies_dir / ".data", is_json=args.json, is_verified=args.verify, sheet=args.sheet)
    print(text)
    return 0 if is_whole else 1


def train(args: argparse.Namespace) -> int:
    """Train one recipe without Ray and MLflow, print its curve and its test figures."""
    from visiontune.spec.parse import load_recipe

    recipe = load_recipe(args.recipe)  # a wrong file is told before torch is imported
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # sums in another order give other digits: as on a search's worker
    from visiontune.results.classes import class_lines
    from visiontune.training.run import Result, run_recipe

    for item in run_recipe(recipe, args.studies_dir / ".data", device=args.device, out=args.out):
        start = f"epoch={item.epoch} " if hasattr(item, "epoch") else ""
        print(start + " ".join(f"{name}={value:.4g}" for name, value in item.metrics.items()), flush=True)
        if isinstance(item, Result):
            print("\n".join(class_lines(item.classes, _width())))
    if args.out is not None:
        print(f"weights in {args.out}")
    return 0


def show(args: argparse.Namespace) -> int:
    """Print a study's leaderboard, rungs and failures."""
    folder = args.studies_dir / args.study
    if Path(args.study).name != args.study or not folder.is_dir():
        raise UserError(f"no study {args.study!r} in {args.studies_dir}; {nearest(args.study, _studies(args.studies_dir))}")
    from visiontune.results.leaderboard import leaderboard, to_json
    from visiontune.search.study import read_study

    view = read_study(folder, args.storage)
    print(json.dumps(to_json(view), indent=1) if args.json else leaderboard(view, args.n, _width()))
    return 0


def _studies(studies_dir: Path) -> list[str]:
    return sorted(path.parent.name for path in studies_dir.glob("*/driver.lock"))


def profile(args: argparse.Namespace) -> int:
    """Print what a network costs, layer by layer: parameters, multiply-adds, memory, receptive field."""
    from visiontune.spec.parse import load_model

    model = load_model(args.model, args.overrides)
    from visiontune.models.profile import profile as profile_of
    from visiontune.results.profile import profile_lines, to_json

    sizes = {"num_classes": args.classes, "in_channels": args.channels, "image_size": args.image_size}
    found = profile_of(model, **sizes, batch_size=args.batch)
    print(json.dumps(to_json(args.model, found), indent=1) if args.json else "\n".join(profile_lines(args.model, found)))
    return 0


def list_tables(args: argparse.Namespace) -> int:
    """Print a table's entries, one line each."""
    if args.markdown:
        return _model_table(args.table)
    from visiontune.results.tables import op_cost_lines, table_lines

    if args.cost and args.table != "ops":
        raise UserError("--cost is for ops: visiontune list ops --cost")
    print("\n".join(op_cost_lines(args.image_size) if args.cost else table_lines(args.table)))
    return 0


def _model_table(table: str | None) -> int:
    if table != "models":
        raise UserError(f"--markdown is for the table of models, but got {table or 'none'}")
    from visiontune.results.model_table import model_table

    for line in model_table():
        print(line)
    return 0


def schema(args: argparse.Namespace) -> int:
    """Print the JSON Schema of a search-space file."""
    from visiontune.spec.schema import json_schema

    print(json.dumps(json_schema(), indent=1))
    return 0


def ui(args: argparse.Namespace) -> int:
    """Open MLflow's pages over the studies, on loopback."""
    from visiontune.tracking.ui import open_ui

    open_ui(args.studies_dir, args.port)
    return 0


def submit(args: argparse.Namespace) -> int:
    """Run a search as a job of a Ray cluster, or follow it there."""
    from visiontune.search.submit import submit as submit_job

    return submit_job(args.file, args.address, args.overrides, studies_dir=args.studies_dir)


def _load(args: argparse.Namespace) -> StudySpec:
    from visiontune.spec.parse import load_study

    renamed = [f"study={args.name}"] if getattr(args, "name", None) else []
    return load_study(args.file, [*args.overrides, *renamed])


def _width() -> int | None:
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def default_studies_dir() -> Path:
    """VISIONTUNE_STUDIES; in a Ray job, whose own folder goes when it ends, the home of its machine; else ./studies."""
    if named := os.environ.get("VISIONTUNE_STUDIES"):
        return Path(named).expanduser()
    return Path.home() / "visiontune-studies" if "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ else Path("studies")


def _positive(text: str) -> int:
    return _in_range(text, 1, 1_000_000)


def _size(text: str) -> int:
    return _in_range(text, 8, 4096)


def _few(text: str) -> int:
    return _in_range(text, 1, 64)


def _port(text: str) -> int:
    return _in_range(text, 1, 65_535)


def _in_range(text: str, low: int, high: int) -> int:
    if not text.isdigit() or not low <= int(text) <= high:
        raise argparse.ArgumentTypeError(f"must be an int from {low} to {high}, but got {text!r}")
    return int(text)


def make_parser() -> argparse.ArgumentParser:
    """Every verb and option."""
    debug = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    debug.add_argument("--debug", action="store_true", help="show the whole traceback of an error")
    parser = argparse.ArgumentParser("visiontune", description="A YAML search space and pictures in, the best recipe out.", parents=[debug])
    verbs = parser.add_subparsers(required=True, metavar="VERB")

    def verb(run: Callable[[argparse.Namespace], int], name: str = "") -> argparse.ArgumentParser:
        doc = (run.__doc__ or "").strip()
        one = verbs.add_parser(name or run.__name__, help=doc, description=doc, parents=[debug])
        one.set_defaults(run=run)
        return one

    searching, checking, sampling, training, showing = verb(search), verb(check), verb(sample), verb(train), verb(show)
    listing, _, looking, submitting, profiling = verb(list_tables, "list"), verb(schema), verb(ui), verb(submit), verb(profile)
    previewing = verb(preview)
    ingesting, reporting = verb(ingest), verb(data)

    for one in (searching, sampling, submitting):
        one.add_argument("file", type=Path, metavar="FILE", help="search-space file")
        one.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="such as budget.num_trials=8")
    for one in (searching, checking, training, showing, looking, previewing, ingesting, reporting):
        where = "where studies live (VISIONTUNE_STUDIES, else ./studies)"
        one.add_argument(
            "--studies-dir", type=lambda text: Path(text).expanduser(), default=default_studies_dir(), metavar="DIR", help=where
        )
    searching.add_argument("--name", help="another name for the study, such as after a change of the space")
    searching.add_argument("--address", metavar="RAY", help="Ray cluster to join, such as auto; without it Ray starts here")
    searching.add_argument("--plain", action="store_true", help="lines of key=value also on a terminal")
    checking.add_argument("files", nargs="+", metavar="FILE|KEY=VALUE", help="files; an override holds for all of them")
    checking.add_argument(
        "--run", dest="is_tried", action="store_true", help="on real data: labels, repeats, step 0, one batch by heart, learning rates"
    )
    checking.add_argument("--json", action="store_true", help="what --run found, for programs")
    sampling.add_argument("-n", type=_positive, default=3, help="number of recipes")
    sampling.add_argument("--seed", type=int, default=0)
    previewing.add_argument("file", type=Path, metavar="FILE|RECIPE", help="search-space file, or a recipe: studies/NAME/winner.yaml")
    previewing.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="such as augmentation.policy=randaugment in a recipe")
    previewing.add_argument("-n", type=_few, default=4, help="pictures, each of another class")
    previewing.add_argument("--out", type=Path, metavar="FILE.png", help="of the sheet; else in the study's folder or beside the recipe")
    previewing.add_argument("--study", metavar="NAME", help="ask this study's winner which classes the ops confuse")
    previewing.add_argument(
        "--export", type=Path, metavar="FILE", help="write a recipe's policy instead: .yaml, .json (albumentations) or .py (torchvision)"
    )
    what = "folder, manifest, Parquet, COCO's JSON, digits, torchvision:NAME; or source=... for all by KEY=VALUE"
    ingesting.add_argument("source", metavar="SOURCE", help=what)
    ingesting.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="of the section data, such as image_size=224")
    ingesting.add_argument("--name", help="call it so, for `visiontune data NAME`")
    ingesting.add_argument("--allow-bad", type=float, metavar="SHARE", help="go on with up to that share of bad pictures (0.01)")
    ingesting.add_argument("--plain", action="store_true", help="lines of key=value also on a terminal")
    reporting.add_argument("data", metavar="NAME|DIGEST", help="of an ingest; the beginning of a digest is enough")
    reporting.add_argument("--json", action="store_true", help="everything, for programs")
    reporting.add_argument("--verify", action="store_true", help="read every pixel and tell which shard is damaged")
    reporting.add_argument("--sheet", type=Path, metavar="FILE.png", help="draw some training pictures of each class")
    training.add_argument("recipe", type=Path, metavar="RECIPE.yaml")
    training.add_argument("--device", default="auto", help="auto, cpu or cuda")
    training.add_argument("--out", type=Path, metavar="FILE.safetensors", help="save the weights here")
    showing.add_argument("study", metavar="STUDY")
    showing.add_argument("--json", action="store_true", help="everything, for programs")
    showing.add_argument("--storage", default="journal", metavar="URL", help="of a study with storage.url")
    showing.add_argument("-n", type=int, default=10, help="trials in the table")
    listing.add_argument("table", nargs="?", help="such as models, activations, optimizers; without it the tables themselves")
    listing.add_argument("--cost", action="store_true", help="of ops: microseconds a picture, measured here, 15 s")
    listing.add_argument("--image-size", type=_size, default=32, metavar="PX", help="for --cost")
    listing.add_argument("--markdown", action="store_true", help="of models: parameters counted and smallest picture found, half a minute")
    profiling.add_argument("model", metavar="MODEL", help="an entry of `visiontune list models`")
    profiling.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="of the recipe's model section, such as width=2 or norm=group")
    profiling.add_argument("--image-size", type=_positive, required=True, metavar="S", help="pixels of the square pictures")
    profiling.add_argument("--classes", type=_positive, required=True, metavar="N")
    profiling.add_argument("--channels", type=_positive, default=3, metavar="C")
    profiling.add_argument("--batch", type=_positive, default=64, metavar="B", help="pictures in a step, for the memory that it takes")
    profiling.add_argument("--json", action="store_true", help="everything, for programs")
    looking.add_argument("--port", type=_port, default=5000)
    submitting.add_argument("--address", required=True, metavar="URL", help="Ray's dashboard, such as http://127.0.0.1:8265")
    submitting.add_argument("--studies-dir", metavar="DIR", help="folder on the cluster that every node sees")
    return parser


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Arguments; overrides may also stand after options, where argparse alone would refuse them."""
    parser = make_parser()
    args, late = parser.parse_known_args(argv)
    words: list[str] = getattr(args, "overrides", getattr(args, "files", []))
    takes_words = hasattr(args, "overrides") or hasattr(args, "files")
    if late and (not takes_words or any(item.startswith("-") or "=" not in item for item in late)):
        parser.error(f"unrecognized arguments: {' '.join(late)}")
    words += late
    if hasattr(args, "files"):
        args.overrides = [item for item in args.files if "=" in item and not Path(item).exists()]
        args.files = [Path(item) for item in args.files if item not in args.overrides] or parser.error("check needs a FILE")
    args.command_line = shlex.join([*_program(), *argv])
    return args


def _program() -> list[str]:
    """What to type for this program here: an environment that is not activated has it under a path."""
    if shutil.which("visiontune"):
        return ["visiontune"]
    return [sys.argv[0]] if Path(sys.argv[0]).name == "visiontune" else [sys.executable, "-m", "visiontune.cli"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; the exit code."""
    args = parse(sys.argv[1:] if argv is None else argv)
    try:
        code: int = args.run(args)
        sys.stdout.flush()
        return code
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader has seen enough; Python's own last flush must not complain either
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        print(f"interrupted; go on: {args.command_line}", file=sys.stderr)
        return 1
    except Exception as error:
        return _failed(error, is_debug=hasattr(args, "debug"))


def _failed(error: Exception, *, is_debug: bool) -> int:
    if is_debug:
        traceback.print_exception(error)
        return 1
    first = next(iter(str(error).strip().splitlines()), "") or type(error).__name__
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


if __name__ == "__main__":
    sys.exit(main())
