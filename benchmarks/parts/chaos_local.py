"""Faults of a search on one machine: drivers that are killed or told to leave, files that are damaged, a disk that is full."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from parts.chaos_ground import LEAVES_S, Faults, Ground, NotRun, Row, begin, end_of, get_on
from parts.chaos_runs import not_killed
from parts.killable_search import Search, wait_for

DISK_MB = 48


def drivers_killed(ground: Ground, times: int) -> Row:
    """kill -9 between the first report after a start and some seconds later, and the same command again."""

    def kill(search: Search, driver: subprocess.Popen[bytes]) -> list[str]:
        time.sleep(ground.draw.uniform(0.0, 3.0))
        driver.kill()
        driver.wait()
        return []

    return _again_and_again(ground, times, kill)


def drivers_told(ground: Ground, times: int) -> Row:
    """SIGTERM and SIGINT in turn: the driver leaves by itself, what is trained is written, and MLflow says that all can go on."""
    signals = [signal.SIGTERM, signal.SIGINT] * times

    def tell(search: Search, driver: subprocess.Popen[bytes]) -> list[str]:
        driver.send_signal(signals.pop())
        code = wait_for(lambda: driver.poll() is not None and f"{driver.returncode}", LEAVES_S)
        if code != "1":
            return [f"the driver ended with {code}: {search.tail()}"]
        wait_for(lambda: not not_killed(search), LEAVES_S)  # on a busy machine the writer sends that after its driver has ended
        return not_killed(search)

    return _again_and_again(ground, times, tell)


def checkpoints_damaged(ground: Ground, times: int) -> Row:
    """Every checkpoint is cut short, has a bit flipped, is emptied or is deleted, in turn, while the driver is killed."""
    ways = [_cut, _flip, _empty, Path.unlink]

    def damage(search: Search, driver: subprocess.Popen[bytes]) -> list[str]:
        driver.kill()
        driver.wait()
        wait_for(lambda: not search.processes("ray::LegWorker"), LEAVES_S)
        for path in sorted(search.study.checkpoints.glob("*/epoch-*.ckpt")):
            ways[len(damaged) % len(ways)](path)
            damaged.append(path)
        return []

    damaged: list[Path] = []
    row = _again_and_again(ground, times, damage)
    return Row(len(damaged), row.lost, row.doubled, row.repeated, row.problems)


def journals_damaged(ground: Ground, times: int) -> Row:
    """While the driver is killed: the last line torn, a byte flipped in the middle, the end lost, the file deleted, in turn."""
    ways: list[Callable[[Path], None]] = [lambda path: _cut(path, 7), _flip, _cut, Path.unlink]

    def damage(search: Search, driver: subprocess.Popen[bytes]) -> list[str]:
        driver.kill()
        driver.wait()
        ways.append(way := ways.pop(0))
        way(search.study.journal)
        return []

    return _again_and_again(ground, times, damage, notes_first=True)


def disk_full(ground: Ground, times: int) -> Row:
    """The studies lie on a disk of DISK_MB that is filled up, and has room again some seconds later."""
    disk = ground.folder / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "tmpfs", str(disk)], capture_output=True).returncode:
        raise NotRun("a file system may not be mounted here")
    ground.at_end.callback(subprocess.run, ["umount", "-l", str(disk)], capture_output=True)

    def fill(search: Search, driver: subprocess.Popen[bytes]) -> list[str]:
        filler = disk / "filler"
        with suppress(OSError), filler.open("wb") as file:
            file.write(b"0" * shutil.disk_usage(disk).total)
        wait_for(lambda: driver.poll() is not None, 20.0)
        filler.unlink()
        if driver.poll() is None:
            driver.kill()
        driver.wait()
        return []

    return _again_and_again(ground, times, fill, folder=disk / "studies")


def _again_and_again(
    ground: Ground,
    times: int,
    cause: Callable[[Search, subprocess.Popen[bytes]], list[str]],
    *,
    notes_first: bool = False,
    folder: Path | None = None,
) -> Row:
    """A search whose driver ends by each fault, and is started again; searches follow one another until there were enough faults."""
    done = Row(0)
    while done.times < times:
        search, problems = ground.search(folder=folder), list[str]()
        faults, driver = Faults(search), begin(search)
        while done.times + faults.times < times and get_on(search, driver):
            if notes_first:
                faults.note()
            problems += cause(search, driver)
            if not notes_first:
                faults.note()
            driver = begin(search)
        row = faults.row(ground.num_trials, *end_of(search, driver), *problems)
        done = Row(*(a + b for a, b in zip(vars(done).values(), vars(row).values(), strict=True)))
        if not row.times:
            return Row(done.times, done.lost, done.doubled, done.repeated, [*done.problems, "a search ended before its fault"])
    return done


def _cut(path: Path, num_bytes: int = 0) -> None:
    """Take so many bytes from its end, a third of it by default."""
    size = path.stat().st_size
    os.truncate(path, size - (num_bytes or size // 3))


def _empty(path: Path) -> None:
    os.truncate(path, 0)


def _flip(path: Path) -> None:
    """One bit, in its middle."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
