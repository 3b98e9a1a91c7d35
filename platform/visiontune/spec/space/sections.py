"""The whole file as one declaration: `STUDY` is what a search-space file may say, `RECIPE` what a trial is made of."""

from __future__ import annotations

from visiontune.spec.declarations.bounds import WRITTEN, settle_bound
from visiontune.spec.declarations.declare import Arg, Items, Section, Table
from visiontune.spec.space.space_sections import SPACE, TRAINING
from visiontune.spec.tables.activations import ACTIVATIONS, NORMS
from visiontune.spec.tables.balances import BALANCES, CLASS_WEIGHTS
from visiontune.spec.tables.costs import COSTS, FORMER_COSTS
from visiontune.spec.tables.crops import CROPS
from visiontune.spec.tables.inits import INITS
from visiontune.spec.tables.losses import LOSSES
from visiontune.spec.tables.lr_schedules import LR_SCHEDULES
from visiontune.spec.tables.metrics import FORMER_METRICS, METRICS, NO_COSTS
from visiontune.spec.tables.mixings import MIXINGS
from visiontune.spec.tables.models import MODELS
from visiontune.spec.tables.optimizers import OPTIMIZERS
from visiontune.spec.tables.policies import OPS, POLICIES
from visiontune.spec.tables.portfolios import PORTFOLIOS
from visiontune.spec.tables.preprocessings import PREPROCESSINGS
from visiontune.spec.tables.regimes import REGIMES
from visiontune.spec.tables.resizes import RESIZES
from visiontune.spec.tables.search import SAMPLERS, TRIAL_SCHEDULERS
from visiontune.spec.tables.sharpness import SHARPNESS
from visiontune.spec.tables.slow_weights import SLOW_WEIGHTS
from visiontune.spec.tables.sources import SOURCES
from visiontune.spec.tables.teachers import TEACHERS

__all__ = ["SPACE", "STUDY"]

DATA = Section(
    "the pictures and how they are split",
    {
        "source": SOURCES,
        "val_fraction": Arg(float, "share of the training pictures that steers the search, where the source has no val", 0.1, 0.01, 0.5),
        "test_fraction": Arg(float, "share split off for the test where the source has none", 0.1, 0.01, 0.5),
        "seed": Arg(int, "of the splits", 0, 0, 2**31 - 1),
        "image_size": Arg(int, "pixels of every picture: a square's side, or [height, width]", None, 4, 1024, pair=("height", "width")),
        "frame": Arg(
            str,
            "how a picture of another shape becomes one: crop to its middle, pad with black to show all of it, or squash",
            "crop",
            choices=("crop", "pad", "squash"),
        ),
        "depth": Arg(
            int,
            "which values of 16-bit files and DICOM become 0 to 255: 8 or 16 bits, or those from low to high; auto: by the training split",
            "auto",
            -(2**20),
            2**20,
            also=("auto",),
            pair=("low", "high"),
        ),
        "max_pictures": Arg(int, "a stratified subset of the training file; the test stays whole", None, 10, 10**9),
        "allow_bad": Arg(float, "share of pictures that can't be used and are set aside; above it nothing is used", 0.01, 0.0, 1.0),
        "duplicates": Arg(
            str,
            "what of train is kept out of val and test, and of val out of test: exact: equal pixels; near: what is nearly a picture of "
            "the same class too; drop: or of another class; keep: nothing",
            "exact",
            choices=("exact", "near", "drop", "keep"),
        ),
        "store": Arg(
            str, "pixels, or files decoded when read; auto: what is faster within the free disk", "auto", choices=("auto", "raw", "encoded")
        ),
    },
)

PLUGINS = Items("files of your own, from the folder of this one, that add rows to the tables; or plugins of installed packages, by name")
"""Of a search space and of a recipe."""

FOLDS = Arg(
    int,
    "parts of train and val together, each of which is val once: a trial trains a network for each, and its value is their mean",
    1,
    1,
    50,
)

TEST_TIMES = ("none", "flip", "ten_crops")
"""Test-time augmentation, by which a test is reported as well."""

LIMITS = ("num_trials", "epochs", "hours", "gpu_hours")
"""Keys of the budget that limit a whole search."""

STUDY = Section(
    "a search",
    {
        "study": Arg(str, "name: letters, digits, '.', '_' and '-'; names the folder under studies/"),
        "plugins": PLUGINS,
        "data": Section(DATA.doc, {**DATA.fields, "folds": FOLDS}),
        "objective": Section(
            "what is searched for; a list is short for a metric and costs",
            {
                "metric": Arg(str, "one of what every trial reports", "val_top1", choices=tuple(METRICS), former=FORMER_METRICS),
                "mode": Arg(str, "max or min; by default the way in which the metric is better", None, choices=("max", "min")),
                "costs": Items(
                    "objectives beside the metric, each better where it is lower; trials are then compared by all of them",
                    item=Arg(str, "a cost", choices=tuple(COSTS), former={**NO_COSTS, **FORMER_COSTS}),
                ),
            },
            short_for="costs",
            first_for="metric",
        ),
        "constraints": Section(
            "what a trial may cost to use, as `<= NUMBER`; what costs more is refused before its first epoch",
            {name: Arg(str, doc, None, settle=settle_bound, written=WRITTEN) for name, doc in COSTS.items()},
            former=FORMER_COSTS,
        ),
        "budget": Section(
            "how much may be spent: num_trials, epochs, hours, gpu_hours, one or several; "
            "rungs are min_epochs * reduction_factor^k and must meet max_epochs",
            {
                "num_trials": Arg(int, "trials to start", None, 1, 1_000_000),
                "epochs": Arg(int, "of all trials and confirmations together", None, 1, 10**9),
                "hours": Arg(float, "from the command to the winner, confirmed, over all calls of it", None, 1e-3, 1e5),
                "gpu_hours": Arg(float, "of all trials and confirmations; a quarter of a GPU counts as a quarter", None, 1e-3, 1e7),
                "min_epochs": Arg(int, "the first rung", 1, 1, 100_000),
                "max_epochs": Arg(int, "the full budget of a trial", low=1, high=100_000),
                "reduction_factor": Arg(int, "eta: one in eta is promoted", 3, 2, 100),
                "repeats": Arg(int, "networks of a trial, on seeds that all trials share; its value is their mean", 1, 1, 100),
                "patience": Arg(int, "begin no more trials once none of so many, the newest, is the best at any rung", None, 1, 1_000_000),
                "stop_at": Arg(float, "of the objective: end once a trial that was trained in full reaches it", None, -1e9, 1e9),
                "max_epoch_s": Arg(float, "seconds an epoch may take; a trial that needs more is ended as infeasible", None, 1e-3, 1e7),
                "max_trial_hours": Arg(float, "the same by what its full budget would take", None, 1e-4, 1e5),
            },
            former={"time_limit_s": "which is hours now (seconds / 3600)"},
            one_of=LIMITS,
        ),
        "start": Section(
            "what is tried before the sampler proposes; a list is short for its recipes",
            {
                "recipes": Items("recipe files, or mappings of recipe keys, the rest being the tables' defaults", takes_recipes=True),
                "portfolio": Arg(
                    str,
                    "recipes that ship; auto: by the size of the pictures and where the weights come from",
                    "none",
                    choices=("none", "auto", *PORTFOLIOS),
                ),
                "studies": Items(
                    "earlier studies whose best recipes are tried; auto: all that fit, in the folder and on MLFLOW_TRACKING_URI's server",
                    "none",
                    ("none", "auto"),
                ),
            },
            short_for="recipes",
        ),
        "sampler": Section("who proposes", {"name": SAMPLERS, "seed": Arg(int, "of the whole study", 0, 0, 2**31 - 1)}, short_for="name"),
        "trial_scheduler": Section(
            "who ends trials early, or has them go on from others' weights", {"name": TRIAL_SCHEDULERS}, short_for="name"
        ),
        "resources": Section(
            "what one trial gets",
            {
                "gpus_per_trial": Arg(
                    float,
                    "may be a fraction; auto: none without GPUs, else one, or the half, third or quarter in which the largest networks fit",
                    "auto",
                    0.0,
                    64.0,
                    also=("auto",),
                ),
                "cpus_per_trial": Arg(
                    int,
                    "torch's threads, and processes that make pictures; auto: a node's CPUs by the trials on its GPUs, 1 without any",
                    "auto",
                    1,
                    1024,
                    also=("auto",),
                ),
                "workers_per_trial": Arg(
                    int, "share a trial's batches, each with the CPUs and GPUs above; the results are those of one", 1, 1, 64
                ),
                "max_concurrent_trials": Arg(int, "auto: what fits the cluster", "auto", 1, 100_000, also=("auto",)),
                "price_per_hour": Arg(float, "of one worker of a trial, in any currency", None, 0.0, 1e6),
                "hang_s": Arg(
                    float,
                    "seconds without a step, or five epochs where that is longer, after which a worker hangs and is ended; ten times as "
                    "long until its first epoch has ended",
                    120.0,
                    1.0,
                    86_400.0,
                ),
            },
        ),
        "storage": Section(
            "where the study lives",
            {
                "url": Arg(str, "journal: a file in the study's folder; or an RDB URL (postgresql://, mysql://, sqlite:///)", "journal"),
                "checkpoint_every_s": Arg(
                    float,
                    "seconds between two checkpoints of a trial between rungs, which is what a kill may lose of it; 0: after every epoch",
                    60.0,
                    0.0,
                    86_400.0,
                ),
                "max_checkpoint_mb": Arg(int, "megabytes that waiting trials may hold; the worst give theirs up", 20_000, 1, 10**9),
            },
        ),
        "confirm": Section(
            "the best trained again in full, on seeds that the search never saw; the best of these has won, and it alone is tested",
            {
                "num_seeds": Arg(int, "of the winner, and at most of another; 0 leaves it out", 3, 0, 100),
                "top": Arg(int, "recipes of the search among which the winner is found", 3, 1, 20),
                "weights": Arg(
                    str,
                    "which are kept: best_seed, those with the best validation value; or soup, the mean of all seeds' weights (Wortsman et "
                    "al. 2022) where that is better on val",
                    "best_seed",
                    choices=("best_seed", "soup"),
                ),
                "use_val": Arg(bool, "train the winner once more, on train and val together; those weights are kept and tested", False),
                "test_time": Arg(
                    str,
                    "test top1 by mean probabilities over views too, beside the plain one: flip, or ten_crops (Krizhevsky et al. 2012) "
                    "of the picture with an eighth of its side reflected around it",
                    "none",
                    choices=TEST_TIMES,
                ),
            },
        ),
        "register": Arg(str, "name in MLflow's model registry under which the confirmed winner becomes a new version", None),
        "space": SPACE,
    },
)

RECIPE = Section(
    "one trial, fully resolved: everything needed to train it again",
    {
        "data": DATA,
        **{name: Section(one.doc, one.fields) for name, one in SPACE.fields.items() if isinstance(one, Section) and name != "training"},
        "training": Section(
            "batches, arithmetic, length and seed",
            {
                **TRAINING,
                "num_epochs": Arg(int, "full length; the lr schedule spans it", low=1, high=100_000),
                "seed": Arg(int, "of weights, order, dropout and augmentation", 0, 0, 2**31 - 1),
            },
        ),
    },
)

_PLURALS = {"policy": "policies", "loss": "losses", "sharpness": "sharpness", "slow weights": "slow_weights"}

TABLES: dict[str, Table] = {
    _PLURALS.get(table.what, f"{table.what.replace(' ', '_')}s"): table
    for table in (
        *(MODELS, ACTIVATIONS, NORMS, INITS, REGIMES, PREPROCESSINGS, LOSSES, TEACHERS, BALANCES, CLASS_WEIGHTS),
        *(OPTIMIZERS, SHARPNESS, SLOW_WEIGHTS, LR_SCHEDULES, RESIZES),
        *(CROPS, POLICIES, MIXINGS, OPS, SOURCES, SAMPLERS, TRIAL_SCHEDULERS),
    )
}
