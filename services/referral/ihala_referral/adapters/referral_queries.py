"""Reading referrals without locking them: lists, one, its timeline."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
from ihala_events.access import Role

from ihala_referral.adapters.case_rows import read_cases
from ihala_referral.adapters.referral_rows import read_attempts, read_referrals, referral_of
from ihala_referral.domain.referral import Referral
from ihala_referral.domain.visibility import Viewer


@dataclass(frozen=True, slots=True)
class Filter:
    """overdue_at: only those with a deadline before this instant that still waits for someone.
    before: the last id of the page before; newest first."""

    state: str | None
    partner_id: str | None
    case_ref: str | None
    overdue_at: datetime | None
    before: UUID | None
    limit: int


# A viewer's own rows stand in the statement, so that a page is full and nothing of another's is counted.
_LIST = """
SELECT referral_id FROM referral r
WHERE ($1::text IS NULL OR state = $1) AND ($2::text IS NULL OR partner_id = $2) AND ($3::text IS NULL OR case_ref = $3)
    AND ($4::timestamptz IS NULL OR (unanswered AND ack_due < $4)
        OR (contact_due < $4 AND contacted_at IS NULL AND state NOT IN ('closed', 'withdrawn')))
    AND ($5::uuid IS NULL OR referral_id < $5)
    AND ($6::text[] IS NULL OR desk_id = ANY($6))
    AND ($7::text IS NULL OR EXISTS (SELECT FROM attempt a WHERE a.referral_id = r.referral_id AND a.partner_id = $7))
ORDER BY referral_id DESC LIMIT $8
"""


async def list_referrals(connection: asyncpg.Connection, wanted: Filter, viewer: Viewer) -> list[Referral]:
    rows = await connection.fetch(
        _LIST,
        wanted.state,
        wanted.partner_id,
        wanted.case_ref,
        wanted.overdue_at,
        wanted.before,
        sorted(viewer.desk_ids) if viewer.role is Role.DESK else None,
        (viewer.party_id or "") if viewer.role is Role.AGENCY else None,
        wanted.limit,
    )
    return list(reversed(await read(connection, [row["referral_id"] for row in rows])))


async def read(connection: asyncpg.Connection, referral_ids: list[UUID]) -> list[Referral]:
    """In the order of their ids."""
    rows = await read_referrals(connection, referral_ids)
    cases = await read_cases(connection, sorted({row["case_id"] for row in rows}))
    attempts = await read_attempts(connection, referral_ids)
    return [referral_of(row, cases[row["case_id"]], attempts.get(row["referral_id"], [])) for row in rows]


async def timeline(connection: asyncpg.Connection, referral_id: UUID) -> list[dict[str, Any]]:
    """What happened, from the event log; `partner_id` is of the attempt an item is about."""
    rows = await connection.fetch(
        "SELECT event_id, type, payload FROM event WHERE aggregate_id = $1 ORDER BY sequence", referral_id
    )
    return [_item(row) for row in rows]


def _item(row: asyncpg.Record) -> dict[str, Any]:
    told = json.loads(row["payload"])
    return {
        "at": told["at"],
        "type": row["type"],
        "actor": told["actor"],
        "attempt_no": told["attempt_no"],
        "partner_id": told["partner_id"],
        "reason_code": told.get("reason_code"),
        "event_id": str(row["event_id"]),
    }
