"""A real PostgreSQL of a test's own: Debian's programs, on loopback, in a temporary folder, as a user that is not root."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

_UNSYNCED = "fsync=off\nfull_page_writes=off\nshared_buffers=16MB\nmax_connections=30\n"


@dataclass(frozen=True)
class Postgres:
    """A server that is up. `uri(name)` is a database of it."""

    programs: Path
    folder: Path
    port: int

    def uri(self, database: str, driver: str = "+psycopg") -> str:
        """As SQLAlchemy takes it."""
        return f"postgresql{driver}://postgres@127.0.0.1:{self.port}/{database}"

    def make(self, database: str) -> str:
        """A new database; its URI."""
        subprocess.run([self.programs / "createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", database], check=True)
        return self.uri(database)

    def stop(self) -> None:
        """At once, as by a crash: connections break, and what was not committed is rolled back."""
        self._control("stop", "-m", "immediate")

    def start(self) -> None:
        """Returns once it answers."""
        self._control("start", "-l", str(self.folder / "log"))

    def restart(self) -> None:
        """A crash, and up again."""
        self.stop()
        self.start()

    def _control(self, *words: str) -> None:
        _as_nobody([self.programs / "pg_ctl", "-s", "-w", "-D", self.folder / "data", *words])


@contextmanager
def postgres() -> Iterator[Postgres]:
    """Up while the block runs. Skips the test where there is no such program, or root alone to run it."""
    with TemporaryDirectory(prefix="postgres") as folder:  # not pytest's, which other users may not enter
        yield from _serve(Path(folder))


def _serve(folder: Path) -> Iterator[Postgres]:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"), key=lambda path: int(path.parts[-3]))
    if not found or sys.platform != "linux":
        pytest.skip("no PostgreSQL on this machine (Debian: apt-get install postgresql)")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = Postgres(found[-1].parent, folder, port)
    if os.getuid() == 0:
        shutil.chown(folder, **_nobody())
    _as_nobody(
        [server.programs / "initdb", "-D", folder / "data", "-U", "postgres", "-A", "trust", "--no-sync", "--no-locale", "-E", "UTF8"]
    )
    with (folder / "data" / "postgresql.conf").open("a") as file:
        file.write(f"{_UNSYNCED}port={port}\nlisten_addresses='127.0.0.1'\nunix_socket_directories=''\n")
    server.start()
    try:
        yield server
    finally:
        server.stop()


def _nobody() -> dict[str, int]:
    """A user that is not root, which PostgreSQL refuses."""
    for name in ("postgres", "nobody"):
        try:
            user = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": user.pw_uid, "group": user.pw_gid}
    pytest.skip("PostgreSQL is not run as root, and there is no user postgres or nobody")


def _as_nobody(command: list[Any]) -> None:
    who: Mapping[str, Any] = _nobody() if os.getuid() == 0 else {}
    done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd="/", text=True, **who)
    assert done.returncode == 0, done.stdout
