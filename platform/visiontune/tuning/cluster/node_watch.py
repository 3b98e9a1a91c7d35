"""Keeps a search informed of the machines there are: which have come, are about to go or are gone, and which pass the checks."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping

from visiontune.errors import Problem, UserError, plural
from visiontune.spec.space.study_spec import Resources
from visiontune.tuning.cluster.node_check import NodeNeeds
from visiontune.tuning.cluster.ray_ask_nodes import NodeChecks
from visiontune.tuning.cluster.ray_nodes import grows, legs_to_come, nodes_going, nodes_up
from visiontune.tuning.legs.placement import DETECTED_S, Node, Placement
from visiontune.tuning.search.search_run import SearchRun

RECOUNT_S = 5.0
"""How often the machines are looked at again."""


class NodeWatch:
    """Tells a search which machines there are, and its user which have come and gone."""

    def __init__(self, run: SearchRun, resources: Resources, wanted: Mapping[str, float], *, is_local: bool) -> None:
        self._run, self._num_workers, self._is_local = run, resources.workers_per_trial, is_local
        limit = resources.max_concurrent_trials if isinstance(resources.max_concurrent_trials, int) else None
        run.out.placement = Placement(wanted, self._num_workers, limit, 0.0 if is_local else DETECTED_S)
        self._checks: NodeChecks | None = None
        self._is_measured = resources.gpus_per_trial == "auto"
        self._kinds = set[str]()
        self.want(wanted)

    def want(self, wanted: Mapping[str, float]) -> None:
        """A worker gets this, from now on; nothing is placed yet. Machines that lack something are asked again when it was time anyway."""
        self._run.out.placement.want(wanted)
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
            self._kinds, there = {node.gpu_kind for node in placement.nodes.values()}, ", ".join(map(str, placement.nodes.values()))
            self._run.log("machine", f"{len(placement.nodes)} up, with room for {plural(placement.num_fitting, 'trial')}: {there}")
        else:
            for node in new:
                self._run.log("machine", f"a machine has joined: {node}{self._of_kind(node)}", is_said=True)
            for node in gone:
                what = "is about to go" if node.key in going else "is gone"
                self._run.log("machine", f"a machine {what}: {node}; its trials go on elsewhere, from their checkpoints", is_said=True)

    def _of_kind(self, node: Node) -> str:
        """What is to be said of a kind of GPU that joins, where a trial's share of one was measured on others."""
        if not self._is_measured or not 0 < self._wanted.get("gpu", 0.0) < 1 or node.gpu_kind in self._kinds:
            return ""
        self._kinds.add(node.gpu_kind)
        what = f"a trial's share of a GPU was not measured on its {node.gpu_kind or 'kind'}"
        return f"; {what}: what does not fit has half its micro-batch, and the next start of the search measures again"

    def _ask_to_leave(self, going: Collection[str]) -> None:
        """Workers write what they have trained, and end, before their machine does."""
        for key in self._run.out.placement.at_work_on(going):
            self._run.ask_to_leave(key)

    def refuse_too_small(self) -> None:
        """Raise UserError where no machine can take a worker and none that can is to come."""
        self.look()
        if self._run.out.placement.fits_nowhere():
            each = " and ".join(f"{amount:g} {name.upper()}{'s'[amount == 1 :]}" for name, amount in self._wanted.items() if amount)
            there = ", ".join(map(str, self._run.out.placement.nodes.values()))
            rule = f"a worker needs {each} on one machine, but there are {there}"
            raise UserError(Problem("", 0, f"resources.{'gpus' if self._wanted.get('gpu') else 'cpus'}_per_trial", rule))
