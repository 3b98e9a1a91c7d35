"""Rank 0 and those that follow it: they meet, rank 0 is asked for epochs, and when one of them ends, however that is, all do.

Who starts the others is an argument: processes of this machine (spawned_ranks.py) or actors of a cluster. A follower that fails says why in
the store that they meet in; one that is killed closes its connections, which ends what the others wait for. What a rank says is raised here
as with one process; only one that is gone is a LostRank.
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import distributed as dist

from visiontune.errors import LostRank, UserError, first_line
from visiontune.spec.declarations.trial_recipe import TrialRecipe
from visiontune.training.heartbeat import HEARTBEAT
from visiontune.training.loop import Epoch, train
from visiontune.training.ranks import joined

if TYPE_CHECKING:
    from torch._C._distributed_c10d import TCPStore

    from visiontune.data.store.store import Store

_MEET_S = 600.0
"""For imports and pictures that a follower opens or copies to its node first."""
_LAST_WORDS_S = 2.0
_GET_ADDRESS = 0x8915  # SIOCGIFADDR of Linux
_BACKENDS = ("gloo", "nccl")
_KINDS: tuple[type[Exception], ...] = (UserError, ValueError, MemoryError, RuntimeError)
"""Of the errors that another rank may have, those that rank 0 raises as they are; any other is a RuntimeError that names it."""


@dataclass(frozen=True)
class Meeting:
    """Where the ranks of one training meet, and what each is to train; `more` are other arguments of `train`."""

    host: str
    port: int
    num: int
    recipe: TrialRecipe
    device: str
    more: Mapping[str, Any] = field(default_factory=dict)


class Followers(Protocol):
    """Ranks 1 and up of one training."""

    def lost(self) -> str | None:
        """Which of them has ended before its time, as a sentence; None while all live or have done their work."""

    def end(self) -> None:
        """Wait a while for all to end by themselves, then end them."""


Start = Callable[[Meeting], Followers]


def train_by_ranks(
    recipe: TrialRecipe,
    store: Store,
    *,
    device: str,
    num: int,
    start: Start,
    host: str = "127.0.0.1",
    resume: Mapping[str, Any] | None = None,
    **more: Any,
) -> Iterator[Epoch]:
    """`train` as rank 0 of `num`. Raises what any rank does, and LostRank where another one was ended."""
    listener = socket.create_server((host, 0))
    port = listener.getsockname()[1]
    meeting_store = dist.TCPStore(host, port, is_master=True, wait_for_workers=False, master_listen_fd=listener.detach())  # type: ignore[attr-defined]
    followers = start(Meeting(host, port, num, recipe, device, more))
    try:
        _wait_for(meeting_store, followers, num)
        with _translated(meeting_store, followers, num), _reachable_at(host), joined(0, num, meeting_store, torch.device(device)) as ranks:
            try:
                yield from train(recipe, store, device=device, resume=resume, ranks=ranks, **more)
            finally:
                ranks.end()
    finally:
        followers.end()


def follow(meeting: Meeting, rank: int, store: Store, device: str) -> None:
    """Be that rank until rank 0 ends the training. Raises what `train` does, and tells rank 0."""
    meeting_store = dist.TCPStore(meeting.host, meeting.port, is_master=False, wait_for_workers=False)  # type: ignore[attr-defined]
    meeting_store.set(f"here/{rank}", "")
    with _reachable_at(_address_towards(meeting.host)), joined(rank, meeting.num, meeting_store, torch.device(device)) as ranks:
        try:
            for epoch in train(meeting.recipe, store, device=device, ranks=ranks, **meeting.more):
                HEARTBEAT.epoch_ended(epoch.metrics["epoch_s"])
        except Exception as error:
            if not _is_broken_connection(error):  # else another has failed, or has gone
                with suppress(dist.DistError):  # rank 0 has gone
                    meeting_store.set(f"failed/{rank}", _described(error))
            raise


def _wait_for(store: TCPStore, followers: Followers, num: int) -> None:
    ends_s = time.monotonic() + _MEET_S
    while not store.check([f"here/{rank}" for rank in range(1, num)]):
        if (lost := followers.lost()) is not None or time.monotonic() > ends_s:
            raise LostRank(lost or f"not all {num} workers came up within {_MEET_S:.0f} s", is_begun=False)
        time.sleep(0.01)


@contextmanager
def _translated(store: TCPStore, followers: Followers, num: int) -> Iterator[None]:
    """An error that another rank had first, in place of the broken connection that this one sees of it."""
    try:
        yield
    except RuntimeError as error:
        if not _is_broken_connection(error):
            raise
        ends_s = time.monotonic() + _LAST_WORDS_S
        while (why := _reason(store, followers, num)) is None and time.monotonic() < ends_s:
            time.sleep(0.05)
        if why is None:
            raise
        raise why from error


def _reason(store: TCPStore, followers: Followers, num: int) -> Exception | None:
    lost = followers.lost()  # before what they say: one that fails says so, and ends after that
    for rank in range(1, num):
        if store.check([f"failed/{rank}"]):
            kind, _, said = store.get(f"failed/{rank}").decode().partition(" ")
            return _KINDS[int(kind)](f"worker {rank + 1} of {num} failed: {said}")
    return None if lost is None else LostRank(lost)


def _described(error: Exception) -> str:
    kind = next((number for number, one in enumerate(_KINDS) if isinstance(error, one)), len(_KINDS) - 1)
    return f"{kind} {type(error).__name__}: {first_line(error)}"


def _is_broken_connection(error: Exception) -> bool:
    """NCCL's errors and the store's have a class of their own; gloo's are plain RuntimeErrors that begin with its file's path."""
    is_plain = type(error) is RuntimeError and any(name in str(error).lower() for name in _BACKENDS)
    return is_plain or isinstance(error, dist.DistError)


@contextmanager
def _reachable_at(host: str) -> Iterator[None]:
    """gloo on the interface with that address: left to itself it takes what the host's name resolves to, often only this machine."""
    before = os.environ.get("GLOO_SOCKET_IFNAME")
    if before is None and (name := _interface_of(host)) is not None:
        os.environ["GLOO_SOCKET_IFNAME"] = name
    try:
        yield
    finally:
        if before is None:
            os.environ.pop("GLOO_SOCKET_IFNAME", None)


def _address_towards(host: str) -> str:
    """This machine's own address on the way there."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((host, 9))  # sends nothing
        return str(probe.getsockname()[0])


def _interface_of(address: str) -> str | None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for _, name in socket.if_nameindex():
            with suppress(OSError):
                found = fcntl.ioctl(probe, _GET_ADDRESS, struct.pack("256s", name.encode()))
                if socket.inet_ntoa(found[20:24]) == address:
                    return name
    return None
