"""What this service counts, beside what the runtime does."""

from prometheus_client import Gauge

TIMERS_OVERDUE_SECONDS = Gauge(
    "ihala_referral_timer_overdue_seconds", "How long the oldest due timer has waited for its answer; 0 when none."
)
