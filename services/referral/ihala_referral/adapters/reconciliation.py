"""Sent referrals and what came back of them; and the answer, given again, to who asks what became of a case."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import asyncpg
from ihala_events.catalogue import COPIED_TO_AGENCY, SENT
from ihala_events.directory import PartnerChannel
from ihala_events.topics import REFERRAL_LIFECYCLE
from ihala_runtime.reconciliation import ON_ITS_WAY, Census, Expectation, Span
from ihala_runtime.replay import REPLAY

_UNTOLD = """
SELECT event.event_id FROM event JOIN attempt
    ON attempt.referral_id = event.aggregate_id AND attempt.sent_sequence = event.sequence
WHERE event.type = $1 AND (event.created_at > $2 AND event.created_at <= $3 OR event.event_id = ANY($4))
    AND attempt.receipt_at IS NULL AND attempt.state = 'offered'
"""
_BY_PLACE = """
SELECT CASE WHEN attempt.receipt_at IS NOT NULL THEN 'told' WHEN attempt.state <> 'offered' THEN 'over'
    WHEN event.created_at > $4 THEN 'waiting' ELSE 'stuck' END AS place, count(*)
FROM event JOIN attempt ON attempt.referral_id = event.aggregate_id AND attempt.sent_sequence = event.sequence
WHERE event.type = $1 AND event.created_at > $2 AND event.created_at <= $3
GROUP BY place
"""
_COPY_UNTOLD = """
SELECT event.event_id FROM event
    JOIN partner ON partner.partner_id = convert_from(event.payload, 'UTF8')::jsonb->>'partner_id'
WHERE event.type = ANY($1) AND (event.created_at > $2 AND event.created_at <= $3 OR event.event_id = ANY($4))
    AND partner.record->'channels' ?| $5 AND NOT EXISTS (SELECT FROM told WHERE told.event_id = event.event_id)
"""
_ANSWER = """
INSERT INTO outbox (event_id, again)
SELECT event_id, $2 FROM event JOIN referral ON referral_id = aggregate_id
WHERE case_id = ANY($1) AND topic = $3
    AND NOT EXISTS (SELECT FROM outbox WHERE outbox.event_id = event.event_id)
ORDER BY event.created_at, event.sequence
"""
_REFERRALS = """
SELECT referral.referral_id::text AS id, need_id, case_id, referral.state, event_id AS sent_event_id,
    attempt.receipt_at IS NOT NULL AS told, referral.created_at AS at
FROM referral
    LEFT JOIN attempt ON attempt.referral_id = referral.referral_id AND attempt.attempt_no = referral.attempt_no
    LEFT JOIN event ON event.aggregate_id = referral.referral_id AND event.sequence = attempt.sent_sequence
WHERE referral.created_at >= $1 AND referral.created_at < $2 AND referral.referral_id::text > $3
ORDER BY referral.referral_id::text LIMIT $4
"""


async def _untold(connection: asyncpg.Connection, span: Span, known: Sequence[UUID]) -> list[UUID]:
    rows = await connection.fetch(_UNTOLD, SENT.type, span.since, span.until, list(known))
    return [row["event_id"] for row in rows]


TOLD = Expectation("told", _untold)
"""Notification answers a `sent` with a receipt."""


COPIES = [kind.type for kind in COPIED_TO_AGENCY if kind is not SENT]
WITH_RECEIPTS = [PartnerChannel.WEBHOOK.value, PartnerChannel.KAFKA.value, PartnerChannel.INBOX.value]


async def _copy_untold(connection: asyncpg.Connection, span: Span, known: Sequence[UUID]) -> list[UUID]:
    rows = await connection.fetch(_COPY_UNTOLD, COPIES, span.since, span.until, list(known), WITH_RECEIPTS)
    return [row["event_id"] for row in rows]


COPY_TOLD = Expectation("copy-told", _copy_untold)
"""Notification answers whatever else an agency is told (recalled, deletion-requested, …) with a receipt too."""


async def _by_place(connection: asyncpg.Connection, span: Span) -> dict[str, int]:
    rows = await connection.fetch(_BY_PLACE, SENT.type, span.since, span.until, span.until - ON_ITS_WAY)
    return dict.fromkeys(("told", "over", "waiting", "stuck"), 0) | {row["place"]: row["count"] for row in rows}


ASKED = Census("asked", _by_place)
"""Agencies that were asked: told, over without it (answered, or taken back), waiting for it, or stuck."""


async def answer_again(connection: asyncpg.Connection, case_ids: Sequence[UUID]) -> None:
    """Tell once more what happened to the referrals of these cases."""
    await connection.execute(_ANSWER, list(case_ids), REPLAY, REFERRAL_LIFECYCLE.name)


async def referrals(connection: asyncpg.Connection, span: Span, after: str, limit: int) -> list[dict[str, Any]]:
    """Every referral, the `sent` of its present attempt, and whether a receipt of it came."""
    return [dict(row) for row in await connection.fetch(_REFERRALS, span.since, span.until, after, limit)]
