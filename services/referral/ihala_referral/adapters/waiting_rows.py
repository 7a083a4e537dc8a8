"""Waiting lists: positions are computed, never stored."""

from collections.abc import Sequence
from uuid import UUID

import asyncpg

_WAITING = """
    SELECT r.referral_id, r.partner_id, a.serves, r.offer_lapses_at,
        row_number() OVER (PARTITION BY r.partner_id, a.serves
            ORDER BY r.waitlisted_at, r.received_at, r.referral_id) AS position
    FROM referral r JOIN attempt a ON a.referral_id = r.referral_id AND a.attempt_no = r.attempt_no
    WHERE r.state = 'waitlisted'
"""


async def positions(connection: asyncpg.Connection, referral_ids: Sequence[UUID]) -> dict[UUID, int]:
    """Place in its agency's list, from 1; without those that wait for nothing."""
    if not referral_ids:
        return {}
    rows = await connection.fetch(
        f"WITH waiting AS ({_WAITING} AND r.partner_id IN"
        " (SELECT partner_id FROM referral WHERE referral_id = ANY($1::uuid[])))"
        " SELECT referral_id, position FROM waiting WHERE referral_id = ANY($1::uuid[])",
        referral_ids,
    )
    return {row["referral_id"]: row["position"] for row in rows}


async def next_in_line(connection: asyncpg.Connection) -> list[UUID]:
    """The first without an offer of each list whose agency has a free place."""
    rows = await connection.fetch(
        f"SELECT DISTINCT ON (w.partner_id, w.serves) w.referral_id FROM ({_WAITING}) w"
        " JOIN capacity c ON c.partner_id = w.partner_id AND c.need_code = w.serves AND c.free > 0"
        " WHERE w.offer_lapses_at IS NULL ORDER BY w.partner_id, w.serves, w.position"
    )
    return [row["referral_id"] for row in rows]
