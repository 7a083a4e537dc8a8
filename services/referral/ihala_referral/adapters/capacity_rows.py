"""Free places in PostgreSQL, of agencies and of pilot initiatives.

A change is refused, not clipped, when another transaction took the last place."""

from collections.abc import Mapping
from datetime import UTC, datetime

import asyncpg
from ihala_runtime.failures import DependencyDown

from ihala_referral.domain.capacity import PlaceBook, Published
from ihala_referral.domain.directory import PLACES_OF_PROGRAMMES

EVER = datetime.min.replace(tzinfo=UTC)  # a pilot's places are counted from its beginning


async def read_places(connection: asyncpg.Connection) -> PlaceBook:
    rows = await connection.fetch("SELECT partner_id, need_code, free, published_at FROM capacity")
    pilots = await connection.fetch("SELECT programme_id, free FROM programme WHERE free IS NOT NULL")
    return PlaceBook(
        {(row["partner_id"], row["need_code"]): Published(row["free"], row["published_at"]) for row in rows}
        | {(PLACES_OF_PROGRAMMES + row["programme_id"], ""): Published(row["free"], EVER) for row in pilots}
    )


async def write_places(connection: asyncpg.Connection, places: PlaceBook) -> None:
    """Raises DependencyDown when places were taken meanwhile: the same work succeeds when it is done again."""
    changes = sorted((key, by) for key, by in places.changed.items() if by)
    for (partner_id, need_code), by in changes:
        if not await _change(connection, partner_id, need_code, by):
            raise DependencyDown("places-moved", "another transaction took the place")


async def _change(connection: asyncpg.Connection, counted_for: str, need_code: str, by: int) -> bool:
    """counted_for: an agency, or a pilot initiative."""
    programme_id = counted_for.removeprefix(PLACES_OF_PROGRAMMES)
    if programme_id == counted_for:
        query = "UPDATE capacity SET free = free + $2 WHERE partner_id = $1 AND free + $2 >= 0 AND need_code = $3"
        return bool(await connection.fetchval(f"{query} RETURNING true", counted_for, by, need_code))
    query = "UPDATE programme SET free = free + $2 WHERE programme_id = $1 AND free + $2 >= 0"
    return bool(await connection.fetchval(f"{query} RETURNING true", programme_id, by))


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
