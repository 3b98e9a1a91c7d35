"""The whole file as one declaration: `STUDY` is what a search-space file may say, `RECIPE` what a trial is made of."""

from __future__ import annotations

from visiontune.spec.declare import Arg, Items, Section, Table
from visiontune.spec.tables.activations import ACTIVATIONS, NORMS
from visiontune.spec.tables.balances import BALANCES, CLASS_WEIGHTS
from visiontune.spec.tables.inits import INITS
from visiontune.spec.tables.losses import LOSSES
from visiontune.spec.tables.lr_schedules import LR_SCHEDULES
from visiontune.spec.tables.metrics import FORMER_METRICS, METRICS
from visiontune.spec.tables.mixings import MIXINGS
from visiontune.spec.tables.models import MODELS
from visiontune.spec.tables.optimizers import OPTIMIZERS
from visiontune.spec.tables.policies import OPS, POLICIES
from visiontune.spec.tables.portfolios import PORTFOLIOS
from visiontune.spec.tables.preprocessings import COLOURS, PREPROCESSINGS
from visiontune.spec.tables.regimes import REGIMES
from visiontune.spec.tables.search import SAMPLERS, TRIAL_SCHEDULERS
from visiontune.spec.tables.sources import SOURCES

DATA = Section(
    "the pictures and how they are split",
    {
        "source": SOURCES,
        "val_fraction": Arg(float, "share of the training pictures that steers the search, where the source has no val", 0.1, 0.01, 0.5),
        "test_fraction": Arg(float, "share split off for the test where the source has none", 0.1, 0.01, 0.5),
        "seed": Arg(int, "of the splits", 0, 0, 2**31 - 1),
        "image_size": Arg(int, "pixels; pictures are resized to this square", None, 4, 1024),
        "max_pictures": Arg(int, "a stratified subset of the training file; the test stays whole", None, 10, 10**9),
        "allow_bad": Arg(float, "share of pictures that can't be used and are set aside; above it nothing is used", 0.01, 0.0, 1.0),
        "duplicates": Arg(
            str, "drop: what train holds is kept out of val and test, what val holds out of test", "drop", choices=("drop", "keep")
        ),
        "store": Arg(
            str, "pixels, or files decoded when read; auto: what is faster within the free disk", "auto", choices=("auto", "raw", "encoded")
        ),
    },
)

TRAINING = {
    "batch_size": Arg(int, "pictures in a step", 64, 1, 65_536),
    "micro_batch": Arg(int, "pictures at once on the device; gradients add up to batch_size; 0: all of them", 0, 0, 65_536),
    "precision": Arg(
        str, "of the forward pass: bf16 and fp16 by autocast, fp16 with a loss scale", "fp32", choices=("fp32", "bf16", "fp16")
    ),
    "use_channels_last": Arg(bool, "memory layout; faster for convolutions", True),
    "use_gradient_checkpointing": Arg(
        bool, "keep only what stages hand on, and compute the rest again: less memory, a third more time", False
    ),
    "use_compile": Arg(bool, "torch.compile: a minute or more at first, faster steps after it", False),
    "use_full_metrics": Arg(bool, "report top-5, macro recall and F1, and calibration error too; an objective among them sets it", False),
}

SPACE = Section(
    "what may vary; the tree mirrors the recipe",
    {
        "preprocessing": Section(
            "what happens to every picture, fitted on the training split alone",
            {"name": PREPROCESSINGS, "colour": Arg(str, "stored: as the pictures are", "stored", choices=COLOURS)},
            is_space=True,
        ),
        "model": Section(
            "architecture, activation, normalisation, initialisation, dropout",
            {
                "name": MODELS,
                "activation": ACTIVATIONS,
                "norm": NORMS,
                "init": INITS,
                "use_zero_gamma": Arg(
                    bool, "residual branches begin as nothing: their last normalisation scales by 0 (Goyal et al. 2017)", False
                ),
                "use_lsuv": Arg(bool, "scale each layer on a batch of training pictures to variance 1 (Mishkin & Matas 2016)", False),
                "dropout": Arg(float, "chance that a feature is dropped", 0.0, 0.0, 0.95),
                "dropout_kind": Arg(
                    str, "one mask for each element, each channel or each position", "element", choices=("element", "channel", "position")
                ),
                "dropout_place": Arg(str, "before the classifier, after every stage, or both", "head", choices=("head", "stages", "both")),
            },
            is_space=True,
        ),
        "transfer": Section("where the weights come from and which of them learn", {"regime": REGIMES}, is_space=True),
        "regularization": Section(
            "penalties added to the loss, on weights only; what is done to gradients; averages; an early end",
            {
                "l1": Arg(float, "times the sum of |w|", 0.0, 0.0, 1.0),
                "l2": Arg(float, "times half the sum of w^2", 0.0, 0.0, 1.0),
                "use_decay_for_all": Arg(bool, "penalise and decay biases, normalisation and PReLU slopes too", False),
                "clip_norm": Arg(float, "largest norm of a step's gradient; 0: any", 0.0, 0.0, 1e6),
                "gradient_noise": Arg(
                    float, "eta: noise of variance eta / (1 + step)^0.55 on gradients (Neelakantan et al. 2015)", 0.0, 0.0, 10.0
                ),
                "ema_decay": Arg(
                    float, "of the moving average of the weights that is evaluated; 0: the weights themselves", 0.0, 0.0, 0.99999
                ),
                "early_stop_epochs": Arg(int, "epochs without a lower val_loss after which training ends; 0: never", 0, 0, 100_000),
            },
            is_space=True,
        ),
        "loss": Section(
            "what is minimised",
            {"name": LOSSES, "label_smoothing": Arg(float, "share of the target spread over all classes", 0.0, 0.0, 0.9)},
            is_space=True,
        ),
        "balance": Section("rare classes", {"name": BALANCES, "class_weights": CLASS_WEIGHTS}, is_space=True),
        "optimizer": Section(
            "optimizer and learning rate",
            {
                "name": OPTIMIZERS,
                "lr": Arg(float, "peak learning rate", low=1e-8, high=100.0),
                "lr_scaling": Arg(
                    str,
                    "lr is meant for 256 pictures and scaled to batch_size (Goyal et al. 2017)",
                    "none",
                    choices=("none", "linear", "sqrt"),
                ),
                "head_lr_factor": Arg(float, "the classifier's rate is lr times this", 1.0, 0.0, 1000.0),
                "layer_decay": Arg(
                    float, "each stage below the classifier learns at this times the rate of the one above it", 1.0, 0.01, 1.0
                ),
            },
            is_space=True,
        ),
        "schedule": Section("learning rate over the epochs", {"name": LR_SCHEDULES}, is_space=True),
        "augmentation": Section("what happens to training pictures", {"policy": POLICIES, "mixing": MIXINGS}, is_space=True),
        "training": Section("batches and arithmetic", TRAINING, is_space=True),
    },
    is_space=True,
)

LIMITS = ("num_trials", "epochs", "hours", "gpu_hours")
"""Keys of the budget that limit a whole search."""

STUDY = Section(
    "a search",
    {
        "study": Arg(str, "name: letters, digits, '.', '_' and '-'; names the folder under studies/"),
        "data": DATA,
        "objective": Section(
            "what is searched for",
            {
                "metric": Arg(str, "one of what every trial reports", "val_top1", choices=tuple(METRICS), former=FORMER_METRICS),
                "mode": Arg(str, "max or min; by default the way in which the metric is better", None, choices=("max", "min")),
            },
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
                    "earlier studies whose best recipes are tried; auto: all in the folder that fit", "none", ("none", "auto")
                ),
            },
            short_for="recipes",
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

_PLURALS = {"policy": "policies", "loss": "losses"}

TABLES: dict[str, Table] = {
    _PLURALS.get(table.what, f"{table.what.replace(' ', '_')}s"): table
    for table in (
        *(MODELS, ACTIVATIONS, NORMS, INITS, REGIMES, PREPROCESSINGS, LOSSES, BALANCES, CLASS_WEIGHTS, OPTIMIZERS, LR_SCHEDULES),
        *(POLICIES, MIXINGS, OPS, SOURCES, SAMPLERS, TRIAL_SCHEDULERS),
    )
}
