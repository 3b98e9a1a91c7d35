"""Asks each machine of a cluster, by a task on it, whether it can take trials; one that can't gets none until it can."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from visiontune.data.store.remote_cache import remote_cache
from visiontune.errors import Problem, SearchFailed, UserError, last_line
from visiontune.filesystem.atomic_write import write_whole
from visiontune.filesystem.study_folder import StudyFolder
from visiontune.spec.space.study_spec import StudySpec
from visiontune.tuning.cluster.node_check import Lack, NodeNeeds, lack_of, package_digest
from visiontune.tuning.legs.placement import FIRST_REST_S, LONGEST_REST_S
from visiontune.tuning.preflight.network_preflight import weights_in
from visiontune.tuning.search.search_run import SearchRun

ANSWER_S = 60.0
"""What a search waits for all answers before it begins with those that have come; a dead mount never answers."""
GIVE_UP_S = 14_400.0
"""Of an answer; then the machine is asked anew. Its copy of the pictures begins anew then too: a terabyte takes three hours at 100 MB/s."""
_NO_ANSWER = Lack("answer", f"it has not answered within {ANSWER_S:.0f} s")


@contextmanager
def needs_of(folder: StudyFolder) -> Iterator[NodeNeeds]:
    """What every machine must have for a study, pictures and weights left out; the driver's token lies in the folder meanwhile."""
    token = uuid4().hex
    write_whole(folder.token, token)
    try:
        yield NodeNeeds(folder.path.resolve(), token, package_digest())
    finally:
        with suppress(OSError):  # it is gone, with its folder
            if folder.token.read_text() == token:  # and no driver's that has the study by now
                folder.token.unlink()


def with_pictures(needs: NodeNeeds, spec: StudySpec, store: Path) -> NodeNeeds:
    """The same, and what trials of the study read."""
    return replace(needs, store=store.resolve(), remote_cache=remote_cache(), weights=tuple(weights_in(spec)))


@dataclass
class _Failed:
    lack: Lack
    num: int
    next_s: float


class NodeChecks:
    """Bars each machine from its first sight until it has answered, and while it lacks something; asks again after growing pauses.

    One that is known to have what was asked for is not asked again, until there is more to ask for.
    """

    _needs: NodeNeeds

    def __init__(self, run: SearchRun, tasks: NodeTasks | None = None) -> None:
        self._run, self._tasks = run, tasks or NodeTasks()
        self._asked: dict[str, tuple[Any, float]] = {}
        self._failed: dict[str, _Failed] = {}
        self._passed: set[str] = set()

    def ask(self, needs: NodeNeeds) -> None:
        """Ask all that are up, and wait. Raises UserError, SearchFailed where none can take a trial."""
        self._needs = needs
        for task, _ in self._asked.values():  # of a dead mount, where it would stay for good
            self._tasks.cancel(task)
        self._asked.clear()
        self._passed.clear()
        until_s = time.monotonic() + ANSWER_S
        self.look()
        while self._asked and time.monotonic() < until_s:
            self._wait(0.5)
            self.look()
        for key in self._asked:
            self._tell(key, _NO_ANSWER)
        while self._asked and not self._passed:
            self._wait(0.5)
            self.look()
        self._refuse_all_unfit()

    def look(self) -> None:
        """Take the answers that are there, and ask machines that are new or whose pause is over; returns at once."""
        self._wait(0.0)
        now_s, placement = time.monotonic(), self._run.out.placement
        self._failed = {key: one for key, one in self._failed.items() if key in placement.nodes}
        for key in sorted(placement.nodes_of_a_size() - self._passed - self._asked.keys()):
            if key not in self._failed or self._failed[key].next_s <= now_s:
                self._asked[key] = self._tasks.start(self._needs, key), now_s
        placement.barred = placement.nodes_of_a_size() - self._passed

    def _wait(self, most_s: float) -> None:
        keys = {task: key for key, (task, _) in self._asked.items()}
        for task, lack in self._tasks.answers(keys, most_s):
            self._take(keys[task], lack)
        for key, (task, since_s) in [*self._asked.items()]:
            if key not in self._run.out.placement.nodes or time.monotonic() - since_s > GIVE_UP_S:
                self._tasks.cancel(task)
                self._take(key, _NO_ANSWER)

    def _take(self, key: str, lack: Lack | None) -> None:
        del self._asked[key]
        if key not in self._run.out.placement.nodes:
            return
        if lack is None:
            self._passed.add(key)
            if self._failed.pop(key, None):
                self._run.log("machine", f"{self._name(key)} can take trials now", is_said=True)
            return
        self._tell(key, lack)

    def _tell(self, key: str, lack: Lack) -> None:
        before = self._failed.get(key)
        num = before.num + 1 if before else 0
        pause_s = min(LONGEST_REST_S, FIRST_REST_S * 2**num)
        self._failed[key] = _Failed(lack, num, time.monotonic() + pause_s)
        then = "that is waited for" if key in self._asked else f"it is asked again in {pause_s:.0f} s"
        text = f"{self._name(key)} gets no trials: {lack.why}; {then}"
        self._run.log("machine", text, is_said=before is None or before.lack != lack)

    def _refuse_all_unfit(self) -> None:
        if self._passed or not self._failed:
            return
        said = "; ".join(f"{self._name(key)}: {one.lack.why}" for key, one in self._failed.items())
        rule = f"no machine of the cluster can take a trial: {said}"
        if all(one.lack.what == "folder" for one in self._failed.values()):
            raise UserError(Problem("", 0, "studies_dir", f"{rule}. It must be a folder that every machine sees and may write to"))
        raise SearchFailed(f"{rule}; once that is mended the same command goes on")

    def _name(self, key: str) -> str:
        return self._run.out.placement.name(key)


class NodeTasks:
    """Ray's tasks, each on one machine."""

    def start(self, needs: NodeNeeds, node: str) -> Any:
        """One that says what is lacking there."""
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        there = NodeAffinitySchedulingStrategy(node, soft=False)
        return ray.remote(num_cpus=0, max_retries=0, scheduling_strategy=there)(lack_of).remote(needs)

    def answers(self, tasks: Iterable[Any], most_s: float) -> Iterator[tuple[Any, Lack | None]]:
        """Of those that have ended, after `most_s` or once all have."""
        import ray

        if refs := [*tasks]:
            done, _ = ray.wait(refs, num_returns=len(refs), timeout=most_s)
            yield from ((ref, _answer(ref)) for ref in done)

    def cancel(self, task: Any) -> None:
        """Nobody waits for it."""
        import ray

        ray.cancel(task, force=True)


def _answer(task: Any) -> Lack | None:
    """What a task gave, or what it failed of: the package may not even be importable there."""
    import ray

    try:
        found: Lack | None = ray.get(task)
    except Exception as error:
        return Lack("answer", last_line(error))
    return found
