"""Who has won, found by training the best of a search again: the race, then what becomes of its winner.

With several objectives the candidates are of a front, and no rivals: each is trained on all seeds. The winner is the best in the metric.

Only validation figures decide. The winner alone meets the test split, all its networks do, and that once it is known that it has won;
each time is an entry of the study's attribute `tests`. Which of its weights are kept is decided by validation too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from visiontune.filesystem.study_folder import StudyFolder
from visiontune.spec.declarations.fingerprint import keyed_seed
from visiontune.spec.declarations.trial_recipe import TrialRecipe
from visiontune.spec.space.epoch_forecast import num_retrainings
from visiontune.spec.space.study_spec import StudySpec
from visiontune.tuning.ranking.race import next_in_turn, next_runners
from visiontune.tuning.records.leg import Leg
from visiontune.tuning.records.records import Confirmation, TrialRecord
from visiontune.tuning.retraining.retraining_queue import HasRoom
from visiontune.tuning.study.met_test_set import note_meeting
from visiontune.tuning.study.read_confirmations import (
    AVERAGED,
    KEPT,
    PREFIX,
    RACE,
    TEST,
    WITH_VAL,
    Race,
    best_key,
    candidates_of,
    key_of,
    seeds_of,
)
from visiontune.tuning.study.study_storage import Storage


class Confirmations:
    """The policy of a search's end."""

    prefix, phase = PREFIX, "confirming"

    def __init__(self, spec: StudySpec, storage: Storage, folder: StudyFolder, candidates: Sequence[TrialRecord]) -> None:
        self._spec, self._storage, self._folder, self._candidates = spec, storage, folder, candidates
        self._settled: Mapping[str, Any] | None = None

    def next_leg(self, done: Mapping[str, Confirmation], out: Mapping[str, Leg], has_room: HasRoom) -> Leg | None:
        """Of the race, until it is settled or nothing more fits; then of what the winner's weights need, then its tests."""
        race = Race(self._candidates, self._spec.objective, done, out)
        if self._settled is None and (leg := self._next_of(race, has_room)) is not None:
            return leg
        is_racing = self._settled is None and bool(out)
        winner = None if is_racing else race.winner()
        if winner is None:
            return None
        self._settle(race)
        made = next((leg for leg in self._makings(winner, done) if leg.key in out or has_room(leg, ())), None)
        wanted = self._tests(winner, done) if made is None else [made]
        return next((leg for leg in wanted if leg.key not in out), None)

    def num_wanted(self, done: Mapping[str, Confirmation]) -> int:
        """Of the whole race, with no more recipes than there are, what is not done."""
        top = min(int(self._spec.confirm["top"]), len(self._candidates))
        num = num_retrainings(replace(self._spec, confirm={**self._spec.confirm, "top": top}))
        num -= sum(len(seeds_of(one, done)) for one in self._candidates)
        return max(0, num - any(self._spec.confirm["use_val"] and key_of(one, WITH_VAL) in done for one in self._candidates))

    def recorded(self, leg: Leg, result: Confirmation) -> None:
        """The winner's weights are those of this leg from now on."""
        if leg.is_winner and not result.failure:
            self._storage.set_attribute(KEPT, leg.weights)

    def _next_of(self, race: Race, has_room: HasRoom) -> Leg | None:
        """A race with too little room has fewer recipes, not fewer seeds of the winner: whoever leads keeps room for its own.

        Before there is one, that is the search's best.
        """
        runners, num_seeds = race.runners(), int(self._spec.confirm["num_seeds"])
        ahead = race.winner() or self._candidates[0]
        begun = runners[list(self._candidates).index(ahead)].begun
        own = {(leg := self._training(ahead, number)).key: leg for number in range(num_seeds) if number not in begun}
        places = (next_in_turn if self._spec.objective.costs else next_runners)(runners, num_seeds)
        wanted = [self._training(self._candidates[place], runners[place].next_seed) for place in places]
        for leg in wanted:
            if has_room(leg, () if leg.key in own else list(own.values())):
                return leg
        return next((leg for leg in own.values() if wanted and has_room(leg, ())), None)

    def _training(self, trial: TrialRecord, number: int) -> Leg:
        seed = keyed_seed(int(self._spec.sampler["seed"]), "confirmation", number)
        return self._leg(trial, key_of(trial, number), number, seed, weights=key_of(trial, number))

    def _leg(self, trial: TrialRecord, key: str, number: int, seed: int, **more: Any) -> Leg:
        recipe = TrialRecipe(**trial.recipe)
        recipe = replace(recipe, training={**recipe.training, "seed": seed})
        return Leg(key, number, recipe, known_epochs=0, is_confirmation=True, micro_batch=trial.micro_batch, **more)

    def _settle(self, race: Race) -> None:
        """The race is over: said in the study, and the others' weights go; with another winner than before, the study's go too.

        Of recipes of a front the weights of the best seed stay.
        """
        outcome = race.outcome()
        if self._settled is not None or outcome is None:
            return
        self._settled = outcome
        self._storage.set_attribute(RACE, outcome)
        winner = race.winner()
        assert winner is not None
        own = f"{PREFIX}{winner.fingerprint}."
        for file in self._folder.confirmed.glob(f"{PREFIX}*.safetensors"):
            if not file.name.startswith(own) and file.stem not in self._best_of_each(race):
                file.unlink(missing_ok=True)
        is_tested = any(one.is_tested for one in seeds_of(winner, race.done).values())
        if not (self._storage.attributes().get(KEPT, own).startswith(own) and is_tested):  # studies older than races keep without a word
            for file in (self._folder.winner, self._folder.winner_weights, self._folder.winner_test):
                file.unlink(missing_ok=True)

    def _best_of_each(self, race: Race) -> set[str]:
        """Keys of the weights that recipes of a front keep."""
        trials = self._candidates if self._spec.objective.costs else []
        keys = ([key_of(one, number) for number, c in seeds_of(one, race.done).items() if not c.failure] for one in trials)
        return {best_key(own, race.done, self._spec.objective) for own in keys if own}

    def _makings(self, winner: TrialRecord, done: Mapping[str, Confirmation]) -> Iterator[Leg]:
        """What is made of the winner before it is tested: the mean of its weights, a training with the validation pictures."""
        good = [number for number, one in seeds_of(winner, done).items() if not one.failure]
        if self._spec.confirm["weights"] == "soup" and len(good) > 1 and not self._spec.confirm["use_val"]:
            key = key_of(winner, f"{AVERAGED}{len(good)}")
            if key not in done:
                yield replace(self._training(winner, good[0]), key=key, weights=key, averaged=tuple(key_of(winner, n) for n in good))
        if self._spec.confirm["use_val"] and key_of(winner, WITH_VAL) not in done:
            seed = keyed_seed(int(self._spec.sampler["seed"]), "confirmation", WITH_VAL)
            key = key_of(winner, WITH_VAL)
            yield self._leg(winner, key, len(good), seed, weights=key, use_val=True)

    def _tests(self, winner: TrialRecord, done: Mapping[str, Confirmation]) -> list[Leg]:
        """One for each network that has not met the test split so, and again for one that is to be kept and is not yet."""
        kept, views = self._kept(winner, done), self._spec.confirm["test_time"]
        seeds = [key_of(winner, number) for number, one in seeds_of(winner, done).items() if not one.failure]
        networks = [kept] if kept.endswith(WITH_VAL) else [*seeds, *([kept] if kept not in seeds else [])]
        is_at_hand = self._storage.attributes().get(KEPT) == kept
        known = {key for key in networks if done[key].is_tested and views in ("none", done[key].test_time)}
        left = [key for key in networks if key not in known or (key == kept and not is_at_hand)]
        wanted = [key for key in left if TEST + key not in done]
        if wanted:
            more = {} if views == "none" else {"test_time": views}
            note_meeting(self._storage, {"trial": winner.number, "networks": networks, "kept": kept, **more})
        return [self._test(winner, key, done[key].seed, is_winner=key == kept) for key in wanted]

    def _test(self, winner: TrialRecord, key: str, seed: int, *, is_winner: bool) -> Leg:
        more = {"test_time": self._spec.confirm["test_time"], "use_val": key.endswith(WITH_VAL), "is_winner": is_winner}
        return self._leg(winner, TEST + key, 0, seed, weights=key, is_test=True, **more)

    def _kept(self, winner: TrialRecord, done: Mapping[str, Confirmation]) -> str:
        """Whose weights become the winner's: those with val's pictures where they were asked for, else the best on val."""
        if self._spec.confirm["use_val"] and (with_val := key_of(winner, WITH_VAL)) in done and not done[with_val].failure:
            return with_val
        keys = [key_of(winner, number) for number, one in seeds_of(winner, done).items() if not one.failure]
        averaged = key_of(winner, f"{AVERAGED}{len(keys)}")
        keys += [averaged] * (self._spec.confirm["weights"] == "soup" and averaged in done and not done[averaged].failure)
        return best_key(keys, done, self._spec.objective)


def confirm_best(spec: StudySpec, storage: Storage, folder: StudyFolder, trials: Sequence[TrialRecord]) -> Confirmations | None:
    """The policy for the best of these trials, None where nothing is to be confirmed or nothing was trained in full."""
    candidates = candidates_of(trials, spec.objective, spec.budget.max_epochs, int(spec.confirm["top"]))
    return Confirmations(spec, storage, folder, candidates) if candidates and spec.confirm["num_seeds"] else None
