"""Damaged JPEG files of every kind are told, good ones of every encoder are not: scans are changed after they were written."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from visiontune.data.picture.bad_picture import BadPicture
from visiontune.data.picture.decode import decode

END = b"\xff\xd9"
NOISE = np.random.default_rng(0).integers(0, 255, 1 << 16, dtype=np.uint8).tobytes()


def picture() -> Image.Image:
    rng = np.random.default_rng(1)
    smooth = cv2.resize(rng.integers(0, 256, (9, 12, 3), dtype=np.uint8), (160, 120), interpolation=cv2.INTER_CUBIC)
    return Image.fromarray(np.clip(smooth + rng.normal(0, 6, smooth.shape), 0, 255).astype(np.uint8))


def jpeg(mode: str = "RGB", **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture().convert(mode).save(buffer, "jpeg", **{"quality": 85, **options})
    return buffer.getvalue()


ENCODERS: dict[str, bytes] = {
    "4:2:0": jpeg(),
    "4:4:4": jpeg(subsampling=0),
    "progressive": jpeg(progressive=True),
    "optimised": jpeg(optimize=True),
    "restart marks": jpeg(restart_marker_rows=1),
    "grey": jpeg("L"),
    "CMYK": jpeg("CMYK"),
    "RGB": jpeg(keep_rgb=True),
    "thumbnail in EXIF": jpeg(exif=b"Exif\0\0MM\0*\0\0\0\x08\0\0" + jpeg("L")),
}


def pillow(content: bytes) -> np.ndarray:
    image = Image.open(io.BytesIO(content))
    return np.asarray(image.convert("L" if image.mode == "L" else "RGB"))


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("tail", [b"", b"a phone's video" + bytes(900), END, None], ids=["plain", "more", "two marks", "no end mark"])
def test_a_good_file_is_what_pillow_gives(encoder: str, tail: bytes | None) -> None:
    content = ENCODERS[encoder]
    np.testing.assert_array_equal(decode(content[:-2] if tail is None else content + tail).squeeze(), pillow(content))


def scan_of(content: bytes) -> tuple[int, int]:
    """Where the (first) scan's data begin, and the middle between that and the end mark."""
    at = 2
    while content[at + 1] != 0xDA:
        at += 2 + int.from_bytes(content[at + 2 : at + 4], "big")
    start = at + 2 + int.from_bytes(content[at + 2 : at + 4], "big")
    return start, (start + len(content) - 2) // 2


DAMAGE: dict[str, Callable[[bytes, int, int], bytes]] = {
    "scan zeroed": lambda content, start, _: content[:start] + bytes(len(content) - start - 2) + END,
    "half zeroed": lambda content, _, half: content[:half] + bytes(len(content) - half - 2) + END,
    "half random": lambda content, _, half: content[:half] + NOISE[: len(content) - half - 2] + END,
    "a fifth random": lambda content, _, half: content[:half] + NOISE[: len(content) // 5] + content[half + len(content) // 5 :],
    "a tenth missing": lambda content, _, half: content[:half] + content[half + len(content) // 10 :],
    "half missing": lambda content, _, half: content[:half],
    "half missing, end mark": lambda content, _, half: content[:half] + END,
    "half missing, zeros": lambda content, _, half: content[:half] + bytes(len(content) - half),
}


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_told(encoder: str, damage: str) -> None:
    content = ENCODERS[encoder]
    damaged = DAMAGE[damage](content, *scan_of(content))
    with pytest.raises(BadPicture, match="is truncated"):
        decode(damaged)
    with pytest.raises(BadPicture, match="is truncated"):
        decode(damaged, 30)


def test_bytes_that_webcams_leave_before_restart_marks_are_no_damage() -> None:
    content = ENCODERS["restart marks"]
    start, _ = scan_of(content)
    at = content.index(b"\xff\xd3", start)
    expected = pillow(content)
    np.testing.assert_array_equal(decode(content[:at] + bytes(9) + content[at:]), expected)
    with pytest.raises(BadPicture, match="extraneous bytes"):
        decode(content[:at] + bytes(200) + content[at:])
