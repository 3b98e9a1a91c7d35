"""A small study that a worker trained for real, in this process and without Ray; what MLflow is to get lies in its outbox."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import torch

from visiontune.data.prepare import prepare
from visiontune.data.store.store import Store
from visiontune.filesystem.study_folder import StudiesFolder, StudyFolder
from visiontune.spec.parse import load_study
from visiontune.tracking.outbox import Outbox
from visiontune.training.loop import train
from visiontune.tuning.legs.run_leg import Worker
from visiontune.tuning.legs.train_leg import Train
from visiontune.tuning.records.records import Ending
from visiontune.tuning.retraining.winner import leave_winner
from visiontune.tuning.search.search_run import SearchRun
from visiontune.tuning.study.open_storage import create_or_resume
from visiontune.tuning.study.read_study import study_record
from visiontune.tuning.study.study_pictures import keep_pictures

SPACE = {
    "study": "small",
    "data": {"source": "digits", "max_pictures": 300, "val_fraction": 0.2, "test_fraction": 0.2},
    "budget": {"num_trials": 3, "min_epochs": 1, "max_epochs": 3, "reduction_factor": 3},
    "sampler": {"name": "random", "seed": 0},
    "space": {
        "model": {"name": "lenet5", "dropout": {"float": [0.1, 0.5]}},
        "optimizer": {"name": "sgd", "lr": {"float": [0.01, 0.1], "log": True}},
        "training": {"batch_size": 32},
    },
}


def train_study(studies: Path, *, train: Train = train, **sections: object) -> StudyFolder:
    """SPACE with other sections, searched by one worker to its end; figures are those of one thread. `train` takes the loop's place."""
    torch.set_num_threads(1)
    spec = load_study({**SPACE, **sections})
    folder = StudiesFolder(studies).study(spec.study)
    folder.path.mkdir(parents=True)
    folder.lock.touch()
    store = Store.open(prepare(spec.data, StudiesFolder(studies).data_cache))
    storage, outbox, worker = create_or_resume(folder, spec), Outbox(folder), Worker(store, folder, train=train)
    keep_pictures(storage, store, spec.study)
    run = SearchRun(spec, storage, folder, outbox.put)
    while (leg := run.next_leg()) is not None:
        reports = worker.run(leg, rungs=spec.leg_ends)
        while run.report(leg.key, next(reports)):
            pass
        reports.close()
    ending = Ending(spec.budget.ends, "num_trials", int(spec.confirm["num_seeds"]))
    leave_winner(study_record(storage, spec.study, ending), folder, store, outbox.put)
    storage.set_attribute("finished", asdict(ending))
    outbox.close()
    return folder
