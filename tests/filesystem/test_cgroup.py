"""Quotas of cgroups, version 1 and 2, as the kernel writes them: a container that sees its own group as the mount, one that does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from visiontune.filesystem.cgroup import quotas

V2 = "1 0 0:1 / {}/cg rw - cgroup2 cgroup2 rw"
V1 = "1 0 0:1 {} {}/cg rw - cgroup cgroup rw,cpu,cpuacct"


@pytest.mark.parametrize(
    ("mount", "group", "files", "found"),
    [
        (V2, "0::/", {"cpu.max": "250000 100000\n"}, [2.5]),
        (V2, "0::/pod/one", {"pod/one/cpu.max": "max 100000\n", "pod/cpu.max": "400000 100000\n"}, [4.0]),
        (V2, "0::/", {"cpu.max": "max 100000\n"}, []),
        (V1, "4:cpu,cpuacct:/", {"cpu.cfs_quota_us": "150000\n", "cpu.cfs_period_us": "50000\n"}, [3.0]),
        (V1, "4:cpu,cpuacct:/docker/ab", {"cpu.cfs_quota_us": "50000\n", "cpu.cfs_period_us": "100000\n"}, [0.5]),
        (V1, "4:cpu,cpuacct:/", {"cpu.cfs_quota_us": "-1\n", "cpu.cfs_period_us": "100000\n"}, []),
        (V1, "4:memory:/", {"cpu.cfs_quota_us": "50000\n", "cpu.cfs_period_us": "100000\n"}, []),
        (V1, "4:cpu:/", {"cpu.cfs_quota_us": "", "cpu.cfs_period_us": "0\n"}, []),
    ],
)
def test_the_quotas_of_a_group_and_of_those_above(
    tmp_path: Path, mount: str, group: str, files: dict[str, str], found: list[float]
) -> None:
    root = "/docker/ab" if group.endswith("/docker/ab") else "/"
    line = mount.format(root, tmp_path) if mount is V1 else mount.format(tmp_path)
    (tmp_path / "mountinfo").write_text(line + "\n")
    (tmp_path / "cgroup").write_text(group + "\n")
    for name, text in files.items():
        (tmp_path / "cg" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "cg" / name).write_text(text)
    assert [*quotas(tmp_path)] == found
    assert [*quotas(tmp_path / "none")] == []
