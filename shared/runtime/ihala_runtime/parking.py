"""Records set aside: tried again on a schedule, their key's later records behind them, or dead at once.

Parking is part of the batch's transaction and the offset goes on: one bad record never holds up another key. A key's
records are tried in the order of their sequence, so that none waits for one that was set aside behind it.
A retry goes through the inbox like a first delivery, so it cannot act twice.
"""

import base64
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import asyncpg
from ihala_events import catalogue
from ihala_events.ops import RecordParked

from ihala_runtime import metric_names as metrics
from ihala_runtime.failures import InvalidMessage, failure_class, failure_text
from ihala_runtime.outbox import new_event
from ihala_runtime.postgres import Work
from ihala_runtime.received import RawRecord, decode
from ihala_runtime.retry_schedule import PARKED

MAX_ERROR_BYTES = 8192
MAX_KEY_BYTES = 1024  # ours are ids; an index takes no long one
BEHIND = "behind-parked"
_LIKE_A_TYPE = re.compile(r"[a-z0-9.-]{1,120}")


@dataclass(frozen=True, slots=True)
class Parked:
    """``attempts``: failed tries so far."""

    id: int
    attempts: int
    record: RawRecord


async def park(work: Work, consumer: str, record: RawRecord, error: BaseException) -> None:
    """Set a failed record aside: dead when it can never succeed, else for a later try."""
    await park_all(work, consumer, [(record, error)])


async def park_all(work: Work, consumer: str, failed: Sequence[tuple[RawRecord, BaseException]]) -> None:
    """The same for many, in one statement. One that is parked already came again: nothing is told of it."""
    later = datetime.now(UTC) + timedelta(seconds=PARKED.after(1) or 0)
    rows = [_Row(record, error, 1, None if isinstance(error, InvalidMessage) else later) for record, error in failed]
    inserted = await _insert(work, consumer, rows)
    for row in rows:
        if (row.record.topic, row.record.partition, row.record.offset) in inserted:
            _notify(work, consumer, row.record, failure_class(row.error), row.state, row.attempts)


async def park_behind(work: Work, consumer: str, record: RawRecord) -> None:
    """Set a record aside because an earlier one of its key waits."""
    await _insert(work, consumer, [_Row(record, InvalidMessage(BEHIND), 0, datetime.now(UTC))])


async def due(connection: asyncpg.Connection, consumer: str, limit: int = 100) -> list[int]:
    """Ids of the first waiting record of each key whose time has come."""
    rows = await connection.fetch(
        "SELECT id FROM (SELECT DISTINCT ON (coalesce(key, int8send(id))) id, next_attempt_at FROM parked"
        "  WHERE consumer = $1 AND state = 'waiting' ORDER BY coalesce(key, int8send(id)), sequence, id) AS first"
        " WHERE next_attempt_at <= clock_timestamp() ORDER BY id LIMIT $2",
        consumer,
        limit,
    )
    return [row["id"] for row in rows]


async def take(connection: asyncpg.Connection, parked_id: int) -> Parked | None:
    """Lock a waiting record for a try; None when another copy has it."""
    row = await connection.fetchrow(
        "SELECT * FROM parked WHERE id = $1 AND state = 'waiting' FOR UPDATE SKIP LOCKED", parked_id
    )
    return None if row is None else Parked(row["id"], row["attempts"], _record(row))


async def settle(connection: asyncpg.Connection, parked: Parked) -> None:
    """The try succeeded: keep what happened, not the payload. What may have waited for it is due."""
    await connection.execute(
        "WITH done AS (UPDATE parked SET state = 'done', payload = NULL WHERE id = $1 RETURNING consumer, key)"
        " UPDATE parked SET next_attempt_at = clock_timestamp() FROM done"
        " WHERE parked.consumer = done.consumer AND parked.key = done.key AND parked.id <> $1"
        " AND state = 'waiting' AND next_attempt_at > clock_timestamp()",
        parked.id,
    )


async def failed_again(work: Work, consumer: str, parked: Parked, error: BaseException) -> None:
    """Another failed try: wait longer, or dead after the last."""
    attempts = parked.attempts + 1
    delay = None if isinstance(error, InvalidMessage) else PARKED.after(attempts)
    await work.conn.execute(
        "UPDATE parked SET attempts = $2, state = $3, next_attempt_at = $4, error_class = $5, error = $6 WHERE id = $1",
        parked.id,
        attempts,
        "dead" if delay is None else "waiting",
        None if delay is None else datetime.now(UTC) + timedelta(seconds=delay),
        failure_class(error),
        failure_text(error)[:MAX_ERROR_BYTES],
    )
    if delay is None:
        _notify(work, consumer, parked.record, failure_class(error), "dead", attempts)


async def measure(connection: asyncpg.Connection) -> None:
    rows = await connection.fetch(
        "SELECT consumer, state, count(*) FROM parked WHERE state IN ('waiting', 'dead') GROUP BY consumer, state"
    )
    metrics.PARKED.clear()
    for consumer, state, count in rows:
        metrics.PARKED.labels(consumer, state).set(count)


@dataclass(frozen=True, slots=True)
class _Row:
    """next_attempt_at: None for a dead one."""

    record: RawRecord
    error: BaseException
    attempts: int
    next_attempt_at: datetime | None

    @property
    def state(self) -> str:
        return "dead" if self.next_attempt_at is None else "waiting"

    def values(self) -> tuple[object, ...]:
        record = self.record
        return (
            record.topic,
            record.partition,
            record.offset,
            record.key and record.key[:MAX_KEY_BYTES],
            *_identity(record),
            self.attempts,
            self.next_attempt_at,
            failure_class(self.error),
            failure_text(self.error)[:MAX_ERROR_BYTES],
            json.dumps(_headers_to_json(record)),  # as text: a list of lists would be an array of two dimensions
            record.value,
            self.state,
        )


_INSERT = """
INSERT INTO parked (consumer, topic, partition, "offset", key, event_id, event_type, sequence, attempts,
    next_attempt_at, error_class, error, headers, payload, state)
SELECT $1, topic, part, place, key, event_id, event_type, sequence, attempts, next_attempt_at, error_class, error,
    headers::jsonb, payload, state
FROM unnest($2::text[], $3::integer[], $4::bigint[], $5::bytea[], $6::text[], $7::text[], $8::bigint[],
    $9::integer[], $10::timestamptz[], $11::text[], $12::text[], $13::text[], $14::bytea[], $15::text[])
    WITH ORDINALITY AS given (topic, part, place, key, event_id, event_type, sequence, attempts, next_attempt_at,
    error_class, error, headers, payload, state, position)
ORDER BY position
ON CONFLICT (consumer, topic, partition, "offset") DO NOTHING RETURNING topic, partition, "offset"
"""


async def _insert(work: Work, consumer: str, rows: Sequence[_Row]) -> set[tuple[str, int, int]]:
    """The places of those that were not parked already."""
    if not rows:
        return set()
    columns = [list(column) for column in zip(*(row.values() for row in rows), strict=True)]
    return {tuple(row) for row in await work.conn.fetch(_INSERT, consumer, *columns)}


def _notify(work: Work, consumer: str, record: RawRecord, error_class: str, state: str, attempts: int) -> None:
    event_id, event_type, _ = _identity(record)
    place = f"{consumer}/{record.topic}/{record.partition}/{record.offset}"
    notice = RecordParked(
        consumer=consumer,
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        event_id=event_id,
        event_type=event_type,
        error_class=error_class,
        state=state,
    )
    work.record(
        new_event(
            catalogue.RECORD_PARKED,
            notice,
            source=f"/ihala/{consumer.split('.')[0]}",
            aggregate_id=uuid5(NAMESPACE_URL, f"{place}/{state}"),
            sequence=attempts,  # a dead record that is tried again and fails is told of again
            sequenced=False,
            key=consumer,
            subject=place,
            time=datetime.now(UTC),
        )
    )


def _identity(record: RawRecord) -> tuple[str | None, str | None, int]:
    """Id, type and sequence (0: its sender does not count), as far as they can be told.

    What is not even like a type may hold anything.
    """
    try:
        envelope = decode(record).envelope
    except InvalidMessage:
        return None, None, 0
    kind = envelope.type if _LIKE_A_TYPE.fullmatch(envelope.type) else None
    return envelope.id, kind, envelope.sequence or 0


def _headers_to_json(record: RawRecord) -> list[list[str | None]]:
    """A name without NUL, which no text of a database may hold."""
    return [
        [name.replace("\0", "\ufffd"), None if value is None else base64.b64encode(value).decode()]
        for name, value in record.headers
    ]


def _record(row: "asyncpg.Record | dict[str, Any]") -> RawRecord:
    headers = tuple((name, None if text is None else base64.b64decode(text)) for name, text in row["headers"])
    return RawRecord(row["topic"], row["partition"], row["offset"], row["key"], row["payload"], headers)
