"""The directory in PostgreSQL: whole records, each change with its event and a new version of the directory."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

import asyncpg
from ihala_events.catalogue import PARTNER_CHANGED
from ihala_events.directory import PartnerRecord
from ihala_runtime.outbox import NewEvent, new_event

SOURCE = "/ihala/referral"


async def read_partners(connection: asyncpg.Connection) -> list[PartnerRecord]:
    rows = await connection.fetch("SELECT record FROM partner ORDER BY partner_id")
    return [record_of(row["record"]) for row in rows]


_PARTNERS_SINCE = """
SELECT partner.partner_id, partner.version, CASE WHEN known.version IS NULL THEN record END AS record
FROM partner LEFT JOIN unnest($1::text[], $2::bigint[]) AS known (partner_id, version)
    ON known.partner_id = partner.partner_id AND known.version = partner.version
ORDER BY partner.partner_id
"""


async def partners_since(
    connection: asyncpg.Connection, known: Mapping[str, int]
) -> list[tuple[str, int, PartnerRecord | None]]:
    """(id, version, record) of every agency; no record where the known version is still the latest."""
    rows = await connection.fetch(_PARTNERS_SINCE, list(known), list(known.values()))
    return [
        (row["partner_id"], row["version"], record_of(row["record"]) if row["record"] is not None else None)
        for row in rows
    ]


async def page_of_partners(
    connection: asyncpg.Connection, after: str, limit: int, partner_type: str | None
) -> Sequence[dict[str, Any]]:
    rows = await connection.fetch(
        "SELECT record FROM partner WHERE partner_id > $1 AND ($3::text IS NULL OR record->>'type' = $3)"
        " ORDER BY partner_id LIMIT $2",
        after,
        limit,
        partner_type,
    )
    return [row["record"] for row in rows]


async def read_partner(connection: asyncpg.Connection, partner_id: str) -> PartnerRecord | None:
    stored = await connection.fetchval("SELECT record FROM partner WHERE partner_id = $1", partner_id)
    return None if stored is None else record_of(stored)


_NAMES = """
SELECT partner_id AS id, record->'names' AS names FROM partner WHERE partner_id = ANY($1::text[])
UNION ALL SELECT 'programme:' || programme_id, record->'names' FROM programme
    WHERE 'programme:' || programme_id = ANY($1::text[])
"""


async def names_of(connection: asyncpg.Connection, ids: Collection[str]) -> dict[str, dict[str, str]]:
    """Of agencies and initiatives, by id and language; without those that are not in the directory."""
    return {row["id"]: row["names"] for row in await connection.fetch(_NAMES, sorted(ids))}


async def read_parents(connection: asyncpg.Connection) -> dict[str, str | None]:
    """Of every agency, the one above it."""
    rows = await connection.fetch("SELECT partner_id, record->>'parent' AS parent FROM partner")
    return {row["partner_id"]: row["parent"] for row in rows}


async def hold_partner(connection: asyncpg.Connection, partner_id: str) -> PartnerRecord | None:
    """The record, which nobody changes until the transaction ends."""
    stored = await connection.fetchval("SELECT record FROM partner WHERE partner_id = $1 FOR SHARE", partner_id)
    return None if stored is None else record_of(stored)


async def lock_directory(connection: asyncpg.Connection) -> None:
    """Directory changes are one at a time."""
    await connection.execute("SELECT version FROM directory_version FOR UPDATE")


async def put_partner(
    connection: asyncpg.Connection, record: PartnerRecord, at: datetime, *, routing_reads_it: bool = True
) -> NewEvent:
    """Store the record; its event carries it whole.  routing_reads_it: every snapshot is out of date now."""
    version = await connection.fetchval(
        "INSERT INTO partner (partner_id, record, version) VALUES ($1, $2, 1) ON CONFLICT (partner_id)"
        " DO UPDATE SET record = EXCLUDED.record, version = partner.version + 1, changed_at = clock_timestamp()"
        " RETURNING version",
        record.partner_id,
        record.model_dump(mode="json"),
    )
    if routing_reads_it:
        await connection.execute("UPDATE directory_version SET version = version + 1")
    return new_event(
        PARTNER_CHANGED,
        record,
        source=SOURCE,
        aggregate_id=partner_uuid(record.partner_id),
        sequence=version,
        sequenced=False,
        key=record.partner_id,
        subject=record.partner_id,
        time=at,
    )


def partner_uuid(partner_id: str) -> UUID:
    """The event log knows aggregates by UUID."""
    return uuid5(NAMESPACE_URL, f"urn:ihala:partner:{partner_id}")


def record_of(stored: dict[str, Any]) -> PartnerRecord:
    return PartnerRecord.model_validate(stored, strict=False)
