"""A referral event is told to the agency it addresses, by each of its channels; an ended attempt is not.

Order matters: an event first ends what it ends, then tells what it tells, so that a queued `sent` is taken
back before the `recalled` that ends it goes out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from ihala_events.directory import PartnerChannel
from ihala_events.referral import ReferralEvent
from ihala_runtime.failures import InvalidMessage, TemporaryFailure

from ihala_notification.domain import message
from ihala_notification.domain.delivery import Channel, Delivery, Unsent
from ihala_notification.domain.message import Links


@dataclass(frozen=True, slots=True)
class ReferralNews:
    """A referral event as it came, and the trace it came in."""

    event_id: UUID
    type: str
    time: datetime
    event: ReferralEvent
    journey: str | None
    traceparent: str | None


class Outgoing(Protocol):
    """What is going out, within the transaction at hand."""

    def channels_of(self, partner_id: str) -> frozenset[str] | None:
        """None: this agency is not known here (yet)."""
        ...

    def is_stopped(self, partner_id: str) -> bool:
        """An admin stopped the agency: it is told nothing."""
        ...

    def attempts_over(self, referral_id: UUID) -> int: ...

    def end_attempts(self, referral_id: UUID, up_to: int) -> None: ...

    def waiting(self, referral_id: UUID) -> Sequence[Delivery]:
        """Queued, not yet ended deliveries of the referral, in order."""
        ...

    def suppress(self, delivery: Delivery) -> None:
        """Take a queued delivery back."""
        ...

    def send(self, delivery: Delivery, channel: Channel) -> None: ...

    def withhold(self, delivery: Delivery, why: Unsent) -> None:
        """Keep a trace of a delivery that was never queued."""
        ...


CHANNELS = {
    PartnerChannel.WEBHOOK: Channel.WEBHOOK,
    PartnerChannel.KAFKA: Channel.KAFKA,
    PartnerChannel.INBOX: Channel.INBOX,
}


@dataclass(frozen=True, slots=True)
class TellAgency:
    links: Links

    def __call__(self, news: ReferralNews, outgoing: Outgoing) -> None:
        self._end_attempts(news, outgoing)
        if news.type in message.TOLD_TYPES:
            self._tell(news, outgoing)

    @staticmethod
    def _end_attempts(news: ReferralNews, outgoing: Outgoing) -> None:
        referral_id = news.event.referral_id
        up_to = message.attempts_over(news.event, news.type)
        if up_to is None or up_to <= outgoing.attempts_over(referral_id):
            return
        outgoing.end_attempts(referral_id, up_to)
        for delivery in list(outgoing.waiting(referral_id)):
            if delivery.event_type in message.ASKING_TYPES and delivery.attempt_no <= up_to:
                outgoing.suppress(delivery)

    def _tell(self, news: ReferralNews, outgoing: Outgoing) -> None:
        delivery = self._delivery(news)
        channels = outgoing.channels_of(delivery.partner_id)
        if channels is None:
            raise TemporaryFailure("unknown-partner", "the agency's record has not arrived yet")
        if outgoing.is_stopped(delivery.partner_id):
            outgoing.withhold(delivery, Unsent.PARTNER_STOPPED)
            return
        if self._is_pointless(delivery, outgoing):
            outgoing.withhold(delivery, Unsent.ATTEMPT_ENDED)
            return
        for told_by, channel in CHANNELS.items():
            if told_by in channels:
                outgoing.send(delivery, channel)

    @staticmethod
    def _is_pointless(delivery: Delivery, outgoing: Outgoing) -> bool:
        up_to = outgoing.attempts_over(delivery.referral_id)
        if delivery.event_type == message.RECALLED:
            return up_to == message.EVERY_ATTEMPT
        return delivery.attempt_no <= up_to and delivery.event_type in message.ASKING_TYPES

    def _delivery(self, news: ReferralNews) -> Delivery:
        event = news.event
        if event.partner_id is None:
            raise InvalidMessage("no-partner", f"{news.type} names no agency")
        delivery_id = message.delivery_id(news.event_id, event.partner_id)
        return Delivery(
            delivery_id=delivery_id,
            event_id=news.event_id,
            event_type=news.type,
            partner_id=event.partner_id,
            referral_id=event.referral_id,
            attempt_no=event.attempt_no,
            correlation_id=str(event.case_id),
            body=message.body(event, news.type, news.time, delivery_id, self.links),
            journey=news.journey,
            traceparent=news.traceparent,
        )
