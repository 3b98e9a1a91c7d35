"""Learning-rate schedules: multipliers of the peak rate over the full budget.

A duration is a number of epochs or a share of the full budget, and only one of the two may be given. Some durations have their
default in epochs (`_in_epochs`), others in shares (`_in_shares`).
"""

from __future__ import annotations

from visiontune.spec.declarations.declare import ALL, Arg, Entry, Range, Table

_DROPS, _CURVES = "visiontune.training.lr_schedule", "visiontune.training.lr_schedule_curves"


_DROP = Range(0.05, 0.5, log=True)


def _in_epochs(name: str, default: int, doc: str, low: int = 1, share: Range | None = None) -> dict[str, Arg]:
    return {
        f"{name}_epochs": Arg(int, doc, default, low, 100_000),
        f"{name}_share": Arg(float, f"the same as a share of the full budget; 0: {name}_epochs counts", 0.0, 0.0, 1.0, auto=share),
    }


def _in_shares(name: str, default: float, doc: str, share: Range | None = None) -> dict[str, Arg]:
    return {
        f"{name}_share": Arg(float, f"{doc}, as a share of the full budget", default, 0.0, 1.0, auto=share),
        f"{name}_epochs": Arg(int, f"the same in epochs; 0: {name}_share counts", 0, 0, 100_000),
    }


def _final(default: float) -> dict[str, Arg]:
    return {"final_fraction": Arg(float, "multiplier at the end", default, 0.0, 1.0, auto=Range(0.0, 0.1))}


def _gamma(default: float, doc: str = "factor of a drop", auto: Range | None = _DROP) -> dict[str, Arg]:
    return {"gamma": Arg(float, doc, default, 1e-6, 1.0, auto=auto)}


_WARMUP = _in_epochs("warmup", 0, "epochs of linear rise from lr / steps to lr", low=0, share=Range(0.0, 0.2))
_BY_WARMUP = {"warmup_epochs": "warmup_share"}

LR_SCHEDULES = Table(
    "lr schedule",
    {
        "constant": Entry("multiplier 1", f"{_DROPS}:constant", _WARMUP, excludes=_BY_WARMUP),
        "step": Entry(
            "times gamma after every step, counted from the first epoch (torch's StepLR)",
            f"{_DROPS}:step",
            {**_WARMUP, **_in_epochs("step", 10, "epochs between two drops", share=Range(0.2, 0.5)), **_gamma(0.1)},
            excludes={**_BY_WARMUP, "step_epochs": "step_share"},
        ),
        "multi_step": Entry(
            "times gamma at each of three places, counted from the first epoch (torch's MultiStepLR)",
            f"{_DROPS}:multi_step",
            {
                **_WARMUP,
                **_in_shares("first_drop", 0.5, "where the rate falls first; 1 is never", Range(0.3, 0.6)),
                **_in_shares("second_drop", 0.75, "where it falls again; 1 is never", Range(0.6, 0.9)),
                **_in_shares("third_drop", 1.0, "where it falls once more; 1 is never"),
                **_gamma(0.1),
            },
            excludes={**_BY_WARMUP, **{f"{place}_drop_share": f"{place}_drop_epochs" for place in ("first", "second", "third")}},
        ),
        "exponential": Entry(
            "gamma^(steps / decay) from the end of warm-up, step by step (torch's ExponentialLR)",
            f"{_CURVES}:exponential",
            {
                **_WARMUP,
                **_in_epochs("decay", 1, "epochs in which it falls by gamma"),
                **_gamma(0.95, "factor of each decay", Range(0.7, 0.98)),
            },
            excludes={**_BY_WARMUP, "decay_epochs": "decay_share"},
        ),
        "polynomial": Entry(
            "(share that is left)^power, down to final_fraction (torch's PolynomialLR)",
            f"{_CURVES}:polynomial",
            {**_WARMUP, "power": Arg(float, "1 is a line", 1.0, 0.1, 10.0, auto=Range(0.5, 2.0)), **_final(0.0)},
            excludes=_BY_WARMUP,
        ),
        "cosine": Entry(
            "half a cosine from 1 to final_fraction over the full budget (Loshchilov & Hutter 2017)",
            f"{_CURVES}:cosine",
            {**_WARMUP, **_final(0.0)},
            excludes=_BY_WARMUP,
        ),
        "cosine_restarts": Entry(
            "cosines that start again at 1, each period_factor times as long (SGDR, Loshchilov & Hutter 2017)",
            f"{_CURVES}:cosine_restarts",
            {
                **_WARMUP,
                **_in_epochs("period", 10, "epochs of the first cosine"),
                "period_factor": Arg(int, "length of a cosine in lengths of the one before", 2, 1, 10),
                "final_fraction": Arg(float, "multiplier at the end of each cosine", 0.0, 0.0, 1.0),
            },
            excludes={**_BY_WARMUP, "period_epochs": "period_share"},
        ),
        "one_cycle": Entry(
            "up to 1 and down to next to nothing over the full budget; momentum stays (Smith & Topin 2018, torch's OneCycleLR)",
            f"{_CURVES}:one_cycle",
            {
                **_WARMUP,
                **_in_shares("rise", 0.3, "length of the way up", Range(0.1, 0.4)),
                "start_fraction": Arg(float, "multiplier at the start", 0.04, 0.0, 1.0),
                **_final(4e-6),
                "shape": Arg(str, "of both ways", "cosine", choices=("cosine", "linear"), auto=ALL),
            },
            excludes={**_BY_WARMUP, "rise_share": "rise_epochs"},
        ),
        "plateau": Entry(
            "times factor when val_loss has not fallen for the patience (torch's ReduceLROnPlateau)",
            f"{_DROPS}:plateau",
            {
                **_WARMUP,
                "factor": Arg(float, "factor of a drop", 0.1, 1e-6, 0.999, auto=_DROP),
                **_in_epochs("patience", 2, "epochs without a lower val_loss before a drop", low=0),
            },
            excludes={**_BY_WARMUP, "patience_epochs": "patience_share"},
        ),
        "cyclic": Entry(
            "straight up to 1 and down again, over and over (Smith 2017, torch's CyclicLR)",
            f"{_CURVES}:cyclic",
            {
                **_WARMUP,
                **_in_epochs("cycle", 8, "epochs of one way up and down"),
                "low_fraction": Arg(float, "multiplier between two cycles", 0.1, 0.0, 1.0),
                "cycle_factor": Arg(float, "height of a cycle in heights of the one before; 0.5 is triangular2", 1.0, 0.01, 1.0),
            },
            excludes={**_BY_WARMUP, "cycle_epochs": "cycle_share"},
        ),
    },
    default="constant",
)
