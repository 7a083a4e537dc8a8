"""API keys: kept as hashes here, told to every service on the compacted topic."""

from datetime import datetime
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

import asyncpg
from ihala_events.access import CredentialChanged, Role
from ihala_events.catalogue import CREDENTIAL_CHANGED
from ihala_runtime.access import store_credential
from ihala_runtime.outbox import new_event
from ihala_runtime.postgres import Work

from ihala_referral.adapters.directory_store import SOURCE

MADE, REVOKED = 1, 2  # sequences of a credential's two events


async def announce(work: Work, record: CredentialChanged, at: datetime) -> None:
    """Store it, and tell the other services."""
    await store_credential(work.conn, record)
    event = new_event(
        CREDENTIAL_CHANGED,
        record,
        source=SOURCE,
        aggregate_id=credential_uuid(record.credential_id),
        sequence=REVOKED if record.revoked_at else MADE,
        sequenced=False,
        key=record.credential_id,
        subject=record.credential_id,
        time=at,
    )
    work.record(event)


def credential_uuid(credential_id: str) -> UUID:
    """The event log knows aggregates by UUID."""
    return uuid5(NAMESPACE_URL, f"urn:ihala:credential:{credential_id}")


async def find_credential(connection: asyncpg.Connection, credential_id: str) -> CredentialChanged | None:
    """Locked until the transaction ends."""
    stored = await connection.fetchval(
        "SELECT record FROM credential WHERE credential_id = $1 FOR UPDATE", credential_id
    )
    return None if stored is None else CredentialChanged.model_validate(stored)


async def keys_of_party(connection: asyncpg.Connection, party_id: str) -> list[CredentialChanged]:
    """Those in force, locked until the transaction ends."""
    rows = await connection.fetch(
        "SELECT record FROM credential WHERE record->>'party_id' = $1 AND record->>'revoked_at' IS NULL"
        " ORDER BY credential_id FOR UPDATE",
        party_id,
    )
    return [CredentialChanged.model_validate(row["record"]) for row in rows]


async def page_of_credentials(connection: asyncpg.Connection, after: str, limit: int) -> list[dict[str, Any]]:
    """Without the hashes."""
    rows = await connection.fetch(
        "SELECT record - 'sha256' AS record FROM credential WHERE credential_id > $1 ORDER BY credential_id LIMIT $2",
        after,
        limit,
    )
    return [row["record"] for row in rows]


async def integrators(connection: asyncpg.Connection) -> list[str]:
    """Parties that hold an integrator's key."""
    rows = await connection.fetch(
        "SELECT DISTINCT record->>'party_id' AS party_id FROM credential"
        " WHERE record->>'role' = $1 AND record->>'revoked_at' IS NULL",
        Role.INTEGRATOR,
    )
    return [row["party_id"] for row in rows if row["party_id"]]
