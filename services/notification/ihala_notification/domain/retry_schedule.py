"""When a delivery is tried again. Real time only: a test clock never moves a retry.

Source: the schedule of the Standard Webhooks guide, with Retry-After honoured within bounds, so that an
agency can ask for patience but cannot silence us.
"""

from dataclasses import dataclass, replace
from itertools import accumulate

from ihala_notification.domain.attempt import AttemptResult

MINUTE_SECONDS = 60
HOUR_SECONDS = 3_600

# Seconds before the first try, the second, … the tenth: about 76 hours in all.
STANDARD_DELAYS_SECONDS: tuple[float, ...] = (
    0,
    5,
    5 * MINUTE_SECONDS,
    30 * MINUTE_SECONDS,
    2 * HOUR_SECONDS,
    5 * HOUR_SECONDS,
    10 * HOUR_SECONDS,
    14 * HOUR_SECONDS,
    20 * HOUR_SECONDS,
    24 * HOUR_SECONDS,
)
JITTER_SHARE = 0.2
# An endpoint that timed out or said 429 is overloaded: not at once again.
OVERLOADED_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class RetrySchedule:
    """delays_seconds: before each try, from the first; never shorter than the one before."""

    delays_seconds: tuple[float, ...] = STANDARD_DELAYS_SECONDS
    overloaded_seconds: float = OVERLOADED_SECONDS

    def __post_init__(self) -> None:
        if not self.delays_seconds:
            raise ValueError("the retry schedule has no delay")
        if self.delays_seconds[0] < 0 or list(self.delays_seconds) != sorted(self.delays_seconds):
            raise ValueError("the delays of the retry schedule must not be negative or become shorter")

    def delay_after(self, tries: int, result: AttemptResult, jitter: float) -> float | None:
        """Seconds until the next try, or None when the last one was made.

        tries: tries made, from 1.  jitter: from -1 to 1, a share of the tolerance of 20 %.
        """
        if tries >= len(self.delays_seconds):
            return None
        planned = self.delays_seconds[tries]
        wanted = self._wanted(planned, result, jitter)
        return max(wanted, self.overloaded_seconds) if result.is_overload else wanted

    @staticmethod
    def _wanted(planned: float, result: AttemptResult, jitter: float) -> float:
        if result.retry_after_seconds is None:
            return planned * (1 + JITTER_SHARE * jitter)
        return min(max(result.retry_after_seconds, planned), 2 * planned)

    def within(self, seconds: float) -> "RetrySchedule":
        """Its tries of so long a time, without jitter; the first at least."""
        sums = list(accumulate(self.delays_seconds))
        kept = sum(each <= seconds for each in sums)
        return replace(self, delays_seconds=self.delays_seconds[: max(kept, 1)])

    @property
    def whole_seconds(self) -> float:
        """How long a delivery is tried at most, with every delay at its longest."""
        return sum(self.delays_seconds) * 2
