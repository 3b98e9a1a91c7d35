"""How pictures lie in a store: small ones whole, large ones as their centre square at 1.14 times the training size, or encoded.

Raw means uint8 pixels, read at the speed of memory; encoded means the bytes of the file, decoded whenever they are read. Both
give the same pixels to the bit: what is encoded goes through the very steps that made the raw ones.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from visiontune.data.picture.bad_picture import Picture
from visiontune.data.picture.decode import decode
from visiontune.data.picture.square import square_size, to_square
from visiontune.filesystem.atomic_write import write_whole

SMALL, MARGIN = 64, 1.14


@dataclass(frozen=True)
class Form:
    """`image_size` is the training size, `stored_size` the side of what is kept, both in pixels; `reason` is why it is raw or encoded."""

    kind: str
    image_size: int
    stored_size: int
    channels: int
    is_resized: bool
    reason: str = ""

    def apply(self, picture: Picture) -> Picture:
        """(stored_size, stored_size, channels)."""
        return to_square(picture, self.stored_size, self.channels, is_cropped=self.stored_size != self.image_size)

    @property
    def side(self) -> int | None:
        """The least length of both sides of a decoded picture, in pixels; None: it must be decoded at its full size."""
        return self.stored_size if self.is_resized else None

    def picture_of(self, encoded: bytes) -> Picture:
        """What is kept of a file's bytes. Raises BadPicture."""
        return self.apply(decode(encoded, self.side))

    def put(self, picture: Picture, out: Picture) -> None:
        """`apply` into a contiguous array: a fresh one for each large picture costs more than resizing it."""
        if picture.shape == out.shape:
            out[...] = picture
            return
        made = to_square(picture, self.stored_size, self.channels, is_cropped=self.stored_size != self.image_size, out=out)
        if made.ctypes.data != out.ctypes.data:
            out[...] = made

    @property
    def picture_bytes(self) -> int:
        """Bytes of one raw picture."""
        return self.stored_size**2 * self.channels


def sizes_of(first: tuple[int, int, int], image_size: int | None) -> tuple[int, int]:
    """Training size and stored size. Raises UserError when nothing says how to make the pictures square."""
    size = square_size(first[0], first[1], image_size)
    # A multiple of 8 makes whole words of every picture.
    return size, round(MARGIN * size / 8) * 8 if image_size is not None and size > SMALL else size


def save_form(form: Form, path: Path) -> None:
    """Whole or not at all."""
    write_whole(path, json.dumps(asdict(form)), use_fsync=False)


def load_form(path: Path) -> Form | None:
    """None where there is none that can be read."""
    try:
        return Form(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return None
