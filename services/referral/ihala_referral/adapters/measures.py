"""What this service counts, beside what the runtime does."""

from prometheus_client import Counter, Gauge

SENT_AGAIN = Counter(
    "ihala_referral_sent_again", "`sent` events without a receipt after 60 s, published again; should stay 0."
)
TIMERS_OVERDUE_SECONDS = Gauge(
    "ihala_referral_timer_overdue_seconds", "How long the oldest due timer has waited for its answer; 0 when none."
)
