"""Where new trials come from: known recipes first, then the sampler; what would cost too much is a trial that has failed already."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from optuna.trial import FrozenTrial

from visiontune.spec.parse import make_recipe
from visiontune.spec.space.study_spec import StudySpec
from visiontune.tuning.budget.enough import is_out_of_patience
from visiontune.tuning.budget.spending import Spending
from visiontune.tuning.proposals.sampler import Proposal, Proposer
from visiontune.tuning.proposals.start_recipes import StartPoint, StartRecipes
from visiontune.tuning.ranking.constraints import MAX_REFUSED, CostsOf, problem_of_costs
from visiontune.tuning.search.search_trials import SearchTrials
from visiontune.tuning.study.study_storage import Storage


class NewTrials:
    """`found` are those of the storage. `costs_of`: what is known of a recipe's costs before a worker has it."""

    def __init__(self, spec: StudySpec, storage: Storage, trials: SearchTrials, spending: Spending, found: Sequence[FrozenTrial]) -> None:
        self._spec, self._storage, self._trials, self._spending = spec, storage, trials, spending
        self._proposer = Proposer(spec, found)
        self._is_exhausted = False
        self.starts = StartRecipes(spec, storage, found)
        self.costs_of: CostsOf = lambda recipe: {}

    def next(self, is_allowed: Callable[[], bool]) -> int | None:
        """The first recipe that costs no more than it may, as far as that is known, as a trial; the others have then failed."""
        while (start := self.starts.next()) is not None or self._may_propose():
            if not self.has_room(start) or not is_allowed():
                return None
            number = len(self._trials.records)
            proposal = self._proposer.propose(number, start)
            if proposal is None:
                self._is_exhausted = True
                return None
            if self._is_accepted(number, proposal, start.key if start is not None else ""):
                return number
        return None

    def has_room(self, start: StartPoint | None) -> bool:
        """Whether the number of trials allows one more; the best of a smaller full budget are trained again whatever it is."""
        most = self._spec.budget.num_trials
        return most is None or self._trials.num_begun < most or (start is not None and start.is_again)

    def is_last_known(self) -> bool:
        """Whether no known recipe is left that there is room for."""
        start = self.starts.next()
        return start is None or not self.has_room(start)

    def learn(self, number: int) -> None:
        """Tell the sampler how a trial stands."""
        self._proposer.learn(self._storage.trial(number))

    def _may_propose(self) -> bool:
        """Whether the sampler may be asked for one more."""
        trials = self._trials
        if trials.num_refused_in_a_row >= MAX_REFUSED:
            self._spending.refused = "constraints"
        elif is_out_of_patience(self._spec, trials.curves, len(trials.records), trials.refused):
            self._spending.refused = "patience"
        else:
            return not self._is_exhausted
        return False

    def _is_accepted(self, number: int, proposal: Proposal, start: str) -> bool:
        """Whether what is known of a proposal lets it be trained. It is a trial either way."""
        recipe = make_recipe(self._spec, proposal.sections, number)
        costs = {**self.costs_of(recipe), **self._trials.measured_of(recipe)}
        problem = problem_of_costs(costs, self._spec.constraints)
        self._trials.add(proposal, recipe, start, costs, problem)
        self.starts.begun(start, proposal.params)
        if problem:
            self.learn(number)
        return not problem
