"""Which copy of the service may send what: leases, and the heartbeat that makes them worth something.

A lease belongs to a copy that is seen every second. When a copy is not seen for some seconds its leases are
free, so a killed copy delays its messages by seconds; `lease_until` is only a backstop. A copy that could not
show itself in time sends nothing, and asks what is still its own once it is seen again. Real time throughout.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from uuid import UUID

from ihala_runtime.postgres import Database, Work

from ihala_notification.adapters import receipts
from ihala_notification.adapters.outgoing import LEASE_SECONDS, delivery_of
from ihala_notification.adapters.receipts import Receipt
from ihala_notification.domain.attempt import Failure
from ihala_notification.domain.delivery import Channel, DeliveryState, DueDelivery

UNSEEN_SECONDS = 7.5
LOST_AFTER_SECONDS = 10.0  # so long after its commit a lease is known, or its copy was not told
FORGET_COPIES_AFTER_SECONDS = 3_600


@dataclass(frozen=True, slots=True)
class PostgresClaims:
    database: Database

    async def show(self, copy_id: UUID) -> None:
        async with self.database.connection() as connection:
            await connection.execute(_SHOW, copy_id, FORGET_COPIES_AFTER_SECONDS)

    async def still_leased(self, copy_id: UUID, delivery_ids: Sequence[UUID]) -> set[UUID]:
        """Those that no other copy has taken over."""
        async with self.database.connection() as connection:
            rows = await connection.fetch(_STILL_LEASED, copy_id, list(delivery_ids))
        return {row["delivery_id"] for row in rows}

    async def claim(self, copy_id: UUID, places: Mapping[str, int]) -> list[DueDelivery]:
        """At most so many due deliveries for each agency, the first of each of its referrals, leased to the copy."""
        if not places:
            return []
        ends = monotonic() + LEASE_SECONDS
        async with self.database.transaction() as work:
            rows = await work.conn.fetch(
                _CLAIM, list(places), list(places.values()), copy_id, LEASE_SECONDS, UNSEEN_SECONDS
            )
        rows.sort(key=lambda row: int(row["position"]))
        return [DueDelivery(delivery_of(row), row["step"], row["tries"], row["sequence"], ends) for row in rows]

    async def release(self, copy_id: UUID, delivery_ids: Sequence[UUID]) -> None:
        """Give leases back unused."""
        async with self.database.connection() as connection:
            await connection.execute(_RELEASE, copy_id, list(delivery_ids))

    async def release_lost(self, copy_id: UUID, known: Sequence[UUID]) -> None:
        """Give back what was leased to the copy without its knowing: the answer got lost with a connection."""
        async with self.database.connection() as connection:
            await connection.execute(_RELEASE_LOST, copy_id, LEASE_SECONDS - LOST_AFTER_SECONDS, list(known))

    async def hold_back(self, copy_id: UUID, due: Sequence[DueDelivery], why: Failure, seconds: float) -> None:
        """Give leases back until the endpoint may be asked again; the first time that is told too."""
        async with self.database.transaction() as work:
            ids = [each.delivery.delivery_id for each in due]
            rows = await work.conn.fetch(_HOLD_BACK, copy_id, ids, seconds, why.value)
            mine = {row["delivery_id"]: row["now"] for row in rows}
            for each in due:
                if each.delivery.delivery_id in mine and each.sequence == 0:
                    await self._tell_held_back(work, each, why)

    @staticmethod
    async def _tell_held_back(work: Work, due: DueDelivery, why: Failure) -> None:
        now = await work.conn.fetchval(_COUNT_ONE, due.delivery.delivery_id)
        work.record(receipts.held_back(why, due.sequence + 1, due.tries, now).about(due.delivery))

    async def give_up_old(self, older_than_seconds: float) -> None:
        """What could not be tried for as long as the whole schedule (its endpoint was disabled) is exhausted."""
        async with self.database.transaction() as work:
            for row in await work.conn.fetch(_GIVE_UP, older_than_seconds):
                receipt = Receipt(
                    DeliveryState.EXHAUSTED,
                    Channel.WEBHOOK,
                    row["sequence"],
                    row["tries"],
                    row["ended_at"],
                    reason=row["last_reason"],
                )
                work.record(receipt.about(delivery_of(row)))


_SHOW = """
WITH gone AS (DELETE FROM service_copy WHERE seen_at < clock_timestamp() - make_interval(secs => $2))
INSERT INTO service_copy (copy_id, seen_at) VALUES ($1, clock_timestamp())
ON CONFLICT (copy_id) DO UPDATE SET seen_at = EXCLUDED.seen_at
"""
_STILL_LEASED = """
SELECT delivery_id FROM delivery WHERE channel = 'webhook' AND delivery_id = ANY($2) AND lease_owner = $1
"""
# The channel of what is changed comes with its id, here and below, not as a constant (see results.py).
# A copy seen in the future was seen before the clock was set back.
# FOR UPDATE re-reads the row it waited for; SKIP LOCKED does not wait: another copy is at it.
_CLAIM = """
WITH alive AS MATERIALIZED (
    SELECT array_agg(copy_id) AS copies FROM service_copy
    WHERE seen_at > clock_timestamp() - make_interval(secs => $5)
        AND seen_at < clock_timestamp() + make_interval(secs => $5)
), due AS MATERIALIZED (
    SELECT found.delivery_id, found.channel FROM unnest($1::text[], $2::integer[]) AS room (partner_id, places), alive,
    LATERAL (
        SELECT d.delivery_id, d.channel FROM delivery d
        WHERE d.partner_id = room.partner_id AND d.state = 'pending' AND d.channel = 'webhook'
            AND d.next_attempt_at <= clock_timestamp()
            AND (d.lease_owner IS NULL OR d.lease_until < clock_timestamp()
                OR NOT d.lease_owner = ANY(coalesce(alive.copies, '{}')))
            AND NOT EXISTS (
                SELECT FROM delivery earlier
                WHERE earlier.referral_id = d.referral_id AND earlier.partner_id = d.partner_id
                    AND earlier.channel = 'webhook' AND earlier.state = 'pending'
                    AND earlier.position < d.position)
        ORDER BY d.next_attempt_at LIMIT room.places FOR UPDATE OF d SKIP LOCKED
    ) found
)
UPDATE delivery d
SET lease_owner = $3, lease_until = clock_timestamp() + make_interval(secs => $4)
FROM due WHERE d.delivery_id = due.delivery_id AND d.channel = due.channel
RETURNING d.delivery_id, d.event_id, d.event_type, d.partner_id, d.referral_id, d.attempt_no, d.correlation_id,
    d.body, d.journey, d.traceparent, d.step, d.tries, d.sequence, d.position
"""
_RELEASE = """
WITH mine AS (
    SELECT delivery_id, channel FROM delivery
    WHERE channel = 'webhook' AND delivery_id = ANY($2) AND lease_owner = $1
    ORDER BY position FOR UPDATE)
UPDATE delivery d SET lease_owner = NULL, lease_until = NULL
FROM mine WHERE d.delivery_id = mine.delivery_id AND d.channel = mine.channel
"""
_RELEASE_LOST = """
WITH lost AS (
    SELECT delivery_id, channel FROM delivery
    WHERE channel = 'webhook' AND state = 'pending' AND lease_owner = $1
        AND lease_until < clock_timestamp() + make_interval(secs => $2) AND NOT delivery_id = ANY($3)
    ORDER BY position FOR UPDATE SKIP LOCKED)
UPDATE delivery d SET lease_owner = NULL, lease_until = NULL
FROM lost WHERE d.delivery_id = lost.delivery_id AND d.channel = lost.channel
"""
# An endpoint that was registered again meanwhile, which this copy has not seen yet, is asked at once.
_HOLD_BACK = """
WITH mine AS (
    SELECT delivery_id, channel, partner_id FROM delivery
    WHERE channel = 'webhook' AND delivery_id = ANY($2) AND lease_owner = $1 AND state = 'pending'
    ORDER BY position FOR UPDATE
), address AS MATERIALIZED (
    SELECT partner_id, state FROM endpoint WHERE partner_id IN (SELECT partner_id FROM mine) FOR SHARE
)
UPDATE delivery d SET lease_owner = NULL, lease_until = NULL, last_reason = $4,
    next_attempt_at = CASE WHEN $4 = 'endpoint-disabled' AND address.state = 'enabled' THEN clock_timestamp()
        ELSE clock_timestamp() + make_interval(secs => $3) END
FROM mine LEFT JOIN address USING (partner_id) WHERE d.delivery_id = mine.delivery_id AND d.channel = mine.channel
RETURNING d.delivery_id, clock_timestamp() AS now
"""
_COUNT_ONE = """
UPDATE delivery SET sequence = sequence + 1 WHERE delivery_id = $1 AND channel = 'webhook'
RETURNING clock_timestamp()
"""
_GIVE_UP = """
WITH old AS (
    SELECT delivery_id, channel FROM delivery
    WHERE state = 'pending' AND channel = 'webhook' AND lease_owner IS NULL
        AND queued_at < clock_timestamp() - make_interval(secs => $1)
    ORDER BY position LIMIT 500 FOR UPDATE SKIP LOCKED)
UPDATE delivery d SET state = 'exhausted', ended_at = clock_timestamp(), sequence = sequence + 1
FROM old WHERE d.delivery_id = old.delivery_id AND d.channel = old.channel
RETURNING d.*
"""
