"""Options of the verbs about single trials and about studies that have ended."""

from __future__ import annotations

from pathlib import Path

from visiontune.cli import verbs, verbs_of_trials
from visiontune.cli.shared_options import Verb, few, number, picture_size, positive, takes_file, takes_studies_dir, takes_study


def trial_options(verb: Verb) -> None:
    """One recipe, one network."""
    sample, train, profile = verb(verbs.sample), verb(verbs_of_trials.train), verb(verbs.profile)
    takes_file(sample)
    sample.add_argument("-n", type=positive, default=3, metavar="N", help="number of recipes (3)")
    sample.add_argument("--seed", type=int, default=0, metavar="N", help="of the draws (0)")
    train.add_argument("recipe", type=Path, metavar="RECIPE.yaml|STUDY", help="a recipe; or a study, whose winner is trained longer")
    train.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="of a recipe, such as data.path=pictures or seed=1")
    train.add_argument("--epochs", type=positive, metavar="N", help="of a study: more than it searched; its schedule is stretched")
    train.add_argument("--seeds", type=positive, default=1, metavar="N", help="of a study: so many of its confirmations' (1)")
    train.add_argument("--device", default="auto", metavar="WHERE", help="auto, cpu or cuda (auto)")
    shared = "processes that share every batch, on GPUs one on each (1)"
    train.add_argument("--workers", type=few, default=1, metavar="K", help=shared)
    weights = "save the weights here; of a study STUDY/longer-N.safetensors. After a kill the same command goes on"
    train.add_argument("--out", type=Path, metavar="FILE.safetensors", help=weights)
    train.add_argument(
        "--test-time", default="none", metavar="VIEWS", help="none, flip or ten_crops: test by the mean over them too (none)"
    )
    takes_studies_dir(train)
    profile.add_argument("model", metavar="MODEL", help="an entry of `visiontune list models`")
    profile.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="of the recipe's model section, such as width=2 or norm=group")
    profile.add_argument(
        "--image-size", type=picture_size, required=True, metavar="S|HxW", help="pixels of a picture's side, or height and width"
    )
    profile.add_argument("--num-classes", type=positive, required=True, metavar="N", help="classes that it tells apart")
    profile.add_argument("--in-channels", type=positive, default=3, metavar="C", help="channels of a picture (3)")
    profile.add_argument("--batch-size", type=positive, default=64, metavar="B", help="pictures in a step, for its memory (64)")
    profile.add_argument("--json", action="store_true", help="everything, for programs")


def ended_options(verb: Verb) -> None:
    """What is asked of ended searches."""
    replay, compare, studies = verb(verbs_of_trials.replay), verb(verbs_of_trials.compare), verb(verbs_of_trials.list_studies, "studies")
    foreign = verb(verbs_of_trials.import_search, "import")
    foreign.add_argument("search", type=Path, metavar="FILE", help="W&B's YAML, Optuna's journal or SQLite file, Ray Tune's params.json")
    foreign.add_argument(
        "overrides", nargs="*", metavar="KEY=VALUE", help="what it does not say, such as data.source=folder data.path=pictures"
    )
    foreign.add_argument("--out", type=Path, metavar="FILE.yaml", help="else STUDY.yaml here")
    foreign.add_argument("--study", metavar="NAME", help="one of several studies in a storage of Optuna's")
    foreign.add_argument("--force", action="store_true", help="write over a file that is there")
    compare.add_argument("studies", nargs="+", metavar="STUDY", help="two or more; the first is what the others are compared with")
    takes_study(replay)
    replay.add_argument("trial", type=number, metavar="TRIAL", help="its number")
    replay.add_argument("--epochs", type=positive, metavar="N", help="only the first N; else all that are recorded")
    replay.add_argument("--device", metavar="WHERE", help="auto, cpu or cuda; else what the search used")
    for one in (replay, compare):
        one.add_argument("--storage", default="journal", metavar="URL", help="of a study with storage.url")
    for one in (replay, compare, studies):
        one.add_argument("--json", action="store_true", help="the result, for programs")
        takes_studies_dir(one)
