"""The databases of a running system, as a test looks into them: rows by id, never through a service."""

from collections.abc import Mapping
from typing import Any

import asyncpg
from ihala_local.state import State
from ihala_local.status import status_of
from support.system import System

# What an effect is, in each database: where a second one would show.
EFFECTS = {
    "intake": {"case_file": "case_id", "consent": "consent_id", "event": "event_id", "addressee": "referral_id"},
    "referral": {
        "referral": "referral_id",
        "attempt": "referral_id::text || attempt_no",
        "event": "event_id",
        "case_profile": "case_id",
    },
    "notification": {
        "delivery": "delivery_id::text || channel || tries",
        "event": "event_id",
        "attempt": "id",
        "partner": "partner_id",
        "person_message": "message_id::text || channel || state || tries",
    },
}


def dsn_of(system: System, database: str) -> str:
    dsn: str = system.endpoints["postgres"][database]
    return dsn


async def asked(system: System, database: str, query: str, *values: Any) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(dsn_of(system, database), timeout=10)
    try:
        return await connection.fetch(query, *values)
    finally:
        await connection.close()


async def effects(system: System) -> Mapping[str, list[str]]:
    """Every effect by its id, each as often as it is there."""
    found = {}
    for database, tables in EFFECTS.items():
        for table, identity in tables.items():
            rows = await asked(system, database, f"SELECT ({identity})::text AS id FROM {table} ORDER BY 1")
            found[f"{database}.{table}"] = [row["id"] for row in rows]
    return found


# What is still to be done, in each database; a claim of a message moves its time by a minute.
_SOON = "state = 'pending' AND next_attempt_at < clock_timestamp() + interval '2 minutes'"
_WAITING = {
    "intake": "SELECT FROM outbox",
    "referral": "SELECT FROM outbox",
    "notification": f"""
SELECT FROM outbox
UNION ALL SELECT FROM delivery WHERE channel = 'webhook' AND {_SOON}
UNION ALL SELECT FROM person_message WHERE NOT is_task AND {_SOON}""",
}


async def all_handled(system: System) -> bool:
    """Nothing waits: no event unpublished, no record unread, no agency and no person still to be told.

    Looked for twice: between the look at the databases and the one at Kafka, work may go from here to there.
    """
    return await _nothing_waits(system) and await _nothing_waits(system)


async def _nothing_waits(system: System) -> bool:
    try:
        waiting = [await asked(system, database, query) for database, query in _WAITING.items()]
    except (asyncpg.PostgresConnectionError, OSError):
        return False
    status = await status_of(State(system.folder))
    return not any(waiting) and not any(status["lag"].values())
