"""What each verb of `visiontune` does: it calls a floor and prints. What it needs it imports when it runs.

A verb takes the parsed arguments and gives the exit code; its docstring is its line of help.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shlex
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from visiontune.errors import UserError, nearest

if TYPE_CHECKING:
    from visiontune.spec.recipe import StudySpec

DRAIN_S, HURRY_S = 15.0, 2.0
"""How long a finished and an interrupted search wait for MLflow; the writer sends on by itself, the outbox keeps the rest."""


def search(args: argparse.Namespace) -> int:
    """Search a space; the same command again goes on where it stopped."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # also while nothing is running yet
    spec = _load(args)
    folder = args.studies_dir / spec.study
    from visiontune.results.search_screen import Screen
    from visiontune.results.search_summary import summary
    from visiontune.tracking.mlflow_ui import ui_command
    from visiontune.tuning.launch import run_search
    from visiontune.tuning.ray_cluster import reach

    reach(args.address)  # before anything is written
    with Screen(is_plain=args.plain) as screen:
        outcome = run_search(spec, folder, tracker=lambda: _tracker(folder), screen=screen.update, address=args.address)
    if outcome.status == "finished" and outcome.num_new_trials == 0:
        _send_leftovers(folder)
    print(summary(outcome, go_on=args.command_line, ui_command=ui_command(args.studies_dir, shlex.join(program())), width=_width()))
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
    from visiontune.tracking.mlflow_uri import tracking_uri
    from visiontune.tracking.outbox import num_unsent

    if num_unsent(folder, tracking_uri(folder.parent)):
        with _tracker(folder, DRAIN_S):
            pass


def check(args: argparse.Namespace) -> int:
    """Validate files, build every model, print what the search will cost; with --run try data, networks and learning rates out."""
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
    from visiontune.spec.epoch_forecast import cost
    from visiontune.spec.parse import load_study
    from visiontune.tuning.preflight import preflight

    spec = load_study(file, overrides)
    total, info = cost(spec), preflight(spec)
    rungs = ", ".join(str(rung) for rung in total.rungs)
    return spec, (
        f"{file}: good\n"
        f"  pictures  {info.image_size} px, {info.channels} channel{'s' if info.channels > 1 else ''}, {info.num_classes} classes\n"
        f"  params    {total.num_params} to search\n"
        f"  trials    {total.num_trials}, rungs at {rungs} epochs\n"
        f"  epochs    {total.worst_epochs} at worst, {total.expected_epochs} expected"
        f"{_slow_ops(spec, info.channels)}"
    )


def _slow_ops(spec: StudySpec, channels: int) -> str:
    """The line that says what the batched engine lacks; nothing where that is nothing."""
    from visiontune.augmentation.op_ranges import one_by_one

    names = one_by_one(spec.space.tree.get("augmentation", {}), channels)
    return f"\n  slow ops  {', '.join(names)}: picture by picture, not in batches (`visiontune list ops --cost`)" if names else ""


def _run_checks(specs: Sequence[StudySpec], args: argparse.Namespace) -> int:
    from visiontune.results.check_output import run_and_show

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
    from visiontune.spec.yaml_writer import to_yaml

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
    from visiontune.results.data_commands import ingest as make

    words = [*args.overrides, *([] if args.allow_bad is None else [f"allow_bad={args.allow_bad}"])]
    print(*make(args.source, words, args.studies_dir / ".data", name=args.name, is_plain=args.plain), sep="\n")
    return 0


def data(args: argparse.Namespace) -> int:
    """Print what an ingest made: counts, sizes, balance, statistics, what was set aside and why."""
    from visiontune.results.data_commands import tell

    is_whole, text = tell(args.data, args.studies_dir / ".data", is_json=args.json, is_verified=args.verify, sheet=args.sheet)
    print(text)
    return 0 if is_whole else 1


def train(args: argparse.Namespace) -> int:
    """Train one recipe without Ray and MLflow, print its curve and its test figures."""
    from visiontune.spec.parse import load_recipe

    recipe = load_recipe(args.recipe)  # a wrong file is told before torch is imported
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # sums in another order give other digits: as on a search's worker
    from visiontune.results.class_table import class_lines
    from visiontune.training.train_recipe import Result, run_recipe

    said = ""
    for item in run_recipe(recipe, args.studies_dir / ".data", device=args.device, out=args.out):
        if not isinstance(item, Result) and item.pictures != said:
            said = item.pictures
            print(f"pictures: {said}", flush=True)
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
    from visiontune.tuning.read_study import read_study

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
    from visiontune.results.profile_table import profile_lines, to_json

    sizes = {"num_classes": args.classes, "in_channels": args.channels, "image_size": args.image_size}
    found = profile_of(model, **sizes, batch_size=args.batch)
    print(json.dumps(to_json(args.model, found), indent=1) if args.json else "\n".join(profile_lines(args.model, found)))
    return 0


def list_tables(args: argparse.Namespace) -> int:
    """Print a table's entries, one line each."""
    if args.markdown:
        return _model_table(args.table)
    from visiontune.results.entry_lists import op_cost_lines, table_lines

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
    from visiontune.spec.json_schema import json_schema

    print(json.dumps(json_schema(), indent=1))
    return 0


def ui(args: argparse.Namespace) -> int:
    """Open MLflow's pages over the studies, on loopback."""
    from visiontune.tracking.mlflow_ui import open_ui

    open_ui(args.studies_dir, args.port)
    return 0


def submit(args: argparse.Namespace) -> int:
    """Run a search as a job of a Ray cluster, or follow it there."""
    from visiontune.tuning.ray_submit import submit as submit_job

    return submit_job(args.file, args.address, args.overrides, studies_dir=args.studies_dir)


def _load(args: argparse.Namespace) -> StudySpec:
    from visiontune.spec.parse import load_study

    renamed = [f"study={args.name}"] if getattr(args, "name", None) else []
    return load_study(args.file, [*args.overrides, *renamed])


def _width() -> int | None:
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def program() -> list[str]:
    """What to type for this program here: an environment that is not activated has it under a path."""
    if shutil.which("visiontune"):
        return ["visiontune"]
    return [sys.argv[0]] if Path(sys.argv[0]).name == "visiontune" else [sys.executable, "-m", "visiontune.cli"]
