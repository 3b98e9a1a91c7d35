"""How many pictures may be bad before an ingest is given up."""

from __future__ import annotations

from visiontune.data.ingest.chunk_file import Chunk
from visiontune.data.ingest.plan import Plan
from visiontune.data.source import Source
from visiontune.errors import Problem, UserError, plural

_MAX_LISTED = 5


class BadPictureLimit:
    """Bad pictures so far, against data.allow_bad."""

    def __init__(self, source: Source, plan: Plan, allow_bad: float) -> None:
        before = [one for one in source.set_aside if one.is_bad]
        self._plan, self._allow_bad = plan, allow_bad
        self._num, self._num_before = len(plan.label_N) + len(before), len(before)
        self._num_seen = self._num_before
        self._before = [Problem(one.name, 0, "", one.reason) for one in before[:_MAX_LISTED]]
        self._bad: list[tuple[int, str]] = []

    @property
    def num_bad(self) -> int:
        return self._num_before + len(self._bad)

    def add(self, chunk: Chunk) -> None:
        self._bad += chunk.bad
        self._num_seen += len(chunk.place_K) + len(chunk.bad)
        self.check()

    def check(self) -> None:
        """Raise UserError where more than the share allow_bad is bad, with the first few of them."""
        if self.num_bad / max(1, self._num) <= self._allow_bad:  # 29 of 100 are 0.29, but 0.29 * 100 is less than 29
            return
        listed = [Problem(self._plan.name(place), 0, "", f"picture {reason}") for place, reason in sorted(self._bad)[:_MAX_LISTED]]
        so_far = "" if self._num_seen == self._num else " so far"
        rule = f"of {plural(self._num, 'picture')} {self.num_bad:,}{so_far} can't be used"
        rule += f", more than the share that data.allow_bad = {self._allow_bad:g} allows; with a larger one the same command goes on"
        raise UserError(*[*listed, *self._before][:_MAX_LISTED], Problem("", 0, "", rule))
