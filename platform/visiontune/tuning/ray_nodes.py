"""What Ray knows of its machines: which are up, whether the cluster grows by itself and how far, and on which one an actor was."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from visiontune.errors import Problem, UserError
from visiontune.filesystem.path_kind import with_home
from visiontune.spec.slots import workers_on
from visiontune.spec.study_spec import Resources
from visiontune.tuning.node_check import NodeNeeds
from visiontune.tuning.placement import DETECTED_S, Node, Placement
from visiontune.tuning.ray_node_checks import NodeChecks
from visiontune.tuning.search_run import SearchRun

RECOUNT_S = 5.0
"""How often the machines are looked at again."""
BOOTSTRAP = Path("~/ray_bootstrap_config.yaml")
"""Where Ray's launcher leaves the cluster's file on the head, which is where a job's driver runs."""
_KIND_BY_ID = "node_"


class NodeWatch:
    """Tells a search which machines there are, and its user which have come and gone."""

    def __init__(self, run: SearchRun, resources: Resources, wanted: Mapping[str, float], *, is_local: bool) -> None:
        self._run, self._num_workers, self._is_local = run, resources.workers_per_trial, is_local
        self._limit = resources.max_concurrent_trials
        self._checks: NodeChecks | None = None
        self.want(wanted)

    def want(self, wanted: Mapping[str, float]) -> None:
        """A worker gets this, from now on; nothing is placed yet."""
        limit = self._limit if isinstance(self._limit, int) else None
        self._run.out.placement = Placement(wanted, self._num_workers, limit, 0.0 if self._is_local else DETECTED_S)
        self._wanted, self._looked_s = wanted, float("-inf")

    def check(self, needs: NodeNeeds | None) -> None:
        """Ask all machines for it, and those that join; None asks for nothing. Raises UserError, SearchFailed where none has it."""
        if needs is not None:
            self._checks = self._checks or NodeChecks(self._run)
            self._checks.ask(needs)
            self._run.num_slots = self._run.out.placement.num_slots

    def look(self) -> None:
        """See what is up now, at most every RECOUNT_S."""
        if self._checks is not None:
            self._checks.look()
            self._run.num_slots = self._run.out.placement.num_slots
        if time.monotonic() - self._looked_s < RECOUNT_S:
            return
        is_first, self._looked_s = self._looked_s == float("-inf"), time.monotonic()
        placement = self._run.out.placement
        can_grow = not self._is_local and grows()
        up, going = nodes_up(), nodes_going()
        self._ask_to_leave(going)
        new, gone = placement.see([node for node in up if node.key not in going], can_grow=can_grow)
        if can_grow:
            placement.growth = legs_to_come(self._wanted, self._num_workers, placement.num_fitting)
        if self._checks is not None:
            self._checks.look()
        self._run.num_slots = placement.num_slots
        if is_first:
            self._run.log("machine", f"{len(new)} up, with room for {placement.num_fitting} trials: {', '.join(map(str, new))}")
        else:
            for node in new:
                self._run.log("machine", f"a machine has joined: {node}", is_said=True)
            for node in gone:
                what = "is about to go" if node.key in going else "is gone"
                self._run.log("machine", f"a machine {what}: {node}; its trials go on elsewhere, from their checkpoints", is_said=True)

    def _ask_to_leave(self, going: Collection[str]) -> None:
        """Workers write what they have trained, and end, before their machine does."""
        for key, node in self._run.out.placement.at_work.items():
            if node in going:
                self._run.ask_to_leave(key)

    def refuse_too_small(self) -> None:
        """Raise UserError where no machine can take a worker and none that can is to come."""
        self.look()
        if self._run.out.placement.fits_nowhere():
            each = " and ".join(f"{amount:g} {name.upper()}{'s'[amount == 1 :]}" for name, amount in self._wanted.items() if amount)
            there = ", ".join(map(str, self._run.out.placement.nodes.values()))
            rule = f"a worker needs {each} on one machine, but there are {there}"
            raise UserError(Problem("", 0, f"resources.{'gpus' if self._wanted.get('gpu') else 'cpus'}_per_trial", rule))


def nodes_up() -> list[Node]:
    """Nodes that are alive, the head's too."""
    import ray

    found = (node for node in ray.nodes() if node["Alive"])
    return [
        Node(node["NodeID"], node["NodeManagerHostname"], node["Resources"].get("CPU", 0.0), node["Resources"].get("GPU", 0.0))
        for node in found
    ]


def nodes_going() -> Collection[str]:
    """Ray's ids of nodes that are to go: drained, or preempted (SIGTERM to `ray start`, a cloud's notice to the autoscaler)."""
    from ray._private import state

    with suppress(Exception):  # as below: then they are seen once they are gone
        return frozenset(state.state.get_draining_nodes())
    return frozenset()


def grows() -> bool:
    """Whether an autoscaler watches the cluster. One that only looks on, as Ray has everywhere, calls each node's kind after its id."""
    with suppress(Exception):  # Ray's own, not promised to anybody: without it a cluster counts as one that does not grow
        return any(not kind.startswith(_KIND_BY_ID) for kind in _kinds_of_nodes())
    return False


def _kinds_of_nodes() -> list[str]:
    import ray
    from ray._private.ray_constants import DEBUG_AUTOSCALING_STATUS
    from ray.autoscaler.v2.sdk import get_cluster_status
    from ray.experimental.internal_kv import _internal_kv_get

    if status := _internal_kv_get(DEBUG_AUTOSCALING_STATUS.encode()):  # the autoscaler of Ray's launcher
        return list(json.loads(status)["autoscaler_report"]["node_type_mapping"].values())
    found = get_cluster_status(ray.get_runtime_context().gcs_address)  # KubeRay's
    return [node.ray_node_type_name for node in (*found.active_nodes, *found.idle_nodes)]


def may_start_gpus() -> bool:
    """Whether Ray's launcher may start machines with GPUs where none is up now."""
    return grows() and any(float(kind.get("resources", {}).get("GPU", 0)) for kind in _kinds_in(BOOTSTRAP)[0])


def legs_to_come(wanted: Mapping[str, float], num_workers: int, there: int, file: Path = BOOTSTRAP) -> int:
    """Legs beyond the `there` that are up which fit on machines that Ray's launcher may start, by its file; 0 where there is none."""
    kinds, most = _kinds_in(file)
    fits = [(_workers(kind.get("resources", {}), wanted), int(kind.get("max_workers", 0))) for kind in kinds]
    total = 0
    for each, num in sorted(fits, reverse=True):
        taken = min(num, most)
        total, most = total + each * taken, most - taken
    return max(0, total // num_workers - there)


def node_of(actor: Any) -> str:
    """Ray's id of the node that an actor, or its id as text, is or was on; "" where that is not known."""
    from ray._private import state

    with suppress(Exception):  # as above: then losses are counted without a machine
        return str(state.actors(actor if isinstance(actor, str) else actor._actor_id.hex())["Address"]["NodeID"])
    return ""


def actor_in(text: str) -> str:
    """The id of the actor that an error of Ray's speaks of; "" where it names none."""
    found = re.search(r"actor_id[=:] ?([0-9a-f]{32})", text)
    return found[1] if found else ""


def _kinds_in(file: Path) -> tuple[list[Mapping[str, Any]], int]:
    """Kinds of machines in the launcher's file and how many it may start of all together; none where there is no such file."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        config = YAML(typ="safe").load(with_home(file))
        return list(config["available_node_types"].values()), int(config.get("max_workers", 0))
    except (OSError, YAMLError, KeyError, ValueError, TypeError, AttributeError):
        return [], 0


def _workers(resources: Mapping[str, float], wanted: Mapping[str, float]) -> int:
    return workers_on(float(resources.get("CPU", 0)), float(resources.get("GPU", 0)), wanted)
