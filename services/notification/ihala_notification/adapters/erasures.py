"""What is kept of messages about an erased person: ids, types, states and times; bodies, copies and answers go.
Nobody is told anything any more, by no gateway and no desk.

A message that is still on its way keeps its body until it has ended: it is often the one that asks to delete.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ihala_events.intake import SubjectErased
from ihala_runtime.postgres import Database

from ihala_notification.domain.person_message import Why

REMEMBER_DAYS = 60
"""Longer than a delivery is kept; the ledger tells of all of them again at each start."""

_REMEMBER = """
INSERT INTO erased_case (case_id) SELECT * FROM unnest($1::uuid[]) ON CONFLICT (case_id) DO NOTHING
"""
_FORGET = "DELETE FROM erased_case WHERE seen_at < clock_timestamp() - make_interval(days => $1)"
_BLANK = """
WITH blanked AS (
    UPDATE delivery SET body = '' FROM erased_case
    WHERE correlation_id = erased_case.case_id::text AND state <> 'pending' AND body <> ''
        AND NOT EXISTS (SELECT FROM outbox WHERE outbox.event_id = delivery.delivery_id)
    RETURNING delivery_id, erased_case.case_id
), copies AS (
    DELETE FROM event USING blanked WHERE event.event_id = blanked.delivery_id
), answers AS (
    UPDATE attempt SET answer = '' FROM blanked WHERE attempt.delivery_id = blanked.delivery_id
)
SELECT count(DISTINCT case_id) FROM blanked
"""
_TELL_NO_MORE = """
UPDATE person_message SET state = 'suppressed', reason = $1, ended_at = clock_timestamp() FROM erased_case
WHERE person_message.case_id = erased_case.case_id AND state = 'pending'
"""


@dataclass(frozen=True, slots=True)
class Erasures:
    database: Database

    async def apply_again(self, erasures: Sequence[SubjectErased]) -> int:
        """In how many cases something was left to blank."""
        if not erasures:
            return 0
        async with self.database.connection() as connection:
            await connection.execute(_REMEMBER, sorted({each.case_id for each in erasures}))
            blanked: int = await connection.fetchval(_BLANK)
            await connection.execute(_TELL_NO_MORE, Why.ERASED.value)
        return blanked

    async def blank_what_ended(self) -> None:
        """Messages that were on their way when the ledger told of their case."""
        async with self.database.connection() as connection:
            await connection.execute(_FORGET, REMEMBER_DAYS)
            await connection.execute(_BLANK)
            await connection.execute(_TELL_NO_MORE, Why.ERASED.value)
