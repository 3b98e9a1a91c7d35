"""cluster.yaml against Ray's own schema and defaults; deploy/ against what KubeRay's CRD has, and SLURM's script by running it."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
from pathlib import Path
from typing import Any

import pytest
from places import ROOT
from ruamel.yaml import YAML

FILE, DEPLOY = ROOT / "cluster.yaml", ROOT / "deploy"


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
    assert "--artifacts-destination s3://BUCKET/" in text and "VISIONTUNE_REMOTE_CACHE=s3://BUCKET/" in text


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


def test_nodes_start_by_a_ray_that_waits_for_no_agent(cluster: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray's own dies where its agents take more than 15 s. The package is on no node, so the file must do alone."""
    from ray._private import services

    started = [command for command in commands(cluster) if " start --" in command]
    there = re.findall(r"python ~/(\S+) start --", "\n".join(started))
    assert len(started) == 2 and len({*there}) == 1
    file, ray_itself = ROOT / cluster["file_mounts"][f"/home/ubuntu/{there[0]}"], services.start_raylet
    assert "visiontune" not in "\n".join(line for line in file.read_text().splitlines() if "import" in line)
    seen = []
    monkeypatch.setattr("ray.scripts.scripts.main", lambda: seen.append(services.start_raylet))
    runpy.run_path(str(file), run_name="__main__")
    assert len(seen) == 1 and seen[0] is not ray_itself and services.start_raylet is ray_itself
    assert " start --block" in (line := (DEPLOY / "slurm.sh").read_text()) and "python -m visiontune.tuning.cluster.ray_start start" in line


def test_every_command_is_bash(cluster: dict[str, Any]) -> None:
    for command in commands(cluster):
        subprocess.run(["bash", "-n", "-c", command], check=True)


@pytest.fixture(scope="module")
def kubernetes() -> dict[str, Any]:
    return {f"{one['kind']}/{one['metadata']['name']}": one for one in YAML(typ="safe").load_all(DEPLOY / "rayjob.yaml")}


def keys(*names: str, required: tuple[str, ...] = (), **typed: Any) -> dict[str, Any]:
    """JSON Schema of a mapping with these keys and no others, as the CRD has them (kuberay feeaf72, ray.io_rayjobs.yaml, v1)."""
    return {"type": "object", "properties": {name: {} for name in names} | typed, "required": [*required], "additionalProperties": False}


TEXT, INT, BOOL = {"type": "string"}, {"type": "integer"}, {"type": "boolean"}
PARAMS = {"type": "object", "additionalProperties": TEXT}
POD = keys(
    "metadata",
    spec=keys(
        "securityContext",
        "volumes",
        terminationGracePeriodSeconds=INT,
        containers={"type": "array", "items": keys("name", "image", "envFrom", "ports", "resources", "volumeMounts")},
    ),
)
RAY_CLUSTER = keys(
    rayVersion=TEXT,
    authOptions=keys(mode={"enum": ["disabled", "token"]}),
    enableInTreeAutoscaling=BOOL,
    autoscalerOptions=keys(idleTimeoutSeconds=INT),
    headGroupSpec=keys(required=("template",), rayStartParams=PARAMS, template=POD),
    workerGroupSpecs={
        "type": "array",
        "items": keys(
            required=("groupName", "minReplicas", "maxReplicas", "template"),
            groupName=TEXT,
            minReplicas=INT,
            maxReplicas=INT,
            replicas=INT,
            rayStartParams=PARAMS,
            template=POD,
        ),
    },
)
RAY_JOB = keys(entrypoint=TEXT, backoffLimit=INT, shutdownAfterJobFinishes=BOOL, ttlSecondsAfterFinished=INT, rayClusterSpec=RAY_CLUSTER)


def test_kuberay_takes_the_job(kubernetes: dict[str, Any]) -> None:
    """By the fields that it uses; against the whole CRD it was checked by hand, closed to unknown keys."""
    from importlib.metadata import version

    from jsonschema import validate

    job = kubernetes["RayJob/visiontune"]
    validate(job["spec"], RAY_JOB)
    cluster = job["spec"]["rayClusterSpec"]
    assert cluster["rayVersion"] == version("ray") and cluster["authOptions"] == {"mode": "token"}
    assert cluster["headGroupSpec"]["rayStartParams"] == {"num-cpus": "0", "num-gpus": "0"}
    assert all(group["minReplicas"] == 0 < group["maxReplicas"] for group in cluster["workerGroupSpecs"])


def test_what_the_jobs_pods_name_is_there(kubernetes: dict[str, Any]) -> None:
    """Claims, settings and hosts are among the file's objects, and passwords only in the secret, which its head says how to make."""
    text = (DEPLOY / "rayjob.yaml").read_text()
    for kind, name in (("PersistentVolumeClaim", "visiontune-studies"), ("ConfigMap", "visiontune"), ("ConfigMap", "visiontune-postgres")):
        assert f"{kind}/{name}" in kubernetes and text.count(name) > 1
    hosts = set(re.findall(r"(?:postgresql://visiontune@|http://)(visiontune-\w+)", text))
    assert {f"Service/{host}" for host in hosts} == {name for name in kubernetes if name.startswith("Service/")}
    assert "kubectl create secret generic visiontune" in text and not re.search(r"postgresql://\w+:", text)
    pods = [
        *kubernetes["RayJob/visiontune"]["spec"]["rayClusterSpec"]["workerGroupSpecs"],
        kubernetes["Deployment/visiontune-mlflow"]["spec"],
    ]
    labels = [one["template"]["metadata"]["labels"] for one in (*pods, kubernetes["StatefulSet/visiontune-postgres"]["spec"])]
    assert all(one["app"] == "visiontune" for one in labels)  # whom the network policy lets in


def test_the_jobs_command_is_one_of_the_image(kubernetes: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """The search space is copied there, and takes the overrides."""
    from visiontune.spec.parse import load_study

    words = kubernetes["RayJob/visiontune"]["spec"]["entrypoint"].split()
    assert words[:4] == ["python", "-m", "visiontune", "search"]
    spec = load_study(ROOT / Path(words[4]).relative_to("/opt/visiontune"), words[5:])
    assert spec.resources.gpus_per_trial == 1 and spec.storage["url"].startswith("postgresql://visiontune@visiontune-postgres/")
    lines = (DEPLOY / "Dockerfile").read_text().splitlines()
    assert "COPY search_spaces /opt/visiontune/search_spaces" in lines and any("-r /opt/visiontune/constraints.txt" in one for one in lines)
    sources = [line.split()[1] for line in lines if line.startswith("COPY")]
    assert {f"!{source}" for source in sources} <= {*(DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()}


SRUN = """#!/bin/bash
echo "srun $*, $SRUN_CPUS_PER_TASK each" >> log
[[ -z $FAILS ]] || exit 1
for word; do [[ $word == start ]] && ray start; done
exec /bin/sleep 0.5
"""
RAY = """#!/bin/bash
if [[ $1 == start ]]; then touch up; elif [[ $1 == health-check ]]; then echo asked >> asks; test -e up; fi
"""


def slurm(tmp_path: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """The script under an srun, a ray and a visiontune that write down what they are asked."""
    found = {
        "srun": SRUN,
        "ray": RAY,
        "sleep": "#!/bin/bash\nexec /bin/sleep 0.1\n",
        "visiontune": '#!/bin/bash\nsleep 0.2; echo "visiontune $*" >> log; exit 2\n',
    }
    for name, text in found.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    env = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "SLURM_JOB_ID": "4711", "SLURM_NNODES": "3"}
    env |= {"VISIONTUNE_STUDIES": str(tmp_path), "SLURM_CPUS_PER_TASK": "8", "SLURMD_NODENAME": "node1", **more}
    words = ["bash", str(DEPLOY / "slurm.sh"), "a b.yaml", "x=1"]
    return subprocess.run(words, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60)


def test_slurms_script_starts_a_head_then_the_others_then_the_search(tmp_path: Path) -> None:
    """Each with the processors of a task: srun is given them by no option of sbatch's since 22.05, and Ray counts the machine's."""
    done = slurm(tmp_path)
    head, others, search = sorted((tmp_path / "log").read_text().splitlines())
    here = "node1:24711"  # as Slurm calls it, which `hostname` need not
    assert done.returncode == 2, done.stderr  # the search's own
    head, others = (head, others) if "--head" in head else (others, head)
    assert "--nodes=1" in head and "--nodelist=node1 " in head and "--port=24711" in head
    assert "--nodes=2 --ntasks=2" in others and f"--address={here}" in others
    assert all("--num-cpus=8" in line and line.endswith(", 8 each") for line in (head, others))
    assert search == f"visiontune search a b.yaml x=1 --address {here}"
    assert (tmp_path / ".ray_token-4711").stat().st_mode & 0o077 == 0 and len((tmp_path / ".ray_token-4711").read_text()) == 65


def test_slurms_script_does_not_wait_for_a_head_that_did_not_start(tmp_path: Path) -> None:
    done = slurm(tmp_path, FAILS="1")
    assert done.returncode == 1 and "Ray's head did not start on" in done.stderr
    done = slurm(tmp_path, SLURM_CPUS_PER_TASK="")
    assert done.returncode == 1 and "SLURM_CPUS_PER_TASK: must be given to sbatch: --cpus-per-task" in done.stderr
