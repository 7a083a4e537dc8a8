"""Writes down how tries ended: many in one statement, with their receipts.

Only the copy that still holds the lease decides about a delivery; the try itself is logged whoever made it. Where a
lease is lost, or an endpoint's health is to be judged, it takes a transaction.
"""

import random
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import asyncpg
from ihala_runtime.postgres import Database, NeedsTransaction, Work

from ihala_notification.adapters import measures, receipts
from ihala_notification.adapters.endpoints import PostgresEndpoints
from ihala_notification.domain.delivery import Tried, Verdict, verdict
from ihala_notification.domain.retry_schedule import RetrySchedule


def _jitter() -> float:
    return random.uniform(-1, 1)  # noqa: S311  spreads retries, hides nothing


@dataclass(frozen=True, slots=True)
class PostgresResults:
    database: Database
    endpoints: PostgresEndpoints
    schedule: RetrySchedule
    jitter: Callable[[], float] = field(default=_jitter)

    async def record(self, copy_id: UUID, tried: Sequence[Tried], unwell: Collection[str]) -> list[Tried]:
        """Those that ended their delivery. unwell: agencies whose endpoint was not known to be well."""
        judged = [(each, verdict(each, self.schedule, self.jitter())) for each in tried]
        try:
            async with self.database.at_once() as work:
                await self.endpoints.judge(work, tried, unwell)
                _settle_all(work, copy_id, judged)
        except (NeedsTransaction, *NOT_MINE):
            async with self.database.transaction() as work:
                await _settle_mine(work, copy_id, judged)
                await self.endpoints.judge(work, tried, unwell)
        for each, meaning in judged:
            measures.DELIVERIES.labels(meaning.state.value).inc()
            measures.WEBHOOK_SECONDS.observe(each.result.latency_ms / 1_000)
        return [each for each, meaning in judged if meaning.is_final]


Judged = Sequence[tuple[Tried, Verdict]]
NOT_MINE = (asyncpg.NotNullViolationError, asyncpg.UniqueViolationError)
"""What a statement that settles all or nothing answers where another decided meanwhile: another copy, or the end of
the attempt, whose receipt has taken the number of this one."""


def _settle_all(work: Work, copy_id: UUID, judged: Judged) -> None:
    work.writes.add(_LOG, *_columns(_logged(each) for each, _ in judged))
    work.writes.add(_SETTLE, *_columns(_settled(*pair) for pair in judged), copy_id, True)
    for each, meaning in judged:
        work.record(receipts.of_try(each, meaning))


async def _settle_mine(work: Work, copy_id: UUID, judged: Judged) -> None:
    await work.conn.execute(_LOG, *_columns(_logged(each) for each, _ in judged))
    rows = await work.conn.fetch(_SETTLE, *_columns(_settled(*pair) for pair in judged), copy_id, False)
    mine = {row["delivery_id"] for row in rows}
    for each, meaning in judged:
        if each.due.delivery.delivery_id in mine:
            work.record(receipts.of_try(each, meaning))


def _columns(rows: Iterable[tuple[Any, ...]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]


def _logged(tried: Tried) -> tuple[Any, ...]:
    result = tried.result
    return tried.due.delivery.delivery_id, result.status, result.reason, result.latency_ms, result.answer, tried.at


def _settled(tried: Tried, meaning: Verdict) -> tuple[Any, ...]:
    result = tried.result
    ids = (tried.due.delivery.delivery_id, meaning.state.value, meaning.next_attempt_at)
    return (*ids, result.status, result.reason, tried.at)


_LOG = """
INSERT INTO attempt (delivery_id, status, reason, latency_ms, answer, made_at)
SELECT * FROM unnest($1::uuid[], $2::integer[], $3::text[], $4::integer[], $5::bytea[], $6::timestamptz[])
"""
# $8: all or nothing. The state of a delivery that is not ours would be NULL, which the table refuses.
# The channel comes with the id, not as a constant, for which the same index could be read from end to end.
_SETTLE = """
WITH given AS MATERIALIZED (
    SELECT *, 'webhook' AS channel
    FROM unnest($1::uuid[], $2::text[], $3::timestamptz[], $4::integer[], $5::text[], $6::timestamptz[])
        AS given (delivery_id, state, next_attempt_at, status, reason, made_at)
), held AS (
    SELECT d.delivery_id FROM delivery d JOIN given USING (delivery_id, channel)
    WHERE $8::boolean OR d.state = 'pending' AND d.lease_owner = $7
    ORDER BY d.position FOR UPDATE OF d
)
UPDATE delivery d SET state = CASE WHEN d.state = 'pending' AND d.lease_owner = $7::uuid THEN given.state END,
    step = d.step + 1, tries = d.tries + 1, sequence = d.sequence + 1,
    next_attempt_at = coalesce(given.next_attempt_at, d.next_attempt_at), lease_owner = NULL, lease_until = NULL,
    last_status = given.status, last_reason = given.reason,
    ended_at = CASE WHEN given.state <> 'pending' THEN given.made_at END
FROM given JOIN held USING (delivery_id) WHERE d.delivery_id = given.delivery_id AND d.channel = given.channel
RETURNING d.delivery_id
"""
