"""Thousands of searches under simulated weather, on all cores; and one whose process is killed for real, over a journal on the disk.

python chaos_simulated.py FOLDER    # drives that one
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from random import Random

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from common.machine import clean_env
from parts.chaos_ground import Ground, Row
from parts.killable_search import wait_for
from parts.simulated_cluster import Cluster
from parts.simulated_machine import Machine
from parts.simulated_outcome import other_than, outcome_of
from parts.simulated_weather import draw_weather, spec_of, undisturbed
from visiontune.filesystem.study_folder import StudyFolder
from visiontune.tuning.study.open_storage import mend_journal, open_existing

CHUNK = 50
KIND = ("asha", 40, 2)
"""The search whose process is killed: rule, trials, seeds of its confirmation; some 500 facts, each synced to the disk."""


def simulated(ground: Ground, times: int) -> Row:
    """So many searches, each by a seed of its own."""
    first = ground.draw.randrange(1_000_000)
    with ProcessPoolExecutor(min(len(os.sched_getaffinity(0)), -(-times // CHUNK))) as pool:
        rows = list(pool.map(_searched, range(first, first + times), chunksize=CHUNK))
    problems = [problem for row in rows for problem in row.problems]
    return Row(times, sum(row.lost for row in rows), sum(row.doubled for row in rows), sum(row.repeated for row in rows), problems)


def _searched(seed: int) -> Row:
    """What is wrong is said with its seed."""
    try:
        outcome = outcome_of(draw_weather(Random(seed)))
    except AssertionError as error:
        return Row(1, problems=[f"weather {seed}: {str(error)[:300]}"])
    return Row(1, outcome.lost, outcome.doubled, outcome.repeated, [f"weather {seed}: {problem}" for problem in outcome.problems])


def processes_killed(ground: Ground, times: int) -> Row:
    """kill -9 of a driver at random moments while it writes its journal, until the study is that of an undisturbed search."""
    row = Row(0)
    while row.times < times:
        folder, code = StudyFolder(ground.folder / f"journal-{row.times}" / "weather"), None
        while code is None:
            driver = subprocess.Popen([sys.executable, __file__, str(folder.path)], env=clean_env())
            size = _size(folder)
            wait_for(lambda: driver.poll() is not None or _size(folder) > size)  # noqa: B023
            code = _killed(driver, ground.draw.uniform(0.0, 0.5)) if row.times < times else driver.wait()
            row.times += code is None
        storage, calm = open_existing(folder), undisturbed(*KIND)
        row.problems += [*other_than(calm, storage), *([f"the last call ended with {code}"] if code else [])]
        row.lost += max(0, len(calm.trials()) - len(storage.trials()))
        row.doubled += max(0, len(storage.trials()) - len(calm.trials()))
    return row


def _size(folder: StudyFolder) -> int:
    return folder.journal.stat().st_size if folder.journal.exists() else 0


def _killed(driver: subprocess.Popen[bytes], moment_s: float) -> int | None:
    """Its exit code, where it ended before."""
    time.sleep(moment_s)
    if driver.poll() is None:
        driver.kill()
        driver.wait()
        return None
    return driver.returncode


def main() -> None:
    """Drive the study in the folder to its end."""
    folder = StudyFolder(Path(sys.argv[1]))
    folder.path.mkdir(parents=True, exist_ok=True)
    mend_journal(folder)
    Cluster([Machine("sound")]).run(spec_of(*KIND), folder.path)


if __name__ == "__main__":
    main()
