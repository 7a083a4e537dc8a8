"""``referral.lifecycle.v1`` → who each referral is addressed to now."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from ihala_events import catalogue
from ihala_events.catalogue import EVENT_TYPES, EventType
from ihala_events.referral import ReferralEvent
from ihala_events.topics import REFERRAL_LIFECYCLE
from ihala_runtime.consumer import Consumer
from ihala_runtime.postgres import Work
from ihala_runtime.received import Received

from ihala_intake.adapters import addressees

LIFECYCLE_CONSUMER = "intake.addressees"

NOW_ADDRESSED = (
    catalogue.SENT,
    catalogue.ACKNOWLEDGED,
    catalogue.ACCEPTED,
    catalogue.WAITLISTED,
    catalogue.PLACE_OFFERED,
    catalogue.CONTACTED,
    catalogue.STARTED,
    catalogue.CLOSED,
    catalogue.OUT_OF_AREA,
)
NOBODY_ADDRESSED = (
    catalogue.PROPOSED,
    catalogue.DECLINED,
    catalogue.RECALLED,
    catalogue.CONSENT_NEEDED,
    catalogue.WITHDRAWN,
)


def lifecycle_consumer() -> Consumer[Work]:
    lifecycle = [kind for kind in EVENT_TYPES.values() if kind.topic is REFERRAL_LIFECYCLE]
    return Consumer(
        name=LIFECYCLE_CONSUMER,
        topics=(REFERRAL_LIFECYCLE.name,),
        open_scope=_transaction,
        handlers={kind.type: _learn for kind in lifecycle},
    )


@asynccontextmanager
async def _transaction(work: Work, _received: Sequence[Received]) -> AsyncIterator[Work]:
    yield work


async def _learn(work: Work, received: Received) -> None:
    event = received.payload(ReferralEvent)
    sequence = received.envelope.sequence or 0
    await addressees.put(work.conn, event, addressed=_addressed(EVENT_TYPES[received.type]), sequence=sequence)


def _addressed(kind: EventType) -> bool | None:
    if kind in NOW_ADDRESSED:
        return True
    return False if kind in NOBODY_ADDRESSED else None
