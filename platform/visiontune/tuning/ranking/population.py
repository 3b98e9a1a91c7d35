"""Population based training (Jaderberg et al. 2017, arXiv 1711.09846): who exploits whom, and how params are explored. Pure rules.

As in Ray's PopulationBasedTraining, in its asynchronous form: of the trials with a value at a point each of the worst quarter goes on
from the weights of one that is drawn from the best quarter, with that one's params perturbed. Other than there, values of one epoch are
compared, and weights of that epoch are taken: so what wins is a schedule from the first epoch to the last.
"""

from __future__ import annotations

import math
import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from visiontune.spec.declarations.domains import Choice, Domain, Float, RandomParams
from visiontune.spec.declarations.fingerprint import keyed_seed
from visiontune.spec.space.changing import changing_params
from visiontune.spec.space.space import Space
from visiontune.spec.space.study_spec import Budget, exploit_points
from visiontune.tuning.ranking.curves import Curves
from visiontune.tuning.ranking.trial_scheduler import GO, WAIT

FACTORS = (1.2, 0.8)
"""By which a number is perturbed (section 4.1.1 of the paper)."""

MAX_DRAWS = 8
"""How often params are perturbed anew where nothing changed, as at the end of a range."""


@dataclass(frozen=True)
class Population:
    """Every trial waits at each of the `points` and is taken on again by the next free worker, the one with the fewest epochs first."""

    curves: Curves
    points: tuple[int, ...]
    quantile: float
    resample_probability: float

    def pauses(self, number: int) -> tuple[int, ...]:
        """All points."""
        return self.points

    def decide(self, number: int, epoch: int) -> str:
        """Wait at each."""
        return WAIT if epoch in self.points else GO

    def promotable(self, waiting: Collection[int]) -> int | None:
        """Whoever is least far, so that those who exploit know most of the others."""
        return min(waiting, key=lambda number: (max(self.curves.values[number]), number), default=None)

    def sources(self, number: int, epoch: int, peers: Collection[int]) -> Sequence[int]:
        """Of the peers that got to this point, those of which a trial draws the one to go on from; none where it stays as it is."""
        best, worst = quantiles([one for one in self.curves.ranked(epoch) if one in peers], self.quantile)
        return best if number in worst else ()


def quantiles(ranked: Sequence[int], share: float) -> tuple[Sequence[int], Sequence[int]]:
    """The best and the worst of trials in the order of their values, as many as Ray takes: the share rounded up, at most half of them."""
    num = min(math.ceil(len(ranked) * share), len(ranked) // 2)
    return ranked[:num], ranked[len(ranked) - num :]


def explored(space: Space, params: Mapping[str, Any], seed: int, resample_probability: float) -> dict[str, Any]:
    """Params with those perturbed that may change: numbers times 1.2 or .8, choices to a neighbour; each drawn anew with that chance.

    The same params where nothing moves in MAX_DRAWS tries.
    """
    domains = {name: domain for name, domain, _ in space.domains()}
    for draw in range(MAX_DRAWS):
        rng = random.Random(keyed_seed(seed, draw))
        found = dict(params)
        for name in changing_params(space):
            if name in params:
                is_drawn = rng.random() < resample_probability
                anew = RandomParams(rng.getrandbits(31))
                found[name] = domains[name].ask(name, anew) if is_drawn else perturbed(domains[name], params[name], rng)
        if found != params:
            break
    return found


def perturbed(domain: Domain, value: Any, rng: random.Random) -> Any:
    """A value of the domain near this one: of steps at least the next, at an end perhaps the same; 0 of a range without steps stays."""
    if isinstance(domain, Choice):
        place = domain.choices.index(value) + rng.choice((-1, 1))
        return domain.choices[min(max(place, 0), len(domain.choices) - 1)]
    factor = rng.choice(FACTORS)
    moved = min(max(value * factor, domain.low), domain.high)
    if domain.step is None:
        return moved
    here, place = (round((one - domain.low) / domain.step) for one in (value, moved))
    if place == here:
        place = min(max(here + (1 if factor > 1 else -1), 0), int((domain.high - domain.low) / domain.step + 1e-9))
    return domain.nth(place) if isinstance(domain, Float) else domain.low + domain.step * place


def pbt(curves: Curves, budget: Budget, interval: int | str, quantile: float, resample_probability: float) -> Population:
    """That of a study."""
    points = exploit_points({"interval": interval}, budget)
    return Population(curves, points, quantile, resample_probability)
