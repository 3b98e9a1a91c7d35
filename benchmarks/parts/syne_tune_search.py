"""Syne Tune's schedulers in a rehearsal: they live in a process of their own environment (peers/syne_tune_searches.py), curves here.

The space is flat, as Syne Tune knows no branches: it draws params of every branch, and those of the branches that it chose count. A choice
is named by its place among the choices, since Syne Tune wants one type of all.
"""

from __future__ import annotations

import atexit
import json
import math
import os
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from parts.peer_searches import WORST
from visiontune.errors import UserError
from visiontune.spec.declarations.domains import Choice, Domain, Float
from visiontune.spec.space.defaults import DefaultParams
from visiontune.spec.space.space import Space
from visiontune.tuning.rehearse_search import Begun, Point

SCRIPT = Path(__file__).parents[1] / "peers" / "syne_tune_searches.py"
ALONE = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
"""Of this environment, not of the other one."""
END_S = 30.0


class OtherProcess:
    """A script that another interpreter runs, and that answers each line of JSON with one."""

    def __init__(self, python: Path, script: Path = SCRIPT) -> None:
        """Raises UserError where there is no such interpreter."""
        env = {key: value for key, value in os.environ.items() if key not in ALONE} | {"OMP_NUM_THREADS": "1"}
        try:
            self._process = subprocess.Popen([python, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env, text=True)
        except OSError as error:
            raise UserError(f"{python} runs no Python: {error.strerror}") from None
        self._python = python

    def ask(self, name: str, **given: Any) -> dict[str, Any]:
        """The answer. Raises UserError where the process ended instead; what it had to say is on stderr."""
        assert self._process.stdin and self._process.stdout
        with suppress(BrokenPipeError):  # an end is seen below
            print(json.dumps({"ask": name, **given}), file=self._process.stdin, flush=True)
        if not (line := self._process.stdout.readline()):
            raise UserError(f"{self._python} ended with exit code {self._process.wait()} when it was asked to {name}")
        return dict(json.loads(line))

    def close(self) -> None:
        """Its input ends, and so does it; where it does not within END_S it is ended."""
        assert self._process.stdin and self._process.stdout
        with suppress(BrokenPipeError):  # what it was asked before it ended
            self._process.stdin.close()
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()


@cache
def process_of(python: Path) -> OtherProcess:
    """One for all searches of this process: to import Syne Tune takes longer than most of them."""
    process = OtherProcess(python)
    atexit.register(process.close)
    return process


class SyneTuneSearch:
    """One of Syne Tune's schedulers; `start` are its points_to_evaluate."""

    def __init__(
        self, process: OtherProcess, scheduler: str, space: Space, num_epochs: int, seed: int, start: Sequence[Mapping[str, Any]] = ()
    ) -> None:
        self._ask, self._space = process.ask, space
        self._domains = {name: domain for name, domain, _ in space.domains()}
        named = {name: function_of(domain) for name, domain in self._domains.items()}
        points = [self._flat(params) for params in start]
        self._ask("begin", scheduler=scheduler, domains=named, seed=seed, max_epochs=num_epochs, start=points)
        self._number = 0

    def next_leg(self) -> Begun | None:
        """Always a new trial, until there is none."""
        if (flat := self._ask("suggest")["params"]) is None:
            return None
        self._number += 1
        return Begun(str(self._number - 1), self._number - 1, self._params(flat))

    def report(self, begun: Begun, epoch: int, point: Point) -> bool:
        """What diverged is a bad value, as to the other peers."""
        value = point.value if math.isfinite(point.value) else WORST
        return bool(self._ask("report", trial=begun.number, epoch=epoch, value=value)["goes_on"])

    def _params(self, flat: Mapping[str, Any]) -> dict[str, Any]:
        """Those of the branches that were chosen."""
        params = dict[str, Any]()
        for name, domain, given in self._space.domains():
            if given.items() <= params.items():
                params[name] = domain.choices[int(flat[name])] if isinstance(domain, Choice) else flat[name]
        return params

    def _flat(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Of every branch, the defaults where `params` lack it."""
        full = {name: params.get(name, domain.ask(name, DefaultParams())) for name, domain in self._domains.items()}
        return {name: str(one.choices.index(full[name])) if isinstance(one, Choice) else full[name] for name, one in self._domains.items()}


def function_of(domain: Domain) -> list[Any]:
    """The function of syne_tune.config_space for a domain, with its arguments. Raises UserError for steps, which no recorded table has."""
    if isinstance(domain, Choice):
        return ["choice", [str(k) for k in range(len(domain.choices))]]
    if domain.step not in (None, 1):
        raise UserError(f"Syne Tune's row takes no domain with a step, but got step={domain.step}")
    name = "uniform" if isinstance(domain, Float) else "randint"
    return [f"log{name}" if domain.log else name, domain.low, domain.high]
