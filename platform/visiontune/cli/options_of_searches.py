"""Options of the verbs that search, look at a search, and train its best again."""

from __future__ import annotations

import argparse
from pathlib import Path

from visiontune.cli import verbs, verbs_of_trials
from visiontune.cli.shared_options import Verb, factor, few, in_range, number, positive, takes_file, takes_studies_dir, takes_study
from visiontune.spec.declarations.call_ranges import PORT, RIVALS, SEED, SEEDS, TIMES


def search_options(verb: Verb) -> None:
    """Searching, and looking at a search."""
    search, check, show, enqueue = (verb(run) for run in (verbs.search, verbs.check, verbs.show, verbs.enqueue))
    rehearse, ui, submit = (verb(run) for run in (verbs.rehearse, verbs.ui, verbs.submit))
    takes_study(enqueue)
    what = "a recipe, such as studies/OTHER/winner.yaml; or what differs from the tables' defaults, such as optimizer.lr=0.1"
    enqueue.add_argument("files", nargs="+", metavar="RECIPE|KEY=VALUE", help=what)
    takes_file(search)
    search.add_argument("--name", help="another name for the study, such as after a change of the space")
    search.add_argument(
        "--address", metavar="RAY", help="Ray cluster to join, such as auto; else that of RAY_ADDRESS, else Ray starts here"
    )
    search.add_argument("--plain", action="store_true", help="progress as lines of key=value, also on a terminal")
    check.add_argument("files", nargs="*", metavar="FILE|KEY=VALUE", help="files; an override holds for all of them")
    tried = "on real data: labels, repeats, step 0, memorising one batch, learning rates"
    check.add_argument("--run", dest="is_tried", action="store_true", help=tried)
    check.add_argument("--json", action="store_true", help="what --run found, for programs")
    check.add_argument("--plugin", type=Path, metavar="FILE", help="also each row that this file adds to the tables, on made pictures")
    show.add_argument("--json", action="store_true", help="everything, for programs")
    show.add_argument("--costs", action="store_true", help="what each trial costs, and the winner's latency, measured here in some seconds")
    show.add_argument("--trial", type=number, metavar="N", help="the life of this one, from its proposal to its end")
    show.add_argument("--events", action="store_true", help="starts, promotions, ends and losses in order, each with its reason")
    show.add_argument("--follow", action="store_true", help="with --events: go on with what comes, as long as a driver is at work")
    show.add_argument("-n", type=positive, default=10, metavar="N", help="trials in the table (10)")
    rehearse.add_argument("--sampler", metavar="NAME", help="another one than the study's, of `visiontune list samplers` but optuna")
    rehearse.add_argument("--reduction-factor", type=factor, metavar="N", help="another one than the study's")
    rehearse.add_argument("--min-epochs", type=positive, metavar="N", help="another first rung than the study's")
    rehearse.add_argument("--max-concurrent-trials", type=few, default=4, metavar="N", help="of the search that is rehearsed (4)")
    rehearse.add_argument("--seeds", type=positive, default=8, metavar="N", help="searches with each of the settings (8)")
    rehearse.add_argument("--json", action="store_true", help="the table, for programs")
    for one in (show, rehearse):
        takes_study(one)
    for one in (show, enqueue, rehearse):
        one.add_argument("--storage", default="journal", metavar="URL", help="of a study with storage.url")
    importance = verb(verbs_of_trials.importance)
    takes_study(importance)
    importance.add_argument("--json", action="store_true", help="with each param's curve, for programs")
    importance.add_argument("--seed", type=lambda text: in_range(text, SEED), default=0, metavar="N", help="of the forests (0)")
    importance.add_argument("--storage", default="journal", metavar="URL", help="of a study with storage.url")
    takes_studies_dir(importance)
    report = verb(verbs_of_trials.report)
    takes_study(report)
    report.add_argument("--out", type=Path, metavar="FILE.html", help="else STUDY/report.html")
    report.add_argument("--no-inspection", action="store_true", help="don't ask the winner's network about the validation pictures")
    report.add_argument("--device", default="auto", metavar="WHERE", help="auto, cpu or cuda (auto)")
    report.add_argument("--storage", default="journal", metavar="URL", help="of a study with storage.url")
    takes_studies_dir(report)
    ui.add_argument("--port", type=lambda text: in_range(text, PORT), default=5000, metavar="N", help="of loopback, 127.0.0.1 (5000)")
    takes_file(submit)
    submit.add_argument("--address", required=True, metavar="URL", help="Ray's dashboard, such as http://127.0.0.1:8265")
    submit.add_argument("--name", help="another name for the study, as of search")
    again = "start a driver that died with its machine again, so many times (0); never one that ended by itself"
    submit.add_argument("--retries", type=lambda text: in_range(text, TIMES), default=0, metavar="N", help=again)
    submit.add_argument("--studies-dir", metavar="DIR", help="folder on the cluster that every node sees")
    submit.add_argument("--trust-network", action="store_true", help="also where the job server asks for no token and is not on loopback")
    for one in (search, check, show, rehearse, ui, enqueue):
        takes_studies_dir(one)


def retraining_options(verb: Verb) -> None:
    """Training recipes of an ended search again."""

    def seeds(text: str) -> int:
        return in_range(text, SEEDS)

    confirm, ablate = verb(verbs_of_trials.confirm), verb(verbs_of_trials.ablate)
    confirm.add_argument(
        "--top",
        type=lambda text: in_range(text, RIVALS),
        metavar="K",
        help="recipes that run for it, the search's best (as in the search, 3)",
    )
    confirm.add_argument("--seeds", type=seeds, metavar="N", help="of the winner, at most of the others (as in the search, 3)")
    confirm.add_argument("--weights", metavar="WHICH", help="keep those of the best_seed, or the soup where that is better on val")
    confirm.add_argument("--use-val", action=argparse.BooleanOptionalAction, help="train the winner once more on train and val together")
    ablate.add_argument("--budget", metavar="EPOCHS|TIME", help="of all calls together, such as 200, 30m or 2h (no limit)")
    ablate.add_argument("--seeds", type=seeds, default=3, metavar="N", help="paired seeds that every recipe is trained on (3)")
    ablate.add_argument("--json", action="store_true", help="the tables, for programs")
    ablate.add_argument("--plot", type=Path, metavar="FILE.html", help="write the picture too")
    for one in (confirm, ablate):
        one.add_argument("study", metavar="STUDY", help="one whose search has ended")
        one.add_argument("--address", metavar="RAY", help="as of search")
        one.add_argument("--plain", action="store_true", help="progress as lines of key=value, also on a terminal")
        one.add_argument("--storage", default="journal", metavar="URL", help="of a study with storage.url")
        takes_studies_dir(one)
