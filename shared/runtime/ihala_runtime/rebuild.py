"""A read model made anew from its topic, beside the live one: compared with it, and put in its place if asked.

The shadow is a temporary table of the same name: the consumer's own handlers write into it without knowing, in one
transaction that nobody else sees. What the topic no longer holds, its owner publishes again for the rebuild alone.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from ihala_runtime import operator_log
from ihala_runtime.consumer import Consumer, ReadModel
from ihala_runtime.failures import DependencyDown, InvalidMessage
from ihala_runtime.kafka_address import KafkaAddress
from ihala_runtime.postgres import Database, Work
from ihala_runtime.received import RawRecord, Received, decode

LOOK_MS = 500
ASSIGNED_LOOK_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Compared:
    """Rows of the live model, those it lacks, and those that the history does not give."""

    rows: int
    missing: int
    unexplained: int
    replaced: bool

    @property
    def is_equal(self) -> bool:
        return not self.missing and not self.unexplained


async def rebuild(
    database: Database, kafka: KafkaAddress, consumer: Consumer[Any], actor: str, *, replace: bool
) -> Compared:
    """replace: put the rebuilt one in the live one's place. Raises DependencyDown when Kafka cannot be read."""
    if consumer.read_model is None:
        raise ValueError(f"{consumer.name} keeps no read model")
    connection = await database.dedicated("ihala-rebuild")
    reader = AIOKafkaConsumer(*consumer.topics, **kafka.options(), group_id=None, auto_offset_reset="earliest")
    try:
        await reader.start()
        async with connection.transaction():
            return await _rebuilt(connection, reader, consumer, consumer.read_model, actor, replace=replace)
    except KafkaError as error:
        raise DependencyDown("kafka", type(error).__name__) from None
    finally:
        await reader.stop()
        await connection.close()


async def _rebuilt(
    connection: asyncpg.Connection,
    reader: AIOKafkaConsumer,
    consumer: Consumer[Any],
    model: ReadModel,
    actor: str,
    *,
    replace: bool,
) -> Compared:
    table = model.table
    await connection.execute(f"CREATE TEMP TABLE {table} (LIKE public.{table} INCLUDING ALL) ON COMMIT DROP")
    await _read_to_the_end(connection, reader, consumer)
    await connection.execute(f"LOCK TABLE public.{table} IN SHARE ROW EXCLUSIVE MODE")  # nothing is learnt meanwhile
    await _read_to_the_end(connection, reader, consumer)
    compared = await _compare(connection, model, replace=replace)
    if replace:
        await connection.execute(
            f"DELETE FROM public.{table}; INSERT INTO public.{table} SELECT * FROM pg_temp.{table}"
        )
        details = {"consumer": consumer.name, "missing": compared.missing, "unexplained": compared.unexplained}
        await operator_log.note(connection, actor, "rebuild", details=details)
    return compared


async def _read_to_the_end(connection: asyncpg.Connection, reader: AIOKafkaConsumer, consumer: Consumer[Any]) -> None:
    """Everything up to what the topic holds now."""
    while not reader.assignment():  # noqa: ASYNC110  aiokafka tells nobody
        await asyncio.sleep(ASSIGNED_LOOK_SECONDS)
    ends = await reader.end_offsets(reader.assignment())
    while any([await reader.position(partition) < end for partition, end in ends.items()]):
        batches = await reader.getmany(timeout_ms=LOOK_MS, max_records=consumer.max_records)
        records = [RawRecord.of(record) for batch in batches.values() for record in batch]
        await _apply(connection, consumer, _readable(consumer, records))


def _readable(consumer: Consumer[Any], records: Sequence[RawRecord]) -> list[Received]:
    """What the consumer would handle; the rest is set aside where it lives."""
    found = []
    for record in records:
        try:
            received = decode(record)
        except InvalidMessage:
            continue
        if received.type in consumer.handlers:
            found.append(received)
    return found


async def _apply(connection: asyncpg.Connection, consumer: Consumer[Any], received: Sequence[Received]) -> None:
    """By the consumer's own handlers, record by record where one cannot be read."""
    work, learn = Work(connection), _handlers(consumer)
    try:
        async with connection.transaction():
            async with consumer.open_scope(work, received) as scope:
                for each in received:
                    await learn[each.type](scope, each)
            await work.flush()
    except InvalidMessage:
        if len(received) > 1:
            for each in received:
                await _apply(connection, consumer, [each])
    if work.events or work.after_commit:
        raise RuntimeError(f"{consumer.name} does more than to keep a read model")


def _handlers(consumer: Consumer[Any]) -> Mapping[str, Callable[[Any, Received], Awaitable[None]]]:
    own = consumer.read_model and consumer.read_model.learn
    return own or consumer.handlers


async def _compare(connection: asyncpg.Connection, model: ReadModel, *, replace: bool) -> Compared:
    row = await connection.fetchrow(
        "SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) AS columns FROM pg_attribute"
        " WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped AND NOT attname = ANY($2)",
        f"public.{model.table}",
        list(model.not_compared),
    )
    columns = row["columns"] if row else "*"
    live, rebuilt = (f"SELECT {columns} FROM {schema}.{model.table}" for schema in ("public", "pg_temp"))
    counts = await connection.fetchrow(
        f"SELECT (SELECT count(*) FROM public.{model.table}) AS rows,"
        f" (SELECT count(*) FROM ({rebuilt} EXCEPT {live}) AS lacking) AS missing,"
        f" (SELECT count(*) FROM ({live} EXCEPT {rebuilt}) AS more) AS unexplained"
    )
    if counts is None:
        raise AssertionError("unreachable")
    return Compared(counts["rows"], counts["missing"], counts["unexplained"], replace)
