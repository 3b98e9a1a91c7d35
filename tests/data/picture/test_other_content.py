"""Files that lie about what they are: each row is what lies there and what is said or read."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from source_files import tree

from visiontune.data.picture.bad_picture import BadPicture
from visiontune.data.picture.decode import decode, shape_of
from visiontune.data.picture.formats import picture_suffixes
from visiontune.data.prepare import prepare, with_defaults
from visiontune.data.prepared_store import prepared
from visiontune.data.store.store import Store
from visiontune.errors import UserError

COLOUR = np.random.default_rng(0).integers(0, 256, (12, 12, 3), dtype=np.uint8)


def save(kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(COLOUR).save(buffer, kind, **options)
    return buffer.getvalue()


def tiff_with(tag: int, value: int) -> bytes:
    """A TIFF whose first directory says so: as Adobe's and Nikon's raw files, whose first picture is a preview."""
    return save("tiff", tiffinfo={tag: value})


BAD = {
    "an error page": (b"\n<!DOCTYPE html>\n<html><body>404 Not Found</body></html>", "is HTML, not a picture"),
    "a page with a BOM": (b"\xef\xbb\xbf<HTML><head></head></HTML>", "is HTML, not a picture"),
    "text": (b"this picture was removed by its owner\n", "is text, not a picture"),
    "JSON": (b'{"error": "quota exceeded"}', "is text, not a picture"),
    "a pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "is a pointer of Git LFS .* git lfs pull"),
    "SVG": (b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>', "is SVG, .* convert it to PNG"),
    "PDF": (b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n", "is a PDF"),
    "Canon's CR3": (struct.pack(">I", 24) + b"ftypcrx \0\0\0\1crx isom", "is a camera's raw file: convert it"),
    "Fujifilm's RAF": (b"FUJIFILMCCD-RAW 0201" + bytes(80), "is a camera's raw file: convert it"),
    "Nikon's NEF": (tiff_with(254, 1), "is a camera's raw file: convert it"),
    "DNG": (tiff_with(50706, 0x01040000), "is a camera's raw file: convert it"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_picture_says_what_it_is(name: str) -> None:
    content, reason = BAD[name]
    for read in (decode, shape_of):
        with pytest.raises(BadPicture, match=f"^{reason}"):
            read(content)


def test_pictures_that_cannot_be_read_are_named_like_pictures() -> None:
    assert {".heic", ".heif", ".dcm", ".cr2", ".nef", ".arw", ".dng"} <= picture_suffixes()


def test_heic_is_read_where_its_library_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pillow_heif")
    smooth = np.linspace(0, 255, 64 * 48 * 3).reshape(48, 64, 3).astype(np.uint8)
    decode(save("png"))  # which registers the format
    buffer = io.BytesIO()
    Image.fromarray(smooth).save(buffer, "HEIF", quality=95)
    picture = decode(buffer.getvalue())
    assert picture.shape == smooth.shape == shape_of(buffer.getvalue())
    assert np.abs(picture.astype(int) - smooth).mean() < 3
    monkeypatch.setattr("visiontune.data.picture.decode_pillow.pillow_formats", lambda: ("PNG",))
    with pytest.raises(BadPicture, match=r"needs pillow-heif: pip install 'visiontune\[formats\]'"):
        decode(buffer.getvalue())


@pytest.mark.parametrize("num", [10, 1])
def test_heic_is_read_once_its_library_is_installed_though_an_ingest_went_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, num: int
) -> None:
    """Ten are too many to be set aside: the same call reads them then. One is: the store stays as studies know it, and says so."""
    pytest.importorskip("pillow_heif")
    decode(save("png"))  # which registers the format
    names = {f"{label}/{number}.png": 15 * index + number for index, label in enumerate("ab") for number in range(15)}
    root = Path(tree(tmp_path / "pictures", names))
    for number in range(num):
        Image.fromarray(255 - COLOUR + number).save(root / f"a/{number}.heic", "HEIF")
    data, cache = with_defaults({"source": "folder", "path": str(root), "image_size": 12, "allow_bad": 0.05}), tmp_path / "cache"
    with monkeypatch.context() as patched:
        patched.setattr("visiontune.data.picture.decode_pillow.pillow_formats", lambda: ("PNG",))
        patched.setattr("visiontune.data.picture.formats.find_spec", lambda name: None)
        if num == 10:
            with pytest.raises(UserError, match="needs pillow-heif: pip install"):
                prepare(data, cache)
        else:
            assert not prepared(data, cache).report().notes
    if num == 10:
        assert Store.open(prepare(data, cache)).report().set_aside == ()
        return
    found = prepared(data, cache)
    (note,) = found.report().notes
    assert note == (
        f"{root}/a/0.heic was set aside for want of pillow-heif, which is installed by now: remove {found.path} to have all read again"
    )
    found.path.unlink()
    assert not prepared(data, cache).report().set_aside


def test_files_are_read_by_what_they_are_and_that_is_said(tmp_path: Path) -> None:
    names = {f"{label}/{number}.png": 10 * index + number for index, label in enumerate("ab") for number in range(10)}
    root = Path(tree(tmp_path, names))
    others = {"a/0.png": save("webp", lossless=True), "a/1.png": save("bmp"), "b/0.png": save("gif", save_all=True)}
    frames = [Image.fromarray(shade) for shade in (COLOUR, 255 - COLOUR)]
    buffer = io.BytesIO()
    frames[0].save(buffer, "gif", save_all=True, append_images=frames[1:])
    for name, content in {**others, "b/0.png": buffer.getvalue()}.items():
        (root / name).write_bytes(content)
    store = Store.open(prepare({"source": "folder", "path": str(root), "duplicates": "keep"}, tmp_path / "cache"))
    formats, several = store.report().notes
    assert formats.startswith("3 files of another format than the name says, each read as what it is: ")
    assert "0.png is WebP" in formats and "1.png is BMP" in formats and "0.png is GIF" in formats
    assert several == f"1 file with several frames, of which the first is used: {root / 'b/0.png'}"
    assert not store.report().set_aside and any(np.array_equal(picture, COLOUR) for picture in store.images_NHWC)
