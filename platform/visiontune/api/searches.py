"""Searches, from a space's file to trained recipes: search, check, sample, confirm, ablate, submit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any

from visiontune.api.inputs import File, Folder, path_of, renamed, spec_of, spec_to_go_on, words
from visiontune.api.studies import load_study
from visiontune.errors import UserError
from visiontune.filesystem.study_folder import StudiesFolder, StudyFolder
from visiontune.spec.declarations.call_ranges import MANY, SEEDS, TIMES, refuse_outside
from visiontune.spec.plugins import in_use

if TYPE_CHECKING:
    from visiontune.results.checks.study_check import StudyCheck
    from visiontune.results.study import Study
    from visiontune.results.tables.ablation_table import Ablation
    from visiontune.spec.declarations.trial_recipe import TrialRecipe


class Interrupted(KeyboardInterrupt):
    """A search was interrupted: what is done is kept, and the same call goes on. `study` is the study as it stands."""

    def __init__(self, study: Study) -> None:
        super().__init__(f"search {study.name} was interrupted; the same call goes on")
        self.study = study


def search(
    space: File,
    overrides: Sequence[str] = (),
    *,
    name: str | None = None,
    studies_dir: Folder = None,
    address: str | None = None,
    progress: bool | str = True,
    may_exit: bool = False,
    **more: Any,
) -> Study:
    """Search a space until its study is finished; the same call again goes on where it stopped.

    `name` is another name for the study; `address` a Ray cluster to join, else that of RAY_ADDRESS, else Ray starts here. `progress` shows
    how the search stands, on a terminal and in a notebook as a table, elsewhere or with "plain" as lines, with False not at all.
    `may_exit`: after an interruption that Ray does not answer, this process may be ended. Raises UserError (also where Ray is initialised
    in this process already), SearchFailed, NoCluster, and Interrupted (a KeyboardInterrupt) after Ctrl-C, and while trials
    are trained SIGTERM or SIGHUP; before the first trial of a study Ctrl-C is a plain KeyboardInterrupt. Threads other than the main one
    leave signals alone.
    """
    studies = StudiesFolder.of(studies_dir)
    spec = spec_to_go_on(space, words(overrides, more), renamed(name), studies)
    folder = studies.study(spec.study)
    from visiontune.results.screens.search_screen import Screen
    from visiontune.results.study import Study
    from visiontune.tracking.studies_there import StudiesThere
    from visiontune.tracking.tracker import tracker, unsent_events
    from visiontune.tuning.cluster.ray_cluster import check_address
    from visiontune.tuning.launch import run_search
    from visiontune.tuning.search.search_metrics import SearchMetrics

    check_address(address)  # before anything is written
    try:
        with Screen.of(progress) as screen:
            shown = SearchMetrics(spec.study, lambda: unsent_events(folder)).beside(screen.update)
            parts: dict[str, Any] = {"tracker": lambda: tracker(folder, say=screen.say), "screen": shown, "say": screen.say}
            parts["elsewhere"] = StudiesThere.by_environment()
            outcome = run_search(spec, studies, **parts, address=address, may_exit=may_exit)
    except KeyboardInterrupt:  # while Ray starts or pictures are read
        if (begun := _begun(folder, str(spec.storage["url"]))) is not None:
            raise Interrupted(begun) from None
        raise
    study = Study(folder, outcome.study, outcome.status, outcome.num_new_trials, outcome.num_new_epochs, str(spec.storage["url"]))
    if outcome.status == "interrupted":
        raise Interrupted(study)
    return study


def _begun(folder: StudyFolder, url: str) -> Study | None:
    """The study as it stands, None before its first trial."""
    from visiontune.results.study import Study
    from visiontune.tuning.study.read_study import read_study

    try:
        record = read_study(folder, url)
    except UserError:
        return None
    return Study(folder, record, "interrupted", storage_url=url) if record.trials else None


def check(
    space: File, overrides: Sequence[str] = (), *, run: bool = False, studies_dir: Folder = None, progress: bool = True, **more: Any
) -> StudyCheck:
    """Validate a space, build every model, say what the search will cost; with `run` try data, networks and learning rates out.

    `progress` prints each check as it ends. Raises UserError with every problem.
    """
    studies = StudiesFolder.of(studies_dir)
    spec = spec_to_go_on(space, overrides, more, studies)
    from visiontune.results.checks.study_check import check_study

    return check_study(spec, studies, is_run=run, is_quiet=not progress)


def sample(space: File, overrides: Sequence[str] = (), *, n: int = 3, seed: int = 0, **more: Any) -> list[TrialRecipe]:
    """`n` recipes drawn at random out of a space, the same for the same seed. Raises UserError with every problem."""
    refuse_outside(MANY, n=n)
    if not isinstance(seed, Integral):
        raise UserError(f"seed must be an int, but got {seed!r}")
    from visiontune.spec.declarations.domains import RandomParams
    from visiontune.spec.declarations.fingerprint import keyed_seed
    from visiontune.spec.parse import make_recipe

    spec = spec_of(space, overrides, more)
    with in_use(spec.plugins):
        draws = (spec.space.resolve(RandomParams(keyed_seed(int(seed), "sample", number))) for number in range(n))
        return [make_recipe(spec, sections, number) for number, sections in enumerate(draws)]


def confirm(
    study: Path | str,
    *,
    top: int | None = None,
    seeds: int | None = None,
    weights: str | None = None,
    use_val: bool | None = None,
    studies_dir: Folder = None,
    storage: str = "journal",
    address: str | None = None,
    progress: bool | str = True,
    may_exit: bool = False,
) -> Study:
    """`Study.confirm` of a study by its name or its folder; raises Interrupted as `search` does."""
    from visiontune.results.retraining.confirm_study import confirm_keys

    given: dict[str, Any] = {"top": top, "seeds": seeds, "weights": weights, "use_val": use_val}
    confirm_keys(**given)  # before the study is read
    begun = load_study(study, studies_dir=studies_dir, storage=storage)
    found = begun.confirm(**given, address=address, progress=progress, may_exit=may_exit)
    if found.status == "interrupted":
        raise Interrupted(found)
    return found


def ablate(
    study: Path | str,
    *,
    budget: int | str | None = None,
    seeds: int = 3,
    studies_dir: Folder = None,
    storage: str = "journal",
    address: str | None = None,
    progress: bool | str = True,
    may_exit: bool = False,
) -> Ablation:
    """`Study.ablate` of a study by its name or its folder; raises Interrupted as `search` does."""
    from visiontune.results.retraining.ablate_study import limit_of

    refuse_outside(SEEDS, seeds=seeds)
    limit_of(budget)  # before the study is read
    begun = load_study(study, studies_dir=studies_dir, storage=storage)
    found = begun.ablate(budget=budget, seeds=seeds, address=address, progress=progress, may_exit=may_exit)
    if found.status == "interrupted":
        raise Interrupted(begun)
    return found


def submit(
    space: Path | str,
    address: str,
    overrides: Sequence[str] = (),
    *,
    name: str | None = None,
    studies_dir: str | None = None,
    retries: int = 0,
    trust_network: bool = False,
    say: Callable[[str], None] = print,
    **more: Any,
) -> int:
    """Run a search as a job of the Ray cluster at `address`, or follow it there; its exit code. `studies_dir` is on the cluster.

    `name` is another name for the study, as in `search`. A driver that died with its machine is started again, at most `retries` times
    (0 to 1,000); one that ended by itself is not. What travels is the package, the file, and what it names. `trust_network`: also to an
    address that is neither on loopback nor protected by a token, where whoever reaches it may run what they like.
    Raises UserError, ConnectionError where no job server answers, RuntimeError where Ray refuses the job.
    """
    refuse_outside(TIMES, retries=retries)
    from visiontune.tuning.cluster.ray_submit import submit as submit_job

    how: dict[str, Any] = {"studies_dir": studies_dir, "retries": retries, "trust_network": trust_network, "say": say}
    return submit_job(path_of(space), address, words(overrides, more | renamed(name)), **how)
