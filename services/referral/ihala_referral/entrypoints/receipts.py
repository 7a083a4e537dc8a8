"""``notification.delivery.v1`` → which attempts were told: the group `referral.receipts`."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from ihala_events import catalogue
from ihala_events.notification import DeliveryEvent
from ihala_events.topics import NOTIFICATION_DELIVERY
from ihala_runtime.consumer import Consumer
from ihala_runtime.postgres import Work
from ihala_runtime.received import Received

from ihala_referral.adapters.receipt_rows import Sending, note_receipts

RECEIPTS = "referral.receipts"
DELIVERIES = (catalogue.DELIVERED, catalogue.ATTEMPT_FAILED, catalogue.EXHAUSTED, catalogue.SUPPRESSED)
ASKING = (catalogue.SENT.type, catalogue.HANDOVER_PROPOSED.type)
ENDPOINTS = (catalogue.ENDPOINT_DISABLED, catalogue.ENDPOINT_RECOVERED)

Receipts = dict[Sending, bool]


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
    receipts: Receipts = {}
    yield receipts
    note_receipts(work.writes, receipts)


async def _note(receipts: Receipts, received: Received) -> None:
    """Only what tells that an agency is asked; any such record shows that it was not lost."""
    delivery = received.payload(DeliveryEvent)
    if delivery.event_type not in ASKING:
        return
    sending = Sending(delivery.referral_id, delivery.attempt_no)
    tried = received.type != catalogue.SUPPRESSED.type
    receipts[sending] = receipts.get(sending, False) or tried
