"""The events of ``notification.delivery.v1``: what became of a message, for the referral service and the pages.

A receipt names the referral event it is about; none holds anything of the message or of the agency's answer.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid5

from ihala_events import catalogue
from ihala_events.catalogue import EventType
from ihala_events.notification import DeliveryEvent, EndpointEvent
from ihala_runtime.outbox import NewEvent, new_event

from ihala_notification.domain.attempt import Failure
from ihala_notification.domain.delivery import Channel, Delivery, DeliveryState, Tried, Verdict
from ihala_notification.domain.endpoint import EndpointChange

SOURCE = "/ihala/notification"
ENDPOINTS = UUID("6f1d6c1e-5a5b-5c0e-9b52-0d1c2a6c7a11")

KINDS: dict[DeliveryState, EventType] = {
    DeliveryState.DELIVERED: catalogue.DELIVERED,
    DeliveryState.PENDING: catalogue.ATTEMPT_FAILED,
    DeliveryState.EXHAUSTED: catalogue.EXHAUSTED,
    DeliveryState.SUPPRESSED: catalogue.SUPPRESSED,
}
ENDPOINT_KINDS = {
    EndpointChange.DISABLED: catalogue.ENDPOINT_DISABLED,
    EndpointChange.RECOVERED: catalogue.ENDPOINT_RECOVERED,
}


@dataclass(frozen=True, slots=True)
class Receipt:
    """What is told about one delivery beside what the delivery itself says.

    sequence: from the delivery's own counter.  attempt: tries so far; 0 when none was made.
    """

    state: DeliveryState
    channel: Channel
    sequence: int
    attempt: int
    at: datetime
    status: int | None = None
    latency_ms: int | None = None
    reason: str | None = None
    next_attempt_at: datetime | None = None

    def about(self, delivery: Delivery, made_in: str | None = None) -> NewEvent:
        """made_in: the ``traceparent`` of the try; default: the span at hand."""
        payload = DeliveryEvent(
            delivery_id=delivery.delivery_id,
            event_id=delivery.event_id,
            event_type=delivery.event_type,
            referral_id=delivery.referral_id,
            partner_id=delivery.partner_id,
            attempt_no=delivery.attempt_no,
            channel=self.channel,
            attempt=self.attempt,
            status=self.status,
            latency_ms=self.latency_ms,
            reason=self.reason,
            next_attempt_at=self.next_attempt_at,
            at=self.at,
        )
        return new_event(
            KINDS[self.state],
            payload,
            source=SOURCE,
            aggregate_id=aggregate_of(delivery.delivery_id, self.channel),
            sequence=self.sequence,
            sequenced=False,
            key=str(delivery.referral_id),
            subject=str(delivery.delivery_id),
            time=self.at,
            correlation_id=delivery.correlation_id,
            causation_id=str(delivery.event_id),
            journey=delivery.journey,
            made_in=made_in,
        )


def of_try(tried: Tried, verdict: Verdict) -> NewEvent:
    receipt = Receipt(
        state=verdict.state,
        channel=Channel.WEBHOOK,
        sequence=tried.due.sequence + 1,
        attempt=tried.due.tries + 1,
        at=tried.at,
        status=tried.result.status,
        latency_ms=tried.result.latency_ms,
        reason=tried.result.reason,
        next_attempt_at=verdict.next_attempt_at,
    )
    return receipt.about(tried.due.delivery, tried.traceparent)


def held_back(why: Failure, sequence: int, attempt: int, at: datetime) -> Receipt:
    """Nothing was sent because the endpoint cannot be asked now; the message waits."""
    return Receipt(DeliveryState.PENDING, Channel.WEBHOOK, sequence, attempt, at, reason=why.value)


def aggregate_of(delivery_id: UUID, channel: Channel) -> UUID:
    """Each channel of a delivery counts its own events."""
    return uuid5(delivery_id, channel.value)


def endpoint_event(change: EndpointChange, partner_id: str, reason: str, sequence: int, at: datetime) -> NewEvent:
    return new_event(
        ENDPOINT_KINDS[change],
        EndpointEvent(partner_id=partner_id, reason=reason, at=at),
        source=SOURCE,
        aggregate_id=uuid5(ENDPOINTS, partner_id),
        sequence=sequence,
        sequenced=False,
        key=partner_id,
        subject=partner_id,
        time=at,
    )
