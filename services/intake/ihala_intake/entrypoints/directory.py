"""``directory.partner.v1`` → what each agency may read by its agreements."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from ihala_events.catalogue import PARTNER_CHANGED, PROGRAMME_CHANGED
from ihala_events.directory import PartnerRecord
from ihala_runtime.consumer import Consumer, ReadModel
from ihala_runtime.postgres import Work
from ihala_runtime.received import Received

from ihala_intake.adapters import agreements

DIRECTORY_CONSUMER = "intake.directory"


def directory_consumer() -> Consumer[Work]:
    return Consumer(
        name=DIRECTORY_CONSUMER,
        topics=(PARTNER_CHANGED.topic.name,),
        open_scope=_transaction_alone,
        handlers={PARTNER_CHANGED.type: _changed},
        ignore=lambda event_type: event_type == PROGRAMME_CHANGED.type,
        traced=False,
        read_model=ReadModel("partner_agreements"),
    )


@asynccontextmanager
async def _transaction_alone(work: Work, _received: Sequence[Received]) -> AsyncIterator[Work]:
    yield work


async def _changed(work: Work, received: Received) -> None:
    await agreements.put(work.conn, received.payload(PartnerRecord), received.envelope.time)
