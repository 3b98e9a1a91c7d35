"""The kernel's scheduling policies, where there are any: trials first, MLflow with what they leave."""

from __future__ import annotations

import os
from contextlib import suppress


def set_policy(pid: int, policy: str) -> None:
    """Linux alone has such policies; elsewhere niceness has to do. Without the right to leave SCHED_IDLE it stays there."""
    if hasattr(os, policy):
        with suppress(OSError):
            os.sched_setscheduler(pid, getattr(os, policy), os.sched_param(0))
