"""Whether a consumer has stood still for too long although Kafka answers: it is out of its group, or records wait.

A short rebalance is no standstill, nor is Kafka's absence, nor a copy of the service that was given no partition.
"""

from time import monotonic

from ihala_runtime import consumer

LOOK_EVERY_SECONDS = 10.0  # who finished something since the last look is not asked


class Standstill:
    """Told of what moves (``moved``) and of each look (``looked``)."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._moved_at = monotonic()

    @property
    def is_possible(self) -> bool:
        """Nothing moved since the last look."""
        return monotonic() - self._moved_at >= LOOK_EVERY_SECONDS

    @property
    def is_too_long(self) -> bool:
        return self._since is not None and monotonic() - self._since > consumer.STUCK_SECONDS

    def moved(self) -> None:
        self._moved_at = monotonic()
        self._since = None

    def looked(self, *, should_move: bool) -> None:
        if not should_move:
            self._since = None
        elif self._since is None:
            self._since = monotonic()
