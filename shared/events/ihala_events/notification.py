"""The events of ``notification.delivery.v1``: receipts. Any of them naming a ``sent`` event shows it was not lost."""

from uuid import UUID

from ihala_events.vocabulary import PartyId
from ihala_events.wire import Instant, Payload


class DeliveryEvent(Payload):
    """``event_id``: the referral event that was told. ``attempt``: tries so far, from 1; 0 when suppressed unsent."""

    delivery_id: UUID
    event_id: UUID
    event_type: str
    referral_id: UUID
    partner_id: PartyId
    attempt_no: int
    channel: str
    attempt: int
    status: int | None = None
    latency_ms: int | None = None
    reason: str | None = None
    next_attempt_at: Instant | None = None
    at: Instant


class EndpointEvent(Payload):
    """An agency's endpoint was disabled or came back."""

    partner_id: PartyId
    reason: str
    at: Instant
