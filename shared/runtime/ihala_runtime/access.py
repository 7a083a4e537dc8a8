"""Who may call: API keys as hashes, kept in each service's own table, fed by the compacted topic.

A key is ``ihala_<id>_<secret>``; only its SHA-256 is stored (the secret is random, so a slow hash adds nothing).
A revocation takes effect in every copy of a service within a second of reaching its database.
"""

import hashlib
import hmac
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import asyncpg
from fastapi import Depends, Request
from ihala_events.access import CredentialChanged, Role
from ihala_events.catalogue import CREDENTIAL_CHANGED

from ihala_runtime.consumer import Consumer, ReadModel
from ihala_runtime.postgres import Database, Work
from ihala_runtime.problem import Problem
from ihala_runtime.received import Received

LOOK_AGAIN_SECONDS = 0.5
OVERLAP_SECONDS = 5  # rows become visible when their transaction commits, which may be after a later-stamped row


@dataclass(frozen=True, slots=True)
class Principal:
    """The caller. ``party_id`` for agency and integrator; ``desk_ids`` for desk and integrator."""

    credential_id: str
    role: Role
    party_id: str | None
    desk_ids: frozenset[str]
    label: str

    @property
    def actor(self) -> str:
        """As written into events."""
        return f"partner:{self.party_id}" if self.role is Role.AGENCY else f"{self.role}:{self.credential_id}"


def new_key() -> tuple[str, str]:
    """(credential_id, key): 64 and 256 random bits."""
    credential_id = secrets.token_hex(8)
    return credential_id, f"ihala_{credential_id}_{secrets.token_hex(32)}"


def key_hash(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def principal_of(record: CredentialChanged) -> Principal:
    return Principal(record.credential_id, record.role, record.party_id, frozenset(record.desk_ids), record.label)


class Credentials:
    """The keys this process knows, refreshed from the table."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._records: dict[str, CredentialChanged] = {}
        self._seen_until = datetime.min.replace(tzinfo=UTC)

    def principal(self, key: str) -> Principal | None:
        """Whose key this is; None for an unknown or revoked one."""
        parts = key.split("_")
        record = self._records.get(parts[1]) if len(parts) == 3 and parts[0] == "ihala" else None
        if record is None or not hmac.compare_digest(record.sha256, key_hash(key)):
            return None
        return None if record.revoked_at is not None else principal_of(record)

    async def refresh(self) -> None:
        """What changed since the last look; everything, when the database's clock was set back meanwhile."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                _CHANGED,
                self._seen_until if self._records else datetime(2000, 1, 1, tzinfo=UTC),
                OVERLAP_SECONDS,
            )
        for row in rows:
            record = CredentialChanged.model_validate(row["record"])
            self._records[record.credential_id] = record
            self._seen_until = max(self._seen_until, row["changed_at"])
        if rows:
            self._seen_until = min(self._seen_until, rows[0]["now"])


_CHANGED = """
SELECT record, changed_at, clock_timestamp() AS now FROM credential
WHERE changed_at > CASE WHEN $1::timestamptz <= clock_timestamp() THEN $1 - make_interval(secs => $2)
    ELSE '-infinity' END
"""


async def store_credential(connection: asyncpg.Connection, record: CredentialChanged) -> None:
    """Insert or replace; a revoked key never comes back."""
    await connection.execute(
        "INSERT INTO credential (credential_id, record) VALUES ($1, $2)"
        " ON CONFLICT (credential_id) DO UPDATE SET record = EXCLUDED.record, changed_at = clock_timestamp()"
        " WHERE credential.record->>'revoked_at' IS NULL",
        record.credential_id,
        record.model_dump(mode="json"),
    )


def credential_consumer(service: str) -> Consumer[Work]:
    """The service's own group on the compacted topic, into its own table."""

    async def changed(work: Work, received: Received) -> None:
        await store_credential(work.conn, received.payload(CredentialChanged))

    return Consumer(
        name=f"{service}.credentials",
        topics=(CREDENTIAL_CHANGED.topic.name,),
        open_scope=_transaction_alone,
        handlers={CREDENTIAL_CHANGED.type: changed},
        traced=False,
        read_model=ReadModel("credential", not_compared=("changed_at",)),
    )


@asynccontextmanager
async def _transaction_alone(work: Work, _received: Sequence[Received]) -> AsyncIterator[Work]:
    yield work


async def authenticated(request: Request) -> Principal:  # a plain function would be sent to a thread
    """The caller of a request. Raises Problem 401."""
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    credentials: Credentials = request.app.state.credentials
    principal = credentials.principal(key.strip()) if scheme.lower() == "bearer" else None
    if principal is None:
        raise Problem(
            401, "unauthenticated", "A valid API key is needed", headers={"WWW-Authenticate": 'Bearer realm="ihala"'}
        )
    return principal


def allow(*roles: str) -> Any:
    """A FastAPI dependency: the caller, if it has one of these roles; else Problem 403."""
    allowed = frozenset(Role(role) for role in roles)

    async def check(request: Request) -> Principal:
        principal = await authenticated(request)
        if principal.role not in allowed:
            raise Problem.forbidden()
        return principal

    return Depends(check)
