"""Initialisations. A builder fills weight_OI.. in place: (weight, gain of the activation, generator, **args)."""

from __future__ import annotations

from visiontune.spec.declare import Entry, Table

INITS = Table(
    "init",
    {
        "he_normal": Entry("variance gain^2 / fan_in (He et al. 2015)", "visiontune.models.initialise:he_normal"),
        "he_uniform": Entry("the same variance, uniform", "visiontune.models.initialise:he_uniform"),
        "glorot_normal": Entry("variance 2 / (fan_in + fan_out) (Glorot & Bengio 2010)", "visiontune.models.initialise:glorot_normal"),
        "glorot_uniform": Entry("the same variance, uniform", "visiontune.models.initialise:glorot_uniform"),
        "lecun_normal": Entry("variance 1 / fan_in (LeCun et al. 1998)", "visiontune.models.initialise:lecun_normal"),
        "lecun_uniform": Entry("the same variance, uniform", "visiontune.models.initialise:lecun_uniform"),
    },
    default="he_normal",
)
