"""What a search with several objectives leaves of its front: recipes, and the weights of those that were trained again on fresh seeds."""

from __future__ import annotations

import statistics
from pathlib import Path

from visiontune.errors import plural
from visiontune.filesystem.atomic_write import write_whole
from visiontune.filesystem.study_folder import StudyFolder
from visiontune.spec.kept_files import keep_files, load_files
from visiontune.spec.reading.value_reader import listed
from visiontune.spec.yaml.yaml_writer import dump_recipe
from visiontune.tuning.ranking.front import front_of_study
from visiontune.tuning.records.records import Put, StudyRecord, TrialRecord
from visiontune.tuning.retraining.mlflow_events import artifact_event
from visiontune.tuning.study.read_confirmations import PREFIX


def leave_front(study: StudyRecord, folder: StudyFolder, put: Put) -> None:
    """Write the recipe of each trial of the front, where there are several objectives, and tell MLflow. Raises OSError.

    Weights are for `visiontune predict` and `visiontune export`, not for MLflow, which has the winner's model.
    """
    front = front_of_study(study) if study.objective.costs else []
    now = set()
    for trial in front:
        recipe = folder.front_recipe(trial.number)
        load_files(trial.as_trained, folder.path)
        keep_files(trial.as_trained, folder.front)
        dump_recipe(trial.as_trained, recipe, header="\n".join(_header(study, trial)))
        put(artifact_event(recipe, "front"))
        now |= {recipe, *_leave_weights(study, trial, folder)}
    for file in {*folder.front.glob("*.yaml"), *folder.front.glob("*.safetensors")} - now:  # of an earlier end of the search
        file.unlink(missing_ok=True)


def _header(study: StudyRecord, trial: TrialRecord) -> list[str]:
    said = ", ".join(f"{name} {trial.costs[name]:.6g}" for name in study.objective.costs)
    metric = study.objective.metric
    lines = [f"trial {trial.number} of study {study.name}: {metric} {trial.value:.4f} after {plural(trial.epoch, 'epoch')}, {said}"]
    values = [one.val_value for c in study.candidates if c.number == trial.number for one in c.confirmations if not one.failure]
    if values:
        spread = f" (standard deviation {statistics.stdev(values):.4f})" if len(values) > 1 else ""
        lines.append(f"on {len(values)} fresh seed{'s' * (len(values) > 1)}: {metric} {statistics.fmean(values):.4f}{spread}")
    return [*lines, f"on the front: no trial is better in one of {listed(study.objective.names)} without being worse in another"]


def _leave_weights(study: StudyRecord, trial: TrialRecord, folder: StudyFolder) -> list[Path]:
    """The winner's are in the study's own folder."""
    if study.winner is None or study.winner.number == trial.number or not any(one.number == trial.number for one in study.candidates):
        return []
    kept = sorted(folder.confirmed.glob(f"{PREFIX}{trial.fingerprint}.*.safetensors"))
    place = folder.front_weights(trial.number)
    if kept:
        write_whole(place, kept[0].read_bytes())
    return [place]
