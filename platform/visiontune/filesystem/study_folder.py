"""What lies where: one record of a study's folder, and one of the folder that all studies lie in."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from visiontune.errors import UserError, nearest

_LOCK = "driver.lock"


@dataclass(frozen=True)
class StudyFolder:
    """Files of one study. `path` is STUDIES/NAME."""

    path: Path

    @property
    def name(self) -> str:
        """The study's."""
        return self.path.name

    @property
    def lock(self) -> Path:
        """Held by the driver; every study has one, so it marks a folder as a study's."""
        return self.path / _LOCK

    @property
    def journal(self) -> Path:
        """The study itself, as Optuna keeps it, where no database does."""
        return self.path / "study.journal"

    @property
    def checkpoints(self) -> Path:
        """A folder for each trial or confirmation that may go on."""
        return self.path / "checkpoints"

    def checkpoint(self, key: str | int) -> Path:
        """The folder of one trial (by its number) or confirmation (by its key)."""
        return self.checkpoints / (f"{key:05d}" if isinstance(key, int) else key)

    @property
    def winner(self) -> Path:
        """The winner's recipe."""
        return self.path / "winner.yaml"

    @property
    def winner_weights(self) -> Path:
        """Of its first confirmation."""
        return self.path / "winner.safetensors"

    @property
    def winner_test(self) -> Path:
        """Its test figures, class by class."""
        return self.path / "winner_test.json"

    @property
    def winner_sheet(self) -> Path:
        """What its augmentation does to pictures."""
        return self.path / "winner_augmentation.png"

    @property
    def augmentation_sheet(self) -> Path:
        """What the space's policies do: of `visiontune preview`."""
        return self.path / "augmentation.png"

    @property
    def lr_range_plot(self) -> Path:
        """Of `visiontune check --run`."""
        return self.path / "lr_range.png"

    @property
    def outbox(self) -> Path:
        """Events for MLflow, only ever appended to."""
        return self.path / "outbox.jsonl"

    @property
    def outbox_sent(self) -> Path:
        """How far MLflow has them."""
        return self.path / "outbox.sent"

    @property
    def outbox_refused(self) -> Path:
        """Those that MLflow refuses for good, with the reason."""
        return self.path / "outbox.refused.jsonl"

    @property
    def writer_lock(self) -> Path:
        """Held by the one writer that sends."""
        return self.path / "outbox.lock"

    @property
    def writer_log(self) -> Path:
        """What the writer has to say."""
        return self.path / "writer.log"


@dataclass(frozen=True)
class StudiesFolder:
    """The folder of studies (VISIONTUNE_STUDIES, --studies-dir), with what they share."""

    path: Path

    @staticmethod
    def of(path: Path | str | None = None) -> StudiesFolder:
        """The folder given, else VISIONTUNE_STUDIES; in a Ray job, whose own folder goes when it ends, the home of its machine;
        else ./studies.
        """
        if path is None and "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ and not os.environ.get("VISIONTUNE_STUDIES"):
            return StudiesFolder(Path.home() / "visiontune-studies")
        return StudiesFolder(Path(path or os.environ.get("VISIONTUNE_STUDIES") or "studies").expanduser())

    def study(self, name: str) -> StudyFolder:
        """One of them, there or not."""
        return StudyFolder(self.path / name)

    def find(self, name: str) -> StudyFolder:
        """One that is there. Raises UserError, with the nearest name."""
        folder = self.study(name)
        if not name or Path(name).name != name or not folder.path.is_dir():
            raise UserError(f"no study {name!r} in {self.path}; {nearest(name, self.names())}")
        return folder

    def names(self) -> list[str]:
        """Of the studies that are there, sorted."""
        return sorted(lock.parent.name for lock in self.path.glob(f"*/{_LOCK}"))

    @property
    def data_cache(self) -> Path:
        """Stores of pictures, and their names."""
        return self.path / ".data"

    @property
    def mlflow_database(self) -> Path:
        """Where no server has the runs."""
        return self.path / "mlflow.db"

    @property
    def mlflow_artifacts(self) -> Path:
        """Models of winners, where no server has them."""
        return self.path / "mlartifacts"

    @property
    def mlflow_lock(self) -> Path:
        """Held while the database gets its tables."""
        return self.path / "mlflow.lock"
