"""A search that trains in this very process, one leg after the other, without Ray: for tests of what is built on searches.

Where a notebook is to have it, a cell of `CELL` comes first.
"""

from __future__ import annotations

import sys
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

from places import HELPERS

from visiontune.filesystem.study_folder import StudiesFolder
from visiontune.spec.space.study_spec import StudySpec
from visiontune.tuning.search.search_run import SearchRun
from visiontune.tuning.study.study_storage import Storage

if TYPE_CHECKING:
    from visiontune.data.store.store import Store

PLACE = "visiontune.tuning.launch.search_on_cluster"
CELL = f"import sys\nsys.path.insert(0, {str(HELPERS)!r})\nimport search_here\nsearch_here.replace_ray()\n"


def replace_ray() -> None:
    """In this process, for searches, and for what is trained again."""
    from visiontune.tuning import launch, retrain_study

    for module in (launch, retrain_study):
        module.__dict__["search_on_cluster"] = search_here


def command(folder: str) -> str:
    """A program there that is `visiontune` with such searches."""
    program = Path(folder) / "visiontune"
    program.write_text(f"#!{sys.executable}\n{CELL}from visiontune.cli import main\nsys.exit(main())\n")
    program.chmod(0o755)
    return str(program)


def search_here(
    run: SearchRun, spec: StudySpec, storage: Storage, studies: StudiesFolder, put: Any, screen: Any, *_: Any, **__: Any
) -> Store:
    """Takes the place of `search_on_cluster`."""
    from visiontune.data.store.short_report import short_report
    from visiontune.tuning.legs.run_leg import Worker
    from visiontune.tuning.preflight.get_ready import get_ready, settle_start
    from visiontune.tuning.retraining.mlflow_events import study_event
    from visiontune.tuning.study.study_pictures import facts_of, keep_pictures

    store = get_ready(spec, studies.data_cache, not storage.trials(), lambda _: None, Event())
    keep_pictures(storage, store, spec.study, spec.space.file, studies)
    if run.has_trials:
        settle_start(run.starts, spec, studies, store.image_size, len(storage.trials()), run.say)
    put(study_event(spec, storage.attributes()["key"], facts_of(store), short_report(store)))
    run.num_slots, worker = 1, Worker(store, studies.study(spec.study))
    while (leg := run.next_leg()) is not None:
        for report in worker.run(leg, rungs=spec.leg_ends):
            if not run.report(leg.key, report):
                break
        screen(run.snapshot())
    return store
