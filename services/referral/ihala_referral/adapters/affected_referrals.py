"""What an incident at an agency concerns: every referral that it was ever asked for.  Ids and states, no need."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import asyncpg
from ihala_events.wire import rfc3339

TAKEN_AT_ONCE = 100

# Of an agency that was asked twice for one referral, the later time.
_AFFECTED = """
SELECT DISTINCT ON (r.referral_id) r.referral_id, r.case_ref, r.desk_id, r.state,
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


async def held_by_stopped(connection: asyncpg.Connection) -> Sequence[UUID]:
    """Open referrals whose agency was stopped, the most urgent first."""
    rows = await connection.fetch(
        "SELECT r.referral_id FROM partner p JOIN referral r ON r.partner_id = p.partner_id"
        " WHERE p.stopped AND r.state NOT IN ('proposed', 'closed', 'withdrawn')"
        " ORDER BY r.urgency, r.referral_id LIMIT $1",
        TAKEN_AT_ONCE,
    )
    return [row["referral_id"] for row in rows]
