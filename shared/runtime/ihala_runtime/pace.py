"""How often batches begin: under load each carries more and costs less, at rest nobody waits.

A batch costs a fixed amount besides what is in it (round trips, requests, wake-ups with cold caches), so many small
ones make each other wait for the processor.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic, thread_time

MOST_REST_SECONDS = 0.04


class Pace:
    """After a batch comes a rest as long as the processor worked during it: what arrives meanwhile goes together.

    The rest of its time it waited, for the disk or for a processor that others had, and so did what arrived.

    apart_seconds: from the beginning of one batch to that of the next, at least, where nobody waits for the result.
    """

    def __init__(self, apart_seconds: float = 0.0) -> None:
        self._apart_seconds = apart_seconds
        self._earliest = 0.0

    async def turn(self) -> None:
        """Returns when the next batch may begin: at once, where the last one was long enough ago."""
        if (rest := self._earliest - monotonic()) > 0:
            await asyncio.sleep(rest)

    @contextmanager
    def batch(self) -> Iterator[None]:
        """Around the work of one batch."""
        began, worked = monotonic(), thread_time()
        try:
            yield
        finally:
            rest = min(thread_time() - worked, MOST_REST_SECONDS)
            self._earliest = max(began + self._apart_seconds, monotonic() + rest)
