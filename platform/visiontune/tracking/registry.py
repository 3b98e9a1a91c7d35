"""MLflow's model registry: a study's winner becomes a version, and the champion only where it is better by more than its interval."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mlflow.exceptions import MlflowException

from visiontune.filesystem.atomic_write import write_whole
from visiontune.filesystem.study_folder import StudyFolder

CHAMPION = "champion"
_PREFIX, _SAID = "visiontune.", "visiontune.said"
_KEPT = ("study", "number", "mean", "half_width", "num_seeds", "test_top1", "test_map", "metric", "mode", "data_digest")


def register(client: Any, uri: str, folder: StudyFolder, run_id: str, event: Mapping[str, Any]) -> str:
    """Make the run's logged model a version, once; what became of it, in a sentence that the study's folder has too.

    Said again it decides nothing anew: who was made champion since stays it. Raises what may be tried again later.
    """
    import mlflow

    name = str(event["name"])
    model_uri = client.get_run(run_id).data.tags.get("visiontune.winner_model", "")
    if not model_uri.startswith("models:/"):
        said = f"not registered, as there is no model in MLflow ({model_uri})"
    else:
        mlflow.set_tracking_uri(uri)
        model_id = model_uri.removeprefix("models:/")
        known = [one for one in client.search_model_versions(f"name = '{name}'") if one.model_id == model_id]
        tags = {_PREFIX + key: json.dumps(event[key]) if not isinstance(event[key], str) else event[key] for key in _KEPT if key in event}
        version = known[0] if known else mlflow.register_model(model_uri, name, tags=tags)
        said = version.tags.get(_SAID) or _decide(client, name, version.version, event)
    write_whole(folder.registered, json.dumps({"name": name, "said": said}))
    return f"{name}: {said}"


def _decide(client: Any, name: str, version: str, event: Mapping[str, Any]) -> str:
    champion = _champion(client, name)
    is_it = champion is not None and str(champion.version) == str(version)  # a kill came between the alias and the tag
    is_better, why = (True, "nothing was before it") if champion is None or is_it else is_champion(event, champion.tags, champion.version)
    if is_better:
        client.set_registered_model_alias(name, CHAMPION, version)
    said = f"version {version}, {'the champion' if is_better else 'not the champion'}: {why}"
    client.set_model_version_tag(name, version, _SAID, said)
    return said


def is_champion(event: Mapping[str, Any], present: Mapping[str, str], version: str) -> tuple[bool, str]:
    """Whether the event's mean is better than that of the present champion's tags by more than its own 95 % interval, and why."""
    try:
        theirs = {key: present[_PREFIX + key] for key in ("metric", "mode", "data_digest")} | {"mean": float(present[_PREFIX + "mean"])}
    except (KeyError, ValueError):
        return False, f"version {version} has no confirmed figures to compare with; move the alias yourself"
    if other := [key for key in ("metric", "mode", "data_digest") if theirs[key] != event[key]]:
        return False, f"version {version} was measured on another {other[0].replace('data_digest', 'set of pictures')}"
    if event["half_width"] is None:
        return False, f"one seed has no interval by which it could beat version {version}"
    gain = (event["mean"] - theirs["mean"]) * (1 if event["mode"] == "max" else -1)
    figures = f"{event['metric']} {event['mean']:.4g} ± {event['half_width']:.2g} against {theirs['mean']:.4g} of version {version}"
    return gain > event["half_width"], figures


def _champion(client: Any, name: str) -> Any:
    try:
        return client.get_model_version_by_alias(name, CHAMPION)
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise
