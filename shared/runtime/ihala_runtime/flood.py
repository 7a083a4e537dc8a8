"""Whether so much fails lately that it cannot be the records: then nothing more is parked.

It counts over batches, whatever their size. Only records that were handled, or that failed for themselves, count.
"""

from collections import deque
from collections.abc import Iterable
from itertools import repeat

LAST_RECORDS = 100
FLOOD_RECORDS = 50  # of the last ones: half of them, or so many at the start


class Outcomes:
    """Of the last records of one consumer. ``True`` is a failure."""

    def __init__(self, failures: Iterable[bool] = ()) -> None:
        self._failed = deque(failures, maxlen=LAST_RECORDS)

    @property
    def are_flood(self) -> bool:
        return self.failures >= FLOOD_RECORDS

    @property
    def failures(self) -> int:
        return sum(self._failed)

    def handled(self, records: int = 1) -> None:
        self._failed.extend(repeat(False, min(records, LAST_RECORDS)))

    def failed(self) -> None:
        self._failed.append(True)

    def copy(self) -> "Outcomes":
        """For a batch that may yet be undone."""
        return Outcomes(self._failed)
