"""Files in the checkpoint folder of one trial: its state by epoch and attempt, and the claim of the attempt that it belongs to.

An attempt is one worker's work on a leg. A node that was frozen or cut off still believes that a leg is its own when it wakes up, while
another worker goes on with it: so who begins takes the next number, and who sees a higher one neither writes nor removes anything.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from visiontune.errors import Superseded

_STATE = re.compile(r"epoch-(\d+)(?:\.attempt-(\d+))?\.ckpt")
_CLAIM = re.compile(r"attempt-(\d+)")


@dataclass(frozen=True, order=True)
class CheckpointFile:
    """Of what a later attempt has trained again, that counts."""

    attempt: int
    epoch: int
    path: Path


def state_path(folder: Path, epoch: int, attempt: int = 0) -> Path:
    """Where the state after that epoch goes."""
    return folder / (f"epoch-{epoch:06d}.attempt-{attempt}.ckpt" if attempt else f"epoch-{epoch:06d}.ckpt")


def states_in(folder: Path) -> list[CheckpointFile]:
    """Those that are there, the newest first."""
    found = ((_STATE.fullmatch(path.name), path) for path in folder.glob("epoch-*.ckpt"))
    return sorted((CheckpointFile(int(name[2] or 0), int(name[1]), path) for name, path in found if name), reverse=True)


def clear(folder: Path, newest: Path, num_kept: int) -> None:
    """Leave the `num_kept` newest states; those of attempts after that of `newest`, and what is no state, are not its to remove."""
    own = _attempt(newest)
    kept = [newest, *(one.path for one in states_in(folder) if one.path != newest and one.attempt <= own)][:num_kept]
    for path in folder.iterdir():
        if path not in kept and _STATE.search(path.name) and _attempt(path) <= own:
            path.unlink(missing_ok=True)


def _attempt(path: Path) -> int:
    """Of a state, or of what a killed process left of one; 0 for one of an earlier version."""
    found = _STATE.search(path.name)
    return int(found[2] or 0) if found else 0


@dataclass(frozen=True)
class Attempt:
    """One worker's claim on a checkpoint folder. Its file stays empty, unless the worker hangs: then its stacks are written there."""

    folder: Path
    number: int

    @staticmethod
    def claim(folder: Path) -> Attempt:
        """The next one. Raises OSError."""
        folder.mkdir(parents=True, exist_ok=True)
        earlier = claims_in(folder)
        number = max((*(one.number for one in earlier), *(one.attempt for one in states_in(folder))), default=0) + 1
        while True:
            attempt = Attempt(folder, number)
            try:
                attempt.file.open("x").close()
                break
            except FileExistsError:
                number += 1
        for path in (path for one in earlier for path in (one.file, *one.rank_files())):
            path.unlink(missing_ok=True)
        return attempt

    @property
    def file(self) -> Path:
        """What marks the claim."""
        return self.folder / f"attempt-{self.number}"

    def rank_files(self) -> list[Path]:
        """Where the other workers of the leg wrote their stacks, if it has several and they hung; by rank."""
        found = self.folder.glob(f"{self.file.name}.rank-*")
        return sorted(found, key=lambda path: (len(path.name), path.name))

    def refuse_superseded(self) -> None:
        """Raise Superseded where another worker has gone on with this leg, or its trial has ended."""
        newest = max((one.number for one in claims_in(self.folder)), default=0)
        if newest != self.number:
            then = f"attempt {newest} goes on" if newest else "it has ended"
            raise Superseded(f"attempt {self.number} at {self.folder.name} is over: {then}")


def claims_in(folder: Path) -> list[Attempt]:
    """Those whose files are there, the newest first."""
    found = (_CLAIM.fullmatch(path.name) for path in folder.glob("attempt-*"))
    return sorted((Attempt(folder, int(name[1])) for name in found if name), key=lambda one: one.number, reverse=True)
