"""The leaderboard in MLflow's UI: a view of the runs that stands in the experiment's tags, and the link that opens it.

MLflow 3.17 opens an experiment as its browser last did, at first as one of language models; neither the experiment's kind nor anything else
on the server changes that, but a link can: its `workflowType`, and by `viewStateShareKey` the columns and the order of the tag.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from visiontune.tracking.mlflow_requests import LAST

KIND, VIEW = "mlflow.experimentKind", "mlflow.sharedViewState.leaderboard"
TRAINING = "custom_model_development"
_NUM_PARAMS = 12  # columns beside which the rest is a click away
_MAX_TAG = 5_000


def leaderboard_view(parent_id: str, mode: str, searched: Sequence[str]) -> str:
    """The view as the tag holds it: trials under their study, best first, with the params that are searched."""
    shown = ["tags.`visiontune.state`", "tags.`visiontune.reason`"]
    columns = [f"metrics.`{LAST}`", "metrics.`rung`", "metrics.`val_loss`", *(f"params.`{key}`" for key in searched[:_NUM_PARAMS]), *shown]
    order = {"orderByKey": f"metrics.`{LAST}`", "orderByAsc": mode == "min", "searchFilter": "", "startTime": "ALL"}
    rest = {"lifecycleFilter": "Active", "modelVersionFilter": "All Runs", "datasetsFilter": []}
    view = json.dumps({**order, **rest, "selectedColumns": columns, "runsExpanded": {parent_id: True}})
    return view if len(view) <= _MAX_TAG else leaderboard_view(parent_id, mode, searched[: len(searched) // 2])


def leaderboard_link(address: str, experiment_id: str) -> str:
    """What opens the view in a browser, where a server or `visiontune ui` answers at that address."""
    return f"{address}/#/experiments/{experiment_id}/runs?workflowType=machine_learning&viewStateShareKey={VIEW.rpartition('.')[2]}"
