"""What waits for the clockwork, asked with one statement, because it is asked all day long."""

from dataclasses import dataclass
from datetime import datetime
from typing import cast

import asyncpg

from ihala_referral.adapters.affected_referrals import HELD_BY_GONE

_LOOK = f"""
SELECT (SELECT min(due_at) FROM timer) AS next_timer,
    EXISTS (SELECT FROM referral r JOIN capacity c ON c.partner_id = r.partner_id AND c.free > 0
        WHERE r.state = 'waitlisted' AND r.offer_lapses_at IS NULL) AS places_are_free,
    EXISTS (SELECT FROM referral WHERE state NOT IN ('closed', 'withdrawn')
        AND calendar_version < (SELECT version FROM calendar_version)) AS calendar_changed,
    EXISTS (SELECT {HELD_BY_GONE}) AS agency_gone
"""


@dataclass(frozen=True, slots=True)
class WaitingWork:
    """next_timer: the earliest, due or not.  places_are_free: perhaps for someone in a waiting list.
    agency_gone: one that still holds referrals."""

    next_timer: datetime | None
    places_are_free: bool
    calendar_changed: bool
    agency_gone: bool

    def overdue_seconds(self, now: datetime) -> float:
        return max(0.0, (now - self.next_timer).total_seconds()) if self.next_timer else 0.0

    def has_due_timer(self, now: datetime) -> bool:
        return self.next_timer is not None and self.next_timer <= now


async def look(connection: asyncpg.Connection, now: datetime) -> WaitingWork:
    row = cast("asyncpg.Record", await connection.fetchrow(_LOOK, now.date().isoformat()))
    return WaitingWork(row["next_timer"], row["places_are_free"], row["calendar_changed"], row["agency_gone"])
