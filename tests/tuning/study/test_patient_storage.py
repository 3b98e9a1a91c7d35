"""A database that goes away is asked again: nothing lost, nothing doubled; one that refuses is not."""

from __future__ import annotations

from itertools import count, takewhile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import pytest
from optuna.storages import get_storage
from optuna.study import StudyDirection
from optuna.trial import TrialState, create_trial
from sqlalchemy.exc import DataError, OperationalError

from visiontune.errors import SearchFailed, UserError
from visiontune.tuning.study import driver_lease, patient_storage
from visiontune.tuning.study.patient_storage import PatientStorage
from visiontune.tuning.study.study_storage import Storage

GONE = OperationalError("INSERT", {}, Exception("server closed the connection unexpectedly"))


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, int]:
    monkeypatch.setattr(patient_storage, "FIRST_PAUSE_S", 0.01)
    storage = get_storage(f"sqlite:///{tmp_path}/studies.db")
    return storage, storage.create_new_study([StudyDirection.MAXIMIZE], "study")


def failing(monkeypatch: pytest.MonkeyPatch, storage: Any, name: str, error: Exception, *, is_done: bool) -> None:
    """The first two calls fail, after they were carried out or before."""
    found, left = getattr(storage, name), [error, error]

    def call(*args: Any, **more: Any) -> Any:
        if not left:
            return found(*args, **more)
        if is_done and len(left) == 2:
            found(*args, **more)
        raise left.pop()

    monkeypatch.setattr(storage, name, call)


@pytest.mark.parametrize("is_done", [True, False])
def test_a_trial_is_there_once_whenever_the_connection_breaks(
    study: tuple[Any, int], monkeypatch: pytest.MonkeyPatch, is_done: bool
) -> None:
    storage, number = study
    failing(monkeypatch, storage, "create_new_trial", GONE, is_done=is_done)
    said: list[str] = []
    template = create_trial(state=TrialState.RUNNING, params={}, distributions={}, user_attrs={"fingerprint": "abc"})
    trial_id = PatientStorage(storage, said.append).create_new_trial(number, template)
    assert [trial._trial_id for trial in storage.get_all_trials(number)] == [trial_id]
    assert said[0].startswith("the study's database does not answer (server closed the connection unexpectedly)")


def test_a_trial_is_known_again_by_what_its_storage_keeps_and_among_new_ones_only(
    study: tuple[Any, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tuple comes back as a list. An older trial that says the same is another; and while nothing breaks, trials are read but once."""
    storage, number = study
    template = create_trial(state=TrialState.RUNNING, params={}, distributions={}, user_attrs={"sizes": (1, 2)})
    patient, reads, read = PatientStorage(storage), list[int](), storage.get_all_trials
    monkeypatch.setattr(storage, "get_all_trials", lambda *args, **more: [reads.append(1), read(*args, **more)][1])
    created = [patient.create_new_trial(number, template) for _ in range(3)]
    assert len(reads) == 1
    for is_done in (True, False):
        with monkeypatch.context() as broken:
            failing(broken, storage, "create_new_trial", GONE, is_done=is_done)
            created.append(patient.create_new_trial(number, template))
    assert [trial._trial_id for trial in read(number)] == created and len({*created}) == 5


def test_what_a_database_refuses_is_not_asked_again(study: tuple[Any, int], monkeypatch: pytest.MonkeyPatch) -> None:
    storage, number = study
    refused = optuna.exceptions.StorageInternalError("refused")
    refused.__cause__ = DataError("UPDATE", {}, Exception("value too long"))
    failing(monkeypatch, storage, "set_study_user_attr", refused, is_done=False)
    with pytest.raises(optuna.exceptions.StorageInternalError):
        PatientStorage(storage).set_study_user_attr(number, "key", "x")
    failing(monkeypatch, storage, "get_study_name_from_id", GONE, is_done=False)
    assert PatientStorage(storage).get_study_name_from_id(number) == "study"


def test_a_study_that_was_created_as_the_connection_broke_is_that_study(study: tuple[Any, int], monkeypatch: pytest.MonkeyPatch) -> None:
    storage, _ = study
    failing(monkeypatch, storage, "create_new_study", GONE, is_done=True)
    created = PatientStorage(storage).create_new_study([StudyDirection.MINIMIZE], "another")
    assert storage.get_study_id_from_name("another") == created and len(storage.get_all_studies()) == 2


def test_a_trial_that_ended_as_the_connection_broke_is_not_ended_again(study: tuple[Any, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Optuna refuses that, which ended the search; what it refuses otherwise it still does."""
    storage, number = study
    trial = storage.create_new_trial(number, template_trial=create_trial(state=TrialState.RUNNING, params={}, distributions={}))
    failing(monkeypatch, storage, "set_trial_state_values", GONE, is_done=True)
    patient = PatientStorage(storage)
    assert patient.set_trial_state_values(trial, TrialState.COMPLETE, [0.5])
    assert storage.get_trial(trial).state == TrialState.COMPLETE and storage.get_trial(trial).values == [0.5]
    with pytest.raises(optuna.exceptions.UpdateFinishedTrialError):
        patient.set_trial_state_values(trial, TrialState.RUNNING)
    with pytest.raises(optuna.exceptions.UpdateFinishedTrialError):  # it was ended by another, so with these values, too
        patient.set_trial_state_values(trial, TrialState.COMPLETE, [0.5])
    failing(monkeypatch, storage, "set_trial_state_values", GONE, is_done=False)
    with pytest.raises(optuna.exceptions.UpdateFinishedTrialError):
        patient.set_trial_state_values(trial, TrialState.COMPLETE, [0.6])


def test_a_database_that_stays_away_is_given_up_in_a_sentence_and_a_lease_is_given_back_without_waiting_for_it(
    study: tuple[Any, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    storage, number = study
    monkeypatch.setattr(patient_storage, "GIVE_UP_S", 0.03)
    asked: list[str] = []

    def away(*_: Any) -> Any:
        asked.append("attributes")
        raise GONE

    opened = Storage(PatientStorage(storage), number)
    monkeypatch.setattr(storage, "get_study_user_attrs", away)
    with pytest.raises(SearchFailed, match=r"database has not answered for 0 minutes \(server closed the connection unexpectedly\); once"):
        opened.attributes()
    assert len(asked) > 1
    asked.clear()
    driver_lease.Lease(opened).release()
    assert len(asked) == 1
    with pytest.raises(SearchFailed, match=r"database does not answer \(server closed the connection unexpectedly\); once it does"):
        opened.attributes()


class Watched:
    """A database on a made clock, which is away for `away_s` from `from_s` on; its holder counts up every five seconds while it is there,
    and after that once it asks again; one that is dead never does.
    """

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, from_s: float, away_s: float, again_s: float, *, is_dead: bool, every_s: float
    ) -> None:
        self.now_s, self.is_removed, self._is_dead, self._every_s = 0.0, False, is_dead, every_s
        self._from_s, self._away_s, self._again_s = from_s, away_s, again_s
        clock = SimpleNamespace(sleep=self._pass, monotonic=lambda: self.now_s)
        monkeypatch.setattr(driver_lease, "time", clock)

    def _pass(self, seconds: float) -> None:
        self.now_s += seconds

    def _back_s(self, at_s: float) -> float:
        """When who asks then has an answer."""
        gone = at_s - self._from_s
        is_away = gone >= 0 and gone % self._every_s < self._away_s
        return at_s + self._away_s - gone % self._every_s if is_away else at_s

    def attributes(self) -> dict[str, Any]:
        self.now_s = self._back_s(self.now_s)
        beats = ((at_s if self._back_s(at_s) == at_s else self._back_s(at_s) + self._again_s) for at_s in count(5.0, 5.0))
        num = 0 if self._is_dead else sum(1 for _ in takewhile(lambda at_s: at_s <= self.now_s, beats))
        return {driver_lease.LEASE: {"pid": 7, "host": "there", "since": "noon", "count": num}}

    def set_attribute(self, key: str, value: Any) -> None:
        self.is_removed = value is None


@pytest.mark.parametrize(
    ("from_s", "away_s", "again_s", "is_dead", "every_s", "refusal"),
    [
        (1e9, 0.0, 0.0, False, 1e9, "is already driven by process 7 on there"),
        (1e9, 0.0, 0.0, True, 1e9, ""),
        (2.0, 15.0, 10.0, False, 1e9, "is already driven by process 7 on there"),  # it was taken for dead
        (2.0, 15.0, 10.0, True, 1e9, ""),
        (4.5, 300.0, 25.0, False, 1e9, "is already driven by process 7 on there"),
        (2.0, 5.0, 10.0, True, 20.0, "comes and goes, so that nobody can tell whether process 7 on there, since noon lives"),
    ],
)
def test_a_holder_is_not_taken_for_dead_while_its_database_was_away(
    monkeypatch: pytest.MonkeyPatch, from_s: float, away_s: float, again_s: float, is_dead: bool, every_s: float, refusal: str
) -> None:
    storage: Any = Watched(monkeypatch, from_s, away_s, again_s, is_dead=is_dead, every_s=every_s)
    if refusal:
        with pytest.raises(UserError, match=refusal):
            driver_lease.refuse_driven(storage, "postgresql://", "study")
    else:
        driver_lease.refuse_driven(storage, "postgresql://", "study")
    assert storage.is_removed == (not refusal)
