"""What a fork meets of numpy's threads while pictures are made ready: none that is not up yet."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

PROGRAM = """
import os, subprocess
import numpy
from visiontune.tuning.cluster.blas_threads import one_blas_thread

matrix = numpy.ones((256, 256), numpy.float32)
with one_blas_thread():
    matrix @ matrix
    subprocess.run(["true"], preexec_fn=lambda: None)  # as Ray starts its processes
    matrix @ matrix
    print(len(os.listdir("/proc/self/task")))
"""


@pytest.mark.heavy
@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="on one core there are none")
def test_no_product_starts_a_thread_that_a_fork_could_wait_for() -> None:
    env = {name: value for name, value in os.environ.items() if "NUM_THREADS" not in name}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1"]  # two without
