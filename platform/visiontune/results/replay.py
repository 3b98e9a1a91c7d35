"""A trial trained again from its record, epoch by epoch beside what the study and MLflow's outbox have of it. Where it took the weights of
others, that is their epochs first.

On the same kind of CPU, with as many of torch's threads, the figures are those of the search to the last bit; on a GPU only where the
recipe says use_deterministic.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import torch

from visiontune.data.prepare import prepare
from visiontune.data.store.store import Store
from visiontune.errors import Diverged, UserError, plural
from visiontune.filesystem.study_folder import StudiesFolder, StudyFolder
from visiontune.results.study import Study
from visiontune.results.tables.strict_json import strict
from visiontune.spec.declarations.trial_recipe import TrialRecipe
from visiontune.spec.plugins import uses_plugins
from visiontune.tracking.outbox import read_lines
from visiontune.training.loop import train
from visiontune.training.several_networks import train_repeats
from visiontune.training.train_recipe import find_device
from visiontune.tuning.records.records import TrialRecord
from visiontune.tuning.study.lineage import lineage
from visiontune.tuning.study.study_pictures import differences, facts_of
from visiontune.tuning.study.trial_history import TrialHistory, read_history

CLOCKS = ("epoch_s", "data_wait_share")
"""Metrics of an epoch that the machine's load decides."""

Metrics = Mapping[str, float]
OnEpoch = Callable[[int, Metrics, Metrics], object]


@dataclass(frozen=True)
class Difference:
    """The first figure that is another one than the study's."""

    epoch: int
    metric: str
    recorded: float
    replayed: float


@dataclass(frozen=True)
class Replay:
    """How a trial went when it was trained again. `difference` is the first, None where all figures of `num_epochs` epochs are equal.

    `num_figures` were compared; `largest` is the largest difference of the objective. `note` says why bits may differ.
    """

    number: int
    metric: str
    device: str
    num_epochs: int
    num_figures: int
    difference: Difference | None
    largest: float
    note: str = ""

    @property
    def is_equal(self) -> bool:
        """To the last bit."""
        return self.difference is None

    def to_dict(self) -> dict[str, Any]:
        """For programs; a value that is not finite becomes null."""
        return {**strict(asdict(self)), "is_equal": self.is_equal}

    def __str__(self) -> str:
        head = f"trial {self.number} again, {plural(self.num_epochs, 'epoch')} on {self.device}"
        if self.difference is None:
            return f"{head}: all {self.num_figures} figures are equal to the last bit"
        one = self.difference
        first = f"the first difference is {one.metric} after epoch {one.epoch}: {one.recorded!r} recorded, {one.replayed!r} now"
        return f"{head}: {first}; {self.metric} differs by {self.largest:.3g} at most{self.note}"


def recorded_metrics(trial: TrialRecord, folder: StudyFolder, metric: str, low: int = 0) -> dict[int, dict[str, float]]:
    """What is known of each epoch after `low`: the objective, and all metrics where the outbox has an epoch of that very objective."""
    found = {epoch: {metric: value} for epoch, value in trial.values.items() if epoch > low}
    offset, is_more = 0, True
    while is_more:
        lines, end = read_lines(folder, offset)
        for event in (line.event for line in lines if line.event["event"] == "epoch" and line.event.get("number") == trial.number):
            known, metrics = found.get(event["epoch"], {}), event["metrics"]
            if len(known) == 1 and metrics.get(metric) == known[metric]:  # else of an earlier study of that name
                known |= {name: value for name, value in metrics.items() if name not in CLOCKS}
        offset, is_more = end, end > offset
    return found


def replay_trial(
    study: Study,
    number: int,
    *,
    epochs: int | None = None,
    device: str | None = None,
    on_epoch: OnEpoch = lambda epoch, recorded, replayed: None,
) -> Replay:
    """Train a trial again, all epochs that are recorded or the first `epochs`; device None: the kind that the search used.

    `on_epoch` is called with each epoch, what is recorded of it and what came out now. Raises UserError for a trial without an epoch,
    more epochs than recorded, other pictures, and a device that is not there.
    """
    trial = study.record.trial(number)
    last = _last_epoch(trial, epochs)
    history = read_history(study.folder, number, study.storage_url)
    name = find_device(device or ("cuda" if history.num_gpus else "cpu"))
    return _replay(study.recipe(number), trial, history, study, last, name, on_epoch)


@uses_plugins
def _replay(
    recipe: TrialRecipe,
    trial: TrialRecord,
    history: TrialHistory,
    study: Study,
    last: int,
    name: str,
    on_epoch: OnEpoch,
) -> Replay:
    metric = study.record.objective.metric
    known = _of_lineage(trial, study, metric)
    store = _same_store(recipe, study.folder, study.record.pictures)
    compared: list[tuple[int, str, float, float]] = []
    with _threads(history, name):
        for epoch, metrics in _trained(partial(_training(trial, study), recipe, store, device=name), known, last, metric):
            on_epoch(epoch, known[epoch], metrics)
            compared += [(epoch, key, value, metrics[key]) for key, value in known[epoch].items() if key in metrics]
    different = [Difference(*one) for one in compared if not _is_same(one[2], one[3])]
    largest = max((abs(one.recorded - one.replayed) for one in different if one.metric == metric), default=0.0)
    note = _why(recipe, history, name) if different else ""
    return Replay(trial.number, metric, name, last, len(compared), different[0] if different else None, largest, note)


def _of_lineage(trial: TrialRecord, study: Study, metric: str) -> dict[int, dict[str, float]]:
    """What is known of each epoch that made the trial's weights: of others' up to where it took theirs."""
    known: dict[int, dict[str, float]] = {}
    for one in lineage({other.number: other for other in study.record.trials}, trial.number, trial.epoch):
        found = recorded_metrics(study.record.trial(one.number), study.folder, metric, one.low)
        known |= {epoch: metrics for epoch, metrics in found.items() if epoch <= one.high}
    return known


def _training(trial: TrialRecord, study: Study) -> Callable[..., Iterator[Any]]:
    """What trains one network, or all those of a trial that has several."""
    is_folded = int(study.record.identity.get("data.folds", 1)) > 1
    return partial(train_repeats, num=len(trial.repeats), is_folded=is_folded) if trial.repeats else train


def _trained(run: Callable[[], Iterator[Any]], known: Mapping[int, Metrics], last: int, metric: str) -> Iterator[tuple[int, Metrics]]:
    """Epochs up to the last one; that at which training diverged has NaN for the objective, which the study may have too."""
    try:
        for epoch in run():
            yield epoch.epoch, epoch.metrics
            if epoch.epoch >= last:
                return
    except Diverged as error:
        if error.epoch in known and error.epoch <= last:
            yield error.epoch, {metric: math.nan}


def _is_same(recorded: float, replayed: float) -> bool:
    return recorded == replayed or (math.isnan(recorded) and math.isnan(replayed))


def _last_epoch(trial: TrialRecord, epochs: int | None) -> int:
    if not trial.values:
        why = f": it {trial.state} ({trial.kind}: {trial.reason})" if trial.kind else ""
        raise UserError(f"trial {trial.number} has no epoch to compare{why}")
    if epochs is not None and epochs > trial.epoch:
        raise UserError(
            f"trial {trial.number} has {plural(trial.epoch, 'epoch')} to compare, but got epochs={epochs}; nearest is {trial.epoch}"
        )
    return epochs or trial.epoch


def _same_store(recipe: TrialRecipe, folder: StudyFolder, noted: Mapping[str, Any]) -> Store:
    store = Store.open(prepare(recipe.data, StudiesFolder(folder.path.parent).data_cache))
    if noted and noted["digest"] != store.digest:
        what = next(differences(noted, facts_of(store)))
        raise UserError(f"study {folder.name} had other pictures, so no trial of it can be replayed: {what}")
    return store


@contextmanager
def _threads(history: TrialHistory, device: str) -> Iterator[None]:
    """As many of torch's threads as the trial had, on which its sums depend; 1 where that is not recorded, as on a CPU by default."""
    before = torch.get_num_threads()
    if device == "cpu":
        torch.set_num_threads(history.places[-1].num_threads if history.places else 1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _why(recipe: TrialRecipe, history: TrialHistory, device: str) -> str:
    """What is known to change the last bits."""
    was = "cuda" if history.num_gpus else "cpu"
    if was != device:
        return f"; the search trained on {was}, where sums are made in another order"
    if device == "cuda" and not recipe.training["use_deterministic"]:
        return "; on a GPU bits differ without training.use_deterministic"
    threads = {place.num_threads for place in history.places}
    if len(threads) > 1:
        return f"; its legs had {', '.join(map(str, sorted(threads)))} threads, on which sums depend"
    if not history.places:
        return "; how many threads the search had is not recorded, and sums depend on them (here 1)" if device == "cpu" else ""
    here = torch.cuda.get_device_name() if device == "cuda" else ""
    gpus = {place.gpu for place in history.places}
    return f"; the search had {', '.join(sorted(gpus))}, and this is {here}" if gpus != {here} else ""
