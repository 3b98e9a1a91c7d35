"""What each verb of `visiontune` does: it calls the Python API and prints. What it needs it imports when it runs.

A verb takes the parsed arguments and gives the exit code; its docstring is its line of help.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from typing import TYPE_CHECKING, Any

from visiontune import api
from visiontune.cli.streams import has_no_reader
from visiontune.cli.terminal import as_typed, program, sigterm_interrupts, width
from visiontune.errors import UserError
from visiontune.filesystem.study_folder import StudiesFolder

if TYPE_CHECKING:
    from visiontune.results.checks.study_check import StudyCheck


def search(args: argparse.Namespace) -> int:
    """Search a space; the same command again goes on where it stopped."""
    with sigterm_interrupts():  # also while nothing is running yet
        try:
            study = api.search(
                args.file,
                args.overrides,
                name=args.name,
                studies_dir=args.studies_dir,
                address=args.address,
                progress="plain" if args.plain else True,
                may_exit=True,
            )
        except api.Interrupted as error:
            study = error.study
    from visiontune.results.search_summary import summary
    from visiontune.tracking.mlflow_ui import ui_command

    ui = ui_command(StudiesFolder.of(args.studies_dir), shlex.join(program()))
    where = [] if args.studies_dir is None else ["--studies-dir", str(args.studies_dir)]
    report = shlex.join([*program(), "report", study.name, *where])
    print(as_typed(summary(study, go_on=args.command_line, ui_command=ui, report_command=report, width=width())))
    return 0 if study.status != "interrupted" and study.best is not None else 1


def check(args: argparse.Namespace) -> int:
    """Validate files, build every model, print what the search will cost; with --run try data, networks and learning rates out.

    With --plugin hold every row of that file to what the tables' own rows are held to.
    """
    if args.json and not args.is_tried:
        raise UserError("--json is for the results of --run: give both")
    if args.json and args.plugin is not None:
        raise UserError("--json is for the results of --run, and what --plugin finds is no part of them: give one of the two")
    is_unfit = args.plugin is not None and any(one.verdict == "bad" for one in api.check_plugin(args.plugin))
    problems: list[Any] = []
    found: list[StudyCheck] = []
    for file in args.files:
        try:
            found.append(api.check(file, args.overrides, studies_dir=args.studies_dir))
            if not args.json:
                print(as_typed(str(found[-1])), flush=True)
        except UserError as error:
            problems += error.problems
    if problems:
        raise UserError(*problems)
    return max(2 * is_unfit, _run_checks(found, is_json=args.json) if args.is_tried and found else 0)


def _run_checks(found: list[StudyCheck], *, is_json: bool) -> int:
    results = []
    for one in found:
        if not is_json and len(found) > 1:
            print(f"{one.spec.space.file}:", flush=True)
        results.append(one.run(is_quiet=is_json))
    if is_json:
        print(json.dumps({"files": [one.to_dict() for one in results]}, indent=1))
    return 2 if any(one.verdict == "bad" for one in results) else 0


def sample(args: argparse.Namespace) -> int:
    """Print resolved recipes as YAML documents."""
    from visiontune.spec.yaml.yaml_writer import to_yaml

    for number, recipe in enumerate(api.sample(args.file, args.overrides, n=args.n, seed=args.seed)):
        print(f"--- # {number}, fingerprint {recipe.fingerprint}")
        print(to_yaml(recipe.to_dict()), end="")
    return 0


def show(args: argparse.Namespace) -> int:
    """Print a study's leaderboard, rungs, failures, who won and by how much; with --trial one trial's life."""
    study = api.load_study(args.study, studies_dir=args.studies_dir, storage=args.storage)
    if args.events or args.follow:
        for event in api.events(args.study, follow=args.follow, studies_dir=args.studies_dir):
            print(json.dumps(event.to_dict(), ensure_ascii=False) if args.json else event, flush=True)
            if has_no_reader(sys.stdout):
                break
        return 0
    if args.trial is not None:
        life = study.trial(args.trial)
        print(json.dumps(life.to_dict(), indent=1) if args.json else life)
        return 0
    winner = study.winner_costs() if args.costs and study.winner is not None and study.winner.weights is not None else None
    if args.json:
        print(json.dumps({**study.to_dict(costs=args.costs), **({} if winner is None else {"winner_costs": winner.to_dict()})}, indent=1))
        return 0
    from visiontune.results.screens.driver_lines import driver_lines
    from visiontune.results.search_summary import winner_lines

    lines = [*winner_lines(study.record), *driver_lines(study.record)]
    table = study.leaderboard(args.n, width(), costs=args.costs)
    print(as_typed("\n".join([table, *lines, *([] if winner is None else [str(winner)])])))
    return 0


def enqueue(args: argparse.Namespace) -> int:
    """Have a recipe tried next in a study, whether its search goes on now or later."""
    where = {"studies_dir": args.studies_dir, "storage": args.storage}
    print(api.enqueue(args.study, args.files[0] if args.files else None, args.overrides, **where))
    record = api.load_study(args.study, **where).record
    if record.num_trials is not None and record.num_begun >= record.num_trials:
        begun = "its only trial" if record.num_trials == 1 else f"all its {record.num_trials} trials"
        print(f"study {args.study} has begun {begun}: search it with budget.num_trials={record.num_trials + 1}")
    elif record.ending is not None:
        more = "" if record.ending.by in ("num_trials", "patience", "constraints") else f", with more than {record.ending.by} had"
        print(f"its search has ended: the same command goes on with this recipe{more}")
    return 0


def rehearse(args: argparse.Namespace) -> int:
    """Print what a study would have found with other settings, on its own trials' curves, without training."""
    asked = {"sampler": args.sampler, "reduction_factor": args.reduction_factor, "min_epochs": args.min_epochs}
    how = {"max_concurrent_trials": args.max_concurrent_trials, "seeds": args.seeds}
    found = api.rehearse(args.study, **asked, **how, studies_dir=args.studies_dir, storage=args.storage)
    print(json.dumps(found.to_dict(), indent=1) if args.json else found)
    return 0


def profile(args: argparse.Namespace) -> int:
    """Print what a network costs, layer by layer: parameters, multiply-adds, memory, receptive field."""
    sizes = {"image_size": args.image_size, "num_classes": args.num_classes, "in_channels": args.in_channels, "batch_size": args.batch_size}
    found = api.profile(args.model, args.overrides, **sizes)
    from visiontune.results.profile_table import profile_lines, to_json

    print(json.dumps(to_json(args.model, found), indent=1) if args.json else "\n".join(profile_lines(args.model, found)))
    return 0


def list_tables(args: argparse.Namespace) -> int:
    """Print a table's entries or a section's keys, one line each."""
    if args.markdown:
        return _markdown(args.table)
    if args.timm is not None:
        from visiontune.results.entry_lists import timm_lines

        if args.table != "models":
            raise UserError("--timm is for models: visiontune list models --timm PATTERN")
        print("\n".join(timm_lines(args.timm)))
        return 0
    if args.costs and args.table != "ops":
        raise UserError("--costs is for ops: visiontune list ops --costs")
    if args.costs:
        from visiontune.results.entry_lists import op_cost_lines

        print("\n".join(op_cost_lines(args.image_size)))
        return 0
    print("\n".join(api.list_entries(args.table, plugin=args.plugin)))
    return 0


def _markdown(name: str | None) -> int:
    from visiontune.results.entry_lists import markdown_lines
    from visiontune.results.model_table import model_table

    if name is None:
        raise UserError("--markdown is for one table or section: visiontune list models --markdown")
    for line in model_table() if name == "models" else markdown_lines(name):
        print(line)
    return 0


def schema(args: argparse.Namespace) -> int:
    """Print the JSON Schema of a search-space file."""
    print(json.dumps(api.json_schema(plugin=args.plugin), indent=1))
    return 0


def ui(args: argparse.Namespace) -> int:
    """Open MLflow's pages over the studies, on loopback."""
    api.open_ui(port=args.port, studies_dir=args.studies_dir)
    return 0


def submit(args: argparse.Namespace) -> int:
    """Run a search as a job of a Ray cluster, or follow it there."""
    how = {"name": args.name, "studies_dir": args.studies_dir, "retries": args.retries, "trust_network": args.trust_network}
    return api.submit(args.file, args.address, args.overrides, **how)
