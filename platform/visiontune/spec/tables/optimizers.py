"""Optimizers. A builder takes the `LearnedParameter`s and `args`; the learning rate is set before each step."""

from __future__ import annotations

from visiontune.spec.declarations.declare import ALL, Arg, Entry, Range, Table


def _decay(default: float, auto: Range) -> dict[str, Arg]:
    doc = "decoupled: parameters shrink by lr * weight_decay a step (Loshchilov & Hutter 2019)"
    return {"weight_decay": Arg(float, doc, default, 0.0, 1.0, auto=auto)}


_ADAMW_DECAY = Range(1e-3, 0.1, log=True)
"""torch's .01 and the .05 of DeiT III and ConvNeXt lie within."""
_EPS = Arg(float, "added to what is divided by, against zeros", 1e-8, 1e-16, 1.0)
_BETAS = {
    "beta1": Arg(float, "decay of the first moment", 0.9, 0.0, 0.9999),
    "beta2": Arg(float, "decay of the second moment", 0.999, 0.0, 0.99999, auto=(0.95, 0.99, 0.999)),
    "eps": _EPS,
}
_SCHEDULE_FREE = "visiontune.training.optim.schedule_free"
AVERAGING = frozenset({"averaging"})
"""The trait of those that evaluate a mean of their weights, so that no other average can be."""
_MODULE = "visiontune.training.optim.optimizer"


def _lr(value: float) -> dict[str, float]:
    """Where a search begins: torch's own default or the paper's; for sgd the middle of DeepOBS's best (Schneider et al. 2019)."""
    return {"lr": value}


def _around(value: float) -> dict[str, Range]:
    """What `auto` searches: ten times less to ten times more.

    DeepOBS's best rates, .025 to .16 for SGD and .00016 to .001 for Adam, lie within, as do .1 for ResNet (He et al. 2016), .5 of
    torchvision's second recipe, and timm's .0001 for fine-tuning by AdamW.
    """
    return {"lr": Range(value / 10, value * 10, log=True)}


OPTIMIZERS = Table(
    "optimizer",
    {
        "sgd": Entry(
            "stochastic gradient descent with momentum (torch.optim.SGD)",
            f"{_MODULE}:sgd",
            {
                "momentum": Arg(float, "0 for none", 0.9, 0.0, 0.9999, auto=Range(0.8, 0.99)),
                "nesterov": Arg(bool, "look ahead; needs momentum", False, auto=ALL),
                **_decay(0.0, Range(1e-5, 1e-2, log=True)),
            },
            needs={"nesterov": "momentum"},
            suits=_lr(0.05),
            auto=_around(0.05),
        ),
        "adagrad": Entry(
            "rates divided by the root of all squared gradients so far (Duchi et al. 2011; torch.optim.Adagrad)",
            f"{_MODULE}:adagrad",
            {
                "initial_square_sum": Arg(float, "what the sum starts from", 0.0, 0.0, 100.0),
                "eps": Arg(float, _EPS.doc, 1e-10, 1e-16, 1.0),
            },
            suits=_lr(0.01),
            auto=_around(0.01),
        ),
        "adadelta": Entry(
            "steps in the size of the steps before; lr 1 is the paper's (Zeiler 2012; torch.optim.Adadelta)",
            f"{_MODULE}:adadelta",
            {"rho": Arg(float, "decay of both averages", 0.9, 0.0, 0.9999), "eps": Arg(float, _EPS.doc, 1e-6, 1e-16, 1.0)},
            suits=_lr(1.0),
            auto=_around(1.0),
        ),
        "rmsprop": Entry(
            "rates divided by the root mean square of gradients (Tieleman & Hinton 2012; torch.optim.RMSprop)",
            f"{_MODULE}:rmsprop",
            {
                "alpha": Arg(float, "decay of the mean square", 0.99, 0.0, 0.99999),
                "momentum": Arg(float, "0 for none", 0.0, 0.0, 0.9999, auto=(0.0, 0.9)),
                "is_centered": Arg(bool, "divide by the standard deviation (Graves 2013)", False),
                "eps": _EPS,
            },
            suits=_lr(0.001),
            auto=_around(0.001),
        ),
        "adam": Entry(
            "Adam (Kingma & Ba 2015; torch.optim.Adam)",
            f"{_MODULE}:adam",
            _BETAS,
            suits=_lr(0.001),
            auto=_around(0.001),
        ),
        "amsgrad": Entry(
            "Adam whose second moment never falls (Reddi et al. 2018; torch.optim.Adam)",
            f"{_MODULE}:amsgrad",
            _BETAS,
            suits=_lr(0.001),
            auto=_around(0.001),
        ),
        "adamax": Entry(
            "Adam by the largest gradient (Kingma & Ba 2015; torch.optim.Adamax)",
            f"{_MODULE}:adamax",
            _BETAS,
            suits=_lr(0.002),
            auto=_around(0.002),
        ),
        "nadam": Entry(
            "Adam with Nesterov's momentum (Dozat 2016; torch.optim.NAdam)",
            f"{_MODULE}:nadam",
            {**_BETAS, "momentum_decay": Arg(float, "how fast the momentum warms up", 0.004, 0.0, 1.0), **_decay(0.0, _ADAMW_DECAY)},
            suits=_lr(0.002),
            auto=_around(0.002),
        ),
        "radam": Entry(
            "Adam that waits for a sound second moment (Liu et al. 2020; torch.optim.RAdam)",
            f"{_MODULE}:radam",
            {**_BETAS, **_decay(0.0, _ADAMW_DECAY)},
            suits=_lr(0.001),
            auto=_around(0.001),
        ),
        "adamw": Entry(
            "Adam with decoupled decay (torch.optim.AdamW)",
            f"{_MODULE}:adamw",
            {**_BETAS, **_decay(0.01, _ADAMW_DECAY)},
            suits=_lr(0.001),
            auto=_around(0.001),
        ),
        "lion": Entry(
            "the sign of a momentum, so every step has one size; a third to a tenth of AdamW's lr and as much more decay "
            "(Chen et al. 2023; timm.optim.Lion)",
            f"{_MODULE}:lion",
            {
                "beta1": Arg(float, "share of the old momentum in a step", 0.9, 0.0, 0.9999),
                "beta2": Arg(float, "decay of the momentum", 0.99, 0.0, 0.99999, auto=(0.98, 0.99, 0.999)),
                **_decay(0.1, Range(1e-2, 1.0, log=True)),
            },
            suits=_lr(0.0001),
            auto=_around(0.0001),
        ),
        "schedule_free_sgd": Entry(
            "SGD whose mean is evaluated in place of a falling rate, for schedule constant; ten times SGD's lr (Defazio et al. 2024)",
            f"{_SCHEDULE_FREE}:schedule_free_sgd",
            {
                "momentum": Arg(float, "share of the mean in where gradients are taken", 0.9, 0.0, 0.9999, auto=(0.9, 0.95, 0.98)),
                **_decay(0.0, Range(1e-5, 1e-2, log=True)),
            },
            suits=_lr(0.5),
            auto=_around(0.5),
            traits=AVERAGING,
        ),
        "schedule_free_adamw": Entry(
            "AdamW whose mean is evaluated in place of a falling rate, for schedule constant (Defazio et al. 2024)",
            f"{_SCHEDULE_FREE}:schedule_free_adamw",
            {**_BETAS, **_decay(0.01, _ADAMW_DECAY)},
            suits=_lr(0.0025),
            auto=_around(0.0025),
            traits=AVERAGING,
        ),
        "muon": Entry(
            "orthogonal momentum for hidden layers (Jordan et al. 2024; torch.optim.Muon), AdamW for all that is not a matrix",
            "visiontune.training.optim.muon:muon",
            {
                "momentum": Arg(float, "of matrices", 0.95, 0.0, 0.9999, auto=Range(0.6, 0.98)),
                "nesterov": Arg(bool, "look ahead", True, auto=ALL),
                "num_iterations": Arg(int, "of Newton and Schulz, towards an orthogonal matrix", 5, 1, 20),
                "use_adam_scale": Arg(bool, "one lr suits both sides (Liu et al. 2025); false: the original scale", True),
                **_BETAS,
                "adamw_lr_factor": Arg(float, "AdamW's rate is lr times this", 1.0, 1e-4, 100.0, auto=Range(0.1, 10.0, log=True)),
                **_decay(0.01, _ADAMW_DECAY),
            },
            suits=_lr(0.001),
            auto=_around(0.001),
        ),
    },
)
