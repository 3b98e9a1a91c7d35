"""Sources through pyarrow's own S3 client and a small server of that protocol; paths and URIs that can't be opened."""

from __future__ import annotations

import errno
import os
import re
import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

import numpy as np
import pytest
from annotation_files import TWO, write_coco, write_voc
from picture_files import COLOUR, LABELS, png, write
from source_files import given, set_aside, tree

from visiontune.data import file_tree
from visiontune.data.open_files import inside
from visiontune.data.picture.bad_picture import BadPicture
from visiontune.data.readers.annotations.coco import coco
from visiontune.data.readers.annotations.voc import voc
from visiontune.data.readers.folder import folder
from visiontune.data.readers.manifest import manifest
from visiontune.data.readers.parquet import parquet
from visiontune.errors import UserError

CATS_AND_DOGS = {"cat/a.png": 0, "cat/b ü+%.png": 1, "dog/deep/c.png": 2, "dog/d.png": 3}


class Bucket(BaseHTTPRequestHandler):
    """The part of S3 that reading needs: ListObjectsV2, HEAD and GET with ranges; the bucket "b" is the folder `root`."""

    root: Path
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        name = unquote(parts.path).removeprefix("/b").strip("/")
        if "list-type" in parts.query:
            return self.list_objects({key: values[0] for key, values in parse_qs(parts.query, keep_blank_values=True).items()})
        path = self.root / name
        if not name:
            return self.answer(200, b"")
        if not path.is_file():
            return self.answer(404, b"")
        content = path.read_bytes()
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if asked:
            first, last = int(asked[1]), min(int(asked[2]), len(content) - 1)
            return self.answer(206, content[first : last + 1], {"Content-Range": f"bytes {first}-{last}/{len(content)}"})
        return self.answer(200, content)

    def list_objects(self, query: dict[str, str]) -> None:
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        files, folders = {}, set()
        for path in sorted(self.root.rglob("*")):
            name = path.relative_to(self.root).as_posix()
            if path.is_file() and name.startswith(prefix):
                head, found, _ = name[len(prefix) :].partition(delimiter) if delimiter else (name, "", "")
                if found:
                    folders.add(f"{prefix}{head}/")
                else:
                    files[name] = path.stat().st_size
        num = int(query.get("max-keys", 1000))
        shown = "".join(
            f"<Contents><Key>{escape(name)}</Key><Size>{size}</Size><LastModified>2024-01-01T00:00:00.000Z</LastModified></Contents>"
            for name, size in [*files.items()][:num]
        )
        shown += "".join(f"<CommonPrefixes><Prefix>{escape(name)}</Prefix></CommonPrefixes>" for name in sorted(folders))
        num = len(files) + len(folders)
        text = f"<ListBucketResult><KeyCount>{num}</KeyCount><IsTruncated>false</IsTruncated>{shown}</ListBucketResult>"
        self.answer(200, text.encode(), {"Content-Type": "application/xml"})

    def answer(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for key, value in {
            "Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT",
            "Content-Length": str(len(content)),
            **(headers or {}),
        }.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Silence."""


@pytest.fixture
def s3(tmp_path: Path) -> Iterator[str]:
    """A URI of the bucket with a place for a path; its files are those of tmp_path."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Here", (Bucket,), {"root": tmp_path}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"s3://key:secret@b{{}}?endpoint_override=127.0.0.1%3A{server.server_port}&scheme=http&region=us-east-1"
    server.shutdown()


@pytest.mark.heavy
def test_a_folder_on_s3(tmp_path: Path, s3: str) -> None:
    local = folder(path=tree(tmp_path / "set", CATS_AND_DOGS))
    (tmp_path / "set" / "notes.txt").write_text("x")
    remote = folder(path=s3.format("/set"))
    assert remote.class_names == local.class_names and [*remote.keys("train")] == [*local.keys("train")] == sorted(CATS_AND_DOGS)
    for key, (label, picture) in given(remote).items():
        assert label == key.split("/")[0]
        np.testing.assert_array_equal(picture, COLOUR[CATS_AND_DOGS[key]])
    assert remote.first() == local.first() and remote.content() == local.content()
    assert remote.stamps is not None and remote.stamps().text == remote.stamps().text
    assert remote.names("train")[0] == "s3://b/set/cat/a.png" and set_aside(remote) == {"notes.txt": "is not named like a picture"}


@pytest.mark.heavy
def test_a_table_and_annotations_on_s3(tmp_path: Path, s3: str) -> None:
    tree(tmp_path / "set", CATS_AND_DOGS)
    (tmp_path / "set" / "m.csv").write_text("path,label\ncat/a.png,cat\ns3://b/set/dog/d.png,dog\ncat/none.png,cat\n")
    source = manifest(path=s3.format("/set/m.csv"))
    assert [*given(source)] == ["cat/a.png", "dog/d.png"] and "s3://b/set/m.csv: row 3" in {one.name for one in source.set_aside}
    (tmp_path / "set" / "m.csv").write_text("path,label\ncat/a.png,cat\n/etc/hostname,dog\n")
    with pytest.raises(UserError, match="row 2: paths must stay inside s3://b/set"):
        manifest(path=s3.format("/set/m.csv"))
    (tmp_path / "voc").mkdir()
    write_voc(tmp_path / "voc", TWO)
    (tmp_path / "coco").mkdir()
    write_coco(tmp_path / "coco", TWO)
    assert (
        [*given(voc(path=s3.format("/voc")))]
        == [*given(coco(annotations=s3.format("/coco/instances.json")))]
        == ["a.png#0", "a.png#1", "b.png#0"]
    )


def test_parquet_on_s3(tmp_path: Path, s3: str) -> None:
    write(tmp_path / "train.parquet", [png(picture) for picture in COLOUR], LABELS, row_group_size=7)
    remote, local = parquet(train=s3.format("/train.parquet")), parquet(train=str(tmp_path / "train.parquet"))
    np.testing.assert_array_equal(np.stack([*remote.pictures("train", np.arange(5, 20))]), COLOUR[5:20])  # type: ignore[arg-type]
    assert remote.content() == local.content() and remote.names("train")[2] == "s3://b/train.parquet: row 2"


def test_what_is_not_on_s3(tmp_path: Path, s3: str) -> None:
    tree(tmp_path / "set", CATS_AND_DOGS)
    for read in (folder, voc):
        with pytest.raises(
            UserError, match=r"data\.path: must be a folder, but there is no s3://b/sets; nearest is 's3://b/set'"
        ) as caught:
            read(path=s3.format("/sets"))
        assert "secret" not in str(caught.value)
    source = folder(path=s3.format("/set"))
    (tmp_path / "set/cat/a.png").unlink()
    assert isinstance(given(source)["cat/a.png"][1], BadPicture)


def test_a_file_uri_is_a_local_path(tmp_path: Path) -> None:
    root = tree(tmp_path, CATS_AND_DOGS)
    source = folder(path=f"file://{root}")
    np.testing.assert_array_equal(given(source)["dog/d.png"][1], COLOUR[3])
    (tmp_path / "cat" / "loop").symlink_to(tmp_path)
    with pytest.raises(UserError, match="circle"):
        folder(path=f"file://{root}")


@pytest.mark.parametrize("uri", ["s4://bucket/a", "nothing://x"])
def test_a_uri_that_nobody_opens(uri: str) -> None:
    with pytest.raises(
        UserError, match=r"data\.path: must be a path or a URI that pyarrow or fsspec opens \(file://, s3://, gs://, https://\)"
    ) as caught:
        folder(path=uri)
    assert len(str(caught.value).splitlines()) == 1


class Quiet(SimpleHTTPRequestHandler):
    """A web server that says nothing on stderr."""

    def log_message(self, *_: object) -> None:
        pass


def test_what_pyarrow_lacks_is_read_through_fsspec(tmp_path: Path) -> None:
    """Such as a web server."""
    write(tmp_path / "pets.parquet", [png(picture) for picture in COLOUR], LABELS)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/pets.parquet"
        source = parquet(train=url)
        assert len(given(source)) == len(COLOUR) and source.names("train")[3] == f"{url}: row 3"
        with pytest.raises(UserError, match=r"data\.train: must be a file, but there is no .*/cats\.parquet"):
            parquet(train=url.replace("pets", "cats"))
        server.shutdown()


def test_a_disk_that_fails_stops_and_sets_nothing_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = folder(path=tree(tmp_path, CATS_AND_DOGS))

    def fail(*_: object, **__: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(file_tree.os, "read", fail)
    with pytest.raises(UserError, match=r"cat/a\.png: cannot be read \(Input/output error\)"):
        list(source.pictures("train", np.arange(4)))


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("a.png", "a.png"),
        ("./x//a.png", "x/a.png"),
        ("x\\a.png", "x/a.png"),
        (" a.png ", "a.png"),
        ("x/../a.png", "a.png"),
        ("/data/set/x/a.png", "x/a.png"),
    ]
    + [
        (out, None)
        for out in ("../a.png", "x/../../a.png", "/data/a.png", "/data/settle/a.png", "..", ".", "", "C:/a.png", "http://x/a.png")
    ],
)
def test_inside(written: str, name: str | None) -> None:
    assert inside(written, file_tree.Root("/data/set", "set")) == name


def test_a_folder_that_can_be_listed_and_not_entered_is_refused_in_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with mode r-- and no x, which root does not feel."""
    root, stat = tree(tmp_path, CATS_AND_DOGS), os.stat

    def closed(path: Any, *args: Any, **options: Any) -> Any:
        if str(path).endswith("/deep"):
            raise PermissionError(errno.EACCES, "Permission denied")
        return stat(path, *args, **options)

    monkeypatch.setattr(os, "stat", closed)
    with pytest.raises(UserError, match=r"/dog/deep: cannot be read \(Permission denied\)$"):
        folder(path=root)


def test_a_home_folder_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    tree(tmp_path / "set", CATS_AND_DOGS)
    assert len(given(folder(path="~/set"))) == 4
