"""What a search takes along to the cluster that it joins: its package, so that every machine runs the driver's, and weights."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from visiontune.errors import UserError
from visiontune.spec.space.study_spec import StudySpec
from visiontune.tuning.cluster.node_check import PACKAGE
from visiontune.tuning.cluster.travelling_files import MOST_BYTES, copy_to

_IN_A_JOB = "RAY_JOB_CONFIG_JSON_ENV_VAR"
"""Ray sets it for a job's driver, which has its runtime environment already (ray 2.60)."""
_SUFFIX = ".safetensors"


def relative_weights(spec: StudySpec) -> list[Path]:
    """Files of weights that the space names from this folder, which workers elsewhere do not work in."""
    named = (one for one in spec.space.values("transfer.weights") if isinstance(one, str) and one.endswith(_SUFFIX))
    return sorted(path for path in map(Path, named) if not path.is_absolute() and path.is_file())


@contextmanager
def runtime_env(files: Iterable[Path] = ()) -> Iterator[dict[str, Any] | None]:
    """For `ray.init`, which sends it; None for the driver of a job, whose own holds. `files` lie below this folder.

    Raises UserError for files that are too large to be sent or lie elsewhere.
    """
    if _IN_A_JOB in os.environ:
        yield None
        return
    code = {"py_modules": [str(PACKAGE)], "excludes": ["**/__pycache__/"], "env_vars": {"NO_ALBUMENTATIONS_UPDATE": "1"}}
    if not (paths := [*files]):
        yield code
        return
    here = Path.cwd()
    if outside := [str(path) for path in paths if not path.resolve().is_relative_to(here)]:
        raise UserError(
            f"{', '.join(outside)} can't be sent to the cluster from {here}: name weights outside this folder by their whole path"
        )
    if (num_bytes := sum(path.stat().st_size for path in paths)) > MOST_BYTES:
        rule = f"{', '.join(map(str, paths))} have {num_bytes / 2**20:,.0f} MiB, and at most {MOST_BYTES >> 20} are sent to a cluster"
        raise UserError(f"{rule}: put weights where every machine sees them and name them by their whole path")
    with TemporaryDirectory(prefix="visiontune-search-") as shipped:
        copy_to(Path(shipped), [path.resolve() for path in paths], here)
        yield {**code, "working_dir": shipped}
