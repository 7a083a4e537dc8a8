"""The outbox relay on real PostgreSQL and Kafka: nothing lost, order kept, refusals set aside."""

import asyncio
import random

import pytest
from ihala_runtime.identifiers import uuid7
from ihala_runtime.outbox import NewEvent
from ihala_runtime.outbox_relay import LOCK
from ihala_runtime.postgres import Database
from support.runtime import (
    a_topic,
    an_event,
    made,
    migrated_database,
    nothing_to_publish,
    read_all,
    refused_are_due,
    relaying,
)
from support.servers import NewDatabase
from support.waiting import wait_until


async def test_every_committed_event_is_published_in_the_order_of_its_aggregate(
    kafka_bootstrap: str, new_database: NewDatabase
) -> None:
    topic = await made(kafka_bootstrap, a_topic())
    aggregates = [uuid7() for _ in range(20)]
    async with migrated_database(new_database) as database, relaying(database, kafka_bootstrap):
        for sequence in range(1, 16):
            async with database.transaction() as work:
                for aggregate in random.sample(aggregates, len(aggregates)):
                    work.record(an_event(topic, aggregate, sequence))

        records = await read_all(kafka_bootstrap, topic.name, 300)
        await wait_until(lambda: nothing_to_publish(database), within_seconds=5)

    for aggregate in aggregates:
        sequences = [int(dict(r.headers)["ce_sequence"]) for r in records if r.key == str(aggregate).encode()]
        assert sequences == list(range(1, 16))


async def test_a_rolled_back_change_publishes_nothing(kafka_bootstrap: str, new_database: NewDatabase) -> None:
    topic = await made(kafka_bootstrap, a_topic(1))
    ghost, real = uuid7(), uuid7()
    async with migrated_database(new_database) as database, relaying(database, kafka_bootstrap):
        with pytest.raises(ChangedItsMind):
            await _record_and_undo(database, an_event(topic, ghost, 1))
        async with database.transaction() as work:
            work.record(an_event(topic, real, 1))

        records = await read_all(kafka_bootstrap, topic.name, 1)

    assert [record.key for record in records] == [str(real).encode()]


async def test_an_event_for_a_missing_topic_is_set_aside_and_sent_once_the_topic_is_there(
    kafka_bootstrap: str, new_database: NewDatabase
) -> None:
    missing, there = a_topic(1), await made(kafka_bootstrap, a_topic(1))
    first, other = uuid7(), uuid7()
    async with migrated_database(new_database) as database, relaying(database, kafka_bootstrap):
        async with database.transaction() as work:
            work.record(an_event(missing, first, 1))
            work.record(an_event(missing, first, 2))
            work.record(an_event(there, other, 1))
        await read_all(kafka_bootstrap, there.name, 1)
        await wait_until(lambda: _refused(database, 2), within_seconds=10)
        await made(kafka_bootstrap, missing)
        await refused_are_due(database)

        records = await read_all(kafka_bootstrap, missing.name, 2, within_seconds=30)

    assert [int(dict(record.headers)["ce_sequence"]) for record in records] == [1, 2]


async def test_a_second_relay_waits_and_takes_over_when_the_first_is_gone(
    kafka_bootstrap: str, new_database: NewDatabase
) -> None:
    topic = await made(kafka_bootstrap, a_topic(1))
    aggregate = uuid7()
    async with migrated_database(new_database) as database:
        holder = await database.dedicated()
        await holder.fetchval("SELECT pg_advisory_lock($1)", LOCK)
        async with relaying(database, kafka_bootstrap):
            async with database.transaction() as work:
                work.record(an_event(topic, aggregate, 1))
            await asyncio.sleep(0.5)  # long enough for a relay that does not wait
            async with database.connection() as connection:
                assert await connection.fetchval("SELECT count(*) FROM outbox") == 1

            holder.terminate()

            assert len(await read_all(kafka_bootstrap, topic.name, 1)) == 1


class ChangedItsMind(Exception):
    """What undoes the transaction."""


async def _record_and_undo(database: Database, event: NewEvent) -> None:
    async with database.transaction() as work:
        work.record(event)
        raise ChangedItsMind


async def _refused(database: Database, count: int) -> bool:
    async with database.connection() as connection:
        return bool(await connection.fetchval("SELECT count(*) = $1 FROM outbox_refused", count))
