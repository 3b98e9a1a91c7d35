"""Optuna's storage in a database that may be away for a while: what it was asked is asked again, with growing pauses, and said."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from optuna.exceptions import DuplicatedStudyError
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import TrialState
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_delay, wait_exponential

from visiontune.errors import SearchFailed, first_line
from visiontune.filesystem.uri import shown

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 10.0
GIVE_UP_S = 900.0
"""A database that restarts, or moves to another machine, takes minutes; after this the search ends, and the same command goes on."""

Say = Callable[[str], None]


class PatientStorage:
    """Whatever the storage can do. What fails for want of a connection is done again for up to GIVE_UP_S; other errors are raised at once.

    What was created before the connection broke is found again, and not created twice; a trial that was ended is not ended again.
    `say` is told of each pause. Raises SearchFailed after GIVE_UP_S, at once where it is no longer `is_patient`.
    """

    def __init__(self, storage: BaseStorage, say: Say = lambda text: None) -> None:
        self._patient, self.say = storage, say
        self.is_patient = True

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._patient, name)
        if name.startswith("_") or not callable(found):
            return found
        return lambda *args, **more: self._asked_again(lambda: found(*args, **more))

    def create_new_study(self, directions: Sequence[StudyDirection], study_name: str) -> int:
        """As the storage's own, or that study where it is there by now."""

        def create() -> int:
            try:
                return self._patient.create_new_study(directions, study_name)
            except DuplicatedStudyError:
                return self._patient.get_study_id_from_name(study_name)

        return int(self._asked_again(create))

    def create_new_trial(self, study_id: int, template_trial: Any = None) -> int:
        """As the storage's own."""
        known = len(self.get_all_trials(study_id, deepcopy=False))

        def create() -> int:
            for trial in self._patient.get_all_trials(study_id, deepcopy=False)[known:]:
                if trial.user_attrs == template_trial.user_attrs and trial.params == template_trial.params:
                    return int(trial._trial_id)
            return int(self._patient.create_new_trial(study_id, template_trial=template_trial))

        return int(self._asked_again(create))

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        """As the storage's own."""

        def end() -> bool:
            is_done = state.is_finished() and self._patient.get_trial(trial_id).state == state
            return is_done or self._patient.set_trial_state_values(trial_id, state=state, values=values)

        return bool(self._asked_again(end))

    def _asked_again(self, ask: Callable[[], Any]) -> Any:
        again = Retrying(
            retry=retry_if_exception(is_away),
            wait=wait_exponential(FIRST_PAUSE_S, max=LONGEST_PAUSE_S),
            stop=stop_after_delay(GIVE_UP_S if self.is_patient else 0.0),
            before_sleep=self._tell,
            reraise=True,
        )
        try:
            return again(ask)
        except Exception as error:
            if not is_away(error):
                raise
            why = f"the study's database has not answered for {GIVE_UP_S / 60:.0f} minutes ({shown(_said(error))})"
            raise SearchFailed(f"{why}; once it does the same command goes on") from error

    def _tell(self, state: RetryCallState) -> None:
        if state.outcome is not None and state.next_action is not None and (error := state.outcome.exception()) is not None:
            self.say(f"the study's database does not answer ({shown(_said(error))}); asked again in {state.next_action.sleep:.2g} s")


def is_away(error: BaseException) -> bool:
    """Whether a database could not be reached, or the connection to it broke; not where it refuses what it is asked."""
    from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

    cause = error if isinstance(error, DBAPIError) else error.__cause__
    return isinstance(cause, OperationalError | InterfaceError) or (isinstance(cause, DBAPIError) and cause.connection_invalidated)


def _said(error: BaseException) -> str:
    from sqlalchemy.exc import DBAPIError

    cause = error if isinstance(error, DBAPIError) else error.__cause__ or error
    return first_line(getattr(cause, "orig", None) or cause)
