"""The whole file as one declaration: `STUDY` is what a search-space file may say, `RECIPE` what a trial is made of."""

from __future__ import annotations

from visiontune.spec.declare import Arg, Section, Table
from visiontune.spec.tables.activations import ACTIVATIONS
from visiontune.spec.tables.augmentation import OPS, POLICIES
from visiontune.spec.tables.data import SOURCES
from visiontune.spec.tables.inits import INITS
from visiontune.spec.tables.models import MODELS
from visiontune.spec.tables.optimizers import OPTIMIZERS
from visiontune.spec.tables.schedules import LR_SCHEDULES
from visiontune.spec.tables.search import SAMPLERS, TRIAL_SCHEDULERS
from visiontune.spec.tables.training import METRICS

DATA = Section(
    "the pictures and how they are split",
    {
        "source": SOURCES,
        "val_fraction": Arg(float, "share of the training pictures that steers the search", 0.1, 0.01, 0.5),
        "test_fraction": Arg(float, "share split off for the test where the source has none", 0.1, 0.01, 0.5),
        "seed": Arg(int, "of the splits", 0, 0, 2**31 - 1),
        "image_size": Arg(int, "pixels; pictures are resized to this square", None, 4, 1024),
        "max_pictures": Arg(int, "a stratified subset of the training file; the test stays whole", None, 10, 10**9),
    },
)

SPACE = Section(
    "what may vary; the tree mirrors the recipe",
    {
        "model": Section(
            "architecture, activation, initialisation",
            {
                "name": MODELS,
                "activation": ACTIVATIONS,
                "init": INITS,
                "dropout": Arg(float, "chance that a feature before the classifier is dropped", 0.0, 0.0, 0.95),
            },
            is_space=True,
        ),
        "regularization": Section(
            "penalties added to the loss; never on biases, normalisation or PReLU slopes",
            {
                "l1": Arg(float, "times the sum of |w|", 0.0, 0.0, 1.0),
                "l2": Arg(float, "times half the sum of w^2", 0.0, 0.0, 1.0),
            },
            is_space=True,
        ),
        "optimizer": Section(
            "optimizer and learning rate",
            {"name": OPTIMIZERS, "lr": Arg(float, "peak learning rate", low=1e-8, high=100.0)},
            is_space=True,
        ),
        "schedule": Section("learning rate over the epochs", {"name": LR_SCHEDULES}, is_space=True),
        "augmentation": Section("what happens to training pictures", {"policy": POLICIES}, is_space=True),
        "training": Section(
            "batches",
            {"batch_size": Arg(int, "pictures in a step", 64, 1, 65_536)},
            is_space=True,
        ),
    },
    is_space=True,
)

STUDY = Section(
    "a search",
    {
        "study": Arg(str, "name: letters, digits, '.', '_' and '-'; names the folder under studies/"),
        "data": DATA,
        "objective": Section(
            "what is searched for",
            {
                "metric": Arg(str, "one of what every trial reports", "val_top1", choices=tuple(METRICS)),
                "mode": Arg(str, "max or min; by default the way in which the metric is better", None, choices=("max", "min")),
            },
        ),
        "budget": Section(
            "how much may be spent; rungs are min_epochs * reduction_factor^k and must meet max_epochs",
            {
                "num_trials": Arg(int, "trials to start", low=1, high=1_000_000),
                "min_epochs": Arg(int, "the first rung", 1, 1, 100_000),
                "max_epochs": Arg(int, "the full budget of a trial", low=1, high=100_000),
                "reduction_factor": Arg(int, "eta: one in eta is promoted", 3, 2, 100),
                "time_limit_s": Arg(float, "seconds after which no trial starts or goes on", None, 1.0, 1e9),
            },
        ),
        "sampler": Section("who proposes", {"name": SAMPLERS, "seed": Arg(int, "of the whole study", 0, 0, 2**31 - 1)}),
        "trial_scheduler": Section("who ends trials early", {"name": TRIAL_SCHEDULERS}),
        "resources": Section(
            "what one trial gets",
            {
                "gpus_per_trial": Arg(
                    float, "may be a fraction; auto: one GPU where the cluster has any, else none", "auto", 0.0, 64.0, also=("auto",)
                ),
                "cpus_per_trial": Arg(int, "also torch's threads", 1, 1, 1024),
                "max_concurrent_trials": Arg(int, "auto: what fits the cluster", "auto", 1, 100_000, also=("auto",)),
            },
        ),
        "storage": Section(
            "where the study lives",
            {
                "url": Arg(str, "journal: a file in the study's folder; or an RDB URL (postgresql://, mysql://, sqlite:///)", "journal"),
                "max_checkpoint_mb": Arg(int, "megabytes that waiting trials may hold; the worst give theirs up", 20_000, 1, 10**9),
            },
        ),
        "confirm": Section(
            "the winner trained again in full, on seeds that the search never saw, then tested once",
            {"num_seeds": Arg(int, "0 leaves it out", 3, 0, 100)},
        ),
        "space": SPACE,
    },
)

RECIPE = Section(
    "one trial, fully resolved: everything needed to train it again",
    {
        "data": DATA,
        **{name: Section(part.doc, part.fields) for name, part in SPACE.fields.items() if isinstance(part, Section) and name != "training"},
        "training": Section(
            "batches, length and seed",
            {
                "batch_size": Arg(int, "pictures in a step", 64, 1, 65_536),
                "num_epochs": Arg(int, "full length; the lr schedule spans it", low=1, high=100_000),
                "seed": Arg(int, "of weights, order, dropout and augmentation", 0, 0, 2**31 - 1),
            },
        ),
    },
)

TABLES: dict[str, Table] = {
    table.what.replace(" ", "_") + "s" if table.what != "policy" else "policies": table
    for table in (MODELS, ACTIVATIONS, INITS, OPTIMIZERS, LR_SCHEDULES, POLICIES, OPS, SOURCES, SAMPLERS, TRIAL_SCHEDULERS)
}
