"""Which file lies where: in the folder of one study, and in the folder that all studies lie in."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from pathlib import Path

from visiontune.errors import UserError
from visiontune.filesystem.path_kind import with_home

_LOCK = "driver.lock"


@dataclass(frozen=True)
class StudyFolder:
    """Files of one study. `path` is STUDIES/NAME."""

    path: Path

    @property
    def name(self) -> str:
        """The name of the study."""
        return self.path.name

    def renaming(self, name: str) -> str:
        """The shell's command that gives the folder another name."""
        return shlex.join(["mv", str(self.path), str(self.path.with_name(name))])

    @property
    def lock(self) -> Path:
        """Held by the driver; every study has one, so it marks a folder as a study's."""
        return self.path / _LOCK

    @property
    def driver_state(self) -> Path:
        """What the driver said last of itself: JSON, replaced every few seconds."""
        return self.path / "driver.json"

    @property
    def journal(self) -> Path:
        """The study itself, as Optuna keeps it, where no database does."""
        return self.path / "study.journal"

    @property
    def journal_copy(self) -> Path:
        """The same lines once more, out of which a damaged journal is mended."""
        return self.path / "study.journal.copy"

    @property
    def database(self) -> Path:
        """Where the study lives instead, if it does: its URL, without a password."""
        return self.path / "database.json"

    @property
    def checkpoints(self) -> Path:
        """A folder for each trial or confirmation that may go on; that of one that ended is removed."""
        return self.path / "checkpoints"

    def checkpoint(self, key: str | int) -> Path:
        """The folder of one trial (by its number) or confirmation (by its key)."""
        return self.checkpoints / (f"{key:05d}" if isinstance(key, int) else key)

    @property
    def token(self) -> Path:
        """Written anew by each driver, while it is at work: a machine that reads the same has the same folder."""
        return self.path / ".token"

    @property
    def stopping(self) -> Path:
        """There while the driver leaves: workers write what they have trained."""
        return self.path / "stopping"

    def leaving(self, key: str) -> Path:
        """There while the machine that trains this leg is about to go: its worker writes what it has trained, and ends."""
        return self.checkpoint(key) / "leaving"

    @property
    def hung(self) -> Path:
        """Stacks of workers that hung, by trial and attempt."""
        return self.path / "hung"

    @property
    def plugins(self) -> Path:
        """A copy of each plugin that its recipes name, by digest; beside the winner's recipe, which is read with it."""
        return self.path / "plugins"

    @property
    def winner(self) -> Path:
        """The winner's recipe."""
        return self.path / "winner.yaml"

    @property
    def front(self) -> Path:
        """Recipes of the trials that no other beats in all objectives, where there are several."""
        return self.path / "front"

    def front_recipe(self, number: int) -> Path:
        """That of one trial."""
        return self.front / f"{number:05d}.yaml"

    def front_weights(self, number: int) -> Path:
        """The best of its weights on fresh seeds, where it was trained on them and is not the winner."""
        return self.front / f"{number:05d}.safetensors"

    @property
    def confirmed(self) -> Path:
        """Weights of confirmations: of all until the race among them is over, then of the winner's, and one of each other of a front."""
        return self.path / "confirmed"

    def confirmed_weights(self, key: str) -> Path:
        """Those of one, by its key."""
        return self.confirmed / f"{key}.safetensors"

    @property
    def winner_weights(self) -> Path:
        """The weights of the confirmation that was kept."""
        return self.path / "winner.safetensors"

    @property
    def winner_test(self) -> Path:
        """The test figures of those weights, and those of each class."""
        return self.path / "winner_test.json"

    @property
    def winner_sheet(self) -> Path:
        """A PNG of what its augmentation does to pictures."""
        return self.path / "winner_augmentation.png"

    @property
    def registered(self) -> Path:
        """What became of the winner in MLflow's model registry, as JSON: name and a sentence."""
        return self.path / "registered.json"

    @property
    def augmentation_sheet(self) -> Path:
        """A PNG of what the space's policies do to pictures, by `visiontune preview`."""
        return self.path / "augmentation.png"

    @property
    def lr_range_plot(self) -> Path:
        """A PNG of the learning-rate range tests, by `visiontune check --run`."""
        return self.path / "lr_range.png"

    @property
    def forecast(self) -> Path:
        """Hours that a search will take, as JSON, by `visiontune check --run`."""
        return self.path / "forecast.json"

    @property
    def inspection(self) -> Path:
        """Pictures of what the winner sees, by `visiontune inspect`."""
        return self.path / "inspection"

    @property
    def report(self) -> Path:
        """The study as one page, by `visiontune report`."""
        return self.path / "report.html"

    @property
    def events(self) -> Path:
        """What happened, a line of JSON each, for whoever watches."""
        return self.path / "events.jsonl"

    @property
    def outbox(self) -> Path:
        """Events for MLflow, only ever appended to."""
        return self.path / "outbox.jsonl"

    @property
    def outbox_sent(self) -> Path:
        """How many bytes of the outbox MLflow has."""
        return self.path / "outbox.sent"

    @property
    def outbox_refused(self) -> Path:
        """Events that MLflow refuses for good, with the reason."""
        return self.path / "outbox.refused.jsonl"

    @property
    def writer_lock(self) -> Path:
        """Held by the one writer that sends."""
        return self.path / "outbox.lock"

    @property
    def writer_log(self) -> Path:
        """The writer's log."""
        return self.path / "writer.log"


@dataclass(frozen=True)
class StudiesFolder:
    """The folder of studies (VISIONTUNE_STUDIES, --studies-dir), with what they share."""

    path: Path

    @staticmethod
    def of(path: Path | str | None = None) -> StudiesFolder:
        """The folder given, else VISIONTUNE_STUDIES, else ./studies; in a Ray job, whose own folder is removed when it ends,
        ~/visiontune-studies of its machine in place of ./studies. Raises UserError for what is no path.
        """
        if not isinstance(path, str | os.PathLike | None):
            raise UserError(f"a folder of studies is a path, but got {path!r}")
        if path is None and "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ and not os.environ.get("VISIONTUNE_STUDIES"):
            return StudiesFolder(Path.home() / "visiontune-studies")
        return StudiesFolder(with_home(path or os.environ.get("VISIONTUNE_STUDIES") or "studies"))

    def study(self, name: str) -> StudyFolder:
        """The folder of that study, which may not exist yet."""
        return StudyFolder(self.path / name)

    def names(self) -> list[str]:
        """Names of the studies that are there (a study has a lock file), sorted."""
        return sorted(lock.parent.name for lock in self.path.glob(f"*/{_LOCK}"))

    @property
    def data_cache(self) -> Path:
        """Stores of pictures, and their names."""
        return self.path / ".data"

    @property
    def mlflow_database(self) -> Path:
        """MLflow's SQLite file, where no server has the runs."""
        return self.path / "mlflow.db"

    @property
    def mlflow_artifacts(self) -> Path:
        """Models of winners, where no server has them."""
        return self.path / "mlartifacts"

    @property
    def mlflow_lock(self) -> Path:
        """Held while MLflow opens the store, which creates the tables of a fresh database."""
        return self.path / "mlflow.lock"
