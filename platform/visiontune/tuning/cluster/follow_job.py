"""Following a job's log to the job's own end, over connections that break and dashboards that restart.

A dashboard that dies takes no job with it, so that a follower waits for it and never says that a job failed which nobody has seen to fail.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_delay, wait_exponential

from visiontune.errors import first_line

POLL_S = 1.0
QUIET_S = 300.0
"""After which a connection without a word is made anew: one that was cut in the network looks like it."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 30.0
GIVE_UP_S = 3600.0
"""A head that is rebuilt is back within minutes; after this the follower leaves, and whether the job goes on is not known."""
ENDED = ("SUCCEEDED", "FAILED", "STOPPED")
_DEATHS = ("ACTOR_DIED", "START_TIMEOUT", "START_FAILURE", "UNSCHEDULABLE", "UNKNOWN_FAILURE")
"""Endings of Ray's `JobErrorType`: what happens to the process around a driver (ray 2.60)."""
_KILLED = (-signal.SIGKILL, 128 + signal.SIGKILL)

Say = Callable[[str], None]
_T = TypeVar("_T")


@dataclass(frozen=True)
class JobEnd:
    """`exit_code`: 0, 2 where the job refused its input, else 1. `is_machines`: its driver died with its machine, or was killed there."""

    exit_code: int
    why: str = ""
    is_machines: bool = False


class Left(Exception):
    """The follower has left a job that goes on, as far as is known; the message says how to find it again."""


def follow(client: Any, name: str, say: Say) -> JobEnd:
    """Print the log of a job, which the server has, until it ends; connections that break are made anew, and no line is repeated.

    Raises Left for Ctrl-C and where nothing answers for GIVE_UP_S, ConnectionError where the token is refused.
    """
    tail = _Tail(client, name)
    try:
        while True:
            is_whole = asyncio.run(tail.print())
            try:
                status = patiently(lambda: str(client.get_job_status(name)), say, f"job {name} goes on meanwhile")
            except RuntimeError as error:
                if not _is_unknown(error):
                    raise
                return JobEnd(1, f"job {name} is gone: the head that ran it was lost", is_machines=True)
            if status in ENDED:
                if not is_whole:
                    asyncio.run(tail.print())  # what it said last
                return _end_of(patiently(lambda: client.get_job_info(name), say, f"job {name} has ended"), status)
            time.sleep(POLL_S)
    except KeyboardInterrupt:
        raise Left(f"job {name} goes on without you") from None


def patiently(ask: Callable[[], _T], say: Say, meanwhile: str) -> _T:
    """What a job server answers, asked again with growing pauses while it is away; each pause is said.

    Raises Left once it was away for GIVE_UP_S, ConnectionError for a refused token, RuntimeError for a job that it does not know.
    """

    def tell(state: RetryCallState) -> None:
        if state.outcome is not None and state.next_action is not None and (error := state.outcome.exception()) is not None:
            pause = f"asked again in {state.next_action.sleep:.0f} s"
            say(f"the job server does not answer ({type(error).__name__}); {meanwhile}; {pause}")

    again = Retrying(
        retry=retry_if_exception(_is_away),
        wait=wait_exponential(FIRST_PAUSE_S, max=LONGEST_PAUSE_S),
        stop=stop_after_delay(GIVE_UP_S),
        before_sleep=tell,
        reraise=True,
    )
    try:
        return again(ask)
    except Exception as error:
        if is_refused(error):
            raise ConnectionError("the cluster wants another token now: have it in ~/.ray/auth_token, with RAY_AUTH_MODE=token") from error
        if _is_away(error):
            raise Left(f"no job server answered for {GIVE_UP_S / 60:.0f} minutes: {first_line(error)}") from error
        raise


def is_refused(error: BaseException) -> bool:
    """Whether the job server wants a token, or another one."""
    return "uthenti" in f"{type(error).__name__} {error}"


class _Tail:
    """What of the log was printed: the server sends all of it for each connection."""

    def __init__(self, client: Any, name: str) -> None:
        self._client, self._name, self._num_printed = client, name, 0

    async def print(self) -> bool:
        """Whether the server ended it, and no connection that broke or was silent for QUIET_S."""
        num_skip = self._num_printed
        chunks = self._client.tail_job_logs(self._name)
        while True:
            try:
                chunk = await asyncio.wait_for(anext(chunks, None), QUIET_S)
            except Exception:  # what is wrong, the question for the job's state meets too
                return False
            if chunk is None:
                return True
            fresh = chunk[num_skip:]
            num_skip = max(0, num_skip - len(chunk))
            sys.stdout.write(fresh)
            sys.stdout.flush()
            self._num_printed += len(fresh)


def _is_unknown(error: BaseException) -> bool:
    return "does not exist" in str(error)


def _is_away(error: BaseException) -> bool:
    """Also a server that is starting, which answers with errors of its own."""
    is_answer = isinstance(error, RuntimeError) and (_is_unknown(error) or is_refused(error))
    return isinstance(error, OSError | RuntimeError) and not is_answer


def _end_of(info: Any, status: str) -> JobEnd:
    if status == "SUCCEEDED":
        return JobEnd(0)
    said = str(info.message or "").strip().partition("\n")[0].partition(", last available")[0]
    why, code = f"job {info.submission_id} {status.lower()}{f': {said}' if said else ''}", info.driver_exit_code
    kind = str(getattr(info, "error_type", None) or "")
    return JobEnd(2 if code == 2 else 1, why, status == "FAILED" and (code in _KILLED or (code is None and kind.endswith(_DEATHS))))
