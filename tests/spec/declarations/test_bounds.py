"""Upper bounds of costs as a file says them."""

from __future__ import annotations

from pathlib import Path

import pytest
from spec_files import GOOD, load

from visiontune.errors import UserError
from visiontune.spec.read_identity import spec_of_identity

AFTER = "objective: {metric: val_top1}\n"


def bounded(text: str) -> str:
    return GOOD.replace(AFTER, f"{AFTER}constraints: {{{text}}}\n")


def test_bounds_need_no_quotes_and_come_back_out_of_a_studys_identity(tmp_path: Path) -> None:
    spec = load(tmp_path, bounded("num_parameters: <= 1e6, latency_ms: <=5, weight_bytes: '<= 1_000_000.5'"))
    assert spec.constraints == {"num_parameters": 1e6, "latency_ms": 5.0, "weight_bytes": 1000000.5}
    assert spec_of_identity(spec.identity()).constraints == spec.constraints
    assert not any(key.startswith("constraints") for key in load(tmp_path, GOOD).identity()), "older studies go on"


def test_all_wrong_bounds_are_told_at_once(tmp_path: Path) -> None:
    wrong = "num_parameters: 1e6, latency_ms: '>= 5', weight_bytes: < 3, multiply_adds: <= many, latency_64_ms: true, params: <= 3"
    with pytest.raises(UserError) as error:
        load(tmp_path, bounded(wrong))
    said = [str(problem).removeprefix(f"{tmp_path}/space.yaml:4: constraints.") for problem in error.value.problems]
    rule = "must be `<= NUMBER`, such as `<= 1e6`"
    assert said[:5] == [
        f"num_parameters: {rule}, but got 1000000.0; nearest is '<= 1000000'",
        f"latency_ms: {rule}, since a cost is bounded from above only, but got '>= 5'",
        f"weight_bytes: {rule}, but got '< 3'; nearest is '<= 3'",
        f"multiply_adds: {rule}, with a finite number above 0, but got '<= many'",
        f"latency_64_ms: {rule}, but got true",
    ]
    assert said[5].startswith("params: unknown key 'params', which is num_parameters here; nearest is 'num_parameters'")
