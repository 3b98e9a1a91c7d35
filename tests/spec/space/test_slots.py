"""What a trial gets of a node's CPUs."""

from __future__ import annotations

import pytest

from visiontune.spec.space.slots import settled_cpus, slots_of
from visiontune.spec.space.study_spec import Resources


@pytest.mark.parametrize(
    ("gpus", "nodes", "cpus"),
    [
        pytest.param(0.0, [(2, 0)], 1, id="no GPU: a trial for each core, as ever"),
        pytest.param(1.0, [(16, 1)], 16, id="a whole node"),
        pytest.param(0.25, [(16, 1)], 4, id="a quarter"),
        pytest.param(0.6, [(16, 4)], 4, id="one to a GPU, since no trial has parts of two"),
        pytest.param(2.0, [(64, 8), (2, 0)], 16, id="nodes without a GPU take none"),
        pytest.param(1.0, [(64, 8), (4, 2)], 2, id="as many as fit everywhere"),
        pytest.param(1.0, [(2, 4)], 1, id="at least one"),
        pytest.param(1.0, [(8, 0)], 1, id="no GPU up yet"),
    ],
)
def test_auto_cpus(gpus: float, nodes: list[tuple[float, float]], cpus: int) -> None:
    assert settled_cpus(Resources("auto", "auto", 1, "auto"), gpus, nodes) == cpus
    assert settled_cpus(Resources("auto", 3, 1, "auto"), gpus, nodes) == 3


def test_as_many_trials_as_a_gpu_has_room_for() -> None:
    assert [slots_of(1, share) for share in (0.1, 0.2, 1 / 3, 0.7)] == [10, 5, 3, 1]
