"""What a study has of its confirmations, by the names of its attributes: who ran, who leads, who has won. Reads, and starts nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from visiontune.spec.declarations.trial_recipe import TrialRecipe
from visiontune.spec.space.study_spec import Objective
from visiontune.tuning.ranking.race import Runner, leader, probabilities
from visiontune.tuning.ranking.ranking import full_epochs, is_usable, ranked
from visiontune.tuning.ranking.several_objectives import fronts, losses_of, spread_out
from visiontune.tuning.records.leg import Leg
from visiontune.tuning.records.records import Candidate, Confirmation, TrialRecord

PREFIX = "confirmation."
TEST = "test."
AVERAGED, WITH_VAL = "averaged", "with_val"
RACE, KEPT, TESTS = "race", "kept", "tests"
"""Attributes of the study: how the race ended, whose weights are the winner's, who met the test split."""


def results_of(attributes: Mapping[str, Any], prefix: str) -> dict[str, Confirmation]:
    """Results by key, in the order of keys, out of a study's attributes."""
    return {key: Confirmation(**value) for key, value in sorted(attributes.items()) if key.startswith(prefix)}


def candidates_of(trials: Sequence[TrialRecord], objective: Objective, max_epochs: int, top: int) -> list[TrialRecord]:
    """The best trials that were trained in full, each recipe once whatever its seed; none where the very best was not.

    With several objectives those of their front, spread out over it, the best in the metric first.
    """
    found: dict[str, TrialRecord] = {}
    first = next(iter(ranked((trial for trial in trials if trial.state != "pruned"), objective)), None)
    if first is None or first.state != "complete" or not is_usable(first):
        return []
    for trial in ranked(trials, objective):
        if trial.state == "complete" and is_usable(trial) and full_epochs(trial) == max_epochs:
            recipe = TrialRecipe(**trial.recipe)
            found.setdefault(replace(recipe, training={**recipe.training, "seed": 0}).fingerprint, trial)
    wanted = _spread_over_the_front(list(found.values()), objective) if objective.costs else list(found.values())
    return wanted[:top] or [first]


def _spread_over_the_front(trials: Sequence[TrialRecord], objective: Objective) -> list[TrialRecord]:
    """Trials in the order of the ranking; the first stays first also where its costs are not known."""
    losses = {place: losses_of(trial.value or 0.0, trial.costs, objective) for place, trial in enumerate(trials)}
    known = {place: one for place, one in losses.items() if one is not None}
    order = spread_out(fronts(known)[0], known) if known else []
    return [trials[place] for place in dict.fromkeys([*([0] if trials else []), *order])]


def best_key(keys: Sequence[str], done: Mapping[str, Confirmation], objective: Objective) -> str:
    """The one whose training is the best on val; the first where none has a finite value."""
    sign = 1.0 if objective.mode == "max" else -1.0
    return max(keys, key=lambda key: sign * done[key].val_value if math.isfinite(done[key].val_value) else -math.inf)


def key_of(trial: TrialRecord, what: int | str) -> str:
    """Of the confirmation of a trial on a seed by its number, or of what else is made of them."""
    return f"{PREFIX}{trial.fingerprint}.{what if isinstance(what, str) else f'{what:03d}'}"


def seeds_of(trial: TrialRecord, done: Mapping[str, Confirmation]) -> dict[int, Confirmation]:
    """Its confirmations by the number of the seed."""
    prefix = f"{PREFIX}{trial.fingerprint}."
    ends = {key.removeprefix(prefix): one for key, one in done.items() if key.startswith(prefix)}
    return {int(end): one for end, one in ends.items() if end.isdigit()}


@dataclass(frozen=True)
class Race:
    """The candidates of a search, best first, with what was found of them; `out` is what workers have."""

    candidates: Sequence[TrialRecord]
    objective: Objective
    done: Mapping[str, Confirmation]
    out: Mapping[str, Leg]

    def runners(self) -> list[Runner]:
        """In the order of the candidates."""
        sign = 1.0 if self.objective.mode == "max" else -1.0
        found = []
        for trial in self.candidates:
            known = seeds_of(trial, self.done)
            values = {seed: sign * one.val_value for seed, one in known.items() if not one.failure}
            failed = tuple(seed for seed, one in known.items() if one.failure)
            prefix = f"{PREFIX}{trial.fingerprint}."
            under_way = tuple(
                leg.number for key, leg in self.out.items() if key.startswith(prefix) and not leg.use_val and not leg.averaged
            )
            found.append(Runner(sign * (trial.value or 0.0), values, under_way, failed))
        return found

    def winner(self) -> TrialRecord | None:
        """The one with the best mean so far."""
        ahead = leader(self.runners())
        return None if ahead is None else self.candidates[ahead]

    def outcome(self) -> dict[str, Any] | None:
        """What the study keeps of it."""
        winner = self.winner()
        if winner is None:
            return None
        chances = zip(self.candidates, probabilities(self.runners()), strict=True)
        return {"winner": winner.number, "candidates": [[trial.number, round(chance, 4)] for trial, chance in chances]}


def confirmed(attributes: Mapping[str, Any], trials: Sequence[TrialRecord], best: TrialRecord | None) -> dict[str, Any]:
    """Fields of a StudyRecord: who has won, out of the study's attributes. A race counts while the search's best was one of it."""
    race, done = attributes.get(RACE), results_of(attributes, PREFIX)
    numbers: dict[int, float] = dict(race["candidates"]) if race else {}
    if best is None or best.number not in numbers:
        own = tuple(seeds_of(best, done).values()) if best is not None else ()
        return {"confirmations": own, "num_tests": len(attributes.get(TESTS, ())) or int(any(one.is_tested for one in own))}
    ran = [trials[number] for number in numbers]
    found = [Candidate(t.number, t.value or 0.0, tuple(seeds_of(t, done).values()), numbers[t.number]) for t in ran]
    winner = trials[attributes[RACE]["winner"]]
    confirmations, kept, with_val = tuple(seeds_of(winner, done).values()), attributes.get(KEPT, ""), done.get(key_of(winner, WITH_VAL))
    return {
        "winner": winner,
        "candidates": tuple(found),
        "confirmations": confirmations,
        "with_val": with_val if with_val is None or not with_val.is_tested or kept == key_of(winner, WITH_VAL) else None,
        "averaged": done.get(key_of(winner, f"{AVERAGED}{sum(not one.failure for one in confirmations)}")),
        "kept": kept.rpartition(".")[2],
        "num_tests": len(attributes.get(TESTS, ())),
    }
