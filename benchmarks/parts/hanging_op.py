"""A plugin: an op that changes nothing, but whoever finds the file that CHAOS_HANG names takes it, and waits for ever."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import albumentations as alb

from visiontune.spec.declarations.declare import Arg, Entry

GATE = "CHAOS_HANG"


def _picture(image: Any, **more: Any) -> Any:
    with suppress(OSError):
        Path(os.environ[GATE]).unlink()
        threading.Event().wait()
    return image


def hang(*, image_size: int) -> Any:
    """The op."""
    return alb.Lambda(image=_picture, p=1.0)


OPS = {"Hang": Entry("now and then never there", hang, {"probability": Arg(float, "chance that a picture gets the op", 1.0, 0.0, 1.0)})}
