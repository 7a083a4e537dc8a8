"""``notification.delivery.v1`` → which attempts, and which other events, were told: the group `referral.receipts`."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import UUID

from ihala_events import catalogue
from ihala_events.notification import DeliveryEvent
from ihala_events.topics import NOTIFICATION_DELIVERY
from ihala_runtime.consumer import Consumer
from ihala_runtime.postgres import Work
from ihala_runtime.received import Received

from ihala_referral.adapters.receipt_rows import Sending, note_receipts, note_told

RECEIPTS = "referral.receipts"
DELIVERIES = (catalogue.DELIVERED, catalogue.ATTEMPT_FAILED, catalogue.EXHAUSTED, catalogue.SUPPRESSED)
ASKING = (catalogue.SENT.type, catalogue.HANDOVER_PROPOSED.type)
ENDPOINTS = (catalogue.ENDPOINT_DISABLED, catalogue.ENDPOINT_RECOVERED)


@dataclass(slots=True)
class Receipts:
    """attempts: whether an agency that is asked was at least tried.  others: events beside `sent`."""

    attempts: dict[Sending, bool] = field(default_factory=dict)
    others: set[UUID] = field(default_factory=set)


def receipt_consumer() -> Consumer[Receipts]:
    return Consumer(
        name=RECEIPTS,
        topics=(NOTIFICATION_DELIVERY.name,),
        open_scope=_gathered,
        handlers={kind.type: _note for kind in DELIVERIES},
        ignore=lambda event_type: event_type in {kind.type for kind in ENDPOINTS},
        traced=False,
        repeatable=True,
        unhurried=True,
    )


@asynccontextmanager
async def _gathered(work: Work, _received: Sequence[Received]) -> AsyncIterator[Receipts]:
    receipts = Receipts()
    yield receipts
    note_receipts(work.writes, receipts.attempts)
    note_told(work.writes, receipts.others)


async def _note(receipts: Receipts, received: Received) -> None:
    """Any such record shows that the event was not lost."""
    delivery = received.payload(DeliveryEvent)
    if delivery.event_type != catalogue.SENT.type:
        receipts.others.add(delivery.event_id)
    if delivery.event_type in ASKING:
        sending = Sending(delivery.referral_id, delivery.attempt_no)
        tried = received.type != catalogue.SUPPRESSED.type
        receipts.attempts[sending] = receipts.attempts.get(sending, False) or tried
