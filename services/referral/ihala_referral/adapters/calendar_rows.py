"""The version of the calendar: raised when an operator corrects a day and when a release brings other data."""

from collections.abc import Sequence
from datetime import date
from uuid import UUID

import asyncpg

from ihala_referral.domain.calendar import Correction, DayKind

RECOUNTED_AT_ONCE = 100


async def read_corrections(connection: asyncpg.Connection) -> dict[date, Correction]:
    rows = await connection.fetch("SELECT day, kind, name FROM calendar_day")
    return {row["day"]: Correction(DayKind(row["kind"]), row["name"]) for row in rows}


async def put_correction(
    connection: asyncpg.Connection, day: date, correction: Correction, reason: str, actor: str
) -> None:
    await connection.execute(
        "INSERT INTO calendar_day (day, kind, name, reason, changed_by) VALUES ($1, $2, $3, $4, $5)"
        " ON CONFLICT (day) DO UPDATE SET kind = $2, name = $3, reason = $4, changed_by = $5,"
        " changed_at = clock_timestamp()",
        day,
        correction.kind,
        correction.name,
        reason,
        actor,
    )
    await _changed(connection)


async def drop_correction(connection: asyncpg.Connection, day: date) -> bool:
    """False where the day was never corrected."""
    dropped = await connection.fetchval("DELETE FROM calendar_day WHERE day = $1 RETURNING true", day)
    if dropped:
        await _changed(connection)
    return bool(dropped)


async def _changed(connection: asyncpg.Connection) -> None:
    await connection.execute("UPDATE calendar_version SET version = version + 1")


async def remember_shipped(connection: asyncpg.Connection, sha256: str) -> bool:
    """Whether the release brought another calendar or other zone data than the one that started before it."""
    changed = await connection.fetchval(
        "UPDATE calendar_version SET version = version + 1, shipped_sha256 = $1"
        " WHERE shipped_sha256 IS DISTINCT FROM $1 RETURNING true",
        sha256,
    )
    return bool(changed)


async def counted_by_an_older_calendar(connection: asyncpg.Connection) -> Sequence[UUID]:
    """Open referrals whose deadlines have to be counted again."""
    rows = await connection.fetch(
        "SELECT referral_id FROM referral WHERE calendar_version < (SELECT version FROM calendar_version)"
        " AND state NOT IN ('closed', 'withdrawn') ORDER BY referral_id LIMIT $1",
        RECOUNTED_AT_ONCE,
    )
    return [row["referral_id"] for row in rows]
