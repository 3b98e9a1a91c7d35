"""One picture: from encoded bytes to uint8 RGB or grey, HWC, 0 to 255, and to the size and channels of a store."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from visiontune.spec.errors import UserError

Picture = NDArray[np.uint8]


class BadPicture(ValueError):
    """Why a picture can't be used; reads on after its name ("cat.jpg is truncated")."""


def decode(encoded: Any) -> Picture:
    """Bytes of a JPEG, PNG, WebP, BMP, TIFF or GIF to (H, W, 1) where it is grey, (H, W, 3) RGB where it is not.

    Alpha is dropped, 16 bits become 8, a turned photograph (EXIF) is set upright. Raises BadPicture for what is empty,
    truncated or no picture.
    """
    import cv2

    if encoded is None or len(encoded) == 0:
        raise BadPicture("has no bytes (a path beside it is not followed)")
    try:
        picture: Any = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_ANYCOLOR)
    except cv2.error as error:
        raise BadPicture(f"cannot be decoded ({error.err})") from error
    if picture is None:
        raise BadPicture("is truncated or is no picture")
    if picture.ndim == 2:
        return picture[:, :, np.newaxis]  # type: ignore[no-any-return]
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)  # type: ignore[no-any-return]


def fit(picture: Picture, size: int, channels: int) -> Picture:
    """Resize to (size, size, channels); a grey picture fills three channels, a colour one never becomes grey."""
    if picture.shape[:2] != (size, size):
        import cv2

        is_smaller = picture.shape[0] * picture.shape[1] > size * size
        picture = cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA if is_smaller else cv2.INTER_LINEAR)
        picture = picture.reshape(size, size, -1)
    return picture if picture.shape[2] == channels else np.broadcast_to(picture, (size, size, channels))


def square_size(height: int, width: int, image_size: int | None) -> int:
    """Pixels on each side of a store's pictures. Raises UserError when nothing says how to make them square."""
    if image_size is not None:
        return image_size
    if height != width:
        raise UserError(f"pictures must be square unless data.image_size is set, but the first is {width} x {height}")
    return height


def refuse_size(where: str, picture: Picture, size: int) -> None:
    """Raise UserError for a picture of another size, where data.image_size is not set."""
    height, width = picture.shape[:2]
    if (height, width) != (size, size):
        raise UserError(f"{where}: pictures must all be {size} x {size} unless data.image_size is set, but this is {width} x {height}")
