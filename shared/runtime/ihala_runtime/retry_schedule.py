"""When to try again. Delays are in seconds."""

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RetrySchedule:
    """``delays_seconds``: before the 2nd, 3rd, … try. ``jitter``: share by which a delay may differ, 0 to 1."""

    delays_seconds: tuple[float, ...]
    jitter: float = 0.0

    def __post_init__(self) -> None:
        if not self.delays_seconds or list(self.delays_seconds) != sorted(self.delays_seconds):
            raise ValueError("delays must increase")

    def after(self, failed_attempts: int) -> float | None:
        """Seconds to wait after so many failed tries (from 1), or None when we give up."""
        if failed_attempts > len(self.delays_seconds):
            return None
        delay = self.delays_seconds[failed_attempts - 1]
        return delay * random.uniform(1 - self.jitter, 1 + self.jitter)  # noqa: S311  not a secret


PARKED = RetrySchedule((5, 30, 120, 600, 3600))
"""A parked record is tried again after 5 s, 30 s, 2 min, 10 min and 1 h; then it is dead."""


@dataclass(slots=True)
class BackOff:
    """Doubling pauses while a dependency is down, from ``first_seconds`` to ``last_seconds``."""

    first_seconds: float = 1.0
    last_seconds: float = 60.0
    _next: float = 0.0

    def pause(self) -> float:
        """Seconds to wait now."""
        self._next = min(self._next * 2 or self.first_seconds, self.last_seconds)
        return self._next * random.uniform(0.8, 1.0)  # noqa: S311

    def reset(self) -> None:
        self._next = 0.0
