"""Every format and mode beside Pillow, beside what was written, and beside formulas; damage of every kind is told, never decoded."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps, PngImagePlugin

from visiontune.data.picture import decode as module
from visiontune.data.picture.bad_picture import BadPicture
from visiontune.data.picture.decode import decode, decode_and_measure, shape_of
from visiontune.data.picture.formats import picture_suffixes

RNG = np.random.default_rng(0)
COLOUR = cv2.resize(RNG.integers(0, 256, (9, 9, 3), dtype=np.uint8), (61, 47), interpolation=cv2.INTER_CUBIC)
GREY = np.ascontiguousarray(COLOUR[..., 0])
ALPHA = RNG.integers(0, 256, GREY.shape, dtype=np.uint8)
DEEP = RNG.integers(0, 65536, (47, 61, 4), dtype=np.uint16)


def save(picture: Any, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def check(encoded: bytes, expected: np.ndarray, tolerance: int = 0) -> None:
    """decode() gives it, contiguous, and shape_of() knew its shape."""
    picture = decode(encoded)
    expected = expected[..., np.newaxis] if expected.ndim == 2 else expected
    assert picture.dtype == np.uint8 and picture.shape == expected.shape == shape_of(encoded) and picture.flags.c_contiguous
    assert np.abs(picture.astype(int) - expected).max() <= tolerance


def pillow(encoded: bytes) -> np.ndarray:
    return np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(encoded))))


def png(depth: int, kind: int, rows_HWC: np.ndarray, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG written by hand: Pillow writes none with several channels of 16 bits."""
    height, width = rows_HWC.shape[:2]
    rows = b"".join(b"\0" + row.astype(f">u{depth // 8}").tobytes() for row in rows_HWC)
    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in parts
    )


@pytest.mark.parametrize("kind", ["png", "bmp", "gif", "tiff", "webp", "ppm", "tga", "pcx", "sgi", "jpeg2000", "qoi", "dib", "im", "ico"])
def test_what_was_written_without_loss_comes_back(kind: str) -> None:
    picture = COLOUR // 85 * 85 if kind == "gif" else COLOUR  # 64 colours
    options = {"webp": {"lossless": True}, "ico": {"sizes": [(61, 47)]}}.get(kind, {})
    image = Image.fromarray(picture).quantize(64) if kind == "gif" else Image.fromarray(picture)
    encoded = save(image, kind, **options)
    check(encoded, np.asarray(image.convert("RGB")))
    if kind != "gif":
        check(encoded, COLOUR)


@pytest.mark.parametrize("kind", ["png", "bmp", "tiff", "pgm", "tga", "pcx", "jpeg2000"])
def test_grey_stays_one_channel(kind: str) -> None:
    check(save(GREY, "ppm" if kind == "pgm" else kind), GREY)


@pytest.mark.parametrize("kind", ["webp", "avif", "jpeg"])
def test_lossy_is_what_pillow_gives_and_near_what_was_written(kind: str) -> None:
    encoded = save(COLOUR, kind, quality=95)
    check(encoded, pillow(encoded))
    assert np.abs(decode(encoded).astype(float) - COLOUR).mean() < 5


@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("quality", [20, 75, 100])
@pytest.mark.parametrize("progressive", [False, True])
def test_turbojpeg_is_pillow_to_the_bit(monkeypatch: pytest.MonkeyPatch, subsampling: int, quality: int, progressive: bool) -> None:
    monkeypatch.setattr(module, "by_pillow", None)
    encoded = save(COLOUR, "jpeg", quality=quality, subsampling=subsampling, progressive=progressive)
    check(encoded, pillow(encoded))
    encoded = save(GREY, "jpeg", quality=quality, progressive=progressive)
    check(encoded, pillow(encoded))


def test_plain_files_never_pay_for_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "by_pillow", None)
    software = PngImagePlugin.PngInfo()
    software.add_text("Software", "any")
    for encoded in (
        save(COLOUR, "png"),
        save(COLOUR, "png", pnginfo=software),
        save(GREY, "png"),
        save(COLOUR, "bmp"),
        save(COLOUR, "webp"),
    ):
        np.testing.assert_array_equal(decode(encoded).squeeze(), pillow(encoded))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "tiff"])
def test_every_exif_orientation_is_set_upright(orientation: int, kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    for picture in (COLOUR, GREY):
        encoded = save(picture, kind, exif=exif, **({"lossless": True} if kind == "webp" else {}))
        upright = pillow(encoded)
        assert (upright.shape[:2] == (61, 47)) == (orientation >= 5)
        check(encoded, upright)


def test_the_first_column_of_a_photograph_turned_by_90_degrees_is_its_top() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera's top is at the right
    check(save(COLOUR, "png", exif=exif), np.rot90(COLOUR, -1))


def test_orientation_in_xmp_counts_too() -> None:
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    encoded = save(COLOUR, "jpeg", xmp=xmp)
    assert pillow(encoded).shape == (61, 47, 3)
    check(encoded, pillow(encoded))


def test_orientation_in_the_texts_of_a_png_counts_too() -> None:
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Software", "none of it")
    texts.add_itxt("XML:com.adobe.xmp", xmp.decode())
    exif = Image.Exif()
    exif[0x0112] = 8
    profile = PngImagePlugin.PngInfo()
    profile.add_text("Raw profile type exif", f"\nexif\n{len(exif.tobytes()):8}\n{exif.tobytes().hex()}", zip=True)
    for one, turns in ((texts, -1), (profile, 1)):
        encoded = save(COLOUR, "png", pnginfo=one)
        np.testing.assert_array_equal(pillow(encoded), np.rot90(COLOUR, turns))
        check(encoded, np.rot90(COLOUR, turns))


def test_damaged_exif_is_no_reason_to_lose_a_picture() -> None:
    encoded = save(COLOUR, "webp", lossless=True, exif=b"Exif\0\0II*\0\xff\xff\xff\xff nonsense")
    np.testing.assert_array_equal(decode(encoded), COLOUR)


@pytest.mark.parametrize("kind", ["png", "gif", "tiff", "bmp"])
def test_a_palette_becomes_rgb(kind: str) -> None:
    image = Image.fromarray(COLOUR).quantize(16)
    assert image.mode == "P"
    check(save(image, kind), np.asarray(image.convert("RGB")))


def test_a_palette_with_a_transparent_entry_lies_on_white() -> None:
    image = Image.fromarray(COLOUR).quantize(16)
    expected = np.asarray(image.convert("RGB")).copy()
    expected[np.asarray(image) == 3] = 255
    for kind in ("png", "gif"):
        check(save(image, kind, transparency=3), expected)


@pytest.mark.parametrize("kind", ["png", "webp", "tiff", "tga"])
def test_alpha_lies_on_white(kind: str) -> None:
    encoded = save(np.dstack([COLOUR, ALPHA]), kind, **({"lossless": True, "exact": True} if kind == "webp" else {}))
    share = ALPHA[..., np.newaxis] / 255
    check(encoded, np.rint(COLOUR * share + 255 * (1 - share)), tolerance=1)
    on_white = Image.new("RGBA", (61, 47), "white")
    on_white.alpha_composite(Image.open(io.BytesIO(encoded)).convert("RGBA"))
    check(encoded, np.asarray(on_white.convert("RGB")), tolerance=1)


def test_grey_with_alpha_stays_grey() -> None:
    share = ALPHA / 255
    check(save(Image.fromarray(np.dstack([GREY, ALPHA]), "LA"), "png"), np.rint(GREY * share + 255 * (1 - share)), tolerance=1)


def test_a_transparent_colour_lies_on_white() -> None:
    expected = COLOUR.copy()
    expected[3:9, 4:7] = 255
    holed = COLOUR.copy()
    holed[3:9, 4:7] = (1, 2, 3)
    check(save(holed, "png", transparency=(1, 2, 3)), expected)


def test_a_transparent_grey_of_16_bits_lies_on_white() -> None:
    grey, clear = DEEP[..., :1], int(DEEP[0, 0, 0])
    check(png(16, 0, grey, (b"tRNS", struct.pack(">H", clear))), np.rint(np.where(grey == clear, 65535, grey) / 257))


@pytest.mark.parametrize("kind", ["png", "tiff", "ppm"])
def test_16_bits_are_divided_by_257(kind: str) -> None:
    grey = DEEP[..., 0]
    check(save(Image.fromarray(grey), kind), np.rint(grey / 257))
    assert decode(save(Image.fromarray(np.array([[0, 128, 129, 65535]], np.uint16)), kind)).ravel().tolist() == [0, 0, 1, 255]


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_16_bits_in_colour(suffix: str) -> None:
    encoded = cv2.imencode(suffix, DEEP[..., 2::-1])[1].tobytes()
    check(encoded, np.rint(DEEP[..., :3] / 257))


def test_16_bits_with_alpha_and_turned() -> None:
    share = DEEP[..., 3:] / 65535
    expected = np.rint((DEEP[..., :3] * share + 65535 * (1 - share)) / 257)
    check(png(16, 6, DEEP), expected)
    exif = Image.Exif()
    exif[0x0112] = 6
    check(png(16, 6, DEEP, (b"eXIf", exif.tobytes()[6:])), np.rot90(expected, -1))
    grey = DEEP[..., [0, 3]]
    check(png(16, 4, grey), np.rint((grey[..., :1] * share + 65535 * (1 - share)) / 257))


def test_16_bits_of_a_tiff_whose_0_is_white_are_turned_round_as_those_of_8_are() -> None:
    for values in (DEEP[..., 0], (DEEP[..., 0] >> 8).astype(np.uint8)):
        buffer = io.BytesIO()
        Image.fromarray(values).save(buffer, "tiff")
        black_is_zero, white_is_zero = (struct.pack("<HHII", 262, 3, 1, number) for number in (1, 0))
        assert buffer.getvalue().count(black_is_zero) == 1
        turned = decode(buffer.getvalue().replace(black_is_zero, white_is_zero))
        np.testing.assert_array_equal(turned, 255 - decode(buffer.getvalue()))


def test_a_deep_tiff_is_turned_once() -> None:
    encoded = cv2.imencode(".tiff", DEEP[..., 2::-1])[1].tobytes()
    at = encoded.index(struct.pack("<HHI", 277, 3, 1))  # samples per pixel: its entry makes room for the orientation's in order
    count_at = struct.unpack("<I", encoded[4:8])[0]
    entries = struct.unpack("<H", encoded[count_at : count_at + 2])[0]
    tag = struct.pack("<HHIHH", 274, 3, 1, 6, 0)
    directory = encoded[count_at + 2 : at] + tag + encoded[at : count_at + 2 + 12 * entries] + b"\0\0\0\0"
    turned = encoded[:4] + struct.pack("<I", len(encoded)) + encoded[8:] + struct.pack("<H", entries + 1) + directory
    assert Image.open(io.BytesIO(turned)).tag_v2[274] == 6
    check(turned, np.rot90(np.rint(DEEP[..., :3] / 257), -1))


def test_cmyk_becomes_rgb() -> None:
    cmyk = Image.fromarray(COLOUR).convert("CMYK")
    check(save(cmyk, "tiff"), COLOUR)
    encoded = save(cmyk, "jpeg", quality=95)
    check(encoded, np.asarray(Image.open(io.BytesIO(encoded)).convert("RGB")))
    assert np.abs(decode(encoded).astype(float) - COLOUR).mean() < 5


def test_black_and_white_becomes_0_and_255() -> None:
    image = Image.fromarray(GREY).convert("1")
    for kind in ("png", "tiff", "bmp", "xbm"):
        check(save(image, kind), np.where(np.asarray(image), 255, 0))


def test_lab_and_ycbcr_become_rgb() -> None:
    for mode, tolerance in (("YCbCr", 4), ("LAB", 26)):
        from PIL import ImageCms

        image = Image.fromarray(COLOUR)
        if mode == "LAB":
            rgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
            changed = ImageCms.profileToProfile(image, rgb, lab, outputMode="LAB")
        else:
            changed = image.convert(mode)
        assert changed is not None
        encoded = save(changed, "tiff")
        assert Image.open(io.BytesIO(encoded)).mode == mode
        check(encoded, COLOUR, tolerance)


@pytest.mark.parametrize("kind", ["gif", "png", "webp", "tiff"])
def test_the_first_of_several_frames_counts(kind: str) -> None:
    frames = [Image.fromarray(picture) for picture in (COLOUR // 85 * 85, 255 - COLOUR)]
    first = frames[0].quantize(64) if kind == "gif" else frames[0]
    options = {"lossless": True} if kind == "webp" else {}
    check(save(first, kind, save_all=True, append_images=frames[1:], **options), np.asarray(first.convert("RGB")))


@pytest.mark.parametrize("mode", ["F", "I"])
def test_32_bit_values_are_refused(mode: str) -> None:
    with pytest.raises(BadPicture, match="has 32-bit values"):
        decode(save(Image.fromarray(GREY).convert(mode), "tiff"))


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "bmp", "tiff", "gif", "jpeg2000", "tga", "ppm"])
@pytest.mark.parametrize("is_palette", [False, True])
def test_half_a_file_is_truncated(kind: str, is_palette: bool) -> None:
    image = Image.fromarray(COLOUR)
    if is_palette:
        image = image.quantize(16) if kind in ("png", "gif", "tiff", "bmp", "tga") else image.convert("L")
    encoded = save(image, kind)
    for cut in (len(encoded) // 2, len(encoded) * 3 // 4):
        with pytest.raises(BadPicture, match="is truncated"):
            decode(encoded[:cut])


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_download_that_stopped_and_was_filled_with_zeros(mode: str) -> None:
    encoded = save(Image.fromarray(COLOUR).convert(mode), "jpeg")
    for cut in (20, 300):
        with pytest.raises(BadPicture, match="is truncated"):
            decode(encoded[:-cut] + b"\0" * cut)


@pytest.mark.parametrize("is_palette", [False, True])
def test_a_flipped_bit_in_a_png_is_told(is_palette: bool) -> None:
    encoded = bytearray(save(Image.fromarray(COLOUR).quantize(16) if is_palette else COLOUR, "png"))
    encoded[encoded.index(b"IDAT") + len(encoded) // 2 - 40] ^= 4
    with pytest.raises(BadPicture, match="is truncated or damaged"):
        decode(bytes(encoded))


def test_a_png_that_speaks_of_more_bytes_than_it_has_is_refused_before_room_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenCV 5 makes 4 GiB of zeros for such a file of 3 kB."""
    encoded = save(Image.fromarray(COLOUR), "png")
    at = encoded.index(b"IDAT")
    monkeypatch.delattr(cv2, "imdecode")
    with pytest.raises(BadPicture, match="is truncated or damaged"):
        decode(encoded[: at - 4] + b"\xff" * 4 + encoded[at:])


@pytest.mark.parametrize(
    "content", [b"", None, b"x", b"<html>not found</html>", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\0\0WEBPVP8 ", b"BM"]
)
def test_what_is_no_picture(content: bytes | None) -> None:
    with pytest.raises(BadPicture, match=r"has no bytes|is no picture|is HTML, not a picture|is truncated"):
        decode(content)


def test_no_other_program_is_started_for_a_picture() -> None:
    with pytest.raises(BadPicture, match="no picture of a format that is read"):
        decode(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n(a) run\n")
    assert ".eps" not in picture_suffixes() and {".jpg", ".png", ".webp", ".tif", ".jp2", ".avif", ".gif", ".bmp"} <= picture_suffixes()


def test_bombs_are_refused_by_their_header() -> None:
    side = 20_000
    row = np.zeros((1, 1), np.uint8)

    def claim(encoded: bytes, at: int, form: str) -> bytes:
        return encoded[:at] + struct.pack(form, side, side) + encoded[at + struct.calcsize(form) :]

    palette = png(8, 3, row, (b"PLTE", b"\0\0\0"))
    jpeg = save(COLOUR, "jpeg")
    files = [
        claim(png(8, 0, row), 16, ">II"),
        palette[:16]
        + struct.pack(">II", side, side)
        + palette[24:29]
        + struct.pack(">I", zlib.crc32(palette[12:16] + struct.pack(">II", side, side) + palette[24:29]))
        + palette[33:],
        claim(jpeg, jpeg.index(b"\xff\xc0") + 5, ">HH"),
        claim(save(COLOUR, "bmp"), 18, "<ii"),
    ]
    for encoded in files:
        with pytest.raises(BadPicture, match=r"decompression bomb"):
            decode(encoded)


def test_a_picture_just_below_the_limit_is_none() -> None:
    assert decode(png(8, 0, np.zeros((1, 20_000), np.uint8))).shape == (1, 20_000, 1)


def photograph(height: int, width: int) -> np.ndarray:
    """Smooth."""
    return cv2.resize(RNG.integers(0, 256, (9, 9, 3), dtype=np.uint8), (width, height), interpolation=cv2.INTER_CUBIC)


@pytest.mark.parametrize(
    ("width", "height", "side", "part"), [(640, 480, 240, 2), (640, 480, 241, 1), (480, 640, 120, 4), (645, 483, 60, 8), (640, 480, 8, 8)]
)
def test_a_jpeg_is_decoded_at_the_part_that_is_enough(width: int, height: int, side: int, part: int) -> None:
    """libjpeg's own sizes (rounded up), near to the mean of the pixels that one stands for; the whole picture's size is told."""
    picture = photograph(height, width)
    for image in (picture, picture[:, :, 0]):
        content = save(image, "jpeg", quality=95)
        small, shape = decode_and_measure(content, side)
        whole = decode(content)
        assert shape == whole.shape[:2] == (height, width)
        assert small.shape == (-(-height // part), -(-width // part), whole.shape[2])
        rows, columns = height // part, width // part
        means = whole[: rows * part, : columns * part].reshape(rows, part, columns, part, -1).mean((1, 3))
        assert np.abs(small[:rows, :columns] - means).mean() < (4 if part > 1 else 0.01)


def test_a_turned_jpeg_is_turned_at_a_part_too_and_other_formats_are_decoded_whole() -> None:
    picture = photograph(120, 200)
    exif = Image.Exif()
    exif[0x0112] = 6
    small, shape = decode_and_measure(save(picture, "jpeg", exif=exif), 60)
    assert small.shape == (100, 60, 3) and shape == (200, 120)
    small, shape = decode_and_measure(save(picture, "png"), 30)
    assert small.shape == (120, 200, 3) and shape == (120, 200)


def test_a_jpeg_with_half_of_its_bytes_is_truncated_at_a_part_too() -> None:
    content = save(photograph(200, 200), "jpeg")
    with pytest.raises(BadPicture, match="truncated"):
        decode(content[: len(content) // 2], 30)
