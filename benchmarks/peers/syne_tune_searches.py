"""Syne Tune's schedulers behind lines of JSON, for an interpreter whose environment has syne-tune (with huggingface_hub for CQR).

    PYTHON benchmarks/peers/syne_tune_searches.py    # each line of stdin is a request, each of stdout its answer

    {"ask": "version"}                                                         {"version": "0.16.0"}, or {"lacks": [PACKAGE]}
    {"ask": "begin", "scheduler": "ASHA", "domains": {NAME: DOMAIN}, "seed": 0, "max_epochs": 27, "start": [PARAMS]}    {}
    {"ask": "suggest"}                                                         {"params": PARAMS}, null where it has no more
    {"ask": "report", "trial": 0, "epoch": 1, "value": 0.5}                    {"goes_on": true}

`scheduler` is a class of syne_tune.optimizer.baselines, DOMAIN `[name, *arguments]` of a function of syne_tune.config_space. Values are
maximised. A search ends where the next one begins. What is called when is what syne_tune.tuner.Tuner calls: `on_trial_add` after each
suggestion, `on_trial_remove` for whom the scheduler stops; at the largest epoch it stops them all. Nothing of visiontune is imported here.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import logging
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

PACKAGES = ("syne_tune", "huggingface_hub")
"""CQR's module imports the second, and syne-tune installs it as an extra alone."""


class Search:
    """One scheduler and its trials."""

    def __init__(
        self, scheduler: str, domains: Mapping[str, Sequence[Any]], seed: int, max_epochs: int, start: Sequence[Mapping[str, Any]]
    ) -> None:
        import numpy as np
        from syne_tune import config_space
        from syne_tune.optimizer import baselines

        np.random.seed(seed)  # Syne Tune draws from the global generator too
        space = {name: getattr(config_space, kind)(*given) for name, (kind, *given) in domains.items()}
        how = {"metric": "value", "time_attr": "epoch", "max_t": max_epochs, "do_minimize": False}
        make = getattr(baselines, scheduler)
        self._scheduler = make(space, **how, random_seed=seed, points_to_evaluate=[dict(params) for params in start] or None)
        self._trials: list[Any] = []

    def suggest(self) -> dict[str, Any]:
        """As Tuner._schedule_new_task."""
        from syne_tune.backend.trial_status import Trial

        suggestion = self._scheduler.suggest()
        if suggestion is None:
            return {"params": None}
        trial = Trial(len(self._trials), suggestion.config, datetime.datetime.now())
        self._trials.append(trial)
        self._scheduler.on_trial_add(trial)
        return {"params": suggestion.config}

    def report(self, trial: int, epoch: int, value: float) -> dict[str, Any]:
        """As Tuner._update_running_trials."""
        does_stop = self._scheduler.on_trial_result(self._trials[trial], {"value": value, "epoch": epoch}) == "STOP"
        if does_stop:
            self._scheduler.on_trial_remove(self._trials[trial])
        return {"goes_on": not does_stop}


def answers() -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """What answers one request after another."""
    search: list[Search] = []

    def answer(request: Mapping[str, Any]) -> dict[str, Any]:
        ask, given = request["ask"], {key: value for key, value in request.items() if key != "ask"}
        if ask == "version":
            lacks = [name for name in PACKAGES if find_spec(name) is None]
            return {"lacks": lacks} if lacks else {"version": version("syne-tune")}
        if ask == "begin":
            search[:] = [Search(**given)]
            return {}
        return getattr(search[0], {"suggest": "suggest", "report": "report"}[ask])(**given)  # type: ignore[no-any-return]

    return answer


def main() -> None:
    """Until stdin ends."""
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    answer, out = answers(), sys.stdout
    # What else is printed is no answer, and who asked may be gone.
    with contextlib.redirect_stdout(sys.stderr), contextlib.suppress(BrokenPipeError, KeyboardInterrupt):
        for line in sys.stdin:
            print(json.dumps(answer(json.loads(line)), default=lambda one: one.item()), file=out, flush=True)


if __name__ == "__main__":
    main()
