"""``referral.lifecycle.v1`` → who each referral is addressed to now."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from ihala_events import catalogue
from ihala_events.catalogue import EVENT_TYPES, EventType
from ihala_events.referral import ReferralEvent
from ihala_events.topics import REFERRAL_LIFECYCLE
from ihala_runtime.consumer import Consumer, ReadModel
from ihala_runtime.postgres import Work
from ihala_runtime.received import Received

from ihala_intake.adapters import addressees
from ihala_intake.adapters.addressees import News

LIFECYCLE_CONSUMER = "intake.addressees"
APART_SECONDS = 0.1  # who asks for a disclosure at once waits so long; who is asked no more can read so long

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
    catalogue.HANDOVER_ACCEPTED,
)
NOBODY_ADDRESSED = (
    catalogue.PROPOSED,
    catalogue.DECLINED,
    catalogue.RECALLED,
    catalogue.CONSENT_NEEDED,
    catalogue.WITHDRAWN,
    catalogue.HANDED_OVER,
)


def lifecycle_consumer() -> Consumer[list[News]]:
    lifecycle = [kind for kind in EVENT_TYPES.values() if kind.topic is REFERRAL_LIFECYCLE]
    return Consumer(
        name=LIFECYCLE_CONSUMER,
        topics=(REFERRAL_LIFECYCLE.name,),
        open_scope=_together,
        handlers={kind.type: _learn for kind in lifecycle},
        traced=False,
        repeatable=True,
        apart_seconds=APART_SECONDS,
        read_model=ReadModel("addressee"),
    )


@asynccontextmanager
async def _together(work: Work, _received: Sequence[Received]) -> AsyncIterator[list[News]]:
    """A batch is collected and stored as one."""
    news: list[News] = []
    yield news
    addressees.put(work.writes, news)


async def _learn(news: list[News], received: Received) -> None:
    addressed = _addressed(EVENT_TYPES[received.type])
    news.append(News(received.payload(ReferralEvent), received.envelope.sequence or 0, addressed))


def _addressed(kind: EventType) -> bool | None:
    if kind in NOW_ADDRESSED:
        return True
    return False if kind in NOBODY_ADDRESSED else None
