"""Referrals of one agency: all that it was ever asked for, and those it may not hold any more.  Ids, no need."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
from ihala_events.wire import rfc3339

TAKEN_AT_ONCE = 100

# Of an agency that was asked twice for one referral, the later time.
_AFFECTED = """
SELECT DISTINCT ON (r.referral_id) r.referral_id, r.case_id::text, r.case_ref, r.desk_id, r.state,
    r.state NOT IN ('closed', 'withdrawn') AS open, a.attempt_no, a.state AS attempt_state, a.reason_code, a.sent_at,
    a.deletion
FROM attempt a JOIN referral r USING (referral_id)
WHERE a.partner_id = $1 AND ($2::uuid IS NULL OR a.referral_id > $2)
ORDER BY r.referral_id, a.attempt_no DESC LIMIT $3
"""


async def page_of_affected(
    connection: asyncpg.Connection, partner_id: str, after: UUID | None, limit: int
) -> list[dict[str, Any]]:
    """The oldest referral first.  open: of the referral; deletion: requested or confirmed, null: never asked for."""
    rows = await connection.fetch(_AFFECTED, partner_id, after, limit)
    return [dict(row) | {"referral_id": str(row["referral_id"]), "sent_at": rfc3339(row["sent_at"])} for row in rows]


# $1: today.  Whoever has not taken the case yet, or is asked to take it over, must still be in the directory; nobody
# that was stopped may go on.
HELD_BY_GONE = """
FROM (
    SELECT r.referral_id, r.urgency FROM partner p JOIN referral r ON r.partner_id = p.partner_id
    WHERE (p.stopped AND r.state NOT IN ('proposed', 'closed', 'withdrawn'))
        OR (p.record->>'active_until' < $1 AND r.state IN ('sent', 'acknowledged', 'waitlisted'))
    UNION ALL SELECT r.referral_id, r.urgency
    FROM partner p JOIN attempt a USING (partner_id) JOIN referral r USING (referral_id)
    WHERE a.state = 'handover' AND (p.stopped OR p.record->>'active_until' < $1)
) held
"""


async def held_by_gone(connection: asyncpg.Connection, now: datetime) -> Sequence[UUID]:
    """Open referrals whose agency, or the one asked to take over, was stopped or has left; the most urgent first."""
    rows = await connection.fetch(
        f"SELECT referral_id {HELD_BY_GONE} ORDER BY urgency, referral_id LIMIT $2",
        now.date().isoformat(),
        TAKEN_AT_ONCE,
    )
    return [row["referral_id"] for row in rows]
