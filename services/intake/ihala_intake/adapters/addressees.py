"""Who each referral is addressed to now: a read model of ``referral.lifecycle.v1``. Older events change nothing."""

from dataclasses import dataclass
from uuid import UUID

import asyncpg
from ihala_events.referral import ReferralEvent


@dataclass(frozen=True, slots=True)
class Addressee:
    """``partner_id`` None: nobody is addressed at present."""

    referral_id: UUID
    case_id: UUID
    need_code: str
    partner_id: str | None
    partner_type: str | None


async def put(connection: asyncpg.Connection, event: ReferralEvent, *, addressed: bool | None, sequence: int) -> None:
    """addressed: True when the event's agency is asked, False when nobody is, None when that does not change."""
    await connection.execute(
        """
        INSERT INTO addressee AS known (referral_id, case_id, need_id, need_code, partner_id, partner_type,
            attempt_no, sequence)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
        ON CONFLICT (referral_id) DO UPDATE SET
            partner_id = CASE WHEN $9 THEN known.partner_id ELSE EXCLUDED.partner_id END,
            partner_type = CASE WHEN $9 THEN known.partner_type ELSE EXCLUDED.partner_type END,
            attempt_no = EXCLUDED.attempt_no,
            sequence = EXCLUDED.sequence
        WHERE known.sequence < EXCLUDED.sequence
        """,
        event.referral_id,
        event.case_id,
        event.need_id,
        event.need_code,
        event.partner_id if addressed else None,
        event.partner_type if addressed else None,
        event.attempt_no,
        sequence,
        addressed is None,
    )


async def of_referral(connection: asyncpg.Connection, referral_id: UUID) -> Addressee | None:
    row = await connection.fetchrow(
        "SELECT referral_id, case_id, need_code, partner_id, partner_type FROM addressee WHERE referral_id = $1",
        referral_id,
    )
    return None if row is None else Addressee(**row)
