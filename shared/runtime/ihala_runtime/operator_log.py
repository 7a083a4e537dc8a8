"""What operators did: who, when, what and why, in the transaction of the act itself. Rows are only added."""

from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg


async def note(
    connection: asyncpg.Connection,
    actor: str,
    action: str,
    record_ids: Sequence[str] = (),
    *,
    reason: str | None = None,
    details: Mapping[str, Any] | None = None,
) -> None:
    """One row for each record; one row for an act on the history, which has none."""
    await connection.execute(
        "INSERT INTO operator_log (actor, action, record_id, reason, details)"
        " SELECT $1, $2, record_id, $4, $5 FROM unnest($3::text[]) AS acted (record_id)",
        actor,
        action,
        list(record_ids) or [None],
        reason,
        dict(details or {}),
    )


async def history(connection: asyncpg.Connection, record_id: str) -> list[dict[str, Any]]:
    """Oldest first."""
    rows = await connection.fetch(
        "SELECT at, actor, action, reason FROM operator_log WHERE record_id = $1 ORDER BY id", record_id
    )
    return [dict(row) for row in rows]
