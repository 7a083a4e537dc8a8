"""One message on its way to one agency: what is planned, what is due, how it ended."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from ihala_notification.domain.attempt import AttemptResult
from ihala_notification.domain.retry_schedule import RetrySchedule


class Channel(StrEnum):
    WEBHOOK = "webhook"
    KAFKA = "kafka"
    INBOX = "inbox"


class DeliveryState(StrEnum):
    PENDING = "pending"
    DELIVERED = "delivered"
    EXHAUSTED = "exhausted"
    SUPPRESSED = "suppressed"


class Unsent(StrEnum):
    """Why a delivery was suppressed; published and stored, so values are never renamed."""

    ATTEMPT_ENDED = "attempt-ended"
    PARTNER_STOPPED = "partner-stopped"


@dataclass(frozen=True, slots=True)
class Delivery:
    """What never changes about a delivery.

    event_id: the referral event that is told.  journey, traceparent: where the trace began, and its last hop.
    """

    delivery_id: UUID
    event_id: UUID
    event_type: str
    partner_id: str
    referral_id: UUID
    attempt_no: int
    correlation_id: str | None
    body: bytes
    journey: str | None
    traceparent: str | None

    @property
    def queue(self) -> tuple[str, UUID]:
        """Messages of one referral to one agency go in order."""
        return self.partner_id, self.referral_id


@dataclass(frozen=True, slots=True)
class DueDelivery:
    """A delivery this copy may send now.

    step: tries since it was queued or replayed.  tries: tries ever.  sequence: events published about it.
    lease_ends: monotonic seconds; not started too close to it.
    """

    delivery: Delivery
    step: int
    tries: int
    sequence: int
    lease_ends: float


@dataclass(frozen=True, slots=True)
class Tried:
    """One try that was made. traceparent: of its span, so that its receipt continues the trace."""

    due: DueDelivery
    result: AttemptResult
    at: datetime
    traceparent: str | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a try means for its delivery. next_attempt_at: only while it is pending."""

    state: DeliveryState
    next_attempt_at: datetime | None

    @property
    def is_final(self) -> bool:
        return self.state is not DeliveryState.PENDING


def verdict(tried: Tried, schedule: RetrySchedule, jitter: float) -> Verdict:
    if tried.result.is_success:
        return Verdict(DeliveryState.DELIVERED, None)
    delay = schedule.delay_after(tried.due.step + 1, tried.result, jitter)
    if delay is None:
        return Verdict(DeliveryState.EXHAUSTED, None)
    return Verdict(DeliveryState.PENDING, tried.at + timedelta(seconds=delay))
