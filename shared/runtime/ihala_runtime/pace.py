"""How often batches begin: under load each carries more and costs less, at rest nobody waits.

A batch costs a fixed amount besides what is in it (round trips, requests, wake-ups with cold caches), so many small
ones make each other wait for the processor.
"""

import asyncio
from time import monotonic

PACE_SECONDS = 0.02


class Pace:
    """seconds: from the beginning of one batch to that of the next, at least."""

    def __init__(self, seconds: float = PACE_SECONDS) -> None:
        self._seconds = seconds
        self._earliest = 0.0

    async def turn(self) -> None:
        """Returns at once where the last turn was long enough ago."""
        if (rest := self._earliest - monotonic()) > 0:
            await asyncio.sleep(rest)
        self._earliest = monotonic() + self._seconds
