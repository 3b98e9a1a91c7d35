"""The legs of a search that workers have, or that wait for one: how far each is, and on which machine."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from visiontune.tuning.legs.placement import Loss, Placement
from visiontune.tuning.records.leg import Leg, Report


class LegsOut:
    """By key. `trained` has the newest epoch of each that has reported one, also of those that were let go: they are yet to be written."""

    def __init__(self) -> None:
        self.placement = Placement()
        self.trained: dict[str, int] = {}
        self._legs: dict[str, Leg] = {}
        self._placed: set[str] = set()

    def __len__(self) -> int:
        return len(self._legs)

    def __contains__(self, key: str) -> bool:
        """Whether this leg is still wanted: a spent budget ends legs that no worker has fetched yet."""
        return key in self._legs

    @property
    def num_placed(self) -> int:
        """Those that a worker has; the others wait for resources of the cluster."""
        return len(self._placed)

    def trials(self, *, are_placed: bool) -> list[int]:
        """Numbers of trials whose legs a worker has, or that wait for one; confirmations left out."""
        return sorted(leg.number for leg in self._legs.values() if not leg.is_confirmation and (leg.key in self._placed) == are_placed)

    def placed_by_name(self, key: str, report: Report) -> Report:
        """The report, whose place has the node's name as the search says it: a host may have several nodes."""
        node = self.placement.at_work.get(key, "")
        if not report.place or node not in self.placement.nodes:
            return report
        return replace(report, place={**report.place, "node": self.placement.name(node)})

    def get(self, key: str) -> Leg | None:
        """None for one that is not out."""
        return self._legs.get(key)

    def add(self, leg: Leg) -> None:
        """It is handed out."""
        self._legs[leg.key] = leg

    def placed(self, key: str, node: str = "", beside: Sequence[str] = ()) -> None:
        """A worker of that node has begun with it; its others are on those `beside`."""
        if key in self._legs:
            self._placed.add(key)
            self.placement.began(key, node, beside)

    def reported(self, key: str, epoch: int) -> None:
        """Its worker has trained so far."""
        self.trained[key] = epoch
        self.placement.reported(key)

    def ended(self, key: str) -> None:
        """Its worker is free."""
        self._taken(key)
        self.placement.ended(key)

    def lost(self, key: str, node: str, *, rank: int = 0, is_begun: bool, is_hung: bool = False) -> tuple[Leg, Loss] | None:
        """Its worker of that rank is lost, on that node; None for a leg that is not out."""
        leg = self._taken(key)
        return None if leg is None else (leg, self.placement.lost(key, node, rank=rank, is_begun=is_begun, is_hung=is_hung))

    def left(self, key: str, node: str) -> tuple[Leg, Loss] | None:
        """Its worker was told to leave that node, and did: nobody's fault."""
        node = self.placement.at_work.get(key, node)
        leg = self._taken(key)
        self.placement.ended(key)
        where = f" on {self.placement.name(node)}" if node and len(self.placement.nodes) > 1 else ""
        return None if leg is None else (leg, Loss(node, 0.0, was_healthy=True, where=where))

    def let_go(self, keys: Iterable[str] | None = None) -> None:
        """Nobody waits for what they report any more, by default of all."""
        for key in list(self._legs if keys is None else keys):
            self.placement.ended(key)
            self._legs.pop(key, None)
            self._placed.discard(key)

    def _taken(self, key: str) -> Leg | None:
        self._placed.discard(key)
        self.trained.pop(key, None)
        return self._legs.pop(key, None)
