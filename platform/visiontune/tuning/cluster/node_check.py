"""What a machine must have before it takes trials: the same package, the study's folder, the pictures, the weights. No Ray.

A worker asks for the first two when it starts, since it may be sent to a machine before that one has been looked at.
"""

from __future__ import annotations

import hashlib
import os
import socket
import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from visiontune.errors import UserError, first_line
from visiontune.filesystem.study_folder import StudyFolder

PACKAGE = Path(__file__).resolve().parents[2]
SEEN_S = 3.0
"""In which a file that the driver has written is seen through a network file system, which keeps listings for a while."""


@dataclass(frozen=True)
class NodeNeeds:
    """`folder` and `token`: the study's folder, and what the driver has written there. `package`: the digest of its code.

    `store` are the pictures, to be had by their path or out of `remote_cache`, None until they are ready; `weights` files and names.
    """

    folder: Path
    token: str
    package: str
    store: Path | None = None
    remote_cache: str | None = None
    weights: tuple[str, ...] = ()


class Lack(NamedTuple):
    """What a machine is without (package, folder, pictures, weights, or answer), and that in words."""

    what: str
    why: str


def lack_of(needs: NodeNeeds) -> Lack | None:
    """Why this machine can take no trial; None where it can."""
    found = lack_at_start(needs)
    if found is None and needs.store is not None:
        found = _lack_of_pictures(needs.store, needs.remote_cache)
    return found or next(filter(None, map(_lack_of_weights, needs.weights)), None)


def lack_at_start(needs: NodeNeeds) -> Lack | None:
    """The part of it that takes a few hundredths of a second."""
    if (here := package_digest()) != needs.package:
        return Lack("package", f"its visiontune, in {PACKAGE}, is another one than the driver's ({here[:8]}, not {needs.package[:8]})")
    return _lack_of_folder(StudyFolder(needs.folder), needs.token)


@lru_cache(maxsize=1)
def package_digest() -> str:
    """Of the code of this package, whatever its version says."""
    digest = hashlib.sha256()
    for path in sorted(PACKAGE.rglob("*.py")):
        digest.update(str(path.relative_to(PACKAGE)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _lack_of_folder(folder: StudyFolder, token: str) -> Lack | None:
    if not folder.path.is_dir():
        return Lack("folder", f"the study's folder {folder.path} is not there")
    if not _is_seen(folder.token, token):
        return Lack("folder", f"{folder.path} is another folder there than the driver's")
    probe = folder.token.with_name(f"{folder.token.name}-{socket.gethostname()}-{os.getpid()}")
    try:
        probe.write_text(token)
        probe.unlink()
    except OSError as error:
        return Lack("folder", f"the study's folder {folder.path} can't be written: {error.strerror}")
    return None


def _is_seen(path: Path, token: str) -> bool:
    until_s = time.monotonic() + SEEN_S
    while True:
        try:
            if path.read_text() == token:
                return True
        except OSError:
            pass
        if time.monotonic() > until_s:
            return False
        time.sleep(0.1)


def _lack_of_pictures(store: Path, remote_cache: str | None) -> Lack | None:
    from visiontune.data.store.node_copy import on_this_node
    from visiontune.data.store.store import Store

    try:
        Store.open(on_this_node(store, remote_cache))
    except (UserError, OSError) as error:
        return Lack("pictures", first_line(error))
    return None


def _lack_of_weights(weights: str) -> Lack | None:
    from visiontune.models.pretrained import shapes_of

    try:
        shapes_of(weights)
    except UserError as error:
        return Lack("weights", first_line(error))
    return None
