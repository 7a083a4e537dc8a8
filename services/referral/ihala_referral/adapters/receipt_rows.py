"""Which `sent` events reached an agency's channel, and which have to be sent again.

Owns `tried`, `receipt_at` and `resent_at` of an attempt; the referral itself never writes them.
"""

from collections.abc import Mapping
from typing import NamedTuple
from uuid import UUID

import asyncpg

WITHOUT_RECEIPT_SECONDS = 60
SENT_AGAIN_AT_ONCE = 500
ONE_AT_A_TIME = 4_191_031  # advisory lock: one copy of the service looks at a time


class Sending(NamedTuple):
    referral_id: UUID
    attempt_no: int


async def note_receipts(connection: asyncpg.Connection, receipts: Mapping[Sending, bool]) -> None:
    """receipts: whether the delivery was at least tried; suppressed unsent it was not."""
    rows = sorted((*sending, tried) for sending, tried in receipts.items())
    if not rows:
        return
    await connection.execute(
        "UPDATE attempt SET tried = attempt.tried OR given.tried,"
        " receipt_at = coalesce(attempt.receipt_at, clock_timestamp())"
        " FROM unnest($1::uuid[], $2::integer[], $3::boolean[]) AS given (referral_id, attempt_no, tried)"
        " WHERE attempt.referral_id = given.referral_id AND attempt.attempt_no = given.attempt_no"
        " AND (attempt.receipt_at IS NULL OR attempt.tried < given.tried)",
        *(list(column) for column in zip(*rows, strict=True)),
    )


async def send_lost_again(connection: asyncpg.Connection) -> int:
    """Put events that ask an agency and have no receipt into the outbox again; how many (it should be none).

    Real time counts, not the clock of the deadlines: this is about our machines.
    """
    if not await connection.fetchval("SELECT pg_try_advisory_xact_lock($1)", ONE_AT_A_TIME):
        return 0
    rows = await connection.fetch(
        "SELECT a.referral_id, a.attempt_no, e.event_id FROM attempt a"
        " JOIN event e ON e.aggregate_id = a.referral_id AND e.sequence = a.sent_sequence"
        " WHERE a.receipt_at IS NULL AND a.state IN ('offered', 'handover')"
        " AND coalesce(a.resent_at, e.created_at) < clock_timestamp() - make_interval(secs => $1)"
        " AND NOT EXISTS (SELECT FROM outbox o WHERE o.event_id = e.event_id) ORDER BY e.event_id LIMIT $2",
        WITHOUT_RECEIPT_SECONDS,
        SENT_AGAIN_AT_ONCE,
    )
    await connection.execute(
        "INSERT INTO outbox (event_id) SELECT * FROM unnest($1::uuid[])", [row["event_id"] for row in rows]
    )
    await connection.execute(
        "UPDATE attempt SET resent_at = clock_timestamp() FROM unnest($1::uuid[], $2::integer[])"
        " AS given (referral_id, attempt_no)"
        " WHERE attempt.referral_id = given.referral_id AND attempt.attempt_no = given.attempt_no",
        [row["referral_id"] for row in rows],
        [row["attempt_no"] for row in rows],
    )
    return len(rows)
