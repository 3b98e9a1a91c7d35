"""Ray Tune's searcher, which asks a search run for legs in place of params, and knows which Ray trial is which leg."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from ray.tune.search import Searcher

from visiontune.errors import LostRank, MachineFault, Preempted, UnfitMachine, shortened
from visiontune.tuning.cluster.ray_nodes import actor_in, node_of
from visiontune.tuning.records.leg import Leg, pack
from visiontune.tuning.search.search_run import SearchRun

IDLE = "idle"
"""In place of the key of a leg."""
IDLE_S = 10.0
"""A worker that has nothing to do is kept so long: about what another one takes to start. Then its machine's share is others'."""

GONE_AS_TOLD = "node was terminated expectedly"
"""What Ray says of a worker whose raylet got a SIGTERM before the worker had left (ray 2.60)."""


class LegSearcher(Searcher):  # type: ignore[misc]
    """Asks the search run for legs; knows which Ray trial is which leg.

    A worker whose leg has ended and for which there is no work now idles for some seconds, which reports until there is: Tune keeps
    at most one idle actor, and a new one pays for its imports again. But while a leg is staged no worker idles: the resources that
    it waits for may be those of the idle worker.
    """

    def __init__(self, run: SearchRun, look: Callable[[], None]) -> None:
        super().__init__()
        self._run, self._look = run, look
        self._next: list[Leg] = []
        self.keys: dict[str, str] = {}
        self.errors: dict[str, str] = {}
        self.ended: dict[str, str] = {}
        self._staged: dict[str, tuple[Leg | None, frozenset[str]]] = {}
        self._idle_since_s: dict[str, float] = {}
        self._num_freed = 0

    def suggest(self, trial_id: str) -> Any:
        """A leg as one string, which Tune has no reason to flatten into file names, and the nodes that it is not to go to."""
        self._look()
        leg = self.peek()
        if leg is None and (self._run.is_finished or self._run.is_stopping):
            return Searcher.FINISHED  # for None, Tune would wait ten minutes when it has no trial at all
        if leg is None and (self._staged or not self._num_freed):
            return None
        self._next = self._next[1:]
        self._num_freed = max(0, self._num_freed - 1)
        self.keys[trial_id] = IDLE if leg is None else leg.key
        shunned = self._run.out.placement.shunned(leg.key) if leg is not None else frozenset()
        self._staged[trial_id] = leg, shunned
        return {"leg": pack(leg), "shunned": sorted(shunned)}

    def is_stranded(self, trial_id: str) -> bool:
        """Whether it waits for machines that are gone; once its Ray trial is stopped, its leg is handed out anew."""
        return trial_id in self._staged and self._run.out.placement.is_stranded(self._staged[trial_id][1])

    def placed(self, trial_id: str, node: str, beside: Sequence[str] = ()) -> None:
        """A worker of that node has begun with it, its others on those `beside`."""
        self._staged.pop(trial_id, None)
        if self.keys.get(trial_id, IDLE) == IDLE:
            self._idle_since_s[trial_id] = time.monotonic()
        else:
            self._run.out.placed(self.keys[trial_id], node, beside)

    def may_idle(self, trial_id: str) -> bool:
        """Whether an idle worker is to be kept: not where it is wanted for the next leg, or for its resources."""
        is_wanted = self.peek() is not None or any(self.keys[one] in self._run.out for one in self._staged)
        return not is_wanted and time.monotonic() - self._idle_since_s.get(trial_id, 0.0) < IDLE_S

    def peek(self) -> Leg | None:
        """The next leg, taken from the search run once and kept until a worker fetches it; None when there is none now."""
        self._next = [leg for leg in self._next if leg.key in self._run.out]
        if not self._next and (leg := self._run.next_leg()) is not None:
            self._next = [leg]
        return next(iter(self._next), None)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """A Ray trial has ended; the leg of a worker that died goes back to the search run."""
        key = self.keys.pop(trial_id, IDLE)
        leg, _ = self._staged.pop(trial_id, (None, frozenset()))
        self._idle_since_s.pop(trial_id, None)
        text, ended = self.errors.pop(trial_id, "the worker process died"), self.ended.pop(trial_id, "")
        if key == IDLE:
            return
        if leg is not None and not error:
            self._next.append(leg)
            return
        if not error:
            self._num_freed += 1
            return
        self._lost(key, ended or shortened(text.splitlines()[-1].strip()), node_of(actor_in(text)), was_staged=leg is not None)

    def _lost(self, key: str, what: str, node: str, *, was_staged: bool) -> None:
        """What the worker of a leg ended of, on that node; `was_staged`: before it began with it."""
        name, _, said = what.partition(": ")
        if name == _name(Preempted) or GONE_AS_TOLD in what:
            self._run.preempted(key, said if name == _name(Preempted) else what, node=node)
            return
        is_fault = name in (_name(MachineFault), _name(UnfitMachine))
        rank = LostRank.rank_in(said) if is_fault else 0
        is_begun = not was_staged and name != _name(UnfitMachine)  # or its worker was lost as it started
        self._run.lost(key, said if is_fault else what, node=node, rank=rank, is_begun=is_begun)

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the study is the state."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: the study is the state."""


def _name(kind: type[Exception]) -> str:
    """As it stands in the last line of a traceback."""
    return f"{kind.__module__}.{kind.__qualname__}"
