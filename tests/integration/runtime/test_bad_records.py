"""Records that a producer should never write, through real Kafka: dead at once, and what is behind them is handled."""

import gzip
import os

import pytest
from aiokafka import AIOKafkaProducer
from ihala_events.partner import CapacityChanged
from ihala_events.topics import Topic
from ihala_runtime.consumer import Consumer
from ihala_runtime.failures import InvalidMessage
from ihala_runtime.identifiers import uuid7
from ihala_runtime.postgres import Database, Work
from ihala_runtime.received import RawRecord, decode
from ihala_runtime.unreadable import MAX_BATCH_BYTES
from support.raw_batches import GZIP, ZSTD, BadName, a_batch, packed, send_raw, zstd_unpacked
from support.runtime import (
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
EVENT = {"ce_id": b"1", "ce_source": b"/party/x", "ce_type": KIND.encode(), "ce_time": b"2026-11-16T10:15:00Z"}
A_NAME = "Fatou Example"


def with_headers(**changes: bytes | None) -> bytes:
    return a_batch(b"k", b"{}", [*{**EVENT, **changes}.items()])


def gzip_packed(batch: bytes) -> bytes:
    return packed(batch, GZIP, gzip.compress)


BAD = {
    "a header's name is no UTF-8": (a_batch(b"k", b"{}", [(BadName("x"), b"1")]), "unreadable"),
    "packed in a way that is not ours": (packed(with_headers(), ZSTD, zstd_unpacked), "unreadable"),
    "a bomb": (gzip_packed(a_batch(b"k", bytes(4 * MAX_BATCH_BYTES), [])), "unreadable"),
    "a packed stranger": (gzip_packed(with_headers(ce_type=b"ihala.unheard.v1")), "unknown-type"),
    "NUL in a header's name": (with_headers(**{"a\0b": b"1", "ce_time": b"x"}), "malformed-envelope"),
    "NUL in an attribute": (with_headers(ce_subject=b"\0"), "malformed-envelope"),
    "an attribute without a value": (with_headers(ce_id=None), "malformed-envelope"),
    "an attribute that is no UTF-8": (with_headers(ce_type=b"\xff\xfe"), "malformed-envelope"),
    "an attribute of half a megabyte": (with_headers(ce_id=b"x" * 500_000), "malformed-envelope"),
    "a number without end": (with_headers(ce_sequence=b"9" * 5_000), "malformed-envelope"),
    "a number that no database holds": (with_headers(ce_sequence=b"9" * 19), "malformed-envelope"),
    "a time before all time": (with_headers(ce_time=b"0001-01-01T00:00:00+23:59"), "malformed-envelope"),
    "a key that no index takes": (a_batch(os.urandom(100_000), b"{}", []), "malformed-envelope"),
    "nothing at all": (a_batch(None, None, []), "malformed-envelope"),
    "a person's name for a type": (with_headers(ce_type=A_NAME.encode()), "unknown-type"),
    "as large as the broker takes": (a_batch(b"k", bytes(1_000_000), []), "malformed-envelope"),
}
WRONG_FIELDS = [
    (f'{{"{A_NAME}": 1}}', "/*, /places"),
    (f'{{"places": {{"{A_NAME}": -1}}}}', "/places/*, /places/*/*"),
    ('{"places": 1, "\\u0000": 2}', "/*, /places"),
    ("[" * 100_000, "/"),
]


async def test_each_bad_record_is_dead_at_once_and_none_beside_or_behind_it_is_lost(
    kafka_bootstrap: str, new_database: NewDatabase
) -> None:
    topic = await made(kafka_bootstrap, a_topic(2))
    name = f"test.{uuid7().hex[-12:]}"
    consumer: Consumer[Work] = Consumer(name, plain_scope, {KIND: note_effect}, topics=(topic.name,))
    async with migrated_database(new_database) as database, raw_producer(kafka_bootstrap) as producer:
        for number, (batch, _) in enumerate(BAD.values()):
            await send_raw(producer, topic.name, number % 2, batch)
            for partition in (0, 1):
                await send_good(producer, topic, partition)

        async with consuming(database, kafka_bootstrap, consumer):
            await wait_until(lambda: counted(database, 2 * len(BAD), len(BAD)), within_seconds=30)

        async with database.connection() as connection:
            rows = await connection.fetch("SELECT error_class, error, state FROM parked ORDER BY id")
        assert sorted(row["error_class"] for row in rows) == sorted(reason for _, reason in BAD.values())
        assert {row["state"] for row in rows} == {"dead"}
        assert not any(A_NAME in row["error"] for row in rows)


async def send_good(producer: AIOKafkaProducer, topic: Topic, partition: int) -> None:
    event = an_event(topic, uuid7(), 1)
    headers = [(name, text.encode()) for name, text in event.headers.items()]
    await producer.send_and_wait(topic.name, event.payload, b"good", partition=partition, headers=headers)


async def counted(database: Database, effects: int, parked: int) -> bool:
    async with database.connection() as connection:
        query = "SELECT (SELECT count(*) FROM effect), (SELECT count(*) FROM parked)"
        return tuple(await connection.fetchrow(query) or ()) == (effects, parked)


@pytest.mark.parametrize(("payload", "told"), WRONG_FIELDS)
def test_a_reason_names_our_fields_and_nothing_that_the_sender_wrote(payload: str, told: str) -> None:
    headers = tuple((name, value) for name, value in EVENT.items())
    received = decode(RawRecord("party.x.in.v1", 0, 0, None, payload.encode(), headers))

    with pytest.raises(InvalidMessage) as refused:
        received.payload(CapacityChanged)

    assert refused.value.detail == f"{KIND}: {told}"
