"""The study's storage, the only state of a search: an Optuna study in a journal file or a database, written one fact at a time.

A trial is created by one record that holds its params and its recipe, so a kill leaves it whole or not at all. The
attributes of a trial: `recipe`, `fingerprint`, `proposed_by`, from its first leg on `spent`: {epoch_s, num_gpus}, from its end on
`end`: {reason, kind}; `micro_batch` where memory allowed less than the recipe's; `legs`, where each was trained, and `losses` of workers
(trial_history.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from visiontune.tuning.study.checked_journal import CheckedStorage
from visiontune.tuning.study.patient_storage import PatientStorage


class Storage:
    """One study in its storage. Every method that writes returns only when the fact is on disk."""

    def __init__(self, storage: BaseStorage | PatientStorage, study_id: int) -> None:
        self._storage = storage
        self._study_id = study_id
        self._ids = {trial.number: trial._trial_id for trial in self.trials()}

    def tell(self, say: Callable[[str], None]) -> None:
        """Whom to tell while a database does not answer."""
        if isinstance(self._storage, PatientStorage):
            self._storage.say = say

    def hurry(self) -> None:
        """Wait for no database any more."""
        if isinstance(self._storage, PatientStorage):
            self._storage.is_patient = False

    def when_full(self, on_full: Callable[[str], None]) -> None:
        """Whom to tell that the journal's disk is full; it is written once there is room."""
        if isinstance(self._storage, CheckedStorage):
            self._storage.file.on_full = on_full

    def trials(self) -> list[FrozenTrial]:
        """All trials by number; not to be changed by the caller."""
        return self._storage.get_all_trials(self._study_id, deepcopy=False)

    def trial(self, number: int) -> FrozenTrial:
        """One trial as it stands."""
        return self._storage.get_trial(self._ids[number])

    def attributes(self) -> dict[str, Any]:
        """The study's own attributes: identity, key, pictures, resources, num_trials, spent, confirmations, and finished once it is."""
        return self._storage.get_study_user_attrs(self._study_id)

    def set_attribute(self, key: str, value: Any) -> None:
        """Set one attribute of the study."""
        self._storage.set_study_user_attr(self._study_id, key, value)

    def add(
        self,
        params: Mapping[str, Any],
        distributions: Mapping[str, BaseDistribution],
        attributes: dict[str, Any],
        system: dict[str, Any],
        state: TrialState = TrialState.RUNNING,
    ) -> int:
        """Create a trial in one record, running or, with its end among the attributes, failed; returns its number."""
        template = create_trial(
            state=state,
            params=dict(params),
            distributions=dict(distributions),
            user_attrs=attributes,
            system_attrs=system,
        )
        trial_id = self._storage.create_new_trial(self._study_id, template_trial=template)
        number = len(self._ids)
        self._ids[number] = trial_id
        return number

    def report(self, number: int, epoch: int, value: float) -> None:
        """Record the objective after an epoch."""
        self._storage.set_trial_intermediate_value(self._ids[number], epoch, value)

    def spent(self, number: int, epoch_s: Mapping[int, float], num_gpus: float, price_per_hour: float | None = None) -> None:
        """Record what the epochs of a trial took: seconds by epoch, on how many GPUs, and what an hour of all its workers costs."""
        if epoch_s:
            rounded = {str(epoch): round(seconds, 4) for epoch, seconds in epoch_s.items()}
            price = {} if price_per_hour is None else {"price_per_hour": price_per_hour}
            self._storage.set_trial_user_attr(self._ids[number], "spent", {"epoch_s": rounded, "num_gpus": num_gpus, **price})

    def set_costs(self, number: int, costs: Mapping[str, float]) -> None:
        """Record what a trial costs to use, as far as it is known."""
        self._storage.set_trial_user_attr(self._ids[number], "costs", dict(costs))

    def set_repeats(self, number: int, epoch: int, values: Sequence[float]) -> None:
        """Record the objective of each network of a trial after its newest epoch."""
        self._storage.set_trial_user_attr(self._ids[number], "repeats", {"epoch": epoch, "values": list(values)})

    def set_micro_batch(self, number: int, micro_batch: int) -> None:
        """Record that memory allowed a trial no more pictures at a time."""
        self._storage.set_trial_user_attr(self._ids[number], "micro_batch", micro_batch)

    def note(self, number: int, key: str, fact: Mapping[str, Any]) -> None:
        """Append a fact to those of a trial under this key."""
        facts = self.trial(number).user_attrs.get(key, [])
        self._storage.set_trial_user_attr(self._ids[number], key, [*facts, dict(fact)])

    def end(self, number: int, state: TrialState, value: float | None, reason: str, kind: str = "") -> None:
        """Give a trial its final state; the reason goes first, so that an ended trial always has one."""
        self._storage.set_trial_user_attr(self._ids[number], "end", {"reason": reason, "kind": kind})
        values = None if value is None or state is TrialState.FAIL else [value]
        self._storage.set_trial_state_values(self._ids[number], state, values)
