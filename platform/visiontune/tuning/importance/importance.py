"""How much each param of a study matters, to what each value of it leads, and whether that is known: from the trials of all rungs.

What counts as a trial's value is `compared_values`; the shares are those of `param_forests`.

Mean error of the shares of 11 params, three of a branch, against their closed form (simulated searches with ASHA, 4 seeds; Optuna's on the
same values, with 0 for the params that it leaves out):

| | 40 trials at random | 200 | 40 of TPE | 200 |
|---|---|---|---|---|
| this | .068 | .013 | .084 | .061 |
| forests for each rung, mean weighted by trials | .068 | .032 | .084 | .077 |
| forests for the last rung, which the better ones reach | .101 | .075 | .102 | .108 |
| Optuna's fANOVA | .049 | .021 | .080 | .058 |
| Optuna's PED-ANOVA | .080 | .067 | .137 | .141 |

TPE's trials crowd where it is good, so that a param which it has settled early looks smaller than it is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from visiontune.spec.read_identity import spec_of_identity
from visiontune.spec.space.space import Space
from visiontune.tuning.importance.param_forests import Forests, make_forests
from visiontune.tuning.proposals.compared_values import compared_values
from visiontune.tuning.records.records import StudyRecord

MIN_VALUES = 8
"""Trials with a value without which nothing is computed."""

MIN_FIT = 0.1
"""Of 36 simulated studies of pure noise none was fitted to more than .03; below this no param is said to matter."""

GOOD_FIT = 0.5
"""Below this no param is said not to matter: what the forests miss may be due to it."""

MIN_GAIN = 3.0
"""Standard errors by which a param must help to predict trials that were not seen; at 2.5 small TPE searches named wrong ones."""

MAX_IDLE_SHARE = 0.05
"""Of the variance, all interactions included, at the upper end of the interval: below this a param does not matter."""

MIN_IDLE_TRIALS = 20
"""With the param, below which it is not said that it does not matter."""

MIN_PAIR_SHARE = 0.02
"""At the lower end of the interval: trees make small interactions out of sums."""

NUM_PAIRED = 5
"""Of the largest params, those whose pairs are looked at."""

INTERVAL = (0.05, 0.95)


@dataclass(frozen=True)
class CurvePoint:
    """One value of a param, or the middle of a piece of its range: the mean objective at the compared epoch over all else, its 90 %
    interval, and how many trials were there. `mean` is None where no point of the space is."""

    value: Any
    mean: float | None
    low: float | None
    high: float | None
    num_trials: int


@dataclass(frozen=True)
class ParamImportance:
    """One param. `share` of the values' variance where it exists, 0 to 1, with its 90 % interval; `total` is the interval's upper end with
    all interactions.

    `verdict`: "matters", "does not matter" or "not known yet". `given` are the choices in whose branches it exists, `num_trials` those
    that had it; `effect` is the best mean of its curve less the worst, in units of the objective.
    """

    name: str
    given: Mapping[str, Any]
    num_trials: int
    share: float
    low: float
    high: float
    total: float
    effect: float
    verdict: str
    curve: tuple[CurvePoint, ...]


@dataclass(frozen=True)
class Interaction:
    """Two params that do together what neither does: their share of the variance beyond their own, with its 90 % interval."""

    first: str
    second: str
    share: float
    low: float
    high: float


@dataclass(frozen=True)
class Importance:
    """Params of a study, largest share first, and the pairs that interact.

    `num_values` trials had a value, of very many one in so many without the `num_left_out`, compared at `epoch` (compared_values.py); `fit`
    is the share of these values' variance that is predicted of unseen trials, below 0 where a mean predicts better, NaN where there were
    too few to try. `num_with_others` trials took weights that were trained with other params, so that no value is due to theirs.
    """

    study: str
    metric: str
    mode: str
    epoch: int
    num_values: int
    fit: float
    params: tuple[ParamImportance, ...]
    interactions: tuple[Interaction, ...]
    num_left_out: int = 0
    num_with_others: int = 0


MOST_VALUES = 2_000
"""Of more trials one in so many stands for all: their forests take as many times as long, and the intervals are narrow by then."""


def importance_of(study: StudyRecord, seed: int = 0) -> Importance:
    """The importance of every param of the study's space that trials had; no params where fewer than MIN_VALUES trials have a value.

    The study's plugins must be in use. Raises UserError where its space is none that a file can have today.
    """
    compared, objective = compared_values(study), study.objective
    values = dict([*compared.of.items()][:: math.ceil(len(compared.of) / MOST_VALUES) or 1])
    known = (study.name, objective.metric, objective.mode, compared.epoch, len(values))
    num_with_others = sum(any(phase.source is not None for phase in trial.phases) for trial in study.trials)
    if len(values) < MIN_VALUES:
        return Importance(*known, float("nan"), (), (), num_with_others=num_with_others)
    trials = [trial for trial in study.trials if trial.number in values]
    forests = make_forests(space_of(study), [trial.params for trial in trials], [values[trial.number] for trial in trials], seed)
    cells_NP = forests.cells.cells(forests.cells.places(trial.params for trial in trials))
    found = [_param(forests, column, cells_N) for column, cells_N in enumerate(cells_NP.T)]
    varying = sorted((one for one in found if one.num_trials), key=lambda one: (-one.share, one.name))
    num_left_out = len(compared.of) - len(values)
    return Importance(*known, forests.fit, tuple(varying), _interactions(forests, varying), num_left_out, num_with_others)


def space_of(study: StudyRecord) -> Space:
    """The space that a study searches, out of its identity. Raises UserError where no file has such a space today."""
    return spec_of_identity(study.identity, study.name).space


def _param(forests: Forests, column: int, cells_N: np.ndarray) -> ParamImportance:
    param, shares_B = forests.cells.params[column], forests.shares_BP[:, column]
    low, high = np.quantile(shares_B, INTERVAL)
    total = float(np.quantile(forests.totals_BP[:, column], INTERVAL[1]))
    curve = _curve(forests, column, cells_N)
    means = [point.mean for point in curve if point.mean is not None]
    having = sum(point.num_trials for point in curve)
    verdict = _verdict(forests.fit, float(forests.gains_P[column]), total, having)
    effect = max(means) - min(means) if means else 0.0
    return ParamImportance(param.name, param.given, having, float(shares_B.mean()), float(low), float(high), total, effect, verdict, curve)


def _verdict(fit: float, gain: float, total: float, num_trials: int) -> str:
    if fit >= MIN_FIT and gain >= MIN_GAIN and num_trials >= MIN_VALUES:
        return "matters"
    is_idle = fit >= GOOD_FIT and total < MAX_IDLE_SHARE and num_trials >= MIN_IDLE_TRIALS
    return "does not matter" if is_idle else "not known yet"


def _curve(forests: Forests, column: int, cells_N: np.ndarray) -> tuple[CurvePoint, ...]:
    param, means_BG = forests.cells.params[column], forests.means(column)
    counts = np.bincount(cells_N[cells_N >= 0], minlength=param.num)
    points = []
    for value, means_B, count in zip(param.middles, means_BG.T, counts, strict=True):
        is_empty = bool(np.isnan(means_B).any())
        low, high = (None, None) if is_empty else map(float, np.quantile(means_B, INTERVAL))
        points.append(CurvePoint(value, None if is_empty else float(means_B.mean()), low, high, int(count)))
    return tuple(points)


def _interactions(forests: Forests, params: list[ParamImportance]) -> tuple[Interaction, ...]:
    """Of the largest params, pairs whose interval is above MIN_PAIR_SHARE; none where little is fitted, or of a choice and its branch."""
    if forests.fit < GOOD_FIT:
        return ()
    number = {param.name: column for column, param in enumerate(forests.cells.params)}
    found = []
    for one, other in combinations([param.name for param in params if param.verdict == "matters"][:NUM_PAIRED], 2):
        first, second = number[one], number[other]
        if first in forests.cells.blocks[second] or second in forests.cells.blocks[first]:
            continue
        shares_B = forests.joint_shares(first, second)
        low, high = map(float, np.quantile(shares_B, INTERVAL))
        if low > MIN_PAIR_SHARE:
            found.append(Interaction(one, other, float(shares_B.mean()), low, high))
    return tuple(sorted(found, key=lambda pair: -pair.share))
