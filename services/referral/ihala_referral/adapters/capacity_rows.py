"""Free places in PostgreSQL.  A change is refused, not clipped, when another transaction took the last place."""

from collections.abc import Mapping
from datetime import datetime

import asyncpg
from ihala_runtime.failures import DependencyDown

from ihala_referral.domain.capacity import PlaceBook, Published


async def read_places(connection: asyncpg.Connection) -> PlaceBook:
    rows = await connection.fetch("SELECT partner_id, need_code, free, published_at FROM capacity")
    return PlaceBook(
        {(row["partner_id"], row["need_code"]): Published(row["free"], row["published_at"]) for row in rows}
    )


async def write_places(connection: asyncpg.Connection, places: PlaceBook) -> None:
    """Raises DependencyDown when places were taken meanwhile: the same work succeeds when it is done again."""
    changes = sorted((key, by) for key, by in places.changed.items() if by)
    for (partner_id, need_code), by in changes:
        changed = await connection.fetchval(
            "UPDATE capacity SET free = free + $3 WHERE partner_id = $1 AND need_code = $2 AND free + $3 >= 0"
            " RETURNING true",
            partner_id,
            need_code,
            by,
        )
        if not changed:
            raise DependencyDown("places-moved", "another transaction took the place")


async def publish_places(
    connection: asyncpg.Connection, partner_id: str, places: Mapping[str, int | None], at: datetime
) -> None:
    """A published number replaces what was counted; null: unknown again."""
    for need_code, number in sorted(places.items()):
        if number is None:
            await connection.execute(
                "DELETE FROM capacity WHERE partner_id = $1 AND need_code = $2", partner_id, need_code
            )
        else:
            await connection.execute(
                "INSERT INTO capacity (partner_id, need_code, published, free, published_at)"
                " VALUES ($1, $2, $3, $3, $4)"
                " ON CONFLICT (partner_id, need_code) DO UPDATE SET published = $3, free = $3, published_at = $4",
                partner_id,
                need_code,
                number,
                at,
            )
