"""Retention (P14): a case whose referrals have all ended loses its person first, and later its rows.

Rule: a step is safe to repeat, and to be run by several copies; a restored copy goes through it again.
Audit rows stay: they hold ids alone, and the chain would break without them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg
from ihala_runtime.background import apart
from ihala_runtime.clock import Clock
from ihala_runtime.postgres import Database

from ihala_intake.adapters import audit, cases, duplicates
from ihala_intake.adapters.case_in_hand import LockedCase
from ihala_intake.handlers.erase_subject import EraseSubject

ACTOR = "system:retention"
MOST_AT_ONCE = 500

_TO_PSEUDONYMISE = """
SELECT DISTINCT case_ref FROM case_file JOIN addressee USING (case_id)
WHERE erased_at IS NULL AND ended_at <= $1 AND NOT EXISTS (
    SELECT FROM addressee AS other
    WHERE other.case_id = case_file.case_id AND (other.ended_at IS NULL OR other.ended_at > $1)
)
LIMIT $2
"""

_TO_DELETE = """
SELECT case_id FROM case_file
WHERE closed_at <= $1 AND erased_at IS NOT NULL AND NOT EXISTS (
    SELECT FROM outbox JOIN event USING (event_id) WHERE aggregate_id = case_file.case_id
)
ORDER BY case_id LIMIT $2 FOR UPDATE SKIP LOCKED
"""


@dataclass(frozen=True, slots=True)
class Retention:
    """``pseudonymise_after``, ``delete_after``: from the end of the case's last referral, by the clock given."""

    database: Database
    erase_subject: EraseSubject
    clock: Clock
    pseudonymise_after: timedelta
    delete_after: timedelta

    async def apply(self) -> None:
        now = self.clock.now()
        while await self._pseudonymise(now):
            pass
        while await self._delete(now):
            pass

    async def _pseudonymise(self, now: datetime) -> int:
        """How many cases lost their person: the key is destroyed as by an erasure, and the others are told."""
        async with self.database.connection() as connection:
            rows = await connection.fetch(_TO_PSEUDONYMISE, now - self.pseudonymise_after, MOST_AT_ONCE)
        refs = [row["case_ref"] for row in rows]
        return sum([await apart(self._pseudonymise_one(ref, now), "retention", case_ref=ref) for ref in refs])

    async def _pseudonymise_one(self, case_ref: str, now: datetime) -> int:
        async with self.database.transaction() as work:
            file = await cases.find_case(work.conn, case_ref, lock=True)
            if file is not None:
                await self.erase_subject(LockedCase(work, file), ACTOR, now, action="pseudonymisation")
        return 1

    async def _delete(self, now: datetime) -> int:
        async with self.database.transaction() as work:
            rows = await work.conn.fetch(_TO_DELETE, now - self.delete_after, MOST_AT_ONCE)
            case_ids = [row["case_id"] for row in rows]
            for case_id in case_ids:
                await audit.append(work.conn, at=now, actor=ACTOR, action="deletion", case_id=case_id)
            await _delete_rows(work.conn, case_ids)
        return len(case_ids)


async def _delete_rows(connection: asyncpg.Connection, case_ids: Sequence[UUID]) -> None:
    for case_id in case_ids:
        await duplicates.forget_person(connection, case_id)
    await connection.execute("DELETE FROM addressee WHERE case_id = ANY($1)", case_ids)
    await connection.execute("DELETE FROM consent WHERE case_id = ANY($1)", case_ids)
    await connection.execute("DELETE FROM event WHERE aggregate_id = ANY($1)", case_ids)
    await connection.execute("DELETE FROM case_file WHERE case_id = ANY($1)", case_ids)
