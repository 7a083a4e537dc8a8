"""A runtime on real servers, small enough for one test: a migrated database, topics, a consumer that can be run."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord
from ihala_events.catalogue import EventType
from ihala_events.ops import RecordParked
from ihala_events.topics import Topic
from ihala_runtime.consumer import Consumer, ConsumerRunner
from ihala_runtime.identifiers import uuid7
from ihala_runtime.kafka import Consumers
from ihala_runtime.kafka_address import KafkaAddress
from ihala_runtime.migrate import RUNTIME_MIGRATIONS, migrate
from ihala_runtime.outbox import NewEvent, new_event
from ihala_runtime.outbox_relay import OutboxRelay, kafka_producer
from ihala_runtime.postgres import Database, Work
from ihala_runtime.received import Received
from ihala_runtime.topics import make_topics
from support.servers import NewDatabase

EFFECT_TABLE = "CREATE TABLE effect (event_id text, sequence bigint, at bigserial)"
INSERT_EFFECT = "INSERT INTO effect (event_id, sequence) VALUES ($1, $2)"


def a_topic(partitions: int = 4) -> Topic:
    return Topic(f"test.{uuid7().hex[-12:]}", "any", partitions)


def an_event_kind(topic: Topic) -> EventType:
    return EventType("ihala.ops.record-parked.v1", topic, RecordParked, "a test")


def an_event(topic: Topic, aggregate_id: UUID, sequence: int) -> NewEvent:
    payload = RecordParked(
        consumer="test",
        topic="t",
        partition=0,
        offset=sequence,
        event_id=None,
        event_type=None,
        error_class="e",
        state="s",
    )
    return new_event(
        an_event_kind(topic),
        payload,
        source="/test",
        aggregate_id=aggregate_id,
        sequence=sequence,
        key=str(aggregate_id),
        time=datetime.now(UTC),
    )


@asynccontextmanager
async def migrated_database(new_database: NewDatabase) -> AsyncIterator[Database]:
    database = Database(await new_database(), "test")
    connection = await database.dedicated()
    await migrate(connection, [RUNTIME_MIGRATIONS])
    await connection.execute(EFFECT_TABLE)
    await connection.close()
    await database.connect()
    try:
        yield database
    finally:
        await database.close()


@asynccontextmanager
async def relaying(database: Database, bootstrap: str) -> AsyncIterator[OutboxRelay]:
    relay = OutboxRelay(database, lambda: kafka_producer(KafkaAddress(bootstrap), "test-relay"))
    task = asyncio.create_task(relay.run())
    try:
        yield relay
    finally:
        await relay.stop()
        await asyncio.wait_for(task, 15)


async def refused_are_due(database: Database) -> None:
    """As if the time until the next try of what Kafka refused had passed."""
    async with database.connection() as connection:
        await connection.execute("UPDATE outbox_refused SET retry_at = now()")


async def nothing_to_publish(database: Database) -> bool:
    async with database.connection() as connection:
        return bool(await connection.fetchval("SELECT count(*) = 0 FROM outbox"))


@asynccontextmanager
async def consuming(database: Database, bootstrap: str, consumer: Consumer[Any]) -> AsyncIterator[ConsumerRunner]:
    runner = ConsumerRunner(consumer, database)
    consumers = Consumers(KafkaAddress(bootstrap), "test", [runner])
    tasks = [asyncio.create_task(consumers.run()), asyncio.create_task(runner.retry_parked())]
    try:
        yield runner
    finally:
        await consumers.finish()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def plain_scope(work: Work, _received: Sequence[Received]) -> AsyncIterator[Work]:
    yield work


async def note_effect(work: Work, received: Received) -> None:
    await work.conn.execute(INSERT_EFFECT, received.envelope.id, received.envelope.sequence)


async def read_all(bootstrap: str, topic: str, count: int, within_seconds: float = 20) -> "list[ConsumerRecord]":
    """The first ``count`` records of a topic. Raises TimeoutError when they do not come."""
    consumer = AIOKafkaConsumer(  # a topic that was just made may be unknown at the first look
        topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest", metadata_max_age_ms=1_000
    )
    await consumer.start()
    records: list[ConsumerRecord] = []
    try:
        async with asyncio.timeout(within_seconds):
            while len(records) < count:
                records.append(await consumer.getone())
    finally:
        await consumer.stop()
    return records


@asynccontextmanager
async def raw_producer(bootstrap: str) -> AsyncIterator[AIOKafkaProducer]:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap)
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


async def made(bootstrap: str, topic: Topic) -> Topic:
    await make_topics(KafkaAddress(bootstrap), [topic])
    return topic
