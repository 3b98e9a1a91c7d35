"""How pictures lie in a store: small ones as the frame shows them, large ones with 1.14 times the pixels of a side, or encoded.

Of a large picture in the frame "crop" all is kept, in its own shape, its part in the frame at 1.14 times the training size: training may
crop from all of it, validation sees that part.

Raw means uint8 pixels, read at the speed of memory; encoded means the bytes of the file, decoded whenever they are read. Both
give the same pixels to the bit: what is encoded goes through the very steps that made the raw ones.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from visiontune.data.picture.bad_picture import Picture
from visiontune.data.picture.decode import decode_and_measure
from visiontune.data.picture.depth import DEEP, Depth
from visiontune.data.picture.frame import covering_size, in_frame, inner_size, kept_part, middle
from visiontune.data.picture.shape import in_channels, known_size, shrunk, to_shape
from visiontune.filesystem.atomic_write import write_whole
from visiontune.filesystem.json_text import from_json
from visiontune.spec.declarations.image_size import ImageSize, image_size, sides

SMALL, MARGIN = 64, 1.14
_SUMMED_BYTES = 64 << 10


@dataclass(frozen=True)
class Form:
    """`image_size` is that of training, `stored_size` of what is kept: (height, width) in pixels; `reason` is why it is raw or encoded.

    `frame` is `data.frame`; "" where that is not known, of stores and weights from before there was the key: then large pictures are
    cropped and small ones squashed. `low` and `high`: which values of files with more than 8 bits become 0 and 255.
    """

    kind: str
    image_size: tuple[int, int]
    stored_size: tuple[int, int]
    channels: int
    is_resized: bool
    reason: str = ""
    frame: str = ""
    low: float = DEEP[0]
    high: float = DEEP[1]

    def apply(self, picture: Picture, shape: tuple[int, int] | None = None) -> Picture:
        """What is kept: (*kept_size(shape), channels). `shape` is what the picture had, where its file was decoded at a reduced size."""
        if self.is_whole:
            whole, reduced = shape or picture.shape[:2], picture.shape[:2]
            part = kept_part(whole, self.stored_size)
            cut = (max(1, round(one * now / was)) for one, now, was in zip(part, reduced, whole, strict=True))
            rows, columns = cut
            return in_channels(shrunk(middle(picture, (rows, columns)), covering_size(part, self.stored_size)), self.channels)
        if self.frame:
            return in_frame(picture, self.stored_size, self.channels, self.frame, shrunk if self.is_large else None, shape)
        return to_shape(picture, self.stored_size, self.channels, is_cropped=self.is_large)

    def seen(self, kept: Picture) -> Picture:
        """(*stored_size, channels): what lies in the frame of what is kept, a view."""
        return middle(kept, self.stored_size) if self.is_whole else kept

    def kept_size(self, shape: tuple[int, int]) -> tuple[int, int]:
        """Of what is kept of a picture that had this shape."""
        return covering_size(kept_part(shape, self.stored_size), self.stored_size) if self.is_whole else self.stored_size

    def croppable(self, shape: tuple[int, int]) -> tuple[int, int]:
        """Of the part of such a picture from which crops may be taken: all of it, but of very long ones."""
        return kept_part(shape, self.stored_size) if self.is_whole else shape

    def crop_of(self, kept: Picture, shape: tuple[int, int], box: tuple[int, int, int, int]) -> Picture:
        """A view of what lies in a box of that part: top, left, bottom, right in the picture's own pixels."""
        lies = kept if self.frame != "pad" else middle(kept, inner_size(shape, self.stored_size))
        ends = []
        for axis, was in enumerate(self.croppable(shape)):
            now = lies.shape[axis]
            low = min(now - 1, round(box[axis] * now / was))
            ends.append(slice(low, max(low + 1, round(box[axis + 2] * now / was))))
        return lies[ends[0], ends[1]]

    @property
    def is_whole(self) -> bool:
        """Whether pictures are kept in their own shapes."""
        return self.is_large and self.frame == "crop"

    @property
    def is_even(self) -> bool:
        """Whether each takes `picture_bytes`."""
        return self.kind == "raw" and not self.is_whole

    @property
    def has_shapes(self) -> bool:
        """Whether it is kept which shape a picture had: then crops can be drawn for that."""
        return self.is_large and bool(self.frame)

    @property
    def rule(self) -> str:
        """The frame, also where it has no name."""
        return self.frame or ("crop" if self.is_large else "squash")

    @property
    def has_sums(self) -> bool:
        """Whether sums of each picture are kept: of small pixels they are faster had anew, all together."""
        return not self.is_even or self.picture_bytes > _SUMMED_BYTES

    @property
    def is_large(self) -> bool:
        """Whether more pixels are kept than those of training."""
        return self.stored_size != self.image_size

    @property
    def depth(self) -> Depth:
        """As `decode` takes it."""
        return self.low, self.high

    @property
    def side(self) -> int | None:
        """The least length of both sides of a decoded picture, in pixels; None: it must be decoded at its full size."""
        return max(self.stored_size) if self.is_resized else None

    def picture_of(self, encoded: bytes) -> Picture:
        """What is kept of a file's bytes. Raises BadPicture."""
        return self.apply(*decode_and_measure(encoded, self.side, self.depth))

    def put(self, picture: Picture, out: Picture, shape: tuple[int, int] | None = None) -> None:
        """`apply` into a contiguous array of `stored_size`: a fresh one for each large picture costs more than resizing it."""
        if picture.shape == out.shape:
            out[...] = picture
            return
        if self.frame:
            out[...] = self.apply(picture, shape)
            return
        made = to_shape(picture, self.stored_size, self.channels, is_cropped=self.is_large, out=out)
        if made.ctypes.data != out.ctypes.data:
            out[...] = made

    @property
    def picture_bytes(self) -> int:
        """Bytes of the pixels in the frame of one picture."""
        return self.stored_size[0] * self.stored_size[1] * self.channels

    def with_reason(self, reason: str) -> Form:
        """The same for that reason."""
        return replace(self, reason=reason)

    def to_json(self) -> dict[str, Any]:
        """Squares by their side, as files had them before there were others."""
        return {**asdict(self), "image_size": image_size(self.image_size), "stored_size": image_size(self.stored_size)}

    @staticmethod
    def from_json(content: Mapping[str, Any]) -> Form:
        """Raises TypeError, KeyError or ValueError for what is none."""
        known = dict(content)
        return Form(known.pop("kind"), sides(known.pop("image_size")), sides(known.pop("stored_size")), **known)


def sizes_of(first: tuple[int, int, int], asked: ImageSize | None) -> tuple[tuple[int, int], tuple[int, int]]:
    """(height, width) of training and of what is stored. Raises UserError when nothing says which they are."""
    size = known_size(first[0], first[1], asked)
    return size, with_margin(size) if asked is not None and is_large(size) else size


def is_large(size: tuple[int, int]) -> bool:
    """Whether pictures have more pixels than a square of 64."""
    return size[0] * size[1] > SMALL**2


def with_margin(size: tuple[int, int]) -> tuple[int, int]:
    """1.14 times as long, in the same shape: the longer side a multiple of 8, which makes whole words of every picture."""
    longer = round(MARGIN * max(size) / 8) * 8
    height, width = (round(longer * side / max(size)) for side in size)
    return height, width


def save_form(form: Form, path: Path) -> None:
    """Whole or not at all."""
    write_whole(path, json.dumps(form.to_json()), use_fsync=False)


def load_form(path: Path) -> Form | None:
    """None where there is none that can be read."""
    try:
        return Form.from_json(from_json(path.read_bytes()))
    except (OSError, ValueError, KeyError, TypeError):
        return None
