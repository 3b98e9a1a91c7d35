"""Samplers (Optuna's word: they propose params) and trial schedulers (they let trials go on, wait for promotion or stop).

A sampler's builder takes (spec, seed) and `args` without those of LEARNING, which say when it is asked; the grid has none, its points are
in the space. A trial scheduler's takes (curves, budget) and `args`.
"""

from __future__ import annotations

from visiontune.spec.declarations.declare import Arg, Entry, Table

LEARNING = {
    "num_startup": Arg(int, "values before the sampler proposes; a Sobol sequence until then", 8, 0, 10_000),
    "random_every": Arg(int, "of so many proposals one is drawn at random; 0: none", 5, 0, 10_000),
}
"""Of samplers that wait for values to learn from; the evolutionary ones have a random first generation of their own."""

SEVERAL = "several"
"""Trait of a sampler or a trial scheduler that compares trials by several objectives, or by none."""

THINNED = "thinned"
"""Trait of a sampler whose proposals take longer the more trials it learns from, and gain nothing: it is given some of them."""

SAMPLERS = Table(
    "sampler",
    {
        "tpe": Entry(
            "tree-structured Parzen estimator (Bergstra et al. 2011)",
            "visiontune.tuning.proposals.optuna_samplers:tpe",
            {
                **LEARNING,
                "gamma": Arg(float, "share of the values that counts as good, which is never more than 25 of them", 0.1, 0.01, 0.9),
                "num_candidates": Arg(int, "points of which the most promising is proposed", 24, 1, 10_000),
                "use_multivariate": Arg(bool, "one model for params that exist together, not one for each param", True),
            },
            traits=frozenset({SEVERAL, THINNED}),
        ),
        "random": Entry("independent draws", "visiontune.tuning.proposals.optuna_samplers:random", traits=frozenset({SEVERAL})),
        "grid": Entry("every point of a space of choices, ints and stepped floats, in order", traits=frozenset({SEVERAL})),
        "gp": Entry(
            "Gaussian process with log expected improvement; seconds for each proposal",
            "visiontune.tuning.proposals.optuna_samplers:gp",
            {**LEARNING, "is_deterministic": Arg(bool, "whether the same params are taken to give the same value, without noise", False)},
            traits=frozenset({THINNED}),
        ),
        "cmaes": Entry(
            "covariance matrix adaptation (Hansen 2016) of the numbers; choices by TPE",
            "visiontune.tuning.proposals.optuna_samplers:cmaes",
            {
                "sigma0": Arg(float, "first standard deviation as a share of a range; auto: a sixth", "auto", 0.001, 1.0, also=("auto",)),
                "population": Arg(int, "of values; auto: 4 + 3 ln(numbers)", "auto", 2, 1000, also=("auto",)),
            },
        ),
        "nsga2": Entry(
            "genetic algorithm (Deb et al. 2002)",
            "visiontune.tuning.proposals.optuna_samplers:nsga2",
            {
                "population": Arg(int, "of values; auto: a fifth of what num_trials may bring, 4 to 50", "auto", 2, 1000, also=("auto",)),
                "crossover_probability": Arg(float, "chance that a child has two parents", 0.9, 0.0, 1.0),
                "swapping_probability": Arg(float, "chance that a param is the second parent's", 0.5, 0.0, 1.0),
                "mutation_probability": Arg(
                    float, "chance that a param is drawn anew; auto: one param of each child", "auto", 0.0, 1.0, also=("auto",)
                ),
            },
            traits=frozenset({SEVERAL}),
        ),
        "optuna": Entry(
            "any sampler with Optuna's interface, OptunaHub's too; built anew for each proposal",
            "visiontune.tuning.proposals.any_sampler:optuna_sampler",
            {
                **LEARNING,
                "class": Arg(str, "module.Class, or path/NAME.py:Class"),
                "kwargs": Arg(dict, "what the class is built with, without a seed", {}),
            },
        ),
    },
    default="tpe",
)

RUNGS, BRACKETS, RISES, LOWEST_RISES, EXPLOITS = "rungs", "brackets", "rises", "lowest rises", "exploits"
"""Traits of a trial scheduler: trials are compared at the budget's rungs; not all of them begin at the first; the highest one rises; or the
lowest. Or none ends early, and the worse go on from the weights of the better.
"""

TRIAL_SCHEDULERS = Table(
    "trial scheduler",
    {
        "asha": Entry(
            "asynchronous successive halving (Li et al. 2020): trials wait at rungs and the best are promoted",
            "visiontune.tuning.ranking.trial_scheduler:asha",
            {"stop": Arg(bool, "stop at rungs for good instead of waiting for promotion", False)},
            traits=frozenset({RUNGS, SEVERAL}),
        ),
        "hyperband": Entry(
            "asha in brackets, of which each begins at another rung (Li et al. 2018, 2020), against curves that cross late",
            "visiontune.tuning.ranking.trial_scheduler:hyperband",
            traits=frozenset({RUNGS, BRACKETS}),
        ),
        "pasha": Entry(
            "asha whose highest rung rises only while the ranking of the two highest is unstable (Bohdal et al. 2023)",
            "visiontune.tuning.ranking.pasha:pasha",
            {"percentile": Arg(float, "of the differences that are noise in rankings", 90.0, 0.0, 100.0)},
            traits=frozenset({RUNGS, RISES}),
        ),
        "adaptive_rungs": Entry(
            "asha whose lowest rung rises while ranks there agree too little with those at the next",
            "visiontune.tuning.ranking.adaptive_rungs:adaptive_rungs",
            {
                "random_every": Arg(int, "of so many trials at the lowest rung one is promoted whatever its rank", 10, 2, 1000),
                "min_agreement": Arg(float, "least rank correlation of the lowest rung with the next", 0.5, -1.0, 1.0),
            },
            traits=frozenset({RUNGS, LOWEST_RISES}),
        ),
        "pbt": Entry(
            "population based training (Jaderberg et al. 2017): the worst go on from the best ones' weights with params changed",
            "visiontune.tuning.ranking.population:pbt",
            {
                "interval": Arg(
                    int,
                    "epochs between two looks at the others; auto: an eighth of max_epochs, at least min_epochs",
                    "auto",
                    1,
                    100_000,
                    also=("auto",),
                ),
                "quantile": Arg(float, "share of those that got as far that exploits, and that is exploited", 0.25, 0.01, 0.5),
                "resample_probability": Arg(float, "chance that a param is drawn anew, and not times 1.2 or .8", 0.25, 0.0, 1.0),
            },
            traits=frozenset({EXPLOITS}),
        ),
        "median": Entry(
            "stop what is worse than the median of the others at the same epoch", "visiontune.tuning.ranking.trial_scheduler:median"
        ),
        "none": Entry("every trial runs to max_epochs", "visiontune.tuning.ranking.trial_scheduler:none", traits=frozenset({SEVERAL})),
    },
    default="asha",
)


def does_learn(sampler: str) -> bool:
    """Whether it waits for values to learn from."""
    return LEARNING.keys() <= SAMPLERS.entries[sampler].args.keys()
