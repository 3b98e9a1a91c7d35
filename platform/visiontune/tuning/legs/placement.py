"""Which machines there are, how many legs they take, which to leave alone for a while, and whether a lost worker was its trial's fault.

A worker may be lost because of its trial (memory, a crash in a kernel) or because of its machine (preempted, no shared folder, a
broken GPU). One loss can't tell, several can: a machine that loses workers of different trials without a new epoch is at fault, and so is
a trial that loses its worker on three machines. No Ray: `ray_nodes.py` says what machines there are.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from visiontune.spec.space.slots import workers_on

MAX_CRASHES = 3
"""Healthy machines on which a trial may lose its worker, without a new epoch, before it is given up; the same one counts again where there
are no others."""
MAX_LOSSES = 8
"""Workers that are lost one after the other on machines that are up, with no epoch from anywhere, before a search ends."""
FIRST_REST_S = 30.0
LONGEST_REST_S = 1800.0
DETECTED_S = 60.0
"""In which a cluster notices that a node is gone; workers that it took along are no losses of a machine that is up."""


@dataclass(frozen=True)
class Node:
    """A machine that is up: Ray's id of it, its name, what it has with nothing on it, and Ray's name for its kind of GPU."""

    key: str
    name: str
    cpus: float = 1.0
    gpus: float = 0.0
    gpu_kind: str = ""

    def __str__(self) -> str:
        return f"{self.name} ({self.cpus:g} CPUs, {self.gpus:g} GPUs)"


@dataclass
class _Health:
    """`lost`: trials that lost a worker there since the last epoch from there. It is left alone until `rests_until_s`."""

    lost: set[str] = field(default_factory=set)
    num_rests: int = 0
    rests_until_s: float = float("-inf")


@dataclass(frozen=True)
class Loss:
    """A worker lost on a node; `where` says on which one, where there are several. `is_given_up`: no leg of its trial is to follow.

    `is_hung`: it got nowhere and ended itself. `beside`: where other workers of the same leg were, whose loss it may have been.
    """

    node: str
    at_s: float
    was_healthy: bool
    is_hung: bool = False
    where: str = ""
    is_given_up: bool = False
    beside: tuple[str, ...] = ()


class Placement:
    """The machines as a search sees them. `wanted` (cpu, gpu) is what each of the `num_workers` of a leg gets.

    Until `see` is called there is one machine, of any size. `limit`: legs that may be out whatever there is; None: what fits, and where the
    cluster grows by itself as many again, or the `growth` that is known to be possible. `patience_s`: what a search goes on for while
    it only loses workers; DETECTED_S where nodes may be gone without having been noticed.
    """

    def __init__(
        self,
        wanted: Mapping[str, float] | None = None,
        num_workers: int = 1,
        limit: int | None = None,
        patience_s: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._wanted, self._num_workers, self._limit, self._clock = wanted or {"cpu": 1.0}, num_workers, limit, clock
        self._patience_s = patience_s
        self.nodes: dict[str, Node] = {}
        self._room: dict[str, int] = {}  # workers that fit on each of them that is large enough for one
        self._names: dict[str, str] = {}  # of those that are gone, too
        self._can_grow, self.growth = False, 0
        self._health: dict[str, _Health] = {}
        self._losses: dict[str, list[Loss]] = {}
        self._in_a_row: list[Loss] = []
        self.at_work: dict[str, str] = {}
        self._beside: dict[str, tuple[str, ...]] = {}
        self._before: set[str] = set()
        self.barred: set[str] = set()
        """Machines that are up and get no leg until a check has passed there."""

    def want(self, wanted: Mapping[str, float]) -> None:
        """Each worker gets this from now on; what is known of the machines stays."""
        self._wanted = wanted
        self._room = self._rooms()

    def see(self, nodes: Iterable[Node], *, can_grow: bool = False) -> tuple[list[Node], list[Node]]:
        """Take what is up now; gives nodes that are new and that are gone. `can_grow`: an autoscaler adds some for legs that wait."""
        now = {node.key: node for node in nodes}
        new = [node for key, node in now.items() if key not in self.nodes]
        gone = [node for key, node in self.nodes.items() if key not in now]
        self.nodes, self._can_grow = now, can_grow
        self._names |= {node.key: node.name for node in new}
        self._room = self._rooms()
        self.barred &= now.keys()
        return new, gone

    @property
    def num_fitting(self) -> int:
        """Legs that fit on the machines that are up and not left alone, with nothing else on them."""
        return sum(room for key, room in self._room.items() if not (key in self.barred or self._rests(key))) // self._num_workers

    @property
    def num_slots(self) -> int:
        """Legs that may be out: at least one, so that a cluster without machines starts some."""
        if self._limit is not None:
            return self._limit
        fits = self.num_fitting
        more = (self.growth or fits) if self._can_grow else 0
        return max(1, fits + more)

    def nodes_of_a_size(self) -> set[str]:
        """Machines that are large enough for a worker."""
        return {*self._room}

    @property
    def busy_share(self) -> float:
        """Of the GPUs that are up, or of the processors where a leg gets none, the share that legs at work hold."""
        gpus = self._wanted.get("gpu", 0.0)
        there = sum(node.gpus if gpus else node.cpus for node in self.nodes.values())
        return len(self.at_work) * self._num_workers * (gpus or self._wanted.get("cpu", 0.0)) / there if there else 0.0

    def fits_nowhere(self) -> bool:
        """Whether machines with what is wanted are up, but too small ones, and the cluster starts none by itself."""
        is_there = any(node.gpus if self._wanted.get("gpu") else node.cpus for node in self.nodes.values())
        return is_there and not self._can_grow and sum(self._room.values()) < self._num_workers

    def began(self, key: str, node: str, beside: Sequence[str] = ()) -> None:
        """A worker of that machine has begun with the leg; `beside`: machines of its second worker, its third, ..."""
        self.at_work[key] = node
        self._beside[key] = tuple(beside)

    def at_work_on(self, nodes: Collection[str]) -> list[str]:
        """Legs that have a worker on one of these machines."""
        return [key for key, node in self.at_work.items() if not {node, *self._beside.get(key, ())}.isdisjoint(nodes)]

    def reported(self, key: str) -> None:
        """A new epoch of the leg: its machine is sound, and so is its trial."""
        self._losses.pop(key, None)
        self._in_a_row.clear()
        self._before.clear()
        for node in (self.at_work.get(key, ""), *self._beside.get(key, ())):
            self._health.pop(node, None)

    def ended(self, key: str) -> None:
        """The leg has left its worker."""
        self.at_work.pop(key, None)
        self._beside.pop(key, None)
        self._before.discard(key)

    def lost(self, key: str, node: str = "", *, rank: int = 0, is_begun: bool = True, is_hung: bool = False) -> Loss:
        """A worker of a leg, the one of that `rank`, was lost; on that machine, where it had not begun there.

        `is_begun`: the leg was at work by then, so that it may be the reason. `is_hung`: nothing of it moved.
        """
        there = [self.at_work.pop(key, node), *self._beside.pop(key, ())]
        node = there.pop(min(rank, len(there) - 1))
        self._before = (self._before & self.at_work.keys()) if self._in_a_row else {*self.at_work}
        was_healthy = is_begun and not self._is_suspect(node, key)
        loss = Loss(node, self._clock(), was_healthy=was_healthy, is_hung=is_hung, beside=tuple(there))
        self._count(loss, key)
        where = f" on {self.name(node)}" if node and len(self.nodes) > 1 else ""
        is_given_up = self._num_crashes(key) >= MAX_CRASHES or self._has_hung_elsewhere_too(key)
        return replace(loss, where=where, is_given_up=is_given_up)

    def _count(self, loss: Loss, key: str) -> None:
        """Among those of its leg, of its machine, which is left alone where it lost others' too, and of all."""
        health = self._health.setdefault(loss.node, _Health())
        health.lost.add(key)
        if len(health.lost) > 1 and len(self._room) > 1:
            self._leave_alone(health)
        self._losses.setdefault(key, []).append(loss)
        self._in_a_row.append(loss)

    def is_hopeless(self) -> bool:
        """Whether machines lose every worker, and no leg that was at work before the first of these losses is still there."""
        up = [loss for loss in self._in_a_row if self._are_up(loss)]
        if len(up) < MAX_LOSSES or self._before:
            return False
        return self._clock() - up[0].at_s >= self._patience_s

    def shunned(self, key: str) -> frozenset[str]:
        """Machines that this leg is not to be handed to: the barred, and as far as the others have room those left alone, and where it was
        just lost.

        Of those left alone the ones that are so for the shortest time come back first.
        """
        resting = sorted((node for node in self._health if self._is_allowed(node) and self._rests(node)), key=self._rests_until_s)
        while resting and not self._is_room_beside({*resting}):
            resting = resting[1:]
        just_lost = {loss.node for loss in self._losses.get(key, ()) if self._is_allowed(loss.node)}
        is_room = self._is_room_beside({*resting} | just_lost)
        return frozenset(self.barred) | frozenset(resting) | (just_lost if is_room else frozenset())

    def is_stranded(self, shunned: frozenset[str]) -> bool:
        """Whether a leg that waits for any machine but these waits in vain: the others are gone meanwhile."""
        return not self._is_room_beside(shunned) and self._is_room_beside(())

    def name(self, node: str) -> str:
        """For people."""
        return self._names.get(node, node[:8])

    def _is_room_beside(self, others: Collection[str]) -> bool:
        """Whether machines that are neither of these nor barred, with nothing else on them, take all workers of a leg.

        Asked of every leg that waits after each of Tune's steps, so it looks no further than it has to.
        """
        left = self._num_workers
        rooms = (room for key, room in self._room.items() if key not in others and key not in self.barred)
        return any((left := left - room) <= 0 for room in rooms)

    def _rooms(self) -> dict[str, int]:
        return {key: room for key, node in self.nodes.items() if (room := workers_on(node.cpus, node.gpus, self._wanted))}

    def _is_allowed(self, node: str) -> bool:
        return node in self._room and node not in self.barred

    def _rests(self, node: str) -> bool:
        return self._rests_until_s(node) > self._clock()

    def _rests_until_s(self, node: str) -> float:
        return self._health[node].rests_until_s if node in self._health else float("-inf")

    def _leave_alone(self, health: _Health) -> None:
        if health.rests_until_s > self._clock():
            return
        health.rests_until_s = self._clock() + min(LONGEST_REST_S, FIRST_REST_S * 2**health.num_rests)
        health.num_rests += 1

    def _is_up(self, node: str) -> bool:
        return not self.nodes or not node or node in self.nodes

    def _are_up(self, loss: Loss) -> bool:
        """All machines that its leg was on: who goes first takes the others along, and may be taken for them."""
        return all(map(self._is_up, (loss.node, *loss.beside)))

    def _num_crashes(self, key: str) -> int:
        """Losses that may be the trial's own."""
        return len(self._own(key))

    def _has_hung_elsewhere_too(self, key: str) -> bool:
        """Whether it hung on two machines; on one again it may be that machine's doing."""
        return len({loss.node for loss in self._own(key) if loss.is_hung}) > 1

    def _own(self, key: str) -> list[Loss]:
        """Those on machines that are still up and had lost nobody else's worker, nor have since."""
        known = self._losses.get(key, ())
        return [loss for loss in known if loss.was_healthy and self._are_up(loss) and not self._is_suspect(loss.node, key)]

    def _is_suspect(self, node: str, key: str) -> bool:
        """Whether it has lost other trials' workers, of several machines."""
        return len(self._room) > 1 and node in self._health and bool(self._health[node].lost - {key})
