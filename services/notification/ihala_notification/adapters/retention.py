"""Retention (P14): a delivery goes a month after it ended, every trace of a referral two years after its last message.

Rule: a pass is short and safe to repeat, by several copies at once; what Kafka has not taken yet stays.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ihala_runtime.clock import Clock
from ihala_runtime.postgres import Database

KEEP_DELIVERIES = timedelta(days=30)
"""What Kafka may still bring again is younger."""
MOST_AT_ONCE = 5_000

_DELIVERIES = """
WITH old AS (
    DELETE FROM delivery WHERE (delivery_id, channel) IN (
        SELECT delivery_id, channel FROM delivery WHERE ended_at <= $1
            AND NOT EXISTS (SELECT FROM outbox WHERE outbox.event_id = delivery.delivery_id)
        LIMIT $2 FOR UPDATE SKIP LOCKED)
    RETURNING delivery_id
), tries AS (DELETE FROM attempt USING old WHERE attempt.delivery_id = old.delivery_id
), copies AS (DELETE FROM event USING old WHERE event.event_id = old.delivery_id)
SELECT count(*) FROM old
"""
_EVENTS = """
WITH old AS (
    DELETE FROM event WHERE event_id IN (
        SELECT event_id FROM event WHERE created_at <= $1
            AND NOT EXISTS (SELECT FROM outbox WHERE outbox.event_id = event.event_id)
        LIMIT $2 FOR UPDATE SKIP LOCKED)
    RETURNING event_id)
SELECT count(*) FROM old
"""


def _older(table: str, key: str, at: str) -> str:
    return f"""
WITH old AS (
    DELETE FROM {table} WHERE {key} IN (
        SELECT {key} FROM {table} WHERE {at} <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED)
    RETURNING {key})
SELECT count(*) FROM old
"""


_ENDED_ATTEMPTS = _older("attempt_over", "referral_id", "changed_at")
_PERSON_MESSAGES = _older("person_message", "message_id", "created_at")


@dataclass(frozen=True, slots=True)
class Retention:
    """delete_after: by the clock given, which tells when all of it goes; a month is real time, as deliveries are."""

    database: Database
    clock: Clock
    delete_after: timedelta

    async def apply(self) -> None:
        all_goes = self.clock.now() - self.delete_after
        await self._in_passes(_DELIVERIES, max(datetime.now(UTC) - KEEP_DELIVERIES, all_goes))
        await self._in_passes(_EVENTS, all_goes)
        await self._in_passes(_ENDED_ATTEMPTS, all_goes)
        await self._in_passes(_PERSON_MESSAGES, all_goes)

    async def _in_passes(self, statement: str, before: datetime) -> None:
        while await self._pass(statement, before):
            pass

    async def _pass(self, statement: str, before: datetime) -> int:
        """How many rows went."""
        async with self.database.connection() as connection:
            gone: int = await connection.fetchval(statement, before, MOST_AT_ONCE)
        return gone
