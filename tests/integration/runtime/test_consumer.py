"""Consumers on real PostgreSQL and Kafka: one effect a record, poison set aside, keys kept in order."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from aiokafka import AIOKafkaProducer
from ihala_events.ops import RecordParked
from ihala_events.topics import Topic
from ihala_runtime import consumer as consumer_module
from ihala_runtime.consumer import Consumer, ConsumerRunner
from ihala_runtime.failures import DependencyDown, TemporaryFailure
from ihala_runtime.flood import FLOOD_RECORDS
from ihala_runtime.identifiers import uuid7
from ihala_runtime.postgres import Database, Work
from ihala_runtime.received import RawRecord, Received
from support.runtime import (
    INSERT_EFFECT,
    a_topic,
    an_event,
    consuming,
    made,
    migrated_database,
    note_effect,
    plain_scope,
    raw_producer,
)
from support.servers import NewDatabase
from support.waiting import wait_until

KIND = "ihala.ops.record-parked.v1"
Handler = Callable[[Work, Received], Awaitable[None]]


def a_consumer(topic: Topic, handler: Handler = note_effect, *, at_once: bool = False) -> Consumer[Work]:
    name = f"test.{uuid7().hex[-12:]}"
    return Consumer(name, plain_scope, {KIND: handler}, topics=(topic.name,), at_once=at_once)


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


async def test_a_batch_that_cannot_be_committed_is_tried_until_it_can_and_nothing_passes_it(
    kafka_bootstrap: str, new_database: NewDatabase
) -> None:
    topic = await made(kafka_bootstrap, a_topic(1))
    twice = [True]

    async def acts_twice(work: Work, received: Received) -> None:
        for _ in range(2 if twice else 1):
            await note_effect(work, received)

    async with migrated_database(new_database) as database, raw_producer(kafka_bootstrap) as producer:
        async with database.connection() as connection:
            await connection.execute("ALTER TABLE effect ADD UNIQUE (event_id) DEFERRABLE INITIALLY DEFERRED")
        only = await send(producer, topic, "a", 1)

        async with consuming(database, kafka_bootstrap, a_consumer(topic, acts_twice)) as runner:
            await wait_until(lambda: runner._in_hand_since is not None)
            await asyncio.sleep(1)
            assert await effects(database) == []
            twice.clear()
            await wait_until(lambda: _ends_with(database, only), within_seconds=20)

        assert await parked(database) == []


async def test_a_record_whose_own_events_cannot_be_stored_is_parked_alone(
    kafka_bootstrap: str, new_database: NewDatabase
) -> None:
    topic, aggregate = await made(kafka_bootstrap, a_topic(1)), uuid7()

    async def publishes_a_sequence_twice(work: Work, received: Received) -> None:
        await note_effect(work, received)
        for _ in range(2 if received.key == b"bad" else 0):
            work.record(an_event(topic, aggregate, 1))

    async with migrated_database(new_database) as database, raw_producer(kafka_bootstrap) as producer:
        await send(producer, topic, "bad", 1)
        good = await send(producer, topic, "good", 1)

        async with consuming(database, kafka_bootstrap, a_consumer(topic, publishes_a_sequence_twice)):
            await wait_until(lambda: _ends_with(database, good), within_seconds=20)

        assert await effects(database) == [good]
        assert await parked(database) == [("UniqueViolationError", "waiting")]


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


async def test_a_poison_record_that_comes_again_is_told_of_once(
    kafka_bootstrap: str, new_database: NewDatabase
) -> None:
    topic = await made(kafka_bootstrap, a_topic(1))
    async with migrated_database(new_database) as database, raw_producer(kafka_bootstrap) as producer:
        await producer.send_and_wait(topic.name, b"no event at all", b"a")
        good = await send(producer, topic, "a", 1)
        consumer = a_consumer(topic)
        async with consuming(database, kafka_bootstrap, consumer):
            await wait_until(lambda: _ends_with(database, good), within_seconds=15)
        runner = ConsumerRunner(consumer, database)
        poison = RawRecord(topic.name, 0, 0, b"a", b"no event at all", ())

        await runner.process([poison])

        assert await parked(database) == [("malformed-envelope", "dead")]
        async with database.connection() as connection:
            assert await connection.fetchval("SELECT count(*) FROM event") == 1


def raw(topic: Topic, offset: int, value: bytes | None = None) -> RawRecord:
    """A record as Kafka would bring it, with a key of its own."""
    event = an_event(topic, uuid7(), offset)
    headers = tuple((name, text.encode()) for name, text in event.headers.items())
    return RawRecord(topic.name, 0, offset, event.key.encode(), event.payload if value is None else value, headers)


@pytest.mark.parametrize(("failing_of_five", "batch"), [(5, 7), (5, 500), (3, 5), (3, 500)])
async def test_when_most_fails_it_stops_instead_of_parking_everything_and_heals_by_itself(
    new_database: NewDatabase, monkeypatch: pytest.MonkeyPatch, failing_of_five: int, batch: int
) -> None:
    monkeypatch.setattr(consumer_module, "STUCK_SECONDS", 3.0)
    topic, records = a_topic(1), [raw(a_topic(1), offset) for offset in range(120)]
    is_broken = True

    async def fails(work: Work, received: Received) -> None:
        if is_broken and (received.envelope.sequence or 0) % 5 < failing_of_five:
            raise TemporaryFailure("not-yet-known")
        await note_effect(work, received)

    async with migrated_database(new_database) as database:
        runner = ConsumerRunner(a_consumer(topic, fails), database)

        async def process_all() -> None:
            for start in range(0, len(records), batch):
                await runner.process(records[start : start + batch])

        processing = asyncio.create_task(process_all())
        await wait_until(lambda: runner.is_stuck, within_seconds=60)
        stopped_at = len(await parked(database))
        await asyncio.sleep(1)
        assert len(await parked(database)) == stopped_at < FLOOD_RECORDS
        assert not processing.done()

        is_broken = False
        await asyncio.wait_for(processing, 60)
        assert not runner.is_stuck
        still_parked = len(await parked(database))
        assert still_parked < FLOOD_RECORDS
        assert len(await effects(database)) == len(records) - still_parked


@pytest.mark.parametrize("poison", [b"not JSON \xff", b'{"consumer": 7}'])
async def test_a_flood_of_what_cannot_be_read_passes_and_does_not_stop_the_consumer(
    new_database: NewDatabase, poison: bytes
) -> None:
    """10,000 within 10 s on a machine of its own; here within what a busy one may take."""
    topic = a_topic(1)

    async def read(work: Work, received: Received) -> None:
        received.payload(RecordParked)
        await note_effect(work, received)

    records = [raw(topic, offset, poison) for offset in range(10_000)] + [raw(topic, 10_000)]
    async with migrated_database(new_database) as database:
        runner = ConsumerRunner(a_consumer(topic, read), database)
        started = time.monotonic()
        for start in range(0, len(records), 500):
            await runner.process(records[start : start + 500])
        took = time.monotonic() - started

        assert len(await effects(database)) == 1
        async with database.connection() as connection:
            assert await connection.fetchval("SELECT count(*) FROM parked WHERE state = 'dead'") == 10_000
    assert took < 30


async def gather_effect(work: Work, received: Received) -> None:
    work.writes.add(INSERT_EFFECT, received.envelope.id, received.envelope.sequence)


def id_of(record: RawRecord) -> str:
    return (dict(record.headers)["ce_id"] or b"").decode()


@pytest.mark.parametrize("came_before", [0, 1, 2])
async def test_a_batch_at_once_is_done_again_in_a_transaction_when_some_of_it_came_before(
    new_database: NewDatabase, came_before: int
) -> None:
    seen: list[bool] = []

    async def handle(work: Work, received: Received) -> None:
        seen.append(work.at_once)
        await gather_effect(work, received)

    topic = a_topic(1)
    records = [raw(topic, offset) for offset in (1, 2)]
    async with migrated_database(new_database) as database:
        runner = ConsumerRunner(a_consumer(topic, handle, at_once=True), database)
        if came_before:
            await runner.process(records[:came_before])
        seen.clear()

        await runner.process([*records, records[1]])

        assert sorted(await effects(database)) == sorted(id_of(record) for record in records)
        assert seen == {0: [True, True], 1: [True, True, False], 2: [True, True]}[came_before]


async def test_a_batch_at_once_waits_behind_the_parked_record_of_its_key(new_database: NewDatabase) -> None:
    async def fail(work: Work, received: Received) -> None:
        if received.envelope.sequence == 1:
            raise TemporaryFailure("not-yet", "not yet")
        await gather_effect(work, received)

    topic = a_topic(1)
    first, other = raw(topic, 1), raw(topic, 3)
    later = replace(raw(topic, 2), key=first.key)
    async with migrated_database(new_database) as database:
        runner = ConsumerRunner(a_consumer(topic, fail, at_once=True), database)
        await runner.process([first])

        await runner.process([later, other])

        assert await effects(database) == [id_of(other)]
        assert await parked(database) == [("not-yet", "waiting"), ("behind-parked", "waiting")]


async def test_what_needs_a_transaction_gets_one_and_its_events_are_stored_once(new_database: NewDatabase) -> None:
    topic = a_topic(1)

    async def handle(work: Work, received: Received) -> None:
        work.record(an_event(topic, uuid7(), 1))
        await note_effect(work, received)

    record = raw(topic, 1)
    async with migrated_database(new_database) as database:
        await ConsumerRunner(a_consumer(topic, handle, at_once=True), database).process([record])

        assert await effects(database) == [id_of(record)]
        async with database.connection() as connection:
            assert await connection.fetchval("SELECT count(*) FROM outbox") == 1
        assert database.committed.is_set()


async def test_the_events_of_a_batch_at_once_are_stored_with_it_and_the_relay_is_woken(
    new_database: NewDatabase,
) -> None:
    topic = a_topic(1)
    told: list[str] = []

    async def handle(work: Work, received: Received) -> None:
        work.record(an_event(topic, uuid7(), 1))
        work.after_commit.append(lambda: told.append(received.envelope.id))
        await gather_effect(work, received)

    record = raw(topic, 1)
    async with migrated_database(new_database) as database:
        await ConsumerRunner(a_consumer(topic, handle, at_once=True), database).process([record])

        async with database.connection() as connection:
            assert await connection.fetchval("SELECT count(*) FROM outbox JOIN event USING (event_id)") == 1
            assert await connection.fetchval("SELECT count(*) FROM inbox") == 1
        assert database.committed.is_set()
        assert told == [id_of(record)]


@asynccontextmanager
async def one_upsert(work: Work, _received: Sequence[Received]) -> AsyncIterator[dict[str, int]]:
    last: dict[str, int] = {}
    yield last
    work.writes.add(
        "INSERT INTO effect SELECT * FROM unnest($1::text[], $2::bigint[]) AS given (event_id, sequence)"
        " WHERE NOT EXISTS (SELECT FROM effect WHERE effect.event_id = given.event_id)",
        list(last.keys()),
        list(last.values()),
    )


async def test_a_consumer_that_may_repeat_takes_no_inbox_rows_and_still_parks_what_fails(
    kafka_bootstrap: str, new_database: NewDatabase
) -> None:
    async def learn(last: dict[str, int], received: Received) -> None:
        if received.key == b"bad":
            raise TemporaryFailure("not-yet", "not yet")
        last[received.envelope.id] = received.envelope.sequence or 0

    topic = await made(kafka_bootstrap, a_topic(1))
    consumer = Consumer(f"test.{uuid7().hex[-12:]}", one_upsert, {KIND: learn}, topics=(topic.name,), repeatable=True)
    async with migrated_database(new_database) as database, raw_producer(kafka_bootstrap) as producer:
        first = await send(producer, topic, "a", 1)
        await send(producer, topic, "a", 1, ce_id=first.encode())
        await send(producer, topic, "bad", 1)
        await send(producer, topic, "c", 1, ce_type=b"ihala.nobody.knows.v1")
        last = await send(producer, topic, "a", 2)

        async with consuming(database, kafka_bootstrap, consumer):
            await wait_until(lambda: _ends_with(database, last), within_seconds=15)

        assert await effects(database) == [first, last]
        assert sorted(await parked(database)) == [("not-yet", "waiting"), ("unknown-type", "dead")]
        async with database.connection() as connection:
            assert await connection.fetchval("SELECT count(*) FROM inbox") == 0
