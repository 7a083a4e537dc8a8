"""The stories of a referral, told over the fake and over PostgreSQL: both must agree on what goes out."""

from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

import pytest
from ihala_events.referral import ReferralEvent
from ihala_notification.domain.delivery import Channel, Delivery, Unsent
from ihala_notification.handlers.tell_agency import Outgoing, ReferralNews, TellAgency
from ihala_runtime.outbox import NewEvent
from support.notification import LINKS, MONDAY, ReferralStory, a_partner, notification_world
from support.servers import NewDatabase

Told = list[tuple[str, str, str]]
"""(event, channel, state) of every delivery, in order."""
Telling = Callable[[Sequence[NewEvent]], Awaitable[Told]]


@dataclass
class FakeOutgoing:
    """Fulfils `Outgoing` in memory, without ever sending."""

    channels: dict[str, frozenset[str]]
    over: dict[UUID, int] = field(default_factory=lambda: defaultdict(int))
    deliveries: list[list[object]] = field(default_factory=list)

    def channels_of(self, partner_id: str) -> frozenset[str] | None:
        return self.channels.get(partner_id)

    def is_stopped(self, partner_id: str) -> bool:
        return partner_id == STOPPED

    def attempts_over(self, referral_id: UUID) -> int:
        return self.over[referral_id]

    def end_attempts(self, referral_id: UUID, up_to: int) -> None:
        self.over[referral_id] = up_to

    def waiting(self, referral_id: UUID) -> Sequence[Delivery]:
        return [
            each[0]
            for each in self.deliveries
            if isinstance(each[0], Delivery) and each[0].referral_id == referral_id and each[2] == "pending"
        ]

    def suppress(self, delivery: Delivery) -> None:
        (row,) = [each for each in self.deliveries if each[:2] == [delivery, Channel.WEBHOOK]]
        row[2] = "suppressed"

    def send(self, delivery: Delivery, channel: Channel) -> None:
        self.deliveries.append([delivery, channel, "pending" if channel is Channel.WEBHOOK else "delivered"])

    def withhold(self, delivery: Delivery, why: Unsent) -> None:
        self.deliveries.append([delivery, Channel.WEBHOOK, "suppressed"])

    def told(self) -> Told:
        rows = [(each[0], str(each[1]), str(each[2])) for each in self.deliveries]
        return [(d.event_type.split(".")[2], channel, state) for d, channel, state in rows if isinstance(d, Delivery)]


STOPPED, STOP = "stopped-one", {"reason_code": "KEY_LEAKED", "since": "2026-11-16T10:15:00Z"}
PARTNERS = {
    "essp-agadir": ["webhook"],
    "hos-agadir": ["webhook", "kafka"],
    "page-only": ["inbox"],
    STOPPED: ["webhook", "kafka", "inbox"],
}


def over_the_fake() -> Telling:
    fake = FakeOutgoing({name: frozenset(channels) for name, channels in PARTNERS.items()})
    outgoing: Outgoing = fake
    tell = TellAgency(LINKS)

    async def telling(events: Sequence[NewEvent]) -> Told:
        for event in events:
            payload = ReferralEvent.model_validate_json(event.payload)
            tell(ReferralNews(event.event_id, event.type, MONDAY, payload, None, None), outgoing)
        return fake.told()

    return telling


@pytest.fixture(params=["fake", "postgresql"])
async def tell(request: pytest.FixtureRequest, new_database: NewDatabase) -> AsyncIterator[Telling]:
    if request.param == "fake":
        yield over_the_fake()
        return
    async with notification_world(new_database) as (world,):
        stops = {STOPPED: STOP}
        partners = (a_partner(name, channels=known, stopped=stops.get(name)) for name, known in PARTNERS.items())
        await world.know(*partners)

        async def telling(events: Sequence[NewEvent]) -> Told:
            await world.tell(*events)
            rows = await world.rows("SELECT event_type, channel, state FROM delivery ORDER BY position")
            return [(row["event_type"].split(".")[2], row["channel"], row["state"]) for row in rows]

        yield telling


async def test_a_sent_referral_waits_for_its_agency(tell: Telling) -> None:
    assert await tell([ReferralStory().event("sent")]) == [("sent", "webhook", "pending")]


async def test_each_channel_of_an_agency_gets_it(tell: Telling) -> None:
    told = await tell([ReferralStory().event("sent", partner_id="hos-agadir")])

    assert told == [("sent", "webhook", "pending"), ("sent", "kafka", "delivered")]


async def test_a_stopped_agency_is_told_by_no_channel(tell: Telling) -> None:
    story = ReferralStory()

    told = await tell([story.event(name, partner_id=STOPPED) for name in ("sent", "recalled", "deletion-requested")])

    assert told == [(name, "webhook", "suppressed") for name in ("sent", "recalled", "deletion-requested")]


async def test_an_agency_with_a_page_alone_has_it_there(tell: Telling) -> None:
    assert await tell([ReferralStory().event("sent", partner_id="page-only")]) == [("sent", "inbox", "delivered")]


@pytest.mark.parametrize("ending", ["declined", "closed", "withdrawn"])
async def test_the_end_of_an_attempt_takes_back_what_asks_and_keeps_what_informs(tell: Telling, ending: str) -> None:
    story = ReferralStory()
    names = ("sent", "reminder", "place-offered", "deletion-requested", "correction-requested", ending)

    told = await tell([story.event(name) for name in names])

    assert told == [
        ("sent", "webhook", "suppressed"),
        ("reminder", "webhook", "suppressed"),
        ("place-offered", "webhook", "suppressed"),
        ("deletion-requested", "webhook", "pending"),
        ("correction-requested", "webhook", "pending"),
    ]


async def test_a_recall_is_told(tell: Telling) -> None:
    story = ReferralStory()

    told = await tell([story.event("sent"), story.event("recalled")])

    assert told == [("sent", "webhook", "suppressed"), ("recalled", "webhook", "pending")]


async def test_a_recall_that_comes_after_the_order_to_delete_is_not_told(tell: Telling) -> None:
    """As from a topic in the wrong order: the agency's last word is that it must delete."""
    story = ReferralStory()

    told = await tell([story.event(name) for name in ("deletion-requested", "withdrawn", "recalled", "sent")])

    assert told == [
        ("deletion-requested", "webhook", "pending"),
        ("recalled", "webhook", "suppressed"),
        ("sent", "webhook", "suppressed"),
    ]


async def test_both_sides_of_a_handover_are_told_what_concerns_them(tell: Telling) -> None:
    story = ReferralStory()
    to_hospital = {"attempt_no": 2, "partner_id": "hos-agadir"}

    told = await tell(
        [
            story.event("sent"),
            story.event("handover-proposed", **to_hospital),
            story.event("handed-over"),
            story.event("handover-accepted", **to_hospital),
        ]
    )

    assert told == [
        ("sent", "webhook", "suppressed"),
        ("handover-proposed", "webhook", "pending"),
        ("handover-proposed", "kafka", "delivered"),
        ("handed-over", "webhook", "pending"),
    ]


async def test_a_handover_that_is_taken_back_is_not_proposed_any_more(tell: Telling) -> None:
    story = ReferralStory()

    told = await tell([story.event(name, attempt_no=2) for name in ("handover-proposed", "handover-recalled")])

    assert told == [("handover-proposed", "webhook", "suppressed"), ("handover-recalled", "webhook", "pending")]


async def test_the_next_attempt_ends_the_one_before_and_not_itself(tell: Telling) -> None:
    story = ReferralStory()

    told = await tell([story.event("sent"), story.event("sent", attempt_no=2, partner_id="hos-agadir")])

    assert told == [
        ("sent", "webhook", "suppressed"),
        ("sent", "webhook", "pending"),
        ("sent", "kafka", "delivered"),
    ]


async def test_what_comes_after_its_attempt_ended_is_withheld_on_every_channel(tell: Telling) -> None:
    story = ReferralStory()
    late = story.event("sent", partner_id="hos-agadir")

    assert await tell([story.event("declined"), late]) == [("sent", "webhook", "suppressed")]


async def test_one_referrals_end_is_nothing_to_another(tell: Telling) -> None:
    told = await tell([ReferralStory().event("sent"), ReferralStory().event("declined")])

    assert told == [("sent", "webhook", "pending")]
