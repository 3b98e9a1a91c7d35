"""What a study's outbox holds, in short: what of the study it lacks, and what MLflow should have."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, field
from typing import Any

from visiontune.filesystem.study_folder import StudyFolder
from visiontune.tracking.outbox import Event, Line, child_name, lines_until

CHILD_EVENTS = ("trial", "epoch", "end", "confirmation")
AGAIN = "again"
"""A key of events that a driver makes of the study itself: only what the outbox lacks of them goes into it."""


@dataclass
class ToldChild:
    """A trial or a confirmation. `epochs` has a bit for each, `last` is the newest; `state` is "" while it goes on; `figures` are the
    names of a confirmation's metrics.
    """

    epochs: int = 0
    last: int = 0
    state: str = ""
    has_head: bool = False
    figures: set[str] = field(default_factory=set)

    def add(self, event: Event) -> None:
        """Another event of it."""
        epoch = int(event.get("epoch", 0))
        self.has_head |= event["event"] != "epoch"
        if epoch:
            self.epochs |= 1 << epoch
            self.last, self.state = max(self.last, epoch), ""  # it went on
        if "status" in event:
            self.state = state_of(event)
        if event["event"] == "confirmation":
            self.figures.update(event.get("metrics", ()), event.get("final", ()))

    def lacks(self, event: Event) -> bool:
        """Whether that event says something that is not known of it."""
        if event["event"] == "trial":
            return not self.has_head
        if event["event"] == "epoch":
            return not self.epochs >> int(event["epoch"]) & 1
        return self.state != state_of(event) or not self.figures >= set(event.get("final", ()))


def state_of(event: Event) -> str:
    """How a child ended, by the event that says so."""
    return str(event.get("tags", {}).get("visiontune.state", event["status"]))


@dataclass
class Told:
    """`study` is its newest event; `others` names what else was told: the winner by its number, files, the end."""

    study: Event | None = None
    children: dict[str, ToldChild] = field(default_factory=dict)
    others: set[str] = field(default_factory=set)

    @staticmethod
    def read(folder: StudyFolder, end: int | None = None, without: Container[int] = ()) -> Told:
        """Of the outbox up to byte `end`, but the lines that end at one of `without`."""
        told = Told()
        for line in lines_until(folder, end):
            if line.end not in without:
                told.add(line)
        return told

    def add(self, line: Line | Event) -> None:
        """Another event; one that is not as it should be counts for nothing."""
        event: Any = line.event if isinstance(line, Line) else line
        try:
            if event["event"] == "study":
                self.study = event
                self.others.discard("study_end")
            elif event["event"] in CHILD_EVENTS:
                self.children.setdefault(child_name(event), ToldChild()).add(event)
            else:
                self.others.add(_name(event))
        except (KeyError, TypeError, ValueError):
            return

    def lacks(self, event: Event) -> bool:
        """Whether the outbox lacks an event that was made of the study."""
        if event["event"] == "study":
            return self.study is None
        if event["event"] in CHILD_EVENTS:
            child = self.children.get(child_name(event))
            return child.lacks(event) if child else event["event"] in ("trial", "confirmation")  # which come first
        return _name(event) not in self.others


def _name(event: Event) -> str:
    what = {"winner": "number", "artifact": "path", "register": "name"}.get(event["event"])
    return f"{event['event']} {event[what]}" if what else str(event["event"])
