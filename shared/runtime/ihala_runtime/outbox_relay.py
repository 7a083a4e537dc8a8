"""Publishes the outbox to Kafka: one relay per database at a time, in order for each key.

A pass is handed to an idempotent producer in order and acknowledged together; the producer keeps the order of each
partition, failures included. A key whose row is refused for itself leaves the pass with its later rows.

The advisory lock is held by the very connection that reads and deletes, so a relay that lost the lock cannot
delete. A stale relay can at most publish twice, which the receivers' inboxes drop.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    InvalidTopicError,
    KafkaError,
    MessageSizeTooLargeError,
    RecordTooLargeError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
)
from opentelemetry.trace import SpanKind

from ihala_runtime import failpoints, telemetry
from ihala_runtime import metric_names as metrics
from ihala_runtime.failures import is_infrastructure
from ihala_runtime.kafka_address import KafkaAddress
from ihala_runtime.logs import logger
from ihala_runtime.pace import Pace
from ihala_runtime.postgres import NO_ANSWER_SECONDS, Database
from ihala_runtime.retry_schedule import BackOff

LOCK = 4_191_002
RELAY = "ihala-relay"
PASS_ROWS = 500
POLL_SECONDS = 0.05  # rows of other copies of the service, which cannot wake us
POLL_ALONE_SECONDS = 1.0
QUIET_SECONDS = 0.1  # what is published is deleted with what is read next, or when so long nothing came
STANDBY_SECONDS = 1.0
FROZEN_SECONDS = 60  # longer than a pass may wait for Kafka
REFUSED_RETRY_SECONDS = 10
MAX_BATCH_BYTES = 262_144
MAX_EVENT_BYTES = 1_000_000  # below what producer and broker take, headers included
BEHIND_REFUSED = "behind-refused"
METADATA_LOOKS = 3  # an update under way when we ask may have been sent before the topic was added

_REFUSED_FOR_THEMSELVES = (
    UnknownTopicOrPartitionError,
    InvalidTopicError,
    MessageSizeTooLargeError,
    RecordTooLargeError,
    TopicAuthorizationFailedError,
)

_log = logger(__name__)

ProducerFactory = Callable[[], Awaitable[AIOKafkaProducer]]
RowKey = tuple[str, str]


@dataclass(frozen=True, slots=True)
class OutboxRow:
    id: int
    event_id: UUID
    topic: str
    key: str
    headers: dict[str, str]
    payload: bytes
    created_at: datetime
    again: str | None

    @property
    def order_key(self) -> RowKey:
        return self.topic, self.key


async def kafka_producer(kafka: KafkaAddress, client_id: str) -> AIOKafkaProducer:
    """An idempotent producer that waits for all replicas and does its batching by our waves."""
    producer = AIOKafkaProducer(
        **kafka.options(),
        client_id=client_id,
        acks="all",
        enable_idempotence=True,
        linger_ms=0,
        max_batch_size=MAX_BATCH_BYTES,
        max_request_size=1_048_576,
        request_timeout_ms=10_000,
        metadata_max_age_ms=30_000,
    )
    try:
        await producer.start()
    except BaseException:
        await producer.stop()
        raise
    return producer


class OutboxRelay:
    """Run it as a task of the service; it leads when it holds the lock and stands by otherwise."""

    def __init__(
        self, database: Database, make_producer: ProducerFactory, name: str = "relay", apart_seconds: float = 0.0
    ) -> None:
        """name: of its failpoints.  apart_seconds: between two passes, at least, where nobody waits."""
        self._database = database
        self._name = name
        self._apart_seconds = apart_seconds
        self._make_producer = make_producer
        self._producer: AIOKafkaProducer | None = None
        self._refused_keys: set[RowKey] = set()
        self._stopping = asyncio.Event()
        self._alone = False

    async def run(self) -> None:
        """Until ``stop``: lead, stand by, and heal by itself when the database or Kafka comes back."""
        back_off = BackOff(0.2, 5.0)
        while not self._stopping.is_set():
            try:
                await self._lead(back_off)
            except asyncio.CancelledError:
                raise
            except Exception as error:
                if not is_infrastructure(error):
                    _log.exception("relay failed", action="relay")
                await self._discard_producer()
                await self._sleep(back_off.pause())
        await self._discard_producer()

    async def stop(self) -> None:
        """Publish what is there, then end ``run``."""
        self._stopping.set()
        self._database.committed.set()

    async def _lead(self, back_off: BackOff) -> None:
        connection = await self._database.dedicated(RELAY, no_answer_seconds=NO_ANSWER_SECONDS)
        try:
            while not await connection.fetchval("SELECT pg_try_advisory_lock($1)", LOCK):
                await self._sleep(STANDBY_SECONDS)
                if self._stopping.is_set():
                    return
            # a row whose deletion a crash undoes is published again, and dropped by the inboxes: no wait for the disk
            await connection.execute("SET synchronous_commit = off; SET plan_cache_mode = force_generic_plan")
            # a leader that is frozen loses the lock, and another copy publishes
            await connection.execute(f"SET idle_session_timeout = '{FROZEN_SECONDS}s'")
            metrics.OUTBOX_LEADER.set(1)
            await self._load_refused(connection)
            await self._passes(connection, back_off)
        finally:
            metrics.OUTBOX_LEADER.set(0)
            await _close(connection)

    async def _passes(self, connection: asyncpg.Connection, back_off: BackOff) -> None:
        next_look = 0.0
        published: list[int] = []
        pace = Pace(self._apart_seconds)
        while True:
            await pace.turn()
            self._database.committed.clear()
            with pace.batch():
                rows = await _next(connection, published)
                published = await self._pass(connection, rows) if rows else []
            back_off.reset()
            if time.monotonic() >= next_look:
                next_look = time.monotonic() + 1.0
                await self._readmit_refused(connection)
                await _measure(connection)
                self._alone = await _is_alone(connection)
            if not rows and self._stopping.is_set():
                return
            if len(rows) < PASS_ROWS:
                await self._wait_for_rows(QUIET_SECONDS if published else POLL_ALONE_SECONDS)

    async def _pass(self, connection: asyncpg.Connection, rows: Sequence[OutboxRow]) -> list[int]:
        """Publish; the ids to delete, which goes with reading what follows them."""
        started = time.perf_counter()
        failpoints.reach(self._name, "read")
        published, refused, broken = await self._publish(rows)
        failpoints.reach(self._name, "produced")
        await self._set_aside(connection, refused)
        metrics.OUTBOX_PUBLISHED.inc(len(published))
        metrics.OUTBOX_PASS_SECONDS.observe(time.perf_counter() - started)
        ids = [row.id for row in published]
        if broken is not None:
            await connection.execute(_DELETE, ids)
            raise broken
        return ids

    async def _publish(
        self, rows: Sequence[OutboxRow]
    ) -> tuple[list[OutboxRow], list[tuple[OutboxRow, str]], Exception | None]:
        """(acknowledged, refused with why, what broke). A key that was refused leaves the pass."""
        producer = await self._live_producer()
        out = set(self._refused_keys)
        refused: list[tuple[OutboxRow, str]] = []
        under_way: list[tuple[OutboxRow, Awaitable[object]]] = []
        broken: Exception | None = None
        for row in rows:
            if row.order_key in out:
                refused.append((row, BEHIND_REFUSED))
                continue
            try:
                under_way.append((row, await self._send_one(producer, row)))
            except _REFUSED_FOR_THEMSELVES as error:
                out.add(row.order_key)
                refused.append((row, type(error).__name__))
            except KafkaError as error:
                broken = error
                break
        outcomes = await asyncio.gather(*(future for _, future in under_way), return_exceptions=True)
        errors = [error for error in map(_as_error, outcomes) if error is not None]
        published = [row for (row, _), outcome in zip(under_way, outcomes, strict=True) if _as_error(outcome) is None]
        return published, refused, broken or next(iter(errors), None)

    async def _send_one(self, producer: AIOKafkaProducer, row: OutboxRow) -> Any:
        """Hand a row to the producer, which keeps the order of its partition. Raises when it refuses it at once."""
        if len(row.payload) > MAX_EVENT_BYTES:
            raise _too_large()
        await _known_topic(producer, row.topic)
        headers = [(name, value.encode()) for name, value in row.headers.items() if name != "traceparent"]
        if row.again is not None:
            headers.append(("ce_again", row.again.encode()))
        made_in = row.headers.get("traceparent")
        if made_in is None:
            return await producer.send(row.topic, row.payload, row.key.encode(), headers=headers)
        with telemetry.span(
            f"publish {row.topic}",
            SpanKind.PRODUCER,
            parent=made_in,
            messaging__system="kafka",
            messaging__destination__name=row.topic,
            ihala__event__type=row.headers.get("ce_type", ""),
        ):
            headers.append(("traceparent", (telemetry.current_traceparent() or made_in).encode()))
            return await producer.send(row.topic, row.payload, row.key.encode(), headers=headers)

    async def _set_aside(self, connection: asyncpg.Connection, refused: Sequence[tuple[OutboxRow, str]]) -> None:
        if not refused:
            return
        async with connection.transaction():
            await connection.execute(_SET_ASIDE, [row.id for row, _ in refused], [why for _, why in refused])
        self._refused_keys |= {row.order_key for row, _ in refused}
        _log.warning("kafka refused events", action="relay.refused", rows=len(refused), why=refused[0][1])

    async def _readmit_refused(self, connection: asyncpg.Connection) -> None:
        """Try refused rows again, with their keys' later rows; their ids put them first."""
        if not self._refused_keys:
            return
        async with connection.transaction():
            await connection.execute(_READMIT)
        await self._load_refused(connection)

    async def _load_refused(self, connection: asyncpg.Connection) -> None:
        rows = await connection.fetch("SELECT DISTINCT topic, key FROM outbox_refused")
        self._refused_keys = {(row["topic"], row["key"]) for row in rows}

    async def _live_producer(self) -> AIOKafkaProducer:
        if self._producer is None:
            self._producer = await self._make_producer()
        return self._producer

    async def _discard_producer(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            try:
                await asyncio.wait_for(producer.stop(), 5)
            except (KafkaError, TimeoutError, OSError):
                _log.warning("producer did not stop cleanly", action="relay")

    async def _wait_for_rows(self, seconds: float) -> None:
        with suppress(TimeoutError):
            rest = seconds if self._alone else POLL_SECONDS
            await asyncio.wait_for(self._database.committed.wait(), rest)

    async def _sleep(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)


_SET_ASIDE = f"""
WITH refused AS (SELECT * FROM unnest($1::bigint[], $2::text[]) AS refused (id, why)),
gone AS (DELETE FROM outbox USING refused WHERE outbox.id = refused.id
    RETURNING outbox.id, outbox.event_id, outbox.again, refused.why)
INSERT INTO outbox_refused (id, event_id, again, topic, key, error_class, retry_at)
SELECT gone.id, event.event_id, gone.again, event.topic, event.key, gone.why,
    now() + interval '{REFUSED_RETRY_SECONDS} s'
FROM gone JOIN event USING (event_id)
"""

_READMIT = """
WITH due AS (SELECT topic, key FROM outbox_refused GROUP BY topic, key HAVING min(retry_at) <= now()),
back AS (DELETE FROM outbox_refused USING due
    WHERE outbox_refused.topic = due.topic AND outbox_refused.key = due.key RETURNING id, event_id, again)
INSERT INTO outbox (id, event_id, again) OVERRIDING SYSTEM VALUE SELECT id, event_id, again FROM back ORDER BY id
"""


_DELETE = "DELETE FROM outbox WHERE id = ANY($1)"
# The event of each row by its key: OFFSET 0 keeps the planner from reading the whole log where it knows it badly.
_NEXT = f"""
WITH published AS ({_DELETE}),
oldest AS (SELECT id, event_id, again FROM outbox WHERE id <> ALL($1) ORDER BY id LIMIT {PASS_ROWS})
SELECT oldest.id, oldest.event_id, topic, key, headers, payload, created_at, again
FROM oldest CROSS JOIN LATERAL (
    SELECT topic, key, headers, payload, created_at FROM event WHERE event.event_id = oldest.event_id OFFSET 0
) AS logged ORDER BY oldest.id
"""


async def _next(connection: asyncpg.Connection, published: Sequence[int]) -> list[OutboxRow]:
    """Delete what was published, and the oldest rows of the others."""
    return [OutboxRow(**row) for row in await connection.fetch(_NEXT, published)]


async def _measure(connection: asyncpg.Connection) -> None:
    row = await connection.fetchrow(
        "SELECT (SELECT count(*) FROM outbox) AS rows,"
        " (SELECT min(created_at) FROM event WHERE event_id ="
        "   (SELECT event_id FROM outbox ORDER BY id LIMIT 1)) AS oldest,"
        " (SELECT count(*) FROM outbox_refused) AS refused"
    )
    if row is None:
        return
    oldest: datetime | None = row["oldest"]
    metrics.OUTBOX_ROWS.set(row["rows"])
    metrics.OUTBOX_REFUSED_ROWS.set(row["refused"])
    metrics.OUTBOX_OLDEST_SECONDS.set((datetime.now(UTC) - oldest).total_seconds() if oldest else 0)


async def _is_alone(connection: asyncpg.Connection) -> bool:
    """True when no other copy of the service stands by: then every event is written, and told of, in this process."""
    waiting = await connection.fetchval(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        " AND application_name = current_setting('application_name') AND pid <> pg_backend_pid()"
    )
    return not waiting


async def _known_topic(producer: AIOKafkaProducer, topic: str) -> None:
    """Raises UnknownTopicOrPartitionError at once where ``send`` would wait 40 s for a missing topic."""
    cluster = producer.client.cluster
    if cluster.partitions_for_topic(topic) is not None:
        return
    await producer.client.add_topic(topic)
    for _ in range(METADATA_LOOKS):
        if cluster.partitions_for_topic(topic) is not None:
            return
        await producer.client.force_metadata_update()
    raise UnknownTopicOrPartitionError


def _as_error(outcome: object) -> Exception | None:
    if isinstance(outcome, BaseException) and not isinstance(outcome, Exception):
        raise outcome
    return outcome if isinstance(outcome, Exception) else None


def _too_large() -> Exception:
    error: Exception = MessageSizeTooLargeError()
    return error


async def _close(connection: asyncpg.Connection) -> None:
    try:
        await asyncio.wait_for(connection.close(), 2)  # its own timeout does not bound the wait for a silent server
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
        connection.terminate()
