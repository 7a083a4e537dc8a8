"""The delivery log: what was told to whom, how each try went; and asking for it to be told again."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from ihala_runtime.postgres import Database, Work

from ihala_notification.domain.message import ASKING_TYPES

REPLAYED_AT_ONCE = 1_000


@dataclass(frozen=True, slots=True)
class LogQuery:
    """before: a position of the last page's end; None for the newest."""

    limit: int
    before: int | None = None
    referral_id: UUID | None = None
    partner_id: str | None = None
    state: str | None = None


@dataclass(frozen=True, slots=True)
class Replay:
    """Which ended deliveries are sent again. None leaves a field open."""

    delivery_ids: Sequence[UUID] | None
    partner_id: str | None
    since: datetime | None
    until: datetime | None
    states: Sequence[str]


@dataclass(frozen=True, slots=True)
class PostgresDeliveryLog:
    database: Database

    async def page(self, query: LogQuery) -> list[dict[str, Any]]:
        """Newest first, with the tries of each."""
        async with self.database.connection() as connection:
            rows = await connection.fetch(
                _PAGE, query.referral_id, query.partner_id, query.state, query.before, query.limit
            )
            tries = await connection.fetch(_TRIES, [row["delivery_id"] for row in rows])
        return [dict(row) | {"attempts": _tries_of(dict(row), [dict(each) for each in tries])} for row in rows]

    async def replay(self, work: Work, replay: Replay) -> int:
        """How many are sent again. Never to a stopped agency, nor what asks for an attempt that is over or of an erased
        person."""
        rows = await work.conn.fetch(
            _REPLAY,
            None if replay.delivery_ids is None else list(replay.delivery_ids),
            replay.partner_id,
            replay.since,
            replay.until,
            list(replay.states),
            REPLAYED_AT_ONCE,
            sorted(ASKING_TYPES),
        )
        return len(rows)


def _tries_of(row: dict[str, Any], tries: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    if row["channel"] != "webhook":
        return []
    return [each for each in tries if each["delivery_id"] == row["delivery_id"]]


_PAGE = """
SELECT delivery_id, channel, position, event_id, event_type, partner_id, referral_id, attempt_no, state, tries,
    next_attempt_at, last_status, last_reason, created_at, ended_at
FROM delivery
WHERE ($1::uuid IS NULL OR referral_id = $1) AND ($2::text IS NULL OR partner_id = $2)
    AND ($3::text IS NULL OR state = $3) AND ($4::bigint IS NULL OR position < $4)
ORDER BY position DESC LIMIT $5
"""
_TRIES = """
SELECT delivery_id, made_at, status, reason, latency_ms, answer FROM attempt
WHERE delivery_id = ANY($1) ORDER BY id
"""
_REPLAY = """
WITH wanted AS (
    SELECT d.delivery_id, d.channel FROM delivery d
    WHERE d.channel = 'webhook' AND d.state = ANY($5) AND d.state IN ('delivered', 'exhausted') AND d.body <> ''
        AND ($1::uuid[] IS NULL OR d.delivery_id = ANY($1)) AND ($2::text IS NULL OR d.partner_id = $2)
        AND ($3::timestamptz IS NULL OR d.created_at >= $3) AND ($4::timestamptz IS NULL OR d.created_at < $4)
        AND NOT (d.event_type = ANY($7)
            AND EXISTS (SELECT FROM attempt_over o
                WHERE o.referral_id = d.referral_id AND o.attempt_no >= d.attempt_no))
        AND NOT EXISTS (SELECT FROM partner p WHERE p.partner_id = d.partner_id AND p.stopped)
    ORDER BY d.position LIMIT $6 FOR UPDATE OF d SKIP LOCKED
)
UPDATE delivery d SET state = 'pending', step = 0, queued_at = clock_timestamp(), next_attempt_at = clock_timestamp(),
    ended_at = NULL, lease_owner = NULL, lease_until = NULL
FROM wanted WHERE d.delivery_id = wanted.delivery_id AND d.channel = wanted.channel
RETURNING d.delivery_id
"""
