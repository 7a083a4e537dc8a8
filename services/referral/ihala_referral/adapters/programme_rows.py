"""Pilot initiatives in PostgreSQL: whole records, each change with its event and a new version of the directory."""

from datetime import datetime
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

import asyncpg
from ihala_events.catalogue import PROGRAMME_CHANGED
from ihala_events.directory import ProgrammeChanged, ProgrammeRecord
from ihala_runtime.outbox import new_event
from ihala_runtime.postgres import Work

from ihala_referral.adapters.directory_store import SOURCE

_STANDING = "SELECT record, free FROM programme WHERE deleted_at IS NULL"
# What is left of the places is counted again from the attempts that have one.
_PUT = """
INSERT INTO programme (programme_id, record, free, version) VALUES ($1, $2, $3, 1)
ON CONFLICT (programme_id) DO UPDATE SET record = EXCLUDED.record, version = programme.version + 1, deleted_at = NULL,
    free = greatest(0, EXCLUDED.free - (
        SELECT count(*) FROM attempt WHERE programme_id = $1 AND place_taken_at IS NOT NULL))
RETURNING version
"""


async def read_programmes(connection: asyncpg.Connection) -> list[ProgrammeRecord]:
    return [programme_record(row["record"]) for row in await connection.fetch(_STANDING)]


async def page_of_programmes(connection: asyncpg.Connection, after: str, limit: int) -> list[dict[str, Any]]:
    rows = await connection.fetch(f"{_STANDING} AND programme_id > $1 ORDER BY programme_id LIMIT $2", after, limit)
    return [row["record"] | {"free": row["free"]} for row in rows]


async def read_programme(connection: asyncpg.Connection, programme_id: str) -> dict[str, Any] | None:
    row = await connection.fetchrow(f"{_STANDING} AND programme_id = $1", programme_id)
    return None if row is None else row["record"] | {"free": row["free"]}


async def put_programme(work: Work, record: ProgrammeRecord, at: datetime) -> None:
    stored = record.model_dump(mode="json")
    await work.conn.execute("SELECT FROM programme WHERE programme_id = $1 FOR UPDATE", record.programme_id)
    version = await work.conn.fetchval(_PUT, record.programme_id, stored, record.places)
    await _changed(work, ProgrammeChanged.model_construct(**dict(record)), version, at)


async def delete_programme(work: Work, programme_id: str, at: datetime) -> bool:
    """False where there is none.  The row stays, so that its events go on counting."""
    row = await work.conn.fetchrow(
        "UPDATE programme SET deleted_at = clock_timestamp(), free = NULL, version = version + 1"
        " WHERE programme_id = $1 AND deleted_at IS NULL RETURNING record, version",
        programme_id,
    )
    if row is not None:
        record = ProgrammeChanged.model_construct(**dict(programme_record(row["record"])), deleted=True)
        await _changed(work, record, row["version"], at)
    return row is not None


async def _changed(work: Work, record: ProgrammeChanged, version: int, at: datetime) -> None:
    await work.conn.execute("UPDATE directory_version SET version = version + 1")
    event = new_event(
        PROGRAMME_CHANGED,
        record,
        source=SOURCE,
        aggregate_id=programme_uuid(record.programme_id),
        sequence=version,
        sequenced=False,
        key=f"programme:{record.programme_id}",
        subject=record.programme_id,
        time=at,
    )
    work.record(event)


def programme_uuid(programme_id: str) -> UUID:
    """The event log knows aggregates by UUID."""
    return uuid5(NAMESPACE_URL, f"urn:ihala:programme:{programme_id}")


def programme_record(stored: dict[str, Any]) -> ProgrammeRecord:
    return ProgrammeRecord.model_validate(stored, strict=False)
