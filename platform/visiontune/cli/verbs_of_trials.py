"""What each verb does that trains one recipe, or tells of trials, of studies that are done and of who has won; see verbs.py."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from visiontune import api
from visiontune.api.inputs import folder_of
from visiontune.cli.terminal import as_typed, sigterm_interrupts, width
from visiontune.errors import UserError
from visiontune.filesystem.path_kind import kind_of
from visiontune.filesystem.study_folder import StudiesFolder
from visiontune.tuning.study.study_place import renamed

if TYPE_CHECKING:
    from visiontune.results.tables.ablation_table import Ablation
    from visiontune.training.loop import Epoch


def train(args: argparse.Namespace) -> int:
    """Train one recipe without Ray and MLflow, print its curve and its test figures; of a study its winner's, for more epochs."""
    how = {"device": args.device, "workers": args.workers, "studies_dir": args.studies_dir, "out": args.out, "test_time": args.test_time}
    if _names_study(args):
        return _train_longer(args, how)
    if args.epochs is not None or args.seeds != 1:
        raise UserError(f"--epochs and --seeds are for a study; {args.recipe} is a recipe, which says its training.num_epochs and seed")
    _refuse_neither(args)
    recipe = api.load_recipe(args.recipe, args.overrides)  # a wrong file is told before torch is imported
    from visiontune.results.use.class_table import class_lines

    result = api.fit(recipe, **how, on_epoch=_teller(), say=lambda line: print(as_typed(line), flush=True))
    print(_figures(result.metrics))
    print(*class_lines(result.classes, width()), *([f"weights in {args.out}"] if args.out is not None else []), sep="\n")
    return 0


def _names_study(args: argparse.Namespace) -> bool:
    if kind_of(args.recipe) == "file":
        return False
    studies, name = StudiesFolder.of(args.studies_dir), str(args.recipe)
    is_there = kind_of(args.recipe) == "folder" or name in studies.names() or renamed(studies, name) is not None
    return is_there or (args.epochs is not None and not args.recipe.suffix)


def _refuse_neither(args: argparse.Namespace) -> None:
    """Raise UserError for a name without a suffix by which there is no recipe, and no study."""
    if kind_of(args.recipe) is None and not args.recipe.suffix:
        try:
            folder_of(str(args.recipe), args.studies_dir)
        except UserError as error:
            raise UserError(f"there is no recipe {args.recipe}, and {error}") from None


def _train_longer(args: argparse.Namespace, how: Mapping[str, Any]) -> int:
    folder_of(str(args.recipe), args.studies_dir)  # one that was renamed is told first
    if args.overrides:
        raise UserError(f"KEY=VALUE is for a recipe, but {args.recipe} is a study, whose winner is trained as it was found")
    if args.epochs is None:
        raise UserError(f"{args.recipe} is a study, whose winner is trained longer: say by --epochs N how long")
    from visiontune.results.use.class_table import class_lines

    found = api.train_longer(str(args.recipe), args.epochs, seeds=args.seeds, **how, on_epoch=_teller())
    print(found, *class_lines(found.classes, width()), sep="\n")
    return 0


def _teller() -> Callable[[Epoch], None]:
    """Prints an epoch's metrics, and how it is trained where that is news."""
    said = ""

    def on_epoch(epoch: Epoch) -> None:
        nonlocal said
        if not said:
            print(f"precision: {epoch.arithmetic.how}", flush=True)
        if epoch.pictures != said:
            said = epoch.pictures
            print(f"pictures: {said}", flush=True)
        print(f"epoch={epoch.epoch} {_figures(epoch.metrics)}", flush=True)

    return on_epoch


def _figures(metrics: Mapping[str, float]) -> str:
    return " ".join(f"{name}={value:.4g}" for name, value in metrics.items())


def replay(args: argparse.Namespace) -> int:
    """Train a trial again from its record and name the first figure that differs; exit code 0 where none does, else 1."""

    def on_epoch(epoch: int, recorded: Mapping[str, float], replayed: Mapping[str, float]) -> None:
        same = [name for name, value in recorded.items() if replayed.get(name) == value]
        other = [f"{name} {value!r} -> {replayed[name]!r}" for name, value in recorded.items() if name in replayed and name not in same]
        print(f"epoch={epoch} " + (", ".join(other) or f"equal: {', '.join(same)}"), flush=True)

    how: dict[str, Any] = {"epochs": args.epochs, "device": args.device, "studies_dir": args.studies_dir, "storage": args.storage}
    found = api.replay(args.study, args.trial, **how, on_epoch=(lambda *_: None) if args.json else on_epoch)
    print(json.dumps(found.to_dict(), indent=1) if args.json else found)
    return 0 if found.is_equal else 1


def list_studies(args: argparse.Namespace) -> int:
    """Print what lies in the folder of studies: state, best and confirmed values, last change, what was spent."""
    found = api.list_studies(args.studies_dir)
    print(json.dumps([one.to_dict() for one in found], indent=1) if args.json else found)
    return 0


def import_search(args: argparse.Namespace) -> int:
    """Write a search space out of a sweep of W&B or a study of Optuna, or a recipe out of a Ray Tune trial's params.json."""
    print(api.import_search(args.search, args.overrides, out=args.out, study=args.study, force=args.force))
    return 0


def compare(args: argparse.Namespace) -> int:
    """Print studies side by side: winners with intervals, whether they differ by more than chance, budgets, what differs in the files."""
    found = api.compare(args.studies, studies_dir=args.studies_dir, storage=args.storage)
    print(json.dumps(found.to_dict(), indent=1) if args.json else as_typed(str(found)))
    return 0


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

    print(as_typed("\n".join(winner_lines(study.record))))
    if study.status == "interrupted":
        print(f"interrupted; what is done is kept; go on: {args.command_line}")
    return int(study.status == "interrupted" or study.record.winner is None)


def report(args: argparse.Namespace) -> int:
    """Write a study as one HTML file that works offline: who won and by how much, why, what it gets wrong, what it costs, its recipe."""
    with sigterm_interrupts():
        study = api.load_study(args.study, studies_dir=args.studies_dir, storage=args.storage)
        print(study.report(args.out, inspect=not args.no_inspection, device=args.device))
    return 0


def ablate(args: argparse.Namespace) -> int:
    """Train recipes between a study's defaults and its winner: what each factor is worth; the same command goes on, then shows it again."""
    if args.plot is not None and args.plot.suffix != ".html":
        raise UserError(f"--plot writes a page, such as {args.study}.html, but got {str(args.plot)!r}")
    keys = ("budget", "seeds", "studies_dir", "storage", "address")
    found: Ablation | None
    with sigterm_interrupts():
        try:
            given = {key: getattr(args, key) for key in keys}
            found = api.ablate(args.study, **given, progress="plain" if args.plain else not args.json, may_exit=True)
        except api.Interrupted as error:
            found = error.study.ablation
    print(json.dumps(found and found.to_dict(), indent=1) if args.json else found)
    if args.plot is not None:
        study = api.load_study(args.study, studies_dir=args.studies_dir, storage=args.storage)
        study.plot("ablation").write_html(args.plot)
    if is_stopped := found is None or found.status != "finished":
        print(f"interrupted; what is done is kept; go on: {args.command_line}", file=sys.stderr)
    return int(is_stopped)
