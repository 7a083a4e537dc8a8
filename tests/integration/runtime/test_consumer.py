"""Consumers on real PostgreSQL and Kafka: one effect a record, poison set aside, keys kept in order."""

from collections.abc import Sequence

from aiokafka import AIOKafkaProducer
from ihala_events.topics import Topic
from ihala_runtime.consumer import Consumer
from ihala_runtime.failures import DependencyDown, TemporaryFailure
from ihala_runtime.identifiers import uuid7
from ihala_runtime.postgres import Database, Work
from ihala_runtime.received import Received
from support.runtime import (
    NewDatabase,
    a_topic,
    an_event,
    consuming,
    made,
    migrated_database,
    note_effect,
    plain_scope,
    raw_producer,
)
from support.waiting import wait_until

KIND = "ihala.ops.record-parked.v1"


def a_consumer(topic: Topic, handler: object = note_effect) -> Consumer[Work]:
    handlers = {KIND: handler}
    return Consumer(f"test.{uuid7().hex[-12:]}", plain_scope, handlers, topics=(topic.name,))  # type: ignore[arg-type]


async def send(producer: AIOKafkaProducer, topic: Topic, key: str, sequence: int, **headers: bytes) -> str:
    event = an_event(topic, uuid7(), sequence)
    texts = {**{name: value.encode() for name, value in event.headers.items()}, **headers}
    await producer.send_and_wait(topic.name, event.payload, key.encode(), headers=list(texts.items()))
    return str(event.event_id)


async def effects(database: Database) -> list[str]:
    async with database.connection() as connection:
        return [row["event_id"] for row in await connection.fetch("SELECT event_id FROM effect ORDER BY at")]


async def parked(database: Database) -> list[tuple[str, str]]:
    async with database.connection() as connection:
        rows = await connection.fetch("SELECT error_class, state FROM parked ORDER BY id")
    return [(row["error_class"], row["state"]) for row in rows]


async def test_the_same_event_delivered_twice_has_one_effect(kafka_bootstrap: str, new_database: NewDatabase) -> None:
    topic = await made(kafka_bootstrap, a_topic(1))
    async with migrated_database(new_database) as database, raw_producer(kafka_bootstrap) as producer:
        first = await send(producer, topic, "a", 1)
        await send(producer, topic, "a", 1, ce_id=first.encode())
        last = await send(producer, topic, "a", 2)

        async with consuming(database, kafka_bootstrap, a_consumer(topic)):
            await wait_until(lambda: _ends_with(database, last), within_seconds=15)

        assert await effects(database) == [first, last]


async def test_records_that_cannot_be_read_are_dead_at_once_and_the_partition_goes_on(
    kafka_bootstrap: str, new_database: NewDatabase
) -> None:
    topic = await made(kafka_bootstrap, a_topic(1))
    async with migrated_database(new_database) as database, raw_producer(kafka_bootstrap) as producer:
        await producer.send_and_wait(topic.name, b"no event at all", b"a")
        await send(producer, topic, "a", 1, ce_id=b"\xff\xfe")
        await send(producer, topic, "a", 1, ce_type=b"ihala.unheard.of.v9")
        good = await send(producer, topic, "a", 2)

        async with consuming(database, kafka_bootstrap, a_consumer(topic)):
            await wait_until(lambda: _ends_with(database, good), within_seconds=15)

        assert await effects(database) == [good]
        assert await parked(database) == [
            ("malformed-envelope", "dead"),
            ("malformed-envelope", "dead"),
            ("unknown-type", "dead"),
        ]


async def test_a_failing_record_waits_with_its_keys_later_ones_behind_it_while_other_keys_go_on(
    kafka_bootstrap: str, new_database: NewDatabase
) -> None:
    topic = await made(kafka_bootstrap, a_topic(1))
    healed = False

    async def fails_at_first(work: Work, received: Received) -> None:
        if received.envelope.sequence == 1 and not healed:
            raise TemporaryFailure("not-yet-known")
        await note_effect(work, received)

    async with migrated_database(new_database) as database, raw_producer(kafka_bootstrap) as producer:
        failing = await send(producer, topic, "bad", 1)
        behind = await send(producer, topic, "bad", 2)
        other = await send(producer, topic, "good", 3)

        async with consuming(database, kafka_bootstrap, a_consumer(topic, fails_at_first)):
            await wait_until(lambda: _ends_with(database, other), within_seconds=15)
            assert await effects(database) == [other]
            assert await parked(database) == [("not-yet-known", "waiting"), ("behind-parked", "waiting")]
            healed = True
            await wait_until(lambda: _ends_with(database, behind), within_seconds=20)

        assert await effects(database) == [other, failing, behind]


async def test_a_dependency_that_is_down_parks_nothing_and_is_waited_out(
    kafka_bootstrap: str, new_database: NewDatabase
) -> None:
    topic = await made(kafka_bootstrap, a_topic(1))
    failures = iter([DependencyDown("down"), DependencyDown("down")])

    async def down_twice(work: Work, received: Received) -> None:
        if error := next(failures, None):
            raise error
        await note_effect(work, received)

    async with migrated_database(new_database) as database, raw_producer(kafka_bootstrap) as producer:
        only = await send(producer, topic, "a", 1)

        async with consuming(database, kafka_bootstrap, a_consumer(topic, down_twice)):
            await wait_until(lambda: _ends_with(database, only), within_seconds=20)

        assert await effects(database) == [only]
        assert await parked(database) == []


async def test_a_consumer_that_starts_again_goes_on_where_it_ended(
    kafka_bootstrap: str, new_database: NewDatabase
) -> None:
    topic = await made(kafka_bootstrap, a_topic())
    consumer = a_consumer(topic)
    seen: Sequence[str]
    async with migrated_database(new_database) as database, raw_producer(kafka_bootstrap) as producer:
        sent = [await send(producer, topic, f"key-{number}", number) for number in range(1, 21)]
        async with consuming(database, kafka_bootstrap, consumer):
            await wait_until(lambda: _count(database, 20), within_seconds=15)
        sent += [await send(producer, topic, f"key-{number}", number) for number in range(21, 31)]

        async with consuming(database, kafka_bootstrap, consumer):
            await wait_until(lambda: _count(database, 30), within_seconds=15)
        seen = await effects(database)

    assert sorted(seen) == sorted(sent)


async def _ends_with(database: Database, event_id: str) -> bool:
    return (await effects(database))[-1:] == [event_id]


async def _count(database: Database, count: int) -> bool:
    return len(await effects(database)) == count
