"""Which of a few recipes is the best, by trainings on seeds that all of them share: what is known so far, and who is trained next.

A value is taken as the sum of what its recipe and its seed do, and of noise, which is the same for all recipes. The noise is measured by
what that leaves over; the search's own values, of one more seed each, count for it and for nothing else, since they were chosen for being
good. Means and noise then have the usual posterior (a multivariate t), and a recipe that is hardly ever the best of it gets no more seeds.

Nothing is assumed of the means, so that probabilities are too high where recipes hardly differ: of recipes said to be the best with .7 to
.9 it was true of .77 to .84 where recipes of a search differ by one to four times a seed's noise, and of .57 where by half of it (400
simulated races each, of the best three of 24 or 64).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MIN_PROBABILITY = 0.2
"""Of being the best, below which a recipe is out of the race: chosen in simulated races, table in CONTRIBUTING."""

_NUM_DRAWS = 4000


@dataclass(frozen=True)
class Runner:
    """A recipe in a race. `values` by seed, larger is better; seeds on workers are `under_way`, others have `failed`."""

    searched: float
    values: Mapping[int, float]
    under_way: tuple[int, ...] = ()
    failed: tuple[int, ...] = ()

    @property
    def begun(self) -> set[int]:
        """Seeds that it was given."""
        return {*self.values, *self.under_way, *self.failed}

    @property
    def num_begun(self) -> int:
        """How many they are."""
        return len(self.begun)

    @property
    def next_seed(self) -> int:
        """The first that it was not given, which every other is given first too."""
        return next(seed for seed in range(self.num_begun + 1) if seed not in self.begun)


def probabilities(runners: Sequence[Runner]) -> list[float]:
    """Of being the best, one for each; 0 for one that failed on a seed, or has no value, while others have and did not."""
    found, known = [0.0] * len(runners), _compared(runners)
    if len(known) == 1:
        found[known[0]] = 1.0
    if len(known) > 1:
        means_K, factor_KK, rest, freedom = _fit([runners[number] for number in known])
        generator = np.random.default_rng(0)  # the same draws for everyone, so that a driver which goes on decides as the first would have
        scale_D = np.sqrt(rest / generator.chisquare(freedom, _NUM_DRAWS))
        draws_DK = means_K + scale_D[:, None] * (generator.standard_normal((_NUM_DRAWS, len(known))) @ factor_KK.T)
        is_best_DK = draws_DK == draws_DK.max(1, keepdims=True)  # several, where values are equal and nothing is left over
        for number, share in zip(known, (is_best_DK / is_best_DK.sum(1, keepdims=True)).mean(0), strict=True):
            found[number] = float(share)
    return found


def leader(runners: Sequence[Runner]) -> int | None:
    """The one with the highest mean, what seeds do taken off; the earlier of two. None where nobody has a value."""
    known = _compared(runners)
    return known[int(_fit([runners[number] for number in known])[0].argmax())] if known else None


def next_runners(runners: Sequence[Runner], num_seeds: int) -> list[int]:
    """Who may be trained next on its next seed, the first of them first; none now, and none for good once nothing is under way.

    All get a first seed; then those that may still be the best, the fewest seeds first; the leader gets `num_seeds` in any case, and goes
    ahead of the others where workers are free.
    """
    fresh = [number for number, runner in enumerate(runners) if runner.num_begun == 0]
    ahead = leader(runners)
    if fresh or any(not runner.values and runner.under_way for runner in runners):
        return fresh
    if ahead is None:  # all failed: the search's best has its seeds all the same
        return [0] if runners and runners[0].num_begun < num_seeds else []
    chances = probabilities(runners)
    alive = [number for number in _compared(runners) if number == ahead or chances[number] >= MIN_PROBABILITY]
    fewest = min(len(runners[number].values) for number in alive)
    in_round = [number for number in alive if runners[number].num_begun == fewest]
    wanted = sorted(in_round, key=lambda number: -chances[number]) + [ahead] * (ahead not in in_round)
    return [number for number in wanted if runners[number].num_begun < num_seeds]


def next_in_turn(runners: Sequence[Runner], num_seeds: int) -> list[int]:
    """The same for recipes that are no rivals, as of a front: all get `num_seeds`, a seed of each before another of any."""
    return sorted((n for n, one in enumerate(runners) if one.num_begun < num_seeds), key=lambda n: runners[n].num_begun)


def _compared(runners: Sequence[Runner]) -> list[int]:
    """Those with values on all seeds that they were given, or where there are none with any: the one with the most and who shares a seed
    with it. Of a front's, which wait for nobody, two may have none in common yet.
    """
    known = [number for number, runner in enumerate(runners) if runner.values]
    known = [number for number in known if not runners[number].failed] or known
    most = max((runners[number].values for number in known), key=len, default={})
    return [number for number in known if runners[number].values.keys() & most.keys()]


def _fit(runners: Sequence[Runner]) -> tuple[NDArray[np.float64], NDArray[np.float64], float, int]:
    """Means of the recipes, a root of their covariance for noise of variance 1, the sum of squares left over and its degrees of freedom."""
    means_K, design_RC, _ = _least_squares([runner.values for runner in runners])
    cov_KK = np.linalg.inv(design_RC.T @ design_RC)[: len(runners), : len(runners)]
    with_searched = [{**runner.values, -1: runner.searched} for runner in runners]
    _, all_RC, rest = _least_squares(with_searched)
    return means_K, np.linalg.cholesky(cov_KK), rest, max(1, all_RC.shape[0] - all_RC.shape[1])


def _least_squares(values: Sequence[Mapping[int, float]]) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """The recipes' effects, the design (a column for each recipe, one for each seed but the first), the sum of squares left over."""
    seeds = sorted({seed for one in values for seed in one})
    rows = [(place, seeds.index(seed), value) for place, one in enumerate(values) for seed, value in one.items()]
    design_RC = np.zeros((len(rows), len(values) + len(seeds) - 1))
    for row, (place, seed, _) in enumerate(rows):
        design_RC[row, place] = 1.0
        if seed:
            design_RC[row, len(values) + seed - 1] = 1.0
    target_R = np.array([value for *_, value in rows])
    effects_C = np.linalg.lstsq(design_RC, target_R, rcond=None)[0]
    rest = float(((target_R - design_RC @ effects_C) ** 2).sum())
    return effects_C[: len(values)].round(12), design_RC, rest if rest > 1e-20 * float((target_R**2).sum()) else 0.0
