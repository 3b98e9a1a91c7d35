"""DICOM files with one grey frame: the values of their modality (Hounsfield units of a CT), for `depth` to map to 0..255."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from visiontune.data.picture.bad_picture import BadPicture, Values, refuse_huge
from visiontune.errors import first_line

_GREY = ("MONOCHROME1", "MONOCHROME2")


def by_pydicom(content: bytes) -> Values:
    """(H, W, 1), low values dark. Raises BadPicture, also for what has several frames or colours."""
    try:
        from pydicom.pixels import apply_rescale, pixel_array

        data = _read(content, stop_before_pixels=False)
        stored: Values = pixel_array(data)
        values = np.asarray(apply_rescale(stored, data), np.float64)
    except BadPicture:
        raise
    except Exception as error:  # pydicom and its decoders raise anything over damaged bytes
        raise BadPicture(f"is truncated or damaged ({first_line(error)})") from error
    if stored.dtype == np.uint8 and np.array_equal(stored, values) and data.PhotometricInterpretation != "MONOCHROME1":
        return stored[:, :, np.newaxis]
    if data.PhotometricInterpretation == "MONOCHROME1":  # low values are bright
        ends = np.asarray(apply_rescale(np.array(_ends(data)), data), np.float64)
        values = ends.sum() - values
    return values[:, :, np.newaxis]


def dicom_shape(content: bytes) -> tuple[int, int, int]:
    """(height, width, channels), from the header. Raises BadPicture."""
    data = _read(content, stop_before_pixels=True)
    return int(data.Rows), int(data.Columns), 1


def _read(content: bytes, *, stop_before_pixels: bool) -> Any:
    try:
        import pydicom
    except ImportError:
        raise BadPicture("is DICOM, which needs pydicom: pip install 'visiontune[formats]'") from None
    try:
        data = pydicom.dcmread(io.BytesIO(content), stop_before_pixels=stop_before_pixels)
        height, width, colours = int(data.Rows), int(data.Columns), data.PhotometricInterpretation
        num_frames = int(data.get("NumberOfFrames", 1) or 1)
    except Exception as error:  # as above
        raise BadPicture(f"is DICOM without a picture, or damaged ({first_line(error)})") from error
    if num_frames > 1:
        raise BadPicture(f"is DICOM with {num_frames} frames: save the one that counts as a file of its own")
    if colours not in _GREY:
        raise BadPicture(f"is DICOM in {colours}, but grey alone is read: convert it to PNG first")
    refuse_huge(width, height)
    return data


def _ends(data: Any) -> tuple[int, int]:
    """The least and the greatest value that can be stored."""
    bits = int(data.BitsStored)
    return (-(1 << bits - 1), (1 << bits - 1) - 1) if data.PixelRepresentation else (0, (1 << bits) - 1)
