"""Leaves an endpoint in peace for half a minute when most of the recent tries failed.

Each copy of the service watches its own tries, in memory: what must survive a restart is the endpoint's
health (`endpoint.py`), not this. Numbers: Convoy's circuit breaker (70 % of at least 10 in 5 minutes).
"""

from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum

WINDOW_SECONDS = 300.0
MIN_TRIES = 10
FAILED_SHARE = 0.7
OPEN_SECONDS = 30.0
# More than the window can hold at any sensible rate is not needed to know a share.
MAX_REMEMBERED_TRIES = 500


class BreakerState(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


@dataclass(slots=True)
class Breaker:
    """All times are monotonic seconds."""

    _tries: deque[tuple[float, bool]] = field(default_factory=lambda: deque(maxlen=MAX_REMEMBERED_TRIES))
    _open_until: float | None = None
    _probing: bool = False

    def state(self, now: float) -> BreakerState:
        if self._open_until is None:
            return BreakerState.CLOSED
        return BreakerState.OPEN if now < self._open_until else BreakerState.HALF_OPEN

    def admits(self, now: float) -> bool:
        """Whether a try may start now; in the half-open state one at a time."""
        match self.state(now):
            case BreakerState.CLOSED:
                return True
            case BreakerState.OPEN:
                return False
            case BreakerState.HALF_OPEN:
                return not self._probing

    def started(self, now: float) -> None:
        self._probing = self.state(now) is BreakerState.HALF_OPEN

    def succeeded(self, now: float) -> None:
        if self._open_until is not None:
            self._tries.clear()
        self._open_until, self._probing = None, False
        self._tries.append((now, True))

    def failed(self, now: float) -> None:
        half_open = self.state(now) is BreakerState.HALF_OPEN
        self._probing = False
        self._tries.append((now, False))
        if half_open or self._mostly_failed(now):
            self._open_until = now + OPEN_SECONDS

    def reopens_in_seconds(self, now: float) -> float:
        return 0.0 if self._open_until is None else max(0.0, self._open_until - now)

    def _mostly_failed(self, now: float) -> bool:
        while self._tries and self._tries[0][0] < now - WINDOW_SECONDS:
            self._tries.popleft()
        failed = sum(not ok for _, ok in self._tries)
        return len(self._tries) >= MIN_TRIES and failed / len(self._tries) >= FAILED_SHARE
