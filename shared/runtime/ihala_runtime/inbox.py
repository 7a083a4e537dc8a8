"""The inbox: which records a consumer has handled. Claimed in the transaction of their effects, so a second
delivery of the same record has none."""

from collections.abc import Iterable

import asyncpg

KEEP_DAYS = 30
"""Longer than Kafka keeps a record plus the longest replay with effects."""
CLEAN_ROWS = 5000

RecordId = tuple[str, str]
"""(``ce_source``, ``ce_id``)"""


async def claim(connection: asyncpg.Connection, consumer: str, ids: Iterable[RecordId]) -> set[RecordId]:
    """Those of ``ids`` that this consumer has not handled yet; they count as handled when the transaction commits."""
    ordered = sorted(set(ids))  # the same order everywhere, so that two copies never wait for each other in a circle
    rows = await connection.fetch(
        "INSERT INTO inbox (consumer, source, event_id)"
        " SELECT $1, source, event_id FROM unnest($2::text[], $3::text[]) AS given (source, event_id)"
        " ON CONFLICT DO NOTHING RETURNING source, event_id",
        consumer,
        [source for source, _ in ordered],
        [event_id for _, event_id in ordered],
    )
    return {(row["source"], row["event_id"]) for row in rows}


async def clean(connection: asyncpg.Connection) -> int:
    """Forget old rows, some thousand at a time; how many were forgotten."""
    status: str = await connection.execute(
        "DELETE FROM inbox WHERE ctid = ANY(ARRAY(SELECT ctid FROM inbox"
        " WHERE received_at < now() - make_interval(days => $1) LIMIT $2))",
        KEEP_DAYS,
        CLEAN_ROWS,
    )
    return int(status.split()[-1])
