"""Writes down how tries ended: many in one transaction, with their receipts.

Only the copy that still holds the lease decides about a delivery; the try itself is logged whoever made it.
"""

import random
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from ihala_runtime.postgres import Database

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
        async with self.database.transaction() as work:
            columns = [list(column) for column in zip(*(_values(*pair) for pair in judged), strict=True)]
            rows = await work.conn.fetch(_RECORD, *columns, copy_id)
            mine = {row["delivery_id"] for row in rows}
            for each, meaning in judged:
                if each.due.delivery.delivery_id in mine:
                    work.record(receipts.of_try(each, meaning))
            await self.endpoints.judge(work, tried, unwell)
        for each, meaning in judged:
            measures.DELIVERIES.labels(meaning.state.value).inc()
            measures.WEBHOOK_SECONDS.observe(each.result.latency_ms / 1_000)
        return [each for each, meaning in judged if meaning.is_final]


def _values(tried: Tried, meaning: Verdict) -> tuple[Any, ...]:
    return (
        tried.due.delivery.delivery_id,
        meaning.state.value,
        meaning.next_attempt_at,
        tried.result.status,
        tried.result.reason,
        tried.result.latency_ms,
        tried.result.answer,
        tried.at,
    )


_RECORD = """
WITH given AS (
    SELECT * FROM unnest($1::uuid[], $2::text[], $3::timestamptz[], $4::integer[], $5::text[], $6::integer[],
        $7::bytea[], $8::timestamptz[])
        AS given (delivery_id, state, next_attempt_at, status, reason, latency_ms, answer, made_at)
), logged AS (
    INSERT INTO attempt (delivery_id, status, reason, latency_ms, answer, made_at)
    SELECT delivery_id, status, reason, latency_ms, answer, made_at FROM given
), mine AS (
    SELECT d.delivery_id FROM delivery d JOIN given USING (delivery_id)
    WHERE d.channel = 'webhook' AND d.state = 'pending' AND d.lease_owner = $9
    ORDER BY d.position FOR UPDATE OF d
)
UPDATE delivery d SET state = given.state, step = d.step + 1, tries = d.tries + 1, sequence = d.sequence + 1,
    next_attempt_at = coalesce(given.next_attempt_at, d.next_attempt_at), lease_owner = NULL, lease_until = NULL,
    last_status = given.status, last_reason = given.reason,
    ended_at = CASE WHEN given.state <> 'pending' THEN given.made_at END
FROM given JOIN mine USING (delivery_id) WHERE d.delivery_id = given.delivery_id AND d.channel = 'webhook'
RETURNING d.delivery_id
"""
