"""The leaderboard in MLflow's UI: a view of the runs that stands in the experiment's tags, and the link that opens it.

MLflow 3.17 opens an experiment as its browser last did, at first as one of language models; neither the experiment's kind nor anything else
on the server changes that, but a link can: its `workflowType`, and by `viewStateShareKey` the columns and the order of the tag.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from urllib.request import Request, urlopen

LAST = "objective"
"""The metric by which trials are ordered; of an epoch it is logged after all others, so that its step says how far a run is."""
KIND, VIEW = "mlflow.experimentKind", "mlflow.sharedViewState.leaderboard"
TRAINING = "custom_model_development"
_NUM_PARAMS = 12  # columns beside which the rest is a click away
_MAX_TAG = 5_000


def leaderboard_view(parent_id: str, mode: str, searched: Sequence[str], test: str = "top1") -> str:
    """The view as the tag holds it: trials under their study, best first, with the params that are searched and test_top1 or test_map."""
    shown = ["tags.`visiontune.state`", "tags.`visiontune.reason`"]
    columns = [
        f"metrics.`{LAST}`",
        "metrics.`rung`",
        f"metrics.`test_{test}`",
        *(f"params.`{key}`" for key in searched[:_NUM_PARAMS]),
        *shown,
    ]
    order = {"orderByKey": f"metrics.`{LAST}`", "orderByAsc": mode == "min", "searchFilter": "", "startTime": "ALL"}
    rest = {"lifecycleFilter": "Active", "modelVersionFilter": "All Runs", "datasetsFilter": []}
    view = json.dumps({**order, **rest, "selectedColumns": columns, "runsExpanded": {parent_id: True}})
    return view if len(view) <= _MAX_TAG else leaderboard_view(parent_id, mode, searched[: len(searched) // 2], test)


def leaderboards(address: str, num: int = 5) -> list[tuple[str, str]]:
    """Name and link of the newest studies that the MLflow there has. Raises OSError or ValueError where it does not answer."""
    query = {"max_results": 1_000, "order_by": ["last_update_time DESC"]}
    request = Request(f"{address}/api/2.0/mlflow/experiments/search", json.dumps(query).encode(), {"Content-Type": "application/json"})
    with urlopen(request, timeout=10) as answer:
        found = json.load(answer).get("experiments", [])
    with_view = [one for one in found if any(tag["key"] == VIEW for tag in one.get("tags", []))]
    return [(one["name"], leaderboard_link(address, one["experiment_id"])) for one in with_view[:num]]


def leaderboard_link(address: str, experiment_id: str) -> str:
    """What opens the view in a browser, where a server or `visiontune ui` answers at that address."""
    return f"{address}/#/experiments/{experiment_id}/runs?workflowType=machine_learning&viewStateShareKey={VIEW.rpartition('.')[2]}"
