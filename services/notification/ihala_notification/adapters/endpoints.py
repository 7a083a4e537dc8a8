"""Where agencies listen: addresses, keys and health, in PostgreSQL.

A key is stored wrapped and leaves as text once, in the answer that made it. Health rows are locked in the
order of partner ids.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg
from ihala_runtime.identifiers import uuid7
from ihala_runtime.postgres import Database, Work

from ihala_notification.adapters.receipts import endpoint_event
from ihala_notification.adapters.secret_box import SecretBox
from ihala_notification.domain.delivery import Tried
from ihala_notification.domain.endpoint import Endpoint, EndpointChange, EndpointHealth, EndpointState
from ihala_notification.domain.signing import SignatureKind, SigningKey


@dataclass(frozen=True, slots=True)
class PostgresEndpoints:
    database: Database
    box: SecretBox

    async def all_endpoints(self) -> list[Endpoint]:
        return await self._endpoints(_LIVE_KEYS)

    async def changed_lately(self, seconds: float) -> list[Endpoint]:
        """Endpoints of which the address, a key or the health changed within so many seconds."""
        return await self._endpoints(f"{_LIVE_KEYS} WHERE {_CHANGED_LATELY}", seconds)

    async def one(self, partner_id: str) -> Endpoint | None:
        found = await self._endpoints(f"{_LIVE_KEYS} WHERE e.partner_id = $1", partner_id)
        return found[0] if found else None

    async def _endpoints(self, query: str, *arguments: object) -> list[Endpoint]:
        async with self.database.connection() as connection:
            rows = await connection.fetch(f"{query} {_NEWEST_KEY_FIRST}", *arguments)
        by_partner: dict[str, list[asyncpg.Record]] = {}
        for row in rows:
            by_partner.setdefault(row["partner_id"], []).append(row)
        return [self._endpoint(of_one) for of_one in by_partner.values()]

    def _endpoint(self, rows: Sequence[asyncpg.Record]) -> Endpoint:
        first = rows[0]
        keys = tuple(self._key(row) for row in rows if row["secret_id"] is not None)
        signature = SignatureKind(first["signature"])
        return Endpoint(first["partner_id"], first["url"], signature, keys, health_of(first), first["stopped"])

    def _key(self, row: asyncpg.Record) -> SigningKey:
        material = self.box.unwrap(row["wrapped"], row["partner_id"], row["secret_id"])
        return SigningKey(SignatureKind(row["kind"]), material)

    # --- changes, within a transaction ---

    async def register(self, work: Work, partner_id: str, url: str, signature: SignatureKind) -> bool:
        """Store the address and enable it. True when a new key is needed: none of this kind is live."""
        before = await work.conn.fetchrow("SELECT state FROM endpoint WHERE partner_id = $1 FOR UPDATE", partner_id)
        await work.conn.execute(_REGISTER, partner_id, url, signature.value)
        if before is not None and before["state"] == EndpointState.DISABLED:
            await self._tell(work, EndpointChange.RECOVERED, partner_id, "registered-again")
        return not await work.conn.fetchval(_HAS_KEY, partner_id, signature.value)

    async def add_key(self, work: Work, partner_id: str, key: SigningKey, overlap_seconds: float) -> None:
        """The new key signs at once; the others go on signing for the overlap."""
        secret_id = uuid7()
        await work.conn.execute(_EXPIRE_KEYS, partner_id, overlap_seconds)
        wrapped = self.box.wrap(key.material, partner_id, secret_id)
        await work.conn.execute(_ADD_KEY, secret_id, partner_id, key.kind.value, wrapped)
        await work.conn.execute(_TOUCH, partner_id)

    async def keys_in_use(self, work: Work, partner_id: str) -> int:
        count: int = await work.conn.fetchval(
            "SELECT count(*) FROM endpoint_secret WHERE partner_id = $1"
            " AND (expires_at IS NULL OR expires_at > clock_timestamp())",
            partner_id,
        )
        return count

    async def answered_well(self, work: Work, partner_id: str) -> None:
        """A message got through outside the queue: a disabled endpoint is back."""
        for row in await work.conn.fetch(_LOCK_HEALTH, [partner_id]):
            health, change = health_of(row).after_success()
            if change is not None:
                await self._tell(work, change, partner_id, "answered")
            await self._store_health(work, partner_id, health)

    async def lock(self, work: Work, partner_id: str) -> SignatureKind | None:
        row = await work.conn.fetchrow("SELECT signature FROM endpoint WHERE partner_id = $1 FOR UPDATE", partner_id)
        return None if row is None else SignatureKind(row["signature"])

    async def judge(self, work: Work, tried: Sequence[Tried], unwell: Collection[str]) -> None:
        """Bring the health of endpoints up to date; those that were well and answered well need no look.

        unwell: agencies whose endpoint was not known to be well before.
        """
        failed = {each.due.delivery.partner_id for each in tried if not each.result.is_success}
        looked_at = sorted(failed | {each.due.delivery.partner_id for each in tried} & set(unwell))
        if not looked_at:
            return
        for row in await work.conn.fetch(_LOCK_HEALTH, looked_at):
            mine = [each for each in tried if each.due.delivery.partner_id == row["partner_id"]]
            await self._judge_one(work, row["partner_id"], health_of(row), mine)

    async def _judge_one(self, work: Work, partner_id: str, before: EndpointHealth, tried: Sequence[Tried]) -> None:
        health = before
        for each in tried:
            health, change = health.after(each.result, each.at)
            if change is not None:
                await self._tell(work, change, partner_id, health.reason or "answered", each.at)
        if health != before:
            await self._store_health(work, partner_id, health)

    @staticmethod
    async def _store_health(work: Work, partner_id: str, health: EndpointHealth) -> None:
        await work.conn.execute(
            _STORE_HEALTH,
            partner_id,
            health.state.value,
            health.failing_since,
            health.last_failure_at,
            health.probe_at,
            health.reason,
        )

    @staticmethod
    async def _tell(
        work: Work, change: EndpointChange, partner_id: str, reason: str, at: datetime | None = None
    ) -> None:
        row = await work.conn.fetchrow(_COUNT_EVENT, partner_id)
        if row is not None:
            work.record(endpoint_event(change, partner_id, reason, row["sequence"], at or row["now"]))
        if change is EndpointChange.RECOVERED:
            await work.conn.execute(_HASTEN, partner_id)


def health_of(row: asyncpg.Record) -> EndpointHealth:
    return EndpointHealth(
        state=EndpointState(row["state"]),
        failing_since=row["failing_since"],
        last_failure_at=row["last_failure_at"],
        probe_at=row["probe_at"],
        reason=row["reason"],
    )


_LIVE_KEYS = """
SELECT e.partner_id, e.url, e.signature, e.state, e.failing_since, e.last_failure_at, e.probe_at, e.reason,
    s.secret_id, s.kind, s.wrapped, coalesce(p.stopped, false) AS stopped
FROM endpoint e LEFT JOIN partner p ON p.partner_id = e.partner_id
    LEFT JOIN endpoint_secret s ON s.partner_id = e.partner_id
    AND (s.expires_at IS NULL OR s.expires_at > clock_timestamp())
"""
_NEWEST_KEY_FIRST = "ORDER BY e.partner_id, s.created_at DESC"
_CHANGED_LATELY = "e.changed_at > clock_timestamp() - make_interval(secs => $1)"
_REGISTER = """
INSERT INTO endpoint (partner_id, url, signature) VALUES ($1, $2, $3)
ON CONFLICT (partner_id) DO UPDATE SET url = EXCLUDED.url, signature = EXCLUDED.signature, state = 'enabled',
    failing_since = NULL, last_failure_at = NULL, probe_at = NULL, reason = NULL, changed_at = clock_timestamp()
"""
_HAS_KEY = """
SELECT EXISTS (SELECT FROM endpoint_secret WHERE partner_id = $1 AND kind = $2 AND expires_at IS NULL)
"""
_EXPIRE_KEYS = """
UPDATE endpoint_secret SET expires_at = clock_timestamp() + make_interval(secs => $2)
WHERE partner_id = $1 AND expires_at IS NULL
"""
_ADD_KEY = "INSERT INTO endpoint_secret (secret_id, partner_id, kind, wrapped) VALUES ($1, $2, $3, $4)"
_TOUCH = "UPDATE endpoint SET changed_at = clock_timestamp() WHERE partner_id = $1"
_LOCK_HEALTH = """
SELECT partner_id, state, failing_since, last_failure_at, probe_at, reason FROM endpoint
WHERE partner_id = ANY($1) ORDER BY partner_id FOR UPDATE
"""
_STORE_HEALTH = """
UPDATE endpoint SET state = $2, failing_since = $3, last_failure_at = $4, probe_at = $5, reason = $6,
    changed_at = clock_timestamp()
WHERE partner_id = $1
"""
_COUNT_EVENT = """
UPDATE endpoint SET sequence = sequence + 1, changed_at = clock_timestamp() WHERE partner_id = $1
RETURNING sequence, clock_timestamp() AS now
"""
# What waited for this endpoint is due now.
_HASTEN = """
WITH waiting AS (
    SELECT delivery_id FROM delivery WHERE partner_id = $1 AND channel = 'webhook' AND state = 'pending'
        AND lease_owner IS NULL
    ORDER BY position FOR UPDATE SKIP LOCKED)
UPDATE delivery d SET next_attempt_at = clock_timestamp()
FROM waiting WHERE d.delivery_id = waiting.delivery_id AND d.channel = 'webhook'
"""
