"""What may vary: the sections of a recipe that stand under `space`, with the ranges that `auto` means.

These are the field's: half of the features and no more dropped (Srivastava et al. 2014), label smoothing about .1 (Szegedy et al. 2016),
L2 about the 1e-4 of ResNet and the 5e-4 of Wide ResNet, noise of Neelakantan's three sizes, layer decay as in BEiT and ConvNeXt.
"""

from __future__ import annotations

from visiontune.spec.declarations.declare import ALL, Arg, Field, Items, Range, Section
from visiontune.spec.tables.activations import ACTIVATIONS, NORMS
from visiontune.spec.tables.balances import BALANCES, CLASS_WEIGHTS
from visiontune.spec.tables.crops import CROPS
from visiontune.spec.tables.inits import INITS
from visiontune.spec.tables.losses import LOSSES
from visiontune.spec.tables.lr_schedules import LR_SCHEDULES
from visiontune.spec.tables.mixings import MIXINGS
from visiontune.spec.tables.models import MODELS
from visiontune.spec.tables.optimizers import OPTIMIZERS
from visiontune.spec.tables.policies import POLICIES
from visiontune.spec.tables.preprocessings import COLOURS, PREPROCESSINGS
from visiontune.spec.tables.regimes import REGIMES
from visiontune.spec.tables.resizes import RESIZES
from visiontune.spec.tables.sharpness import SHARPNESS
from visiontune.spec.tables.slow_weights import SLOW_WEIGHTS
from visiontune.spec.tables.teachers import TEACHERS

COMPILE_MODES = ("default", "reduce-overhead", "max-autotune")

TRAINING: dict[str, Field] = {
    "batch_size": Arg(int, "pictures in a step", 64, 1, 65_536, auto=(32, 64, 128)),
    "micro_batch": Arg(int, "pictures at once on the device; gradients add up to batch_size; 0: all of them", 0, 0, 65_536),
    "repeated_augmentation": Arg(
        int,
        "copies of a picture in a row, each augmented by itself, of as many pictures as leave the epoch's length as it is (Hoffer et al. "
        "2020; timm's RASampler has 3)",
        1,
        1,
        10,
    ),
    "resize": RESIZES,
    "precision": Arg(
        str,
        "of the forward pass: fp32 in full, tf32 with factors of 10 bits on a GPU, bf16 and fp16 by autocast, fp16 with a loss scale; "
        "auto: bf16 where a GPU has it, else fp32",
        "fp32",
        choices=("fp32", "tf32", "bf16", "fp16", "auto"),
    ),
    "use_deterministic": Arg(bool, "on a GPU, kernels that give the same bits each time, slower; what has none is an error", False),
    "use_channels_last": Arg(bool, "memory layout; faster for convolutions", True),
    "use_gradient_checkpointing": Arg(
        bool, "keep only what stages hand on, and compute the rest again: less memory, a third more time", False
    ),
    "use_compile": Arg(bool, "torch.compile: a minute or more at first, faster steps after it", False),
    "compile_mode": Arg(
        str,
        "with use_compile, torch's modes: reduce-overhead replays CUDA graphs, for steps so small that launches are what they wait for; "
        "max-autotune tries kernels out too, for minutes",
        "default",
        choices=COMPILE_MODES,
    ),
    "use_full_metrics": Arg(bool, "report top-5, macro recall and F1, and calibration error too; an objective among them sets it", False),
}

BY_CLASS = Items(
    "policies of some classes in place of `policy`, constants only: each names its classes and, as above, a policy with its arguments",
    item=Section(
        "classes and their policy",
        {"classes": Items("names of classes, in quotes where they are numbers", item=Arg(str, "a class")), "policy": POLICIES},
    ),
)

SPACE = Section(
    "what may vary; the tree mirrors the recipe",
    {
        "preprocessing": Section(
            "what happens to every picture, fitted on the training split alone",
            {
                "name": PREPROCESSINGS,
                "colour": Arg(str, "stored: as the pictures are", "stored", choices=COLOURS),
                "eval_size_share": Arg(
                    float,
                    "side of val and test pictures, and of what the model is given later, as a share of image_size; training.resize has "
                    "that of training's",
                    1.0,
                    0.1,
                    1.0,
                    auto=(0.75, 0.875, 1.0),
                ),
            },
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
                    bool,
                    "residual branches begin as nothing: their last normalisation scales by 0 (Goyal et al. 2017); where they end in a "
                    "convolution, as those of wideresnet, its weights are 0",
                    False,
                    auto=ALL,
                ),
                "use_lsuv": Arg(
                    bool, "scale each layer on a batch of training pictures to variance 1 (Mishkin & Matas 2016)", False, auto=ALL
                ),
                "dropout": Arg(float, "chance that a feature is dropped", 0.0, 0.0, 0.95, auto=Range(0.0, 0.5)),
                "dropout_kind": Arg(
                    str,
                    "one mask for each element, each channel or each position",
                    "element",
                    choices=("element", "channel", "position"),
                    auto=ALL,
                ),
                "dropout_place": Arg(
                    str,
                    "before the classifier, after every stage, or both",
                    "head",
                    choices=("head", "stages", "both"),
                    auto=ALL,
                ),
            },
            is_space=True,
        ),
        "transfer": Section("where the weights come from and which of them learn", {"regime": REGIMES}, is_space=True),
        "regularization": Section(
            "penalties added to the loss, on weights only; what is done to gradients; averages; an early end",
            {
                "l1": Arg(float, "times the sum of |w|", 0.0, 0.0, 1.0, auto=Range(1e-8, 1e-4, log=True)),
                "l2": Arg(float, "times half the sum of w^2", 0.0, 0.0, 1.0, auto=Range(1e-6, 1e-2, log=True)),
                "use_decay_for_all": Arg(bool, "penalise and decay biases, normalisation and PReLU slopes too", False, auto=ALL),
                "clip_norm": Arg(float, "largest norm of a step's gradient; 0: any", 0.0, 0.0, 1e6, auto=(0.0, 1.0, 5.0)),
                "gradient_noise": Arg(
                    float,
                    "eta: noise of variance eta / (1 + step)^0.55 on gradients (Neelakantan et al. 2015)",
                    0.0,
                    0.0,
                    10.0,
                    auto=(0.0, 0.01, 0.3, 1.0),
                ),
                "ema_decay": Arg(
                    float,
                    "of the moving average of the weights that is evaluated; 0: the weights themselves",
                    0.0,
                    0.0,
                    0.99999,
                    auto=(0.0, 0.9, 0.99, 0.999),
                ),
                "swa_share": Arg(
                    float,
                    "share of all epochs, the last ones, whose weights are averaged evenly and evaluated (Izmailov et al. 2018); 0: none",
                    0.0,
                    0.0,
                    1.0,
                    auto=(0.0, 0.25, 0.5),
                ),
                "early_stop_epochs": Arg(int, "epochs without a lower val_loss after which training ends; 0: never", 0, 0, 100_000),
            },
            is_space=True,
        ),
        "loss": Section(
            "what is minimised",
            {
                "name": LOSSES,
                "label_smoothing": Arg(float, "share of the target spread over all classes", 0.0, 0.0, 0.9, auto=Range(0.0, 0.2)),
                "teacher": TEACHERS,
            },
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
                "head_lr_factor": Arg(float, "the classifier's rate is lr times this", 1.0, 0.0, 1000.0, auto=Range(1.0, 10.0, log=True)),
                "layer_decay": Arg(
                    float,
                    "each stage below the classifier learns at this times the rate of the one above it",
                    1.0,
                    0.01,
                    1.0,
                    auto=Range(0.5, 1.0),
                ),
                "sharpness": SHARPNESS,
                "slow_weights": SLOW_WEIGHTS,
            },
            is_space=True,
        ),
        "schedule": Section("learning rate over the epochs", {"name": LR_SCHEDULES}, is_space=True),
        "augmentation": Section(
            "what happens to training pictures",
            {"crop": CROPS, "policy": POLICIES, "by_class": BY_CLASS, "mixing": MIXINGS},
            is_space=True,
        ),
        "training": Section("batches and arithmetic", TRAINING, is_space=True, former={"num_epochs": "which is budget.max_epochs"}),
    },
    is_space=True,
)
