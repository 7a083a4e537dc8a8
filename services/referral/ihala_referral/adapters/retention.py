"""Retention (P14): long after the last referral of a case ended, its rows and events are deleted.

Rule: a pass is short, safe to repeat, and to be run by several copies; what Kafka has not taken yet stays.
Releases of indicators stay: they tell of nobody.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg
from ihala_events import catalogue
from ihala_runtime.clock import Clock
from ihala_runtime.postgres import Database

MOST_AT_ONCE = 500
ENDS = [catalogue.CLOSED.type, catalogue.WITHDRAWN.type]

_TO_DELETE = """
SELECT case_id FROM case_profile
WHERE case_id IN (SELECT case_id FROM referral WHERE received_at <= $1 AND state IN ('closed', 'withdrawn'))
    AND NOT EXISTS (
        SELECT FROM referral WHERE referral.case_id = case_profile.case_id AND (
            state NOT IN ('closed', 'withdrawn')
            OR EXISTS (SELECT FROM event WHERE aggregate_id = referral_id AND type = ANY($2::text[])
                AND (headers->>'ce_time')::timestamptz > $1)
            OR EXISTS (SELECT FROM event JOIN outbox USING (event_id) WHERE aggregate_id = referral_id)))
ORDER BY case_id LIMIT $3 FOR UPDATE SKIP LOCKED
"""

_DELETE = (
    "DELETE FROM timer WHERE aggregate_id = ANY($1::uuid[])",
    "DELETE FROM attempt WHERE referral_id = ANY($1::uuid[])",
    "DELETE FROM told WHERE event_id IN (SELECT event_id FROM event WHERE aggregate_id = ANY($1::uuid[]))",
    "DELETE FROM event WHERE aggregate_id = ANY($1::uuid[])",
    "DELETE FROM referral WHERE referral_id = ANY($1::uuid[])",
)


@dataclass(frozen=True, slots=True)
class Retention:
    """delete_after: from the end of the case's last referral, by the clock given."""

    database: Database
    clock: Clock
    delete_after: timedelta

    async def apply(self) -> None:
        now = self.clock.now()
        while await self._delete(now):
            pass

    async def _delete(self, now: datetime) -> int:
        """How many cases were deleted in this pass."""
        async with self.database.transaction() as work:
            rows = await work.conn.fetch(_TO_DELETE, now - self.delete_after, ENDS, MOST_AT_ONCE)
            await _delete_cases(work.conn, [row["case_id"] for row in rows])
        return len(rows)


async def _delete_cases(connection: asyncpg.Connection, case_ids: Sequence[UUID]) -> None:
    if not case_ids:
        return
    rows = await connection.fetch(
        "SELECT referral_id FROM referral WHERE case_id = ANY($1::uuid[]) ORDER BY referral_id FOR UPDATE", case_ids
    )
    referral_ids = [row["referral_id"] for row in rows]
    for statement in _DELETE:
        await connection.execute(statement, referral_ids)
    await connection.execute(
        "DELETE FROM household_link WHERE case_id = ANY($1::uuid[]) OR other_case_id = ANY($1::uuid[])", case_ids
    )
    await connection.execute("DELETE FROM case_profile WHERE case_id = ANY($1::uuid[])", case_ids)
    texts = [str(each) for each in (*case_ids, *referral_ids)]
    await connection.execute("DELETE FROM idempotent_request WHERE response->>'referral_id' = ANY($1::text[])", texts)
    await connection.execute("DELETE FROM parked WHERE key = ANY($1::bytea[])", [text.encode() for text in texts])
