"""cluster.yaml against Ray's own schema and defaults, and against what the issue asks of it."""

from __future__ import annotations

import re
import subprocess
from typing import Any

import pytest
from places import ROOT
from ruamel.yaml import YAML

FILE = ROOT / "cluster.yaml"


@pytest.fixture(scope="module")
def cluster() -> dict[str, Any]:
    return YAML(typ="safe").load(FILE)  # type: ignore[no-any-return]


def commands(cluster: dict[str, Any]) -> list[str]:
    return [command for key, value in cluster.items() if key.endswith("_commands") for command in value]


def test_ray_takes_the_file(cluster: dict[str, Any]) -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config

    validate_config(cluster)
    validate_config(prepare_config(cluster))  # as `ray up` does, with the provider's defaults
    with pytest.raises(Exception, match="max_worker"):  # and what the schema does not know is refused
        validate_config({**cluster, "max_worker": 1})


def test_the_head_takes_no_trials_and_gpu_machines_come_and_go(cluster: dict[str, Any]) -> None:
    types = cluster["available_node_types"]
    assert types[cluster["head_node_type"]]["resources"] == {"CPU": 0, "GPU": 0}
    gpu = types["gpu"]
    assert gpu["min_workers"] == 0 < gpu["max_workers"] <= cluster["max_workers"]
    assert gpu["resources"]["GPU"] >= 1
    assert gpu["node_config"]["InstanceMarketOptions"]["MarketType"] == "spot"
    assert "InstanceMarketOptions" not in types["head"]["node_config"]


def test_nodes_are_set_up_from_the_pins(cluster: dict[str, Any]) -> None:
    sent = cluster["file_mounts"]
    assert sent["/home/ubuntu/visiontune/constraints.txt"] == "constraints.txt"
    assert any(
        "pip install" in command and "--require-hashes -r ~/visiontune/constraints.txt" in command for command in cluster["setup_commands"]
    )
    assert all("-c " in command or "-r " in command for command in commands(cluster) if "pip install" in command)


def test_storage_is_shared_and_mlflow_has_a_database(cluster: dict[str, Any]) -> None:
    text = "\n".join(commands(cluster))
    assert "mount -t nfs4" in text and "VISIONTUNE_STUDIES=/mnt/visiontune/studies" in text
    assert "MLFLOW_BACKEND_STORE_URI=postgresql://" in text and "MLFLOW_TRACKING_URI=http://127.0.0.1:5000" in text


def test_the_databases_url_is_one_whose_driver_every_node_has(cluster: dict[str, Any]) -> None:
    """As Optuna and MLflow will: SQLAlchemy picks the driver by the URL and imports it."""
    from sqlalchemy.engine import make_url

    found = re.findall(r"postgresql\S*://[^\s']+", FILE.read_text())
    assert len(found) == 2  # the study's in the command at the top, MLflow's
    pins = {line.partition("==")[0] for line in FILE.with_name("constraints.txt").read_text().splitlines()}
    for text in found:
        url = make_url(text)
        assert url.get_dialect().import_dbapi().paramstyle
        assert url.get_driver_name() in pins


def test_nothing_is_open_to_strangers(cluster: dict[str, Any]) -> None:
    text = "\n".join(commands(cluster))
    assert "RAY_AUTH_MODE=token" in text and "/home/ubuntu/.ray/auth_token" in cluster["file_mounts"]
    assert "0.0.0.0" not in text and "--dashboard-host=127.0.0.1" in text and "--host 127.0.0.1" in text
    assert "@" not in text.replace("visiontune@DATABASE", "") and ":visiontune" not in text  # no password in a URL


def test_every_command_is_bash(cluster: dict[str, Any]) -> None:
    for command in commands(cluster):
        subprocess.run(["bash", "-n", "-c", command], check=True)
