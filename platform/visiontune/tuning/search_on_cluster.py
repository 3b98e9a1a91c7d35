"""The part of a search that needs machines: Ray, checks of nodes, pictures, start recipes, and then its legs to the last."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from visiontune.data.store.node_copy import on_this_node
from visiontune.data.store.remote_cache import remote_cache
from visiontune.data.store.short_report import short_report
from visiontune.filesystem.study_folder import StudiesFolder
from visiontune.spec.space.study_spec import StudySpec
from visiontune.tuning.cluster.beside_ray import beside_ray
from visiontune.tuning.cluster.blas_threads import one_blas_thread
from visiontune.tuning.cluster.interruption import heard_afterwards, interruptible
from visiontune.tuning.cluster.node_watch import NodeWatch
from visiontune.tuning.cluster.ray_ask_nodes import needs_of, with_pictures
from visiontune.tuning.cluster.ray_cluster import cluster, is_local, note_of_gpus, trial_resources
from visiontune.tuning.cluster.shipped_code import relative_weights
from visiontune.tuning.preflight.forecast import keep_forecast
from visiontune.tuning.preflight.get_ready import (
    Screen,
    count_gpus,
    find_pictures,
    get_ready,
    ingest_screen,
    note_of_precision,
    refuse_graphs,
    say_of_pictures,
    settle_start,
    worker_config,
)
from visiontune.tuning.proposals.earlier_studies import Elsewhere
from visiontune.tuning.ranking.constraints import costs_by, needs_known_costs, num_counted
from visiontune.tuning.records.records import Put
from visiontune.tuning.retraining.mlflow_events import study_event
from visiontune.tuning.search.search_run import SearchRun
from visiontune.tuning.search.study_again import say_again
from visiontune.tuning.study.study_pictures import facts_of, follow_pictures, keep_pictures
from visiontune.tuning.study.study_storage import Storage
from visiontune.tuning.study.who_drives import Heartbeat

if TYPE_CHECKING:
    from visiontune.data.store.store import DataInfo, Store


def search_on_cluster(
    run: SearchRun,
    spec: StudySpec,
    storage: Storage,
    studies: StudiesFolder,
    put: Put,
    screen: Screen,
    address: str | None,
    elsewhere: Elsewhere | None = None,
    *,
    may_exit: bool,
) -> Store:
    """Run all legs of a search on the cluster at `address`, or on this machine; gives the pictures. Raises as `run_search`."""
    folder = studies.study(spec.study)
    is_new = not storage.trials()  # a study with trials has passed the preflight
    with beside_ray(partial(find_pictures, spec), "pictures that are being listed", may_exit=may_exit) as found:
        source = found()  # or a path at which nothing is would be told once Ray is up
    # Before Ray starts, which takes seconds in other processes.
    reading = partial(get_ready, spec, studies.data_cache, is_new, ingest_screen(spec, screen, run.clock.start_s), source=source)
    with one_blas_thread(), beside_ray(reading, "pictures that are being read", may_exit=may_exit) as read:
        joins = not is_local(address)
        asked_of_nodes = needs_of(folder) if joins else nullcontext()
        with asked_of_nodes as needs, cluster(address, relative_weights(spec) if joins else ()):
            wanted, watch = _watched(run, spec, address)
            watch.check(needs)
            store = read()
            if not joins:
                on_this_node(store.path, remote_cache())  # here, or workers would be taken to hang while they wait for an hour's copy
            watch.check(needs and with_pictures(needs, spec, store.path))
            _keep_pictures(run, spec, storage, store, studies)
            base = worker_config(spec, folder, store, wanted)
            if spec.resources.gpus_per_trial == "auto" and wanted["gpu"]:
                base = worker_config(spec, folder, store, _share_gpus(run, spec, storage, store.info, base, watch, address))
            if run.has_trials:
                _prepare_trials(run, spec, storage, studies, store, elsewhere)
            put(study_event(spec, storage.attributes()["key"], facts_of(store), short_report(store)))
            say_again(storage, spec, put)
            with heard_afterwards():  # Tune reads its environment, set by `cluster`, as it is imported
                from visiontune.tuning.cluster.ray_adapter import run_tune

            with interruptible(run.interrupt, may_exit=may_exit):
                run_tune(run, base={**base, "needs": needs}, look=watch.look, screen=Heartbeat(folder).beside(screen))
            screen(run.snapshot())
    return store


def _watched(run: SearchRun, spec: StudySpec, address: str | None) -> tuple[dict[str, float], NodeWatch]:
    """What a worker is to get, and the watch on machines that have it. Raises UserError where none has."""
    wanted = trial_resources(spec.resources, address)
    if note := note_of_gpus(spec.resources, wanted, address):
        run.log("machine", note, is_said=True)
    run.spending.num_gpus = count_gpus(spec, wanted)
    if run.has_trials:
        refuse_graphs(spec, wanted)
        if note := note_of_precision(spec, wanted):
            run.log("machine", note, is_said=True)
    watch = NodeWatch(run, spec.resources, wanted, is_local=is_local(address))
    watch.refuse_too_small()
    return wanted, watch


def _keep_pictures(run: SearchRun, spec: StudySpec, storage: Storage, store: Store, studies: StudiesFolder) -> None:
    keep_pictures(storage, store, spec.study, spec.space.file, studies)
    if places := follow_pictures(storage, spec):
        run.log("search", f"goes on with the same pictures at another place: {places}", is_said=True)


def _share_gpus(
    run: SearchRun, spec: StudySpec, storage: Storage, info: DataInfo, base: Mapping[str, Any], watch: NodeWatch, address: str | None
) -> Mapping[str, float]:
    """What a worker is to get, once it is known how many of the space's networks a GPU has room for; `base` is what the probe gets."""
    from visiontune.tuning.cluster.gpu_share import asking_ray, settled_gpus  # torch, in the driver

    gpus = settled_gpus(spec, storage, info, list(run.out.placement.nodes.values()), asking_ray(base), run.say)
    wanted = trial_resources(replace(spec.resources, gpus_per_trial=gpus), address)
    run.spending.num_gpus = count_gpus(spec, wanted)
    watch.want(wanted)
    return wanted


def _prepare_trials(
    run: SearchRun, spec: StudySpec, storage: Storage, studies: StudiesFolder, store: Store, elsewhere: Elsewhere | None
) -> None:
    """What is known before the first of them: a forecast, start recipes, and what costs too much."""
    keep_forecast(storage, studies.study(spec.study), spec, store.info)
    say_of_pictures(store, run.say)
    settle_start(run.starts, spec, studies, store.image_size, num_counted(storage.trials()), run.say, elsewhere)
    if needs_known_costs(spec):
        run.refuse_by(costs_by(store.info))
