"""The history again, on real PostgreSQL and Kafka: what goes out, marked as such, and what never does."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import aiohttp
from ihala_events.access import Role
from ihala_events.topics import DIRECTORY_PARTNER, Topic
from ihala_local.api import Api
from ihala_local.replay import pages
from ihala_runtime.consumer import Consumer, ConsumerRunner
from ihala_runtime.identifiers import uuid7
from ihala_runtime.outbox import NewEvent
from ihala_runtime.postgres import Database, Work
from ihala_runtime.received import RawRecord
from ihala_runtime.replay import Chosen, replay
from ihala_runtime.service import Parts
from ihala_runtime.settings import ServiceSettings
from support.runtime import (
    a_topic,
    an_event,
    made,
    migrated_database,
    note_effect,
    plain_scope,
    read_all,
    relaying,
)
from support.servers import NewDatabase
from support.serving import a_key, served
from support.waiting import wait_until

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
EVERYTHING = Chosen(since=LONG_AGO)


async def published(database: Database, *events: NewEvent) -> None:
    """Recorded, and taken by Kafka."""
    async with database.transaction() as work:
        for event in events:
            work.record(event)
    async with database.connection() as connection:
        await connection.execute("DELETE FROM outbox")


async def is_acknowledged(database: Database) -> bool:
    async with database.connection() as connection:
        return not await connection.fetchval("SELECT count(*) FROM outbox")


async def again(database: Database, chosen: Chosen) -> list[UUID]:
    """What goes out, in its order; it is taken at once."""
    async with database.transaction() as work:
        await replay(work.conn, chosen, "operator:test")
        rows = await work.conn.fetch("SELECT event_id FROM outbox ORDER BY id")
        await work.conn.execute("DELETE FROM outbox")
    return [row["event_id"] for row in rows]


async def test_events_go_out_again_as_they_were_and_say_so(kafka_bootstrap: str, new_database: NewDatabase) -> None:
    topic = await made(kafka_bootstrap, a_topic(1))
    aggregate = uuid7()
    async with migrated_database(new_database) as database, relaying(database, kafka_bootstrap):
        async with database.transaction() as work:
            work.record(an_event(topic, aggregate, 1))
            work.record(an_event(topic, aggregate, 2))
        first = await read_all(kafka_bootstrap, topic.name, 2)
        await wait_until(lambda: is_acknowledged(database))  # what is still on its way does not go out again
        async with database.transaction() as work:
            await replay(work.conn, Chosen(keys=(str(aggregate),)), "operator:test")
        records = await read_all(kafka_bootstrap, topic.name, 4)

    assert [record.value for record in records[2:]] == [record.value for record in first]
    for old, new in zip(first, records[2:], strict=True):
        assert dict(new.headers)["ce_again"] == b"replay"
        assert {**dict(old.headers), "ce_again": b"replay"} == dict(new.headers)


async def test_an_event_that_no_inbox_remembers_or_that_was_blanked_does_not_go_out(
    new_database: NewDatabase,
) -> None:
    topic = a_topic(1)
    old, blanked, good = (an_event(topic, uuid7(), 1) for _ in range(3))
    async with migrated_database(new_database) as database:
        await published(database, old, blanked, good)
        async with database.connection() as connection:
            await connection.execute(
                "UPDATE event SET created_at = now() - interval '29 days 1 hour' WHERE event_id = $1", old.event_id
            )
            await connection.execute(
                "UPDATE event SET payload = convert_to(jsonb_build_object('case_id', aggregate_id)::text, 'UTF8')"
                " WHERE event_id = $1",
                blanked.event_id,
            )

        assert await again(database, EVERYTHING) == [good.event_id]
        assert await again(database, Chosen(topics=(topic.name,), rebuild=True)) == [old.event_id, good.event_id]


async def test_what_an_agency_was_told_goes_out_only_when_it_shall_be_told_again(new_database: NewDatabase) -> None:
    own, agencys = a_topic(1), Topic("party.one.out.v1", "any", 1)
    ours, told = an_event(own, uuid7(), 1), an_event(agencys, uuid7(), 1)
    async with migrated_database(new_database) as database:
        await published(database, ours, told)

        assert await again(database, EVERYTHING) == [ours.event_id]
        assert await again(database, Chosen(since=LONG_AGO, notify=True)) == [ours.event_id, told.event_id]


async def test_an_old_record_never_takes_the_place_of_a_newer_one_on_a_compacted_topic(
    new_database: NewDatabase,
) -> None:
    key = uuid7()
    old, new = an_event(DIRECTORY_PARTNER, key, 1), an_event(DIRECTORY_PARTNER, key, 2)
    async with migrated_database(new_database) as database:
        await published(database, old)
        between = datetime.now(UTC)
        await published(database, new)

        assert await again(database, EVERYTHING) == [new.event_id]
        assert await again(database, Chosen(until=between)) == []


async def test_what_is_published_for_a_rebuild_is_passed_by(new_database: NewDatabase) -> None:
    topic = a_topic(1)
    event = an_event(topic, uuid7(), 1)
    headers = tuple((name, text.encode()) for name, text in {**event.headers, "ce_again": "rebuild"}.items())
    consumer: Consumer[Work] = Consumer("test.again", plain_scope, {event.type: note_effect}, topics=(topic.name,))
    async with migrated_database(new_database) as database:
        await ConsumerRunner(consumer, database).process(
            [RawRecord(topic.name, 0, 0, event.key.encode(), event.payload, headers)]
        )

        async with database.connection() as connection:
            assert await connection.fetchval("SELECT count(*) FROM effect") == 0
            assert await connection.fetchval("SELECT count(*) FROM inbox") == 0


async def at_a_second_each(database: Database, events: list[NewEvent], since: datetime) -> None:
    """Published one a second from this instant on, in the order of the list."""
    await published(database, *events)
    async with database.connection() as connection:
        await connection.execute(
            "UPDATE event SET created_at = $1::timestamptz + make_interval(secs => given.place - 1)"
            " FROM unnest($2::uuid[]) WITH ORDINALITY AS given (event_id, place)"
            " WHERE event.event_id = given.event_id",
            since,
            [event.event_id for event in events],
        )


async def test_a_time_takes_what_was_published_from_its_first_instant_to_before_its_last(
    new_database: NewDatabase,
) -> None:
    topic, one, other = a_topic(1), uuid7(), uuid7()
    events = [an_event(topic, aggregate, sequence) for sequence in (1, 2, 3) for aggregate in (one, other)]
    ids = [event.event_id for event in events]
    begin = datetime.now(UTC) - timedelta(hours=1)
    async with migrated_database(new_database) as database:
        await at_a_second_each(database, events, begin)

        second, fifth = (begin + timedelta(seconds=seconds) for seconds in (1, 4))
        assert await again(database, Chosen(since=second, until=fifth)) == ids[1:4]
        assert await again(database, Chosen(keys=(str(one),), since=second, until=fifth)) == [ids[2]]
        assert await again(database, Chosen(since=second)) == ids[1:]
        assert await again(database, Chosen(until=fifth)) == ids[:4]


async def test_a_page_ends_with_what_was_published_at_its_last_instant(new_database: NewDatabase) -> None:
    topic = a_topic(1)
    events = [an_event(topic, uuid7(), 1) for _ in range(2_003)]
    ids = [event.event_id for event in events]
    begin = datetime.now(UTC) - timedelta(hours=1)
    async with migrated_database(new_database) as database:
        await at_a_second_each(database, events, begin)
        async with database.connection() as connection:  # the 2,000th and the next were one transaction's
            await connection.execute(
                "UPDATE event SET created_at = created_at - interval '1 second' WHERE event_id = $1", ids[2_000]
            )

        first = await page_of(database, Chosen(since=LONG_AGO))
        second = await page_of(database, Chosen(since=LONG_AGO, after=first[1]))

    assert first == (2_001, begin + timedelta(seconds=1_999))
    assert second == (2, None)


async def page_of(database: Database, chosen: Chosen) -> tuple[int, datetime | None]:
    async with database.transaction() as work:
        done = await replay(work.conn, chosen, "operator:test")
        await work.conn.execute("DELETE FROM outbox")
    return done.events, done.next_after


async def test_an_operator_gets_all_of_many_pages_each_once_and_in_order(
    kafka_bootstrap: str, new_database: NewDatabase, tmp_path: Path
) -> None:
    topic = await made(kafka_bootstrap, a_topic(1))
    events = [an_event(topic, uuid7(), 1) for _ in range(4_500)]
    settings = ServiceSettings(postgres_dsn="unused", kafka_bootstrap=kafka_bootstrap)
    async with migrated_database(new_database) as database:
        await at_a_second_each(database, events, datetime.now(UTC) - timedelta(hours=2))
        key = await a_key(database, Role.OPERATOR)
        parts = Parts("tiny", "Tiny", settings, database, tmp_path)
        async with served(parts) as url, aiohttp.ClientSession() as session:
            count = await pages(Api(session, url, key), {"topics": [topic.name]})
            records = await read_all(kafka_bootstrap, topic.name, 4_500)

    assert count == 4_500
    assert [record.key.decode() for record in records] == [event.key for event in events]
