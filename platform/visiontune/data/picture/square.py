"""The one rule for how a picture becomes a square of a store's size and channels. Uint8 RGB or grey, HWC, 0 to 255."""

from __future__ import annotations

import numpy as np

from visiontune.data.picture.bad_picture import Picture
from visiontune.errors import UserError

MUCH_SMALLER = 1.5
"""Times the area. A store's pictures have 1.14 times the side, 1.3 times the area, of what is trained on."""


def to_square(picture: Picture, size: int, channels: int, *, is_cropped: bool, out: Picture | None = None) -> Picture:
    """(size, size, channels): the square in the middle where `is_cropped`, else the whole picture, squashed.

    A result of the picture's own channels may lie in `out`, a contiguous array of that shape: a fresh one for each large picture costs
    more than resizing it.
    """
    if is_cropped:
        picture = centre_square(picture, size, out if picture.shape[2] == channels else None)
    return fit(picture, size, channels)


def fit(picture: Picture, size: int, channels: int) -> Picture:
    """Resize to (size, size, channels); a grey picture fills three channels, a colour one never becomes grey.

    Averages over shares of pixels take 6 times as long as interpolation: between a store's size and the training size, for each
    picture of each epoch, it makes too little difference for that.
    """
    if picture.shape[:2] != (size, size):
        import cv2

        is_smaller = picture.shape[0] * picture.shape[1] > MUCH_SMALLER * size * size
        picture = cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA if is_smaller else cv2.INTER_LINEAR)
        picture = picture.reshape(size, size, -1)
    return picture if picture.shape[2] == channels else np.broadcast_to(picture, (size, size, channels))


def centre_square(picture: Picture, size: int, out: Picture | None = None) -> Picture:
    """(size, size, C): the square in the middle, whole along the shorter side; averaged by an integer, then interpolated.

    It may lie in `out`, an array of that shape, or in one of its own.
    OpenCV's average over shares of pixels (INTER_AREA) takes as long as decoding the JPEG; over whole ones, down to less than
    twice `size`, a tenth.
    """
    import cv2

    height, width = picture.shape[:2]
    factor = max(1, min(height, width) // size)
    side = min(height, width) // factor * factor
    top, left = (height - side) // 2, (width - side) // 2
    square = picture[top : top + side, left : left + side]
    if factor > 1:
        square = cv2.resize(square, (side // factor, side // factor), interpolation=cv2.INTER_AREA)
    resized = cv2.resize(square, (size, size), dst=out, interpolation=cv2.INTER_LINEAR)
    return resized.reshape(size, size, -1)  # type: ignore[no-any-return]


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
