"""When to look at a referral again.  One row per referral and kind; which ones, the referral itself says."""

from collections.abc import Collection, Container, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import asyncpg
from ihala_runtime.postgres import Writes

from ihala_referral.domain.attempt import Clock
from ihala_referral.domain.calendar import Calendar
from ihala_referral.domain.referral import Referral

DUE_AT_ONCE = 200


class DueTimer(NamedTuple):
    timer_id: int
    referral_id: UUID
    kind: Clock


def set_timers(writes: Writes, referrals: Collection[Referral], known: Container[UUID], calendar: Calendar) -> None:
    """Replace the timers of these referrals by those their state asks for.  known: those that may have some."""
    wanted = [
        (referral.referral_id, kind, due_at)
        for referral in sorted(referrals, key=lambda each: each.referral_id)
        for kind, due_at in sorted(referral.timers(calendar).items())
    ]
    columns = [list(column) for column in zip(*wanted, strict=True)] or [[], [], []]
    old = sorted(referral.referral_id for referral in referrals if referral.referral_id in known)
    if old:
        writes.add(_DROP_OTHERS, old, *columns[:2])
    if wanted:
        writes.add(_SET, *columns)


_DROP_OTHERS = """
DELETE FROM timer WHERE aggregate_id = ANY($1::uuid[])
    AND (aggregate_id, kind) NOT IN (SELECT * FROM unnest($2::uuid[], $3::text[]))
"""
_SET = """
INSERT INTO timer (aggregate_id, kind, due_at) SELECT * FROM unnest($1::uuid[], $2::text[], $3::timestamptz[])
ON CONFLICT (aggregate_id, kind) DO UPDATE SET due_at = EXCLUDED.due_at WHERE timer.due_at <> EXCLUDED.due_at
"""


async def due_timers(connection: asyncpg.Connection, now: datetime) -> list[DueTimer]:
    """Those that are due, oldest first; not locked, because the referral's row is locked first."""
    rows = await connection.fetch(
        "SELECT id, aggregate_id, kind FROM timer WHERE due_at <= $1 ORDER BY due_at, id LIMIT $2", now, DUE_AT_ONCE
    )
    return [DueTimer(row["id"], row["aggregate_id"], Clock(row["kind"])) for row in rows]


async def take_timers(connection: asyncpg.Connection, timers: Sequence[DueTimer], now: datetime) -> list[DueTimer]:
    """Those that no other copy answered and that were not set anew meanwhile, in the order given."""
    rows = await connection.fetch(
        "DELETE FROM timer WHERE id = ANY($1::bigint[]) AND due_at <= $2 RETURNING id",
        [timer.timer_id for timer in timers],
        now,
    )
    taken = {row["id"] for row in rows}
    return [timer for timer in timers if timer.timer_id in taken]


async def postpone_timer(connection: asyncpg.Connection, timer: DueTimer, due_at: datetime) -> None:
    await connection.execute("UPDATE timer SET due_at = $2 WHERE id = $1", timer.timer_id, due_at)
