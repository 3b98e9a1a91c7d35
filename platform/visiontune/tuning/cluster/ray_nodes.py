"""What Ray knows of its machines: which are up, whether the cluster grows by itself and how far, and on which one an actor was."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from visiontune.errors import Problem, UserError
from visiontune.filesystem.path_kind import with_home
from visiontune.spec.space.slots import workers_on
from visiontune.tuning.legs.placement import Node

BOOTSTRAP = Path("~/ray_bootstrap_config.yaml")
"""Where Ray's launcher leaves the cluster's file on the head, which is where a job's driver runs."""
KIND = "accelerator_type:"
"""How Ray's resources begin that stand for a kind of GPU."""
_KIND_BY_ID = "node_"


def nodes_up() -> list[Node]:
    """Nodes that are alive, the head's too; of those that share a host's name each has the first letters of its id as well."""
    import ray

    found = [node for node in ray.nodes() if node["Alive"]]
    shared = Counter(node["NodeManagerHostname"] for node in found)
    return [_node(node, is_shared=shared[node["NodeManagerHostname"]] > 1) for node in found]


def _node(found: Mapping[str, Any], *, is_shared: bool) -> Node:
    key, host, resources = found["NodeID"], found["NodeManagerHostname"], found["Resources"]
    kind = next((name.removeprefix(KIND) for name in sorted(resources) if name.startswith(KIND)), "")
    return Node(key, f"{host}/{key[:8]}" if is_shared else host, resources.get("CPU", 0.0), resources.get("GPU", 0.0), kind)


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


def refuse_without_gpu(gpus_per_trial: float | str) -> None:
    """Raise UserError where trials want GPUs and a Ray that is started on this machine will find none: before anything is read."""
    if gpus_per_trial in ("auto", 0):
        return
    with suppress(ImportError, AttributeError):  # as above: then Ray is started, and says
        from ray._private.accelerators import get_accelerator_manager_for_resource

        if not get_accelerator_manager_for_resource("GPU").get_current_node_num_accelerators():
            rule = f"{gpus_per_trial:g} wanted, but this machine has 0 GPUs"
            raise UserError(Problem("", 0, "resources.gpus_per_trial", rule))


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


def nodes_beside(actor: Any) -> Sequence[str]:
    """Ray's ids of the nodes of a placement group after its first bundle, which is the actor's; none where that is not known."""
    from ray._private import state
    from ray.core.generated.gcs_pb2 import ActorTableData

    with suppress(Exception):  # as above: then only the actor's own node counts as the leg's
        accessor = state.state._connect_and_get_accessor()
        found = ActorTableData.FromString(accessor.get_actor_info(actor._actor_id))
        nodes = state.state.placement_group_table(found.placement_group_id)["bundles_to_node_id"]
        return [nodes[bundle] for bundle in range(1, len(nodes))]
    return ()


def ranks_without_node(group: Any) -> Sequence[int]:
    """Bundles of a placement group that was whole, whose machines are gone and have no others in their place; none where not known."""
    import ray

    with suppress(Exception):  # as above: then it is waited for
        nodes = ray.util.placement_group_table(group)["bundles_to_node_id"]
        return [bundle for bundle, node in sorted(nodes.items()) if not node]
    return ()


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
