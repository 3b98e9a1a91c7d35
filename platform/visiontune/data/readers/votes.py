"""Which label a picture has of which several rows speak, as services for labelling give them: one row for each person who looked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

REFUSE, MAJORITY = "refuse", "majority"


class Votes:
    """Counts how far rows of one picture agree, over all that it is asked for."""

    def __init__(self, how: str) -> None:
        self.how = how
        self.num_pictures = self.num_unanimous = self.num_rows = self.num_agreeing = 0

    def taken(self, labels: Sequence[str]) -> tuple[str | None, str]:
        """The label, or None with the reason; `labels` are those of one picture's rows, at least one."""
        counts = Counter(labels).most_common()
        if len(labels) > 1:
            self.num_pictures += 1
            self.num_unanimous += len(counts) == 1
            self.num_rows += len(labels)
            self.num_agreeing += counts[0][1]
        if len(counts) == 1:
            return counts[0][0], ""
        if self.how == REFUSE:
            return None, f"stands in several rows with different labels: {', '.join(sorted(label for label, _ in counts))}"
        if counts[0][1] == counts[1][1]:
            return None, f"has as many votes for one label as for another: {', '.join(f'{label} {num}' for label, num in sorted(counts))}"
        return counts[0][0], ""

    def notes(self) -> Iterator[str]:
        if self.num_unanimous == self.num_pictures:
            return
        shares = f"{self.num_unanimous:,} of {self.num_pictures:,} pictures with several rows have one label in all of them"
        agreeing = f"{self.num_agreeing / self.num_rows:.1%} of those rows say what most say of their picture"
        yield f"{shares}; {agreeing}" + ("" if self.how == MAJORITY else f"; vote={MAJORITY} takes that label")
