"""Receipts given again to who asks what became of a message, and deliveries accounted for by id."""

from collections.abc import Collection
from typing import Any
from uuid import UUID

import asyncpg
from ihala_events.catalogue import SENT
from ihala_events.topics import NOTIFICATION_DELIVERY
from ihala_runtime.reconciliation import Census, Span
from ihala_runtime.replay import REPLAY

from ihala_notification.adapters.receipts import aggregate_of
from ihala_notification.domain.delivery import Channel, DeliveryState

_ANSWER = """
INSERT INTO outbox (event_id, again)
SELECT event_id, $2 FROM event WHERE aggregate_id = ANY($1) AND topic = $3
    AND NOT EXISTS (SELECT FROM outbox WHERE outbox.event_id = event.event_id)
ORDER BY created_at, sequence
"""
_KNOWN = """
SELECT delivery_id FROM delivery WHERE delivery_id = ANY($1)
UNION SELECT delivery_id FROM unnest($2::uuid[], $3::uuid[]) AS given (delivery_id, aggregate_id)
    WHERE EXISTS (SELECT FROM event WHERE event.aggregate_id = given.aggregate_id)
"""
_DELIVERIES = """
SELECT event_id::text AS id, array_agg(DISTINCT state) AS states, min(created_at) AS at FROM delivery
WHERE event_type = $5 AND created_at >= $1 AND created_at < $2 AND event_id::text > $3
GROUP BY event_id ORDER BY event_id::text LIMIT $4
"""
_BY_STATE = """
SELECT state AS place, count(*) FROM delivery WHERE created_at > $1 AND created_at <= $2 GROUP BY state
"""


async def _by_state(connection: asyncpg.Connection, span: Span) -> dict[str, int]:
    rows = await connection.fetch(_BY_STATE, span.since, span.until)
    return dict.fromkeys((state.value for state in DeliveryState), 0) | {row["place"]: row["count"] for row in rows}


MESSAGES = Census("messages", _by_state)
"""Messages to agencies: pending (they wait for a try), delivered, exhausted or suppressed."""


async def answer_again(connection: asyncpg.Connection, delivery_ids: Collection[UUID]) -> set[UUID]:
    """Publish their receipts once more; which of the deliveries are known here at all."""
    pairs = [(delivery_id, aggregate_of(delivery_id, channel)) for delivery_id in delivery_ids for channel in Channel]
    aggregates = [aggregate for _, aggregate in pairs]
    await connection.execute(_ANSWER, aggregates, REPLAY, NOTIFICATION_DELIVERY.name)
    rows = await connection.fetch(_KNOWN, list(delivery_ids), [delivery_id for delivery_id, _ in pairs], aggregates)
    return {row["delivery_id"] for row in rows}


async def deliveries(connection: asyncpg.Connection, span: Span, after: str, limit: int) -> list[dict[str, Any]]:
    """By the `sent` event they tell of: the states of its messages."""
    return [dict(row) for row in await connection.fetch(_DELIVERIES, span.since, span.until, after, limit, SENT.type)]
