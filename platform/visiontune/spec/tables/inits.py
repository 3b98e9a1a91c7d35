"""Initialisations. A builder fills weight_OI.. in place: (weight, gain of the activation, generator, groups, **args)."""

from __future__ import annotations

from visiontune.spec.declarations.declare import ALL, Arg, Entry, Range, Table

_OWN = "visiontune.models.initialisation"
_FAN = Arg(str, "keeps the variance of activations (in) or of gradients (out)", "in", choices=("in", "out"), auto=ALL)


def _std(default: float) -> dict[str, Arg]:
    return {"init_std": Arg(float, "standard deviation of every weight", default, 1e-6, 10.0, auto=Range(0.005, 0.1, log=True))}


INITS = Table(
    "init",
    {
        "he_normal": Entry("variance gain^2 / fan (He et al. 2015)", f"{_OWN}:he_normal", {"fan": _FAN}),
        "he_uniform": Entry("the same variance, uniform", f"{_OWN}:he_uniform", {"fan": _FAN}),
        "glorot_normal": Entry("variance 2 / (fan_in + fan_out) (Glorot & Bengio 2010)", f"{_OWN}:glorot_normal"),
        "glorot_uniform": Entry("the same variance, uniform", f"{_OWN}:glorot_uniform"),
        "lecun_normal": Entry("variance 1 / fan_in (LeCun et al. 1998)", f"{_OWN}:lecun_normal"),
        "lecun_uniform": Entry("the same variance, uniform", f"{_OWN}:lecun_uniform"),
        "orthogonal": Entry("gain times a random orthogonal matrix (Saxe et al. 2014)", f"{_OWN}:orthogonal"),
        "constant_normal": Entry("the same variance in every layer (Krizhevsky et al. 2012)", f"{_OWN}:constant_normal", _std(0.01)),
        "constant_uniform": Entry("the same variance in every layer, uniform", f"{_OWN}:constant_uniform", _std(0.01)),
        "truncated_normal": Entry("normal cut at 2 init_std, which leaves .774 of the variance", f"{_OWN}:truncated_normal", _std(0.02)),
    },
    default="he_normal",
)
