"""The inbox: which records a consumer has handled. Claimed together with their effects, so a second
delivery of the same record has none. A key of which a parked record waits is not claimed: order is kept."""

from collections.abc import Mapping
from dataclasses import dataclass

import asyncpg

from ihala_runtime.postgres import Writes

KEEP_DAYS = 30
"""Longer than Kafka keeps a record plus the longest replay with effects."""
CLEAN_ROWS = 5000

RecordId = tuple[str, str]
"""(``ce_source``, ``ce_id``)"""


@dataclass(frozen=True, slots=True)
class Claimed:
    """``fresh``: not handled before. ``blocked``: keys of which a parked record waits; theirs were not claimed."""

    fresh: set[RecordId]
    blocked: set[bytes]


_CLAIM = """
WITH given AS (SELECT * FROM unnest($2::text[], $3::text[], $4::bytea[]) AS given (source, event_id, key)),
blocked AS (SELECT DISTINCT key FROM parked WHERE consumer = $1 AND state = 'waiting' AND key = ANY($4)),
claimed AS (
    INSERT INTO inbox (consumer, source, event_id)
    SELECT $1, source, event_id FROM given WHERE key IS NULL OR key NOT IN (SELECT key FROM blocked)
    ON CONFLICT DO NOTHING RETURNING source, event_id
)
SELECT source, event_id, NULL::bytea AS key FROM claimed UNION ALL SELECT NULL, NULL, key FROM blocked
"""


# A record that was handled before, or whose key waits (it has no id then), is refused with all that goes along.
_CLAIM_FIRST = """
INSERT INTO inbox (consumer, source, event_id)
SELECT $1, source, CASE WHEN parked.key IS NULL THEN event_id END
FROM unnest($2::text[], $3::text[], $4::bytea[]) AS given (source, event_id, key)
    LEFT JOIN (SELECT DISTINCT key FROM parked WHERE consumer = $1 AND state = 'waiting' AND key = ANY($4)) AS parked
    USING (key)
"""
NOT_FIRST = (asyncpg.UniqueViolationError, asyncpg.NotNullViolationError)


def claim_first(writes: Writes, consumer: str, records: Mapping[RecordId, bytes | None]) -> None:
    """Claim them all with the effects, or be refused with NOT_FIRST: for records that most likely come first."""
    writes.add(_CLAIM_FIRST, consumer, *_columns(records))


async def claim(connection: asyncpg.Connection, consumer: str, records: Mapping[RecordId, bytes | None]) -> Claimed:
    """Which records (key by id) this consumer has not handled; they count as handled when the transaction commits."""
    rows = await connection.fetch(_CLAIM, consumer, *_columns(records))
    fresh = {(row["source"], row["event_id"]) for row in rows if row["key"] is None}
    return Claimed(fresh, {row["key"] for row in rows if row["key"] is not None})


def _columns(records: Mapping[RecordId, bytes | None]) -> tuple[list[str], list[str], list[bytes | None]]:
    ordered = sorted(records)  # the same order everywhere, so that two copies never wait for each other in a circle
    sources, event_ids = [source for source, _ in ordered], [event_id for _, event_id in ordered]
    return sources, event_ids, [records[record_id] for record_id in ordered]


async def clean(connection: asyncpg.Connection) -> None:
    """Forget old rows, some thousand at a time."""
    while await _clean_some(connection) == CLEAN_ROWS:
        pass


async def _clean_some(connection: asyncpg.Connection) -> int:
    """How many were forgotten."""
    status: str = await connection.execute(
        "DELETE FROM inbox WHERE ctid = ANY(ARRAY(SELECT ctid FROM inbox"
        " WHERE received_at < now() - make_interval(days => $1) LIMIT $2))",
        KEEP_DAYS,
        CLEAN_ROWS,
    )
    return int(status.split()[-1])
