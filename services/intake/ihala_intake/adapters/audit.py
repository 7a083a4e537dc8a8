"""The audit trail: every reading of personal data, each row's hash covering the one before (P20).

A row is committed before the data are given out. Rows are added one at a time, under a lock.
"""

from datetime import datetime
from uuid import UUID

import asyncpg

from ihala_intake.domain.audit_chain import GENESIS, row_hash

ONE_AT_A_TIME = 4_191_003


async def append(
    connection: asyncpg.Connection,
    *,
    at: datetime,
    actor: str,
    action: str,
    case_id: UUID,
    referral_id: UUID | None = None,
) -> None:
    """Add a row at the end of the chain."""
    await connection.execute("SELECT pg_advisory_xact_lock($1)", ONE_AT_A_TIME)
    last = await connection.fetchrow("SELECT id, hash FROM audit ORDER BY id DESC LIMIT 1")
    row_id, previous = (last["id"] + 1, last["hash"]) if last else (1, GENESIS)
    await connection.execute(
        "INSERT INTO audit (id, at, actor, action, case_id, referral_id, previous, hash)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        row_id,
        at,
        actor,
        action,
        case_id,
        referral_id,
        previous,
        row_hash(previous, row_id, at, actor, action, case_id, referral_id),
    )
