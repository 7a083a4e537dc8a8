"""Accepted needs and what came back of them: every need of a case becomes a referral, of which an event tells.

A consent that was taken back ends the referrals that rest on it. An erasure has its ledger, which every service reads.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import asyncpg
from ihala_events.catalogue import CASE_HELD, CASE_SUBMITTED, CONSENT_WITHDRAWN
from ihala_runtime.reconciliation import ON_ITS_WAY, Census, Expectation, Span

_UNROUTED = """
SELECT event.event_id FROM event JOIN case_file ON case_file.case_id = event.aggregate_id
WHERE event.type = ANY($1) AND (event.created_at > $2 AND event.created_at <= $3 OR event.event_id = ANY($4))
    AND case_file.erased_at IS NULL AND EXISTS (
        SELECT FROM jsonb_to_recordset(case_file.needs) AS need (need_id uuid) WHERE NOT EXISTS (
            SELECT FROM addressee WHERE addressee.case_id = case_file.case_id AND addressee.need_id = need.need_id))
"""
# null: the whole consent.
_STILL_OPEN = """
SELECT event.event_id FROM event JOIN case_file ON case_file.case_id = event.aggregate_id
    CROSS JOIN LATERAL (SELECT convert_from(event.payload, 'UTF8')::jsonb->'need_codes') AS withdrawn (codes)
WHERE event.type = $1 AND (event.created_at > $2 AND event.created_at <= $3 OR event.event_id = ANY($4))
    AND case_file.erased_at IS NULL AND EXISTS (
        SELECT FROM addressee WHERE addressee.case_id = case_file.case_id AND addressee.ended_at IS NULL
            AND coalesce(nullif(withdrawn.codes, 'null') ? addressee.need_code, true))
"""
_BY_PLACE = """
SELECT CASE WHEN EXISTS (
        SELECT FROM addressee WHERE addressee.case_id = case_file.case_id AND addressee.need_id = need.need_id)
    THEN 'routed' WHEN event.created_at > $4 THEN 'waiting' ELSE 'stuck' END AS place, count(*)
FROM event JOIN case_file ON case_file.case_id = event.aggregate_id
    CROSS JOIN jsonb_to_recordset(case_file.needs) AS need (need_id uuid)
WHERE event.type = ANY($1) AND event.created_at > $2 AND event.created_at <= $3 AND case_file.erased_at IS NULL
GROUP BY place
"""
_NEEDS = """
SELECT need.need_id::text AS id, case_id, event_id, case_file.created_at AS at
FROM case_file CROSS JOIN jsonb_to_recordset(needs) AS need (need_id uuid)
    LEFT JOIN event ON event.aggregate_id = case_id AND event.sequence = 1
WHERE case_file.created_at >= $1 AND case_file.created_at < $2 AND erased_at IS NULL AND need.need_id::text > $3
ORDER BY need.need_id::text LIMIT $4
"""


KINDS = [CASE_SUBMITTED.type, CASE_HELD.type]


async def _unrouted(connection: asyncpg.Connection, span: Span, known: Sequence[UUID]) -> list[UUID]:
    rows = await connection.fetch(_UNROUTED, KINDS, span.since, span.until, list(known))
    return [row["event_id"] for row in rows]


ROUTED = Expectation("routed", _unrouted)
"""Referral answers a case with an event about each of its needs."""


async def _still_open(connection: asyncpg.Connection, span: Span, known: Sequence[UUID]) -> list[UUID]:
    rows = await connection.fetch(_STILL_OPEN, CONSENT_WITHDRAWN.type, span.since, span.until, list(known))
    return [row["event_id"] for row in rows]


WITHDRAWN = Expectation("withdrawn", _still_open)
"""Referral answers a consent that was taken back with the end of every referral that rested on it."""


async def _by_place(connection: asyncpg.Connection, span: Span) -> dict[str, int]:
    rows = await connection.fetch(_BY_PLACE, KINDS, span.since, span.until, span.until - ON_ITS_WAY)
    return dict.fromkeys(("routed", "waiting", "stuck"), 0) | {row["place"]: row["count"] for row in rows}


NEEDS = Census("needs", _by_place)
"""Accepted needs: routed, waiting for it, or stuck."""


async def needs(connection: asyncpg.Connection, span: Span, after: str, limit: int) -> list[dict[str, Any]]:
    """Every accepted need, and the event that told of it."""
    return [dict(row) for row in await connection.fetch(_NEEDS, span.since, span.until, after, limit)]
