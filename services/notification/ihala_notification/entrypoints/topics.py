"""What this service reads from Kafka: referral events to tell agencies and persons of, and the agencies' records.

The transaction, the inbox and the offsets are the runtime's; here a record becomes a command.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from uuid import UUID

from ihala_events.catalogue import EVENT_TYPES, PARTNER_CHANGED, PROGRAMME_CHANGED
from ihala_events.directory import PartnerRecord
from ihala_events.referral import ReferralEvent
from ihala_events.topics import REFERRAL_LIFECYCLE
from ihala_runtime import telemetry
from ihala_runtime.consumer import Consumer, ReadModel
from ihala_runtime.failures import InvalidMessage
from ihala_runtime.postgres import Work
from ihala_runtime.received import Received

from ihala_notification.adapters.outgoing import Lanes, PostgresOutgoing, outgoing
from ihala_notification.adapters.partners import store_partner, store_row
from ihala_notification.adapters.person_messages import NewMessages
from ihala_notification.adapters.reconciliation import answer_again
from ihala_notification.domain.message import ATTEMPT_ENDING_TYPES, TOLD_TYPES, delivery_id
from ihala_notification.domain.person_message import NOTIFYING_TYPES, OVERTAKING_TYPES, new_message
from ihala_notification.handlers.tell_agency import ReferralNews, TellAgency

HANDLED_TYPES = TOLD_TYPES | ATTEMPT_ENDING_TYPES | NOTIFYING_TYPES | OVERTAKING_TYPES
OTHERS_BUSINESS = frozenset(
    kind.type for kind in EVENT_TYPES.values() if kind.topic == REFERRAL_LIFECYCLE and kind.type not in HANDLED_TYPES
)


@dataclass(slots=True)
class Batch:
    """The referral events of one batch, read once, and what goes out of them."""

    outgoing: PostgresOutgoing
    persons: NewMessages
    events: dict[tuple[str, str], ReferralEvent] = field(default_factory=dict)

    def event(self, received: Received) -> ReferralEvent:
        """Raises InvalidMessage for what could not be read."""
        return self.events.get(received.id) or received.payload(ReferralEvent)


def dispatch_consumer(tell_agency: TellAgency, lanes: Lanes) -> Consumer[Batch]:
    @asynccontextmanager
    async def open_batch(work: Work, received: Sequence[Received]) -> AsyncIterator[Batch]:
        events = _read(received)
        referral_ids = list({event.referral_id for event in events.values()})
        partner_ids = list({event.partner_id for event in events.values() if event.partner_id})
        async with outgoing(work, lanes, referral_ids, partner_ids) as opened:
            batch = Batch(opened, NewMessages(work), events)
            yield batch
            await batch.persons.store()

    async def tell(batch: Batch, received: Received) -> None:
        news = _news(received, batch.event(received))
        tell_agency(news, batch.outgoing)
        _tell_person(news, batch.persons)

    async def tell_what_became(batch: Batch, asked: Sequence[Received]) -> None:
        """Their receipts once more; a message of which nothing is left is told, as if for the first time."""
        by_delivery = {}
        for each in asked:
            event = batch.event(each)
            if event.partner_id is not None:
                by_delivery[delivery_id(UUID(each.envelope.id), event.partner_id)] = each
        known = await answer_again(batch.outgoing.work.conn, by_delivery)
        for lost in by_delivery.keys() - known:
            await tell(batch, by_delivery[lost])

    return Consumer(
        name="notification.dispatch",
        topics=(REFERRAL_LIFECYCLE.name,),
        open_scope=open_batch,
        handlers=dict.fromkeys(HANDLED_TYPES, tell),
        ignore=OTHERS_BUSINESS.__contains__,
        answer_again=tell_what_became,
        at_once=True,
    )


def _tell_person(news: ReferralNews, persons: NewMessages) -> None:
    if news.type in OVERTAKING_TYPES:
        persons.overtake(news.event.referral_id)
    if message := new_message(news.event, news.event_id):
        persons.add(message)


def _read(received: Sequence[Received]) -> dict[tuple[str, str], ReferralEvent]:
    """What can be read; the rest is refused when its turn comes."""
    events: dict[tuple[str, str], ReferralEvent] = {}
    for each in received:
        try:
            events[each.id] = each.payload(ReferralEvent)
        except InvalidMessage:
            continue
    return events


def _news(received: Received, event: ReferralEvent) -> ReferralNews:
    try:
        event_id = UUID(received.envelope.id)
    except ValueError:
        raise InvalidMessage("malformed-envelope", "ce_id is not a UUID") from None
    return ReferralNews(
        event_id=event_id,
        type=received.type,
        time=received.envelope.time,
        event=event,
        journey=telemetry.current_journey(),
        traceparent=telemetry.current_traceparent(),
    )


def partner_consumer(lanes: Lanes) -> Consumer[Work]:
    async def changed(work: Work, received: Received) -> None:
        await store_partner(work, received.payload(PartnerRecord), received.envelope.time, lanes)

    async def learn_again(work: Work, received: Received) -> None:
        await store_row(work, received.payload(PartnerRecord), received.envelope.time)

    return Consumer(
        name="notification.partners",
        topics=(PARTNER_CHANGED.topic.name,),
        open_scope=_transaction_alone,
        handlers={PARTNER_CHANGED.type: changed},
        read_model=ReadModel("partner", learn={PARTNER_CHANGED.type: learn_again}),
        ignore=lambda event_type: event_type == PROGRAMME_CHANGED.type,
    )


def _transaction_alone(work: Work, _received: Sequence[Received]) -> AbstractAsyncContextManager[Work]:
    @asynccontextmanager
    async def opened() -> AsyncIterator[Work]:
        yield work

    return opened()
