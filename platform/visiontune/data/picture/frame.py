"""The frame: how a picture of any shape becomes one of the training shape, by one rule for all sizes (`data.frame`).

crop takes the largest part in the middle that has the training shape; pad lays the whole picture into it, black around, as
TensorFlow's resize_with_pad and torchvision's Pad do unless told otherwise, and as ops leave what they move away; squash resizes each
side by itself. Of a picture that has the shape already all three make the same. Sizes are (height, width) in pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from visiontune.data.picture.bad_picture import Picture
from visiontune.data.picture.shape import fit, in_channels, largest_part
from visiontune.spec.declarations.image_size import both_sides

WORDS = {"crop": "the middle of a picture", "pad": "all of a picture, black around it", "squash": "all of a picture, each side by itself"}
"""What is seen, as a phrase."""

MOST_LENGTHS = 8
ENLARGED = 1.5
"""Times the side of a picture, from which on it is said."""

_FEW = 0.05

Resize = Callable[[Picture, tuple[int, int]], Picture]


def in_frame(
    picture: Picture, size: tuple[int, int], channels: int, frame: str, resize: Resize | None = None, shape: tuple[int, int] | None = None
) -> Picture:
    """(*size, channels) by "crop", "pad" or "squash"; `resize` is `shrunk` where more pixels than those of training are kept.

    `shape` is what the picture had, where its file was decoded at a reduced size.
    """
    resize = resize or (lambda part, to: fit(part, to, part.shape[2]))
    if frame == "pad":
        return in_channels(_padded(picture, size, resize, shape or picture.shape[:2]), channels)
    return in_channels(resize(middle(picture, largest_part(picture.shape[:2], size)) if frame == "crop" else picture, size), channels)


def middle(picture: Picture, size: tuple[int, int]) -> Picture:
    """The part in the middle that is so large, a view."""
    top, left = ((whole - part) // 2 for whole, part in zip(picture.shape[:2], size, strict=True))
    return picture[top : top + size[0], left : left + size[1]]


def inner_size(whole: tuple[int, ...], size: tuple[int, int]) -> tuple[int, int]:
    """What a whole picture has inside of `size` in its own shape, to the nearest pixel; at least one."""
    (rows, columns), (height, width) = whole, size
    if rows * width >= columns * height:
        return height, max(1, (2 * columns * height + rows) // (2 * rows))
    return max(1, (2 * rows * width + columns) // (2 * columns)), width


def kept_part(whole: tuple[int, ...], size: tuple[int, int]) -> tuple[int, int]:
    """Of a picture that is kept in its own shape all, but for what lies beyond eight times the part in the frame: of scrolls and strips."""
    rows, columns = largest_part(whole, size)
    return min(whole[0], MOST_LENGTHS * rows), min(whole[1], MOST_LENGTHS * columns)


def covering_size(whole: tuple[int, ...], size: tuple[int, int]) -> tuple[int, int]:
    """What it has in its own shape, to the nearest pixel, where it just covers `size`."""
    (rows, columns), (height, width) = whole, size
    if rows * width >= columns * height:
        return max(height, (2 * rows * width + columns) // (2 * columns)), width
    return height, max(width, (2 * columns * height + rows) // (2 * rows))


def unseen_N(shape_N2: NDArray[np.int64], size: tuple[int, int], frame: str) -> NDArray[np.float64]:
    """(N,) which share of each picture of these heights and widths lies outside of the frame, 0 to 1."""
    height_N, width_N = shape_N2.T
    ratio_N = height_N * size[1] / (width_N * size[0])
    return 1 - np.minimum(ratio_N, 1 / ratio_N) if frame == "crop" else np.zeros(len(shape_N2))


def enlarged_N(shape_N2: NDArray[np.int64], size: tuple[int, int], frame: str) -> NDArray[np.float64]:
    """(N,) how many times longer a side of what is seen becomes; below 1 where it is made smaller. Of `squash` the side that grows more."""
    factor_N2: NDArray[np.float64] = np.array(size) / shape_N2
    factor_N: NDArray[np.float64] = (np.min if frame == "pad" else np.max)(factor_N2, 1)
    return factor_N


def enlargement_note(shape_N2: NDArray[np.int64], size: tuple[int, int], frame: str) -> Iterator[str]:
    """A sentence where more than a twentieth of pictures of these heights and widths is made much larger: there is no more to be seen."""
    share = float((enlarged_N(shape_N2, size, frame) > ENLARGED).mean())
    if share > _FEW:
        median = both_sides(np.median(shape_N2, 0).round().astype(int).tolist())
        much = f"image_size {both_sides(size)} enlarges {share:.0%} of the pictures by more than {ENLARGED:g}"
        yield f"{much}: in the median they are {median} pixels"


def _padded(picture: Picture, size: tuple[int, int], resize: Resize, shape: tuple[int, ...]) -> Picture:
    inner = resize(picture, inner_size(shape, size))
    if inner.shape[:2] == size:
        return inner
    padded = np.zeros((*size, picture.shape[2]), np.uint8)
    middle(padded, inner.shape[:2])[...] = inner
    return padded
