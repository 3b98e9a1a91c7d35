"""The one rule for how a picture becomes one of a store's size and channels.

Uint8 RGB or grey, HWC, 0 to 255; sizes are (height, width).
"""

from __future__ import annotations

import numpy as np

from visiontune.data.picture.bad_picture import Picture
from visiontune.errors import UserError
from visiontune.spec.declarations.image_size import ImageSize, both_sides, sides

MUCH_SMALLER = 1.5
"""Times the area. A store's pictures have 1.14 times the sides, 1.3 times the area, of what is trained on."""


def to_shape(picture: Picture, size: tuple[int, int], channels: int, *, is_cropped: bool, out: Picture | None = None) -> Picture:
    """(*size, channels): of that shape the largest part in the middle where `is_cropped`, else the whole picture, squashed.

    A result of the picture's own channels may lie in `out`, a contiguous array of that shape: a fresh one for each large picture costs
    more than resizing it.
    """
    if is_cropped:
        picture = centre_crop(picture, size, out if picture.shape[2] == channels else None)
    return fit(picture, size, channels)


def fit(picture: Picture, size: tuple[int, int], channels: int) -> Picture:
    """Resize to (*size, channels); a grey picture fills three channels, a colour one never becomes grey.

    Averages over shares of pixels take 6 times as long as interpolation: between a store's size and the training size, for each
    picture of each epoch, it makes too little difference for that.
    """
    height, width = size
    if picture.shape[:2] != size:
        import cv2

        is_smaller = picture.shape[0] * picture.shape[1] > MUCH_SMALLER * height * width
        picture = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA if is_smaller else cv2.INTER_LINEAR)
        picture = picture.reshape(height, width, -1)
    return in_channels(picture, channels)


def in_channels(picture: Picture, channels: int) -> Picture:
    """A grey picture fills three channels."""
    return picture if picture.shape[2] == channels else np.broadcast_to(picture, (*picture.shape[:2], channels))


def centre_crop(picture: Picture, size: tuple[int, int], out: Picture | None = None) -> Picture:
    """(*size, C): of that shape the largest part in the middle; averaged by an integer, then interpolated.

    It may lie in `out`, an array of that shape, or in one of its own.
    OpenCV's average over shares of pixels (INTER_AREA) takes as long as decoding the JPEG; over whole ones, down to less than
    twice `size`, a tenth.
    """
    import cv2

    height, width = size
    factor = max(1, min(picture.shape[0] // height, picture.shape[1] // width))
    rows, columns = (side // factor * factor for side in largest_part(picture.shape[:2], size))
    top, left = (picture.shape[0] - rows) // 2, (picture.shape[1] - columns) // 2
    part = picture[top : top + rows, left : left + columns]
    if factor > 1:
        part = cv2.resize(part, (columns // factor, rows // factor), interpolation=cv2.INTER_AREA)
    resized = cv2.resize(part, (width, height), dst=out, interpolation=cv2.INTER_LINEAR)
    return resized.reshape(height, width, -1)  # type: ignore[no-any-return]


def shrunk(picture: Picture, size: tuple[int, int]) -> Picture:
    """(*size, C): the whole picture as `centre_crop` resizes, each side by itself; of a side that is no multiple the middle is taken."""
    import cv2

    height, width = size
    factors = [max(1, whole // part) for whole, part in zip(picture.shape[:2], size, strict=True)]
    rows, columns = (whole // factor * factor for whole, factor in zip(picture.shape[:2], factors, strict=True))
    top, left = (picture.shape[0] - rows) // 2, (picture.shape[1] - columns) // 2
    part = picture[top : top + rows, left : left + columns]
    if max(factors) > 1:
        part = cv2.resize(part, (columns // factors[1], rows // factors[0]), interpolation=cv2.INTER_AREA)
    resized = cv2.resize(part, (width, height), interpolation=cv2.INTER_LINEAR)
    return resized.reshape(height, width, -1)  # type: ignore[no-any-return]


def largest_part(whole: tuple[int, ...], size: tuple[int, int]) -> tuple[int, int]:
    """(height, width) of the largest part of a picture that has the shape of `size`, to the nearest pixel; at least one."""
    (rows, columns), (height, width) = whole, size
    if rows * width <= columns * height:
        return rows, max(1, (2 * rows * width + height) // (2 * height))
    return max(1, (2 * columns * height + width) // (2 * width)), columns


def known_size(height: int, width: int, asked: ImageSize | None) -> tuple[int, int]:
    """(height, width) of a store's pictures, of which the first is so large. Raises UserError when nothing says which they have."""
    if asked is not None:
        return sides(asked)
    if height != width:
        rule = f"pictures must be square unless data.image_size is set, but the first is {width} x {height}"
        raise UserError(f"{rule}; image_size: [{height}, {width}] (height, width) takes it as it is")
    return height, width


def refuse_size(where: str, picture: Picture, size: tuple[int, int]) -> None:
    """Raise UserError for a picture of another size, where data.image_size is not set."""
    height, width = picture.shape[:2]
    if (height, width) != size:
        raise UserError(f"{where}: pictures must all be {both_sides(size)} unless data.image_size is set, but this is {width} x {height}")
