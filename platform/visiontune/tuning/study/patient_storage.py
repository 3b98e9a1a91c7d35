"""Optuna's storage in a database that may be away for a while: what it was asked is asked again, with growing pauses, and said."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from itertools import count
from typing import Any

from optuna.exceptions import DuplicatedStudyError
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
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
        self._num_trials: dict[int, int] = {}  # by study, as this driver knows them

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

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial) -> int:
        """As the storage's own, or where the connection broke the trial that is there by now: of those that are new the one with its params
        and attributes, as nobody else adds any to a driver's study.
        """
        if study_id not in self._num_trials:
            self._num_trials[study_id] = len(self.get_all_trials(study_id, deepcopy=False))

        as_json = partial(json.dumps, sort_keys=True)  # as they come back: a tuple as a list, numbers among keys as text

        def is_it(trial: FrozenTrial) -> bool:
            return trial.params == template_trial.params and as_json(trial.user_attrs) == as_json(template_trial.user_attrs)

        def find() -> int | None:
            new = self._patient.get_all_trials(study_id, deepcopy=False)[self._num_trials[study_id] :]
            return next((trial._trial_id for trial in new if is_it(trial)), None)

        trial_id = self._done_once(lambda: self._patient.create_new_trial(study_id, template_trial=template_trial), find)
        self._num_trials[study_id] += 1
        return int(trial_id)

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        """As the storage's own, or where the connection broke True of a trial that has ended so, with these values, by now."""

        def find() -> bool | None:
            trial = self._patient.get_trial(trial_id)
            is_so = trial.state == state and trial.values == (None if values is None else [*values])
            return True if state.is_finished() and is_so else None

        return bool(self._done_once(lambda: self._patient.set_trial_state_values(trial_id, state=state, values=values), find))

    def _done_once(self, do: Callable[[], Any], find: Callable[[], Any]) -> Any:
        """What it gives, or, asked again, what an earlier try is found to have done."""
        tries = count()

        def attempt() -> Any:
            done = find() if next(tries) else None
            return do() if done is None else done

        return self._asked_again(attempt)

    def _asked_again(self, ask: Callable[[], Any]) -> Any:
        give_up_s = GIVE_UP_S if self.is_patient else 0.0
        again = Retrying(
            retry=retry_if_exception(is_away),
            wait=wait_exponential(FIRST_PAUSE_S, max=LONGEST_PAUSE_S),
            stop=stop_after_delay(give_up_s),
            before_sleep=self._tell,
            reraise=True,
        )
        try:
            return again(ask)
        except Exception as error:
            if not is_away(error):
                raise
            how = f"has not answered for {give_up_s / 60:.0f} minutes" if give_up_s else "does not answer"
            raise SearchFailed(f"the study's database {how} ({shown(_said(error))}); once it does the same command goes on") from error

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
