"""Copies on a node: one for all who ask at once, whole or none, and only of what lies on the network."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from visiontune.data.prepare import prepare
from visiontune.data.store import node_copy
from visiontune.data.store.store import Store
from visiontune.errors import UserError
from visiontune.filesystem import mounts as mounts_module


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return prepare({"source": "digits"}, tmp_path / "shared")


CODE = """
import sys
sys.path[:0] = {path!r}
import shutil
from pathlib import Path
from visiontune.data.store import node_copy

original = shutil.copyfile
def counted(*args):
    print("copied", flush=True)
    return original(*args)
shutil.copyfile = counted
print(node_copy.on_this_node(Path({store!r})))
"""


@pytest.mark.heavy
def test_several_processes_of_a_node_make_one_copy(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISIONTUNE_NODE_CACHE", str(tmp_path / "node"))
    code = CODE.format(path=[entry for entry in sys.path if entry], store=str(store))
    both = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(3)]
    outs = [process.communicate()[0].split() for process in both]
    copy = str(tmp_path / "node" / store.name)
    assert sorted(outs, key=len) == [[copy], [copy], ["copied", copy]]
    assert Path(copy).read_bytes() == store.read_bytes()


def test_a_damaged_or_older_copy_is_made_again(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISIONTUNE_NODE_CACHE", str(tmp_path / "node"))
    copy = node_copy.on_this_node(store)
    assert copy == tmp_path / "node" / store.name and node_copy.on_this_node(store) == copy
    copy.write_bytes(copy.read_bytes()[:1000])
    assert node_copy.on_this_node(store) == copy and Store.open(copy).digest == Store.open(store).digest


def test_a_local_store_is_read_where_it_is(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VISIONTUNE_NODE_CACHE", raising=False)
    monkeypatch.setattr(node_copy, "is_remote", lambda path: False)
    assert node_copy.on_this_node(store) == store


def test_without_room_or_rights_the_original_is_read(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISIONTUNE_NODE_CACHE", str(tmp_path / "node"))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: type("Usage", (), {"free": 1000})())
    assert node_copy.on_this_node(store) == store and not list((tmp_path / "node").glob("*.arrow"))
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("VISIONTUNE_NODE_CACHE", str(tmp_path / "file"))
    assert node_copy.on_this_node(store) == store


def test_copies_that_nobody_used_for_an_hour_make_room(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISIONTUNE_NODE_CACHE", str(tmp_path / "node"))
    other, third = (prepare({"source": "digits", "image_size": size}, tmp_path / "shared") for size in (9, 10))
    first = node_copy.on_this_node(store)
    monkeypatch.setenv("VISIONTUNE_NODE_CACHE_GB", f"{3e-9 * store.stat().st_size}")
    second = node_copy.on_this_node(other)
    assert node_copy.on_this_node(third) == third and first.exists()  # both are in use
    os.utime(first, (0, 0))
    assert node_copy.on_this_node(third).parent == tmp_path / "node" and not first.exists() and second.exists()
    monkeypatch.setenv("VISIONTUNE_NODE_CACHE_GB", "much")
    with pytest.raises(UserError, match="VISIONTUNE_NODE_CACHE_GB must be a number above 0, but is 'much'"):
        node_copy.on_this_node(store)


def test_the_type_of_the_nearest_mount_decides(tmp_path: Path) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        "1 0 8:1 / / rw - ext4 /dev/a rw\n"
        "2 1 0:9 / /data rw - nfs4 server:/x rw\n"
        "3 2 8:2 / /data/local\\040disk rw shared:1 - xfs /dev/b rw\n"
        "6 1 0:9 / /Bücher\\040neu rw - nfs4 server:/y rw\n"
        "4 1 0:8 / /scratch rw - tmpfs none rw\n"
        "5 1 0:8 / /scratch rw - lustre a@tcp:/b rw\n"
        "7 1 0:7 / /bucket rw - fuse s3 rw\n"
        "8 1 0:7 / /ntfs rw - fuseblk /dev/c rw\n"
    )
    found = {
        name: mounts_module.is_remote(Path(name), mounts)
        for name in ("/Bücher neu/a", "/data/a", "/data/local disk/a", "/home/a", "/database/a", "/scratch/a", "/bucket/a", "/ntfs/a")
    }
    assert found == {
        "/Bücher neu/a": True,
        "/data/a": True,
        "/data/local disk/a": False,
        "/home/a": False,
        "/database/a": False,
        "/scratch/a": True,
        "/bucket/a": True,
        "/ntfs/a": False,
    }
    assert not mounts_module.is_remote(Path("/data/a"), tmp_path / "none")
