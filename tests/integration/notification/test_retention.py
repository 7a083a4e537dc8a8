"""What is kept of messages: a month, nothing of an erased person's, and after two years nothing at all (P14)."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from ihala_events.intake import SubjectErased
from ihala_notification.adapters.delivery_log import Replay
from ihala_notification.adapters.erasures import Erasures
from ihala_notification.adapters.retention import Retention
from ihala_runtime.clock import ManualClock
from support.notification import NotificationWorld, ReferralStory, a_partner, notification_world
from support.servers import NewDatabase

ESSP = "essp-agadir"
ADDRESS = "https://essp-agadir.example/hook"
CASE, OTHER_CASE = UUID(int=2), UUID(int=9)
TWO_YEARS = timedelta(days=730)
TABLES = ("delivery", "attempt", "attempt_over", "event")


@pytest.fixture
async def world(new_database: NewDatabase) -> AsyncIterator[NotificationWorld]:
    async with notification_world(new_database) as (world,):
        await world.know(a_partner(ESSP, channels=["webhook", "kafka"]))
        await world.listen(ESSP)
        yield world


async def kafka_took_all(world: NotificationWorld) -> None:
    await world.rows("DELETE FROM outbox")


async def count(world: NotificationWorld) -> dict[str, int]:
    found = {table: await world.rows(f"SELECT count(*) AS n FROM {table}") for table in TABLES}
    return {table: rows[0]["n"] for table, rows in found.items()}


async def told(world: NotificationWorld, tries: int = 1, case_id: UUID = CASE) -> None:
    story = ReferralStory()
    await world.tell(story.event("sent", case_id=case_id))
    await world.settled(tries)
    await world.tell(story.event("closed", state="closed", outcome_code="RECEIVED", case_id=case_id))


async def retained_in(world: NotificationWorld, span: timedelta) -> None:
    await Retention(world.database, ManualClock(datetime.now(UTC) + span), TWO_YEARS).apply()


async def erase(world: NotificationWorld, case_id: UUID = CASE) -> int:
    erased = SubjectErased(case_id=case_id, case_ref="AG-7K3F-9QXY", erased_at=datetime.now(UTC))
    return await Erasures(world.database).apply_again([erased])


async def bodies(world: NotificationWorld) -> dict[str, int]:
    """Length of what is kept, by channel."""
    rows = await world.rows("SELECT channel, length(body) AS n FROM delivery ORDER BY channel")
    return {row["channel"]: row["n"] for row in rows}


async def test_two_years_after_the_last_message_nothing_is_left_and_not_before(world: NotificationWorld) -> None:
    await told(world)
    await kafka_took_all(world)
    before = await count(world)

    await retained_in(world, TWO_YEARS - timedelta(minutes=1))
    assert await count(world) == before
    await retained_in(world, TWO_YEARS + timedelta(minutes=1))

    assert await count(world) == dict.fromkeys(TABLES, 0)


async def test_a_month_after_it_ended_a_delivery_goes_with_its_tries_and_its_copy(world: NotificationWorld) -> None:
    await told(world)
    await kafka_took_all(world)
    await world.rows("UPDATE delivery SET ended_at = ended_at - interval '31 days'")

    await retained_in(world, timedelta())

    left = await count(world)
    assert (left["delivery"], left["attempt"]) == (0, 0)
    assert await world.rows("SELECT event_id FROM event WHERE topic LIKE 'party.%'") == []
    assert left["event"] > 0


async def test_what_kafka_has_not_taken_stays(world: NotificationWorld) -> None:
    await told(world)
    before = (await count(world))["event"]

    await retained_in(world, TWO_YEARS + timedelta(minutes=1))

    assert (await count(world))["event"] == before


async def test_what_is_kept_of_an_erased_case_says_nothing(world: NotificationWorld) -> None:
    await told(world)
    await told(world, 2, OTHER_CASE)
    await kafka_took_all(world)

    assert await erase(world) == 1

    rows = await world.rows("SELECT correlation_id, channel, length(body) AS n FROM delivery ORDER BY position")
    assert {row["n"] for row in rows if row["correlation_id"] == str(CASE)} == {0}
    assert all(row["n"] > 0 for row in rows if row["correlation_id"] == str(OTHER_CASE))
    copies = await world.rows("SELECT key FROM event WHERE topic LIKE 'party.%'")
    assert len(copies) == 1
    answers = await world.rows(
        "SELECT answer FROM attempt JOIN delivery USING (delivery_id) WHERE correlation_id = $1", str(CASE)
    )
    assert {row["answer"] for row in answers} == {b""}
    assert await erase(world) == 0


async def test_a_message_on_its_way_goes_out_first_and_is_blanked_after(world: NotificationWorld) -> None:
    """It may be the one that asks the agency to delete."""
    world.sender.statuses[ADDRESS] = 503
    await world.tell(ReferralStory().event("deletion-requested", state="withdrawn"))
    await world.settled(1)
    await kafka_took_all(world)
    await erase(world)
    assert (await bodies(world))["webhook"] > 0

    world.sender.statuses[ADDRESS] = 200
    await world.due_now()
    await world.settled(2)
    await kafka_took_all(world)
    await Erasures(world.database).blank_what_ended()

    assert world.sender.sent[0].raw == world.sender.sent[1].raw
    assert await bodies(world) == {"kafka": 0, "webhook": 0}


async def test_what_says_nothing_is_not_sent_again(world: NotificationWorld) -> None:
    await told(world)
    await kafka_took_all(world)
    await erase(world)

    async with world.database.transaction() as work:
        replayed = await world.log.replay(work, Replay(None, ESSP, None, None, ["delivered"]))

    assert replayed == 0
