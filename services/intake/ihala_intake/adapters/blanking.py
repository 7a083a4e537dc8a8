"""What is left of an erased case in PostgreSQL: ids, desk, types and times.

An event that Kafka has not acknowledged keeps its payload until it is out; ``Erasures`` comes back to it.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import asyncpg
from ihala_events.catalogue import CASE_ERASED, SUBJECT_ERASED
from ihala_runtime.outbox import BLANKED

from ihala_intake.adapters import duplicates

KEPT_EVENTS = [SUBJECT_ERASED.type, CASE_ERASED.type]
"""They hold ids and a time."""

# The answer was stored in the case's own transaction: its neighbourhood in time is searched, not the table.
_BLANK_ANSWER = """
UPDATE request SET answer = jsonb_set(answer, '{needs}', '[]')
FROM case_file
WHERE case_file.case_id = $1 AND answer->>'case_id' = $1::text
    AND request.created_at BETWEEN case_file.created_at - interval '1 minute'
        AND case_file.created_at + interval '1 minute'
"""

_BLANK_EVENTS = f"""
UPDATE event SET payload = {BLANKED}
WHERE aggregate_id = ANY($1) AND NOT type = ANY($2)
    AND NOT EXISTS (SELECT FROM outbox WHERE outbox.event_id = event.event_id)
    AND NOT EXISTS (SELECT FROM outbox_refused WHERE outbox_refused.event_id = event.event_id)
    AND payload <> {BLANKED}
"""
_NOT_BLANK = f"""
SELECT DISTINCT aggregate_id FROM event
WHERE aggregate_id = ANY($1) AND NOT type = ANY($2) AND payload <> {BLANKED}
"""


async def blank_case(connection: asyncpg.Connection, case_id: UUID, at: datetime) -> None:
    """Take out of the rows whatever tells of the person. The case's row is locked."""
    await connection.execute(
        "UPDATE case_file SET erased_at = $2, sealed = '', needs = '[]',"
        " closed_at = COALESCE((SELECT max(ended_at) FROM addressee WHERE addressee.case_id = $1), $2)"
        " WHERE case_id = $1",
        case_id,
        at,
    )
    await connection.execute("UPDATE consent SET scope = '[]', withdrawn_needs = '{}' WHERE case_id = $1", case_id)
    await duplicates.forget_person(connection, case_id)
    await connection.execute("DELETE FROM addressee WHERE case_id = $1", case_id)
    await connection.execute(_BLANK_ANSWER, case_id)
    await blank_events(connection, [case_id])


async def blank_events(connection: asyncpg.Connection, case_ids: Sequence[UUID]) -> None:
    """Ids, types and times of the cases' events stay."""
    await connection.execute(_BLANK_EVENTS, case_ids, KEPT_EVENTS)


async def not_blank_yet(connection: asyncpg.Connection, case_ids: Sequence[UUID]) -> set[UUID]:
    """Of those cases, whose events are still on their way to Kafka."""
    rows = await connection.fetch(_NOT_BLANK, case_ids, KEPT_EVENTS)
    return {row["aggregate_id"] for row in rows}
