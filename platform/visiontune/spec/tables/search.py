"""Samplers (Optuna's word: they propose params) and trial schedulers (they let trials go on, wait for promotion or stop).

A sampler's builder takes a seed; the grid has none, its points are in the space. A trial scheduler's takes (curves, budget) and `args`.
"""

from __future__ import annotations

from visiontune.spec.declare import Arg, Entry, Table

SAMPLERS = Table(
    "sampler",
    {
        "tpe": Entry("tree-structured Parzen estimator, multivariate (Bergstra et al. 2011)", "visiontune.tuning.sampler:tpe"),
        "random": Entry("independent draws", "visiontune.tuning.sampler:random"),
        "grid": Entry("every point of a space of choices, ints and stepped floats, in order"),
        "gp": Entry("Gaussian process with log expected improvement; seconds for each proposal", "visiontune.tuning.sampler:gp"),
        "cmaes": Entry("covariance matrix adaptation (Hansen 2016); numbers only, choices at random", "visiontune.tuning.sampler:cmaes"),
        "nsga2": Entry("genetic algorithm (Deb et al. 2002)", "visiontune.tuning.sampler:nsga2"),
    },
    default="tpe",
)

TRIAL_SCHEDULERS = Table(
    "trial scheduler",
    {
        "asha": Entry(
            "asynchronous successive halving (Li et al. 2020): trials wait at rungs and the best are promoted",
            "visiontune.tuning.trial_scheduler:asha",
            {"stop": Arg(bool, "stop at rungs for good instead of waiting for promotion", False)},
        ),
        "median": Entry("stop what is worse than the median of the others at the same epoch", "visiontune.tuning.trial_scheduler:median"),
        "none": Entry("every trial runs to max_epochs", "visiontune.tuning.trial_scheduler:none"),
    },
    default="asha",
)
