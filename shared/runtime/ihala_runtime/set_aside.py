"""Records set aside, for those who look after them: seen, tried again, edited, given up.

Two kinds share one shape: records that a consumer parked (``17``) and events that Kafka refused (``out-17``). An act
only says that a try is due: the consumer's own retry and the relay make it, so that nothing can act twice.
"""

import re
from dataclasses import dataclass
from typing import Any

import asyncpg

from ihala_runtime import operator_log
from ihala_runtime.failures import Failure
from ihala_runtime.inbox import KEEP_DAYS

OUTBOX = "outbox"
UNSETTLED = ("waiting", "dead")
CLEANED_AT_ONCE = 5_000
_RECORD_ID = re.compile(r"(out-)?([1-9][0-9]{0,17})")


class NoSuchRecord(Failure):
    """Nothing is set aside under this id."""


class NotPossible(Failure):
    """The record's state forbids it. ``first``: the record that goes before it, if that is why."""

    def __init__(self, reason: str, detail: str, first: str | None = None) -> None:
        super().__init__(reason, detail)
        self.first = first


@dataclass(frozen=True, slots=True)
class RecordId:
    """``refused``: of the outbox."""

    number: int
    refused: bool

    def __str__(self) -> str:
        return f"out-{self.number}" if self.refused else str(self.number)


def record_id_of(text: str) -> RecordId:
    """Raises NoSuchRecord for what is no id of ours."""
    found = _RECORD_ID.fullmatch(text)
    if found is None:
        raise NoSuchRecord("not-found")
    return RecordId(int(found[2]), found[1] is not None)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which records; None leaves a field open. ``after``: the last one of the page before."""

    states: tuple[str, ...] = UNSETTLED
    consumer: str | None = None
    error_class: str | None = None
    limit: int = 50
    after: RecordId | None = None


async def page(connection: asyncpg.Connection, wanted: Wanted) -> list[dict[str, Any]]:
    """Oldest first, refused events before parked records."""
    after = wanted.after or RecordId(0, refused=True)
    rows = await connection.fetch(
        "SELECT * FROM set_aside WHERE state = ANY($1) AND ($2::text IS NULL OR consumer = $2)"
        " AND ($3::text IS NULL OR error_class = $3) AND (place, id) > ($4, $5) ORDER BY place, id LIMIT $6",
        list(wanted.states),
        wanted.consumer,
        wanted.error_class,
        0 if after.refused else 1,
        after.number,
        wanted.limit,
    )
    return [dict(row) for row in rows]


async def groups(connection: asyncpg.Connection) -> list[dict[str, Any]]:
    """What waits for a human or a try, by consumer and class of failure, the largest first."""
    rows = await connection.fetch(
        "SELECT consumer, error_class, count(*) AS records, count(*) FILTER (WHERE state = 'dead') AS dead,"
        " min(parked_at) AS first_at, max(parked_at) AS last_at FROM set_aside WHERE state = ANY($1)"
        " GROUP BY consumer, error_class ORDER BY records DESC, consumer, error_class",
        list(UNSETTLED),
    )
    return [dict(row) for row in rows]


async def one(connection: asyncpg.Connection, record_id: RecordId) -> dict[str, Any]:
    """The record, which one it waits behind, and what was done to it. Raises NoSuchRecord."""
    row = await connection.fetchrow("SELECT * FROM set_aside WHERE record_id = $1", str(record_id))
    if row is None:
        raise NoSuchRecord("not-found")
    behind = await _before(connection, record_id) if row["state"] == "waiting" else None
    return {**row, "behind": behind, "history": await operator_log.history(connection, str(record_id))}


async def payload(connection: asyncpg.Connection, record_id: RecordId, actor: str) -> tuple[bytes, bytes | None]:
    """(as it is, as it came when it was edited); the reading is written down. Raises NoSuchRecord."""
    if record_id.refused:
        query = "SELECT payload, NULL::bytea FROM outbox_refused JOIN event USING (event_id) WHERE id = $1"
    else:
        query = "SELECT payload, original FROM parked WHERE id = $1"
    row = await connection.fetchrow(query, record_id.number)
    if row is None:
        raise NoSuchRecord("not-found")
    await operator_log.note(connection, actor, "read", [str(record_id)])
    return row[0] or b"", row[1]


async def retry(connection: asyncpg.Connection, record_id: RecordId, actor: str) -> None:
    """Make its next try due now; a dead one waits again. Raises NoSuchRecord, NotPossible."""
    await _lock_unsettled(connection, record_id)
    first = await _before(connection, record_id)
    if first is not None:
        raise NotPossible("behind-another", "an earlier record of its key waits: retry or discard that one", first)
    await connection.execute(_RETRY_REFUSED if record_id.refused else _RETRY_PARKED, record_id.number)
    await operator_log.note(connection, actor, "retry", [str(record_id)])


async def retry_group(connection: asyncpg.Connection, consumer: str, error_class: str, actor: str) -> int:
    """Every record of the group; those of one key go in their order, and behind an earlier one of another group."""
    statement = _RETRY_REFUSED_GROUP if consumer == OUTBOX else _RETRY_PARKED_GROUP
    parameters = [error_class] if consumer == OUTBOX else [error_class, consumer]
    rows = await connection.fetch(statement, *parameters)
    await _note_all(connection, actor, "retry", rows, None)
    return len(rows)


async def edit(connection: asyncpg.Connection, record_id: RecordId, content: bytes, actor: str, reason: str) -> None:
    """Replace the payload; the first one is kept. Raises NoSuchRecord, NotPossible."""
    if record_id.refused:
        raise NotPossible("not-editable", "the event log tells what happened: it is not edited")
    await _lock_unsettled(connection, record_id)
    await connection.execute(
        "UPDATE parked SET original = coalesce(original, payload, ''), payload = $2 WHERE id = $1",
        record_id.number,
        content,
    )
    await operator_log.note(connection, actor, "edit", [str(record_id)], reason=reason)


async def discard(connection: asyncpg.Connection, record_id: RecordId, actor: str, reason: str) -> None:
    """Never handle it; the next of its key may go. Raises NoSuchRecord, NotPossible."""
    await _lock_unsettled(connection, record_id)
    await connection.execute(_DISCARD_REFUSED if record_id.refused else _DISCARD_PARKED, [record_id.number])
    await operator_log.note(connection, actor, "discard", [str(record_id)], reason=reason)


async def discard_group(
    connection: asyncpg.Connection, consumer: str, error_class: str, actor: str, reason: str
) -> int:
    if consumer == OUTBOX:
        rows = await connection.fetch(
            "DELETE FROM outbox_refused WHERE error_class = $1 RETURNING 'out-' || id AS record_id", error_class
        )
    else:
        rows = await connection.fetch(_DISCARD_PARKED_GROUP, error_class, consumer)
    await _note_all(connection, actor, "discard", rows, reason)
    return len(rows)


async def clean(connection: asyncpg.Connection) -> None:
    """Forget settled records as long after as the inbox forgets; who settled them stays."""
    await connection.execute(
        "DELETE FROM parked WHERE id = ANY(ARRAY(SELECT id FROM parked WHERE state IN ('done', 'discarded')"
        " AND parked_at < clock_timestamp() - make_interval(days => $1) LIMIT $2))",
        KEEP_DAYS,
        CLEANED_AT_ONCE,
    )


async def _lock_unsettled(connection: asyncpg.Connection, record_id: RecordId) -> None:
    """Wait for a try under way, then see what became of the record. Raises NoSuchRecord, NotPossible."""
    table, state = ("outbox_refused", "'waiting'") if record_id.refused else ("parked", "state")
    found = await connection.fetchval(
        f"SELECT {state} FROM {table} WHERE id = $1 FOR UPDATE",
        record_id.number,
    )
    if found is None:
        raise NoSuchRecord("not-found")
    if found not in UNSETTLED:
        raise NotPossible("settled", f"the record is {found}")


async def _before(connection: asyncpg.Connection, record_id: RecordId) -> str | None:
    """The record that waits before this one of the same key."""
    first: str | None = await connection.fetchval(
        _BEFORE_REFUSED if record_id.refused else _BEFORE_PARKED, record_id.number
    )
    return first


async def _note_all(
    connection: asyncpg.Connection, actor: str, action: str, rows: list[asyncpg.Record], reason: str | None
) -> None:
    if rows:
        await operator_log.note(connection, actor, action, [row["record_id"] for row in rows], reason=reason)


_BEFORE_PARKED = """
SELECT first.id::text FROM parked AS first JOIN parked AS this USING (consumer, key)
WHERE this.id = $1 AND (first.sequence, first.id) < (this.sequence, this.id) AND first.state = 'waiting'
ORDER BY first.sequence, first.id LIMIT 1
"""
_BEFORE_REFUSED = """
SELECT 'out-' || first.id FROM outbox_refused AS first JOIN outbox_refused AS this USING (topic, key)
WHERE this.id = $1 AND first.id < this.id ORDER BY first.id LIMIT 1
"""
_RETRY_PARKED = "UPDATE parked SET state = 'waiting', next_attempt_at = clock_timestamp() WHERE id = $1"
_RETRY_REFUSED = "UPDATE outbox_refused SET retry_at = clock_timestamp() WHERE id = $1"
_RETRY_PARKED_GROUP = """
UPDATE parked SET state = 'waiting', next_attempt_at = clock_timestamp()
WHERE error_class = $1 AND consumer = $2 AND state IN ('waiting', 'dead') RETURNING id::text AS record_id
"""
_RETRY_REFUSED_GROUP = """
UPDATE outbox_refused SET retry_at = clock_timestamp() WHERE error_class = $1 RETURNING 'out-' || id AS record_id
"""
_DISCARD_PARKED = "UPDATE parked SET state = 'discarded', payload = NULL, next_attempt_at = NULL WHERE id = ANY($1)"
_DISCARD_REFUSED = "DELETE FROM outbox_refused WHERE id = ANY($1)"
_DISCARD_PARKED_GROUP = """
UPDATE parked SET state = 'discarded', payload = NULL, next_attempt_at = NULL
WHERE error_class = $1 AND consumer = $2 AND state IN ('waiting', 'dead') RETURNING id::text AS record_id
"""
