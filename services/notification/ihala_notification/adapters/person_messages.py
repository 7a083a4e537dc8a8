"""Messages to persons and the desks' tasks, in PostgreSQL; neither holds a number, a name or a text.

A claimed message is this copy's for a minute, longer than a try takes; the message's id lets a gateway see a
repetition by a copy that was killed in between.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from ihala_events.vocabulary import Channel, PersonMessage
from ihala_runtime.postgres import Database, Work

from ihala_notification.adapters.measures import PERSON_MESSAGES
from ihala_notification.domain.person_message import DueMessage, NewMessage, Result, Step, Why, told_hours
from ihala_notification.handlers.tell_person import Told

CLAIMED_SECONDS = 60.0


class KeyReused(Exception):
    """The key was used for another answer."""


class TaskEnded(Exception):
    """It is told, or need not be told any more."""


@dataclass(slots=True)
class NewMessages:
    """Of one batch of events, stored at once; an event that comes again stores nothing."""

    work: Work
    _new: list[NewMessage] = field(default_factory=list)
    _over: set[UUID] = field(default_factory=set)

    def add(self, message: NewMessage) -> None:
        self._new.append(message)

    def overtake(self, referral_id: UUID) -> None:
        """Whatever waited to be told of it is not told; what is told of its end is."""
        self._over.add(referral_id)

    async def store(self) -> None:
        if self._new:
            columns = zip(*map(_values, self._new), strict=True)
            self.work.writes.add(_INSERT, *map(list, columns))
        if any(message.referral_id in self._over for message in self._new):
            await self.work.flush()  # what is new may be overtaken too
        if self._over:
            self.work.writes.add(_OVERTAKE, list(self._over), Why.OVERTAKEN.value)


@dataclass(frozen=True, slots=True)
class PostgresPersonMessages:
    database: Database

    async def claim(self, count: int) -> list[DueMessage]:
        async with self.database.connection() as connection:
            rows = await connection.fetch(_CLAIM, count, CLAIMED_SECONDS)
        return [_due(row) for row in rows]

    async def settle(self, due: DueMessage, told: Told) -> None:
        """One that was suppressed meanwhile stays so, unless it is out already."""
        way, step = told.way, told.step
        async with self.database.connection() as connection:
            await connection.execute(
                _SETTLE,
                due.message_id,
                step.state.value,
                step.task,
                step.why,
                told.after.total_seconds(),
                int(told.tried),
                way.language if way else None,
                told_hours(way) if way else None,
                bool(way and way.voicemail_ok),
                bool(way and way.to_guardian),
            )
        PERSON_MESSAGES.labels("task" if step.task else step.state.value).inc()

    async def tasks(
        self, desk_ids: Collection[str], state: str, before: int | None, limit: int
    ) -> list[dict[str, Any]]:
        """Newest first."""
        async with self.database.connection() as connection:
            rows = await connection.fetch(_TASKS, sorted(desk_ids), state, before, limit)
        return [dict(row) for row in rows]

    async def lock_task(self, work: Work, message_id: UUID, desk_ids: Collection[str]) -> dict[str, Any] | None:
        """None: no such task, or another desk's."""
        row = await work.conn.fetchrow(_LOCK_TASK, message_id, sorted(desk_ids))
        return None if row is None else dict(row)

    async def is_repeated(self, work: Work, credential_id: str, key: str, message_id: UUID, result: Result) -> bool:
        """Whether this answer was given before; else the key is this answer's.  Raises KeyReused."""
        if await work.conn.fetchval(_KEEP_ANSWER, credential_id, key, message_id, result.value):
            return False
        earlier = await work.conn.fetchrow(_EARLIER_ANSWER, credential_id, key)
        if earlier is None or (earlier["message_id"], earlier["result"]) != (message_id, result.value):
            raise KeyReused
        return True

    async def answer(self, work: Work, message_id: UUID, step: Step) -> dict[str, Any]:
        """Raises TaskEnded."""
        row = await work.conn.fetchrow(_ANSWER, message_id, step.state.value, step.why)
        if row is None:
            raise TaskEnded
        return dict(row)


def _values(new: NewMessage) -> tuple[Any, ...]:
    ids = (new.message_id, new.referral_id, new.case_id)
    return (*ids, new.case_ref, new.desk_id, new.message.value, new.channel.value)


def _due(row: Any) -> DueMessage:
    return DueMessage(
        row["message_id"], row["case_ref"], PersonMessage(row["message"]), Channel(row["channel"]), row["tries"]
    )


_INSERT = """
INSERT INTO person_message (message_id, referral_id, case_id, case_ref, desk_id, message, channel)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[])
ON CONFLICT DO NOTHING
"""
_OVERTAKE = """
UPDATE person_message SET state = 'suppressed', reason = $2, ended_at = clock_timestamp()
WHERE referral_id = ANY($1) AND state = 'pending' AND message <> 'withdrawn'
"""
_CLAIM = """
WITH due AS (
    SELECT message_id FROM person_message
    WHERE state = 'pending' AND NOT is_task AND next_attempt_at <= clock_timestamp()
    ORDER BY next_attempt_at LIMIT $1 FOR UPDATE SKIP LOCKED)
UPDATE person_message AS message SET next_attempt_at = clock_timestamp() + make_interval(secs => $2)
FROM due WHERE message.message_id = due.message_id
RETURNING message.message_id, case_ref, message, channel, tries
"""
_SETTLE = """
UPDATE person_message SET state = $2, is_task = $3::text IS NOT NULL, channel = coalesce($3, channel), reason = $4,
    next_attempt_at = clock_timestamp() + make_interval(secs => $5), tries = tries + $6,
    language = $7, hours = $8, voicemail_ok = $9, to_guardian = $10,
    ended_at = CASE WHEN $2 <> 'pending' THEN clock_timestamp() END
WHERE message_id = $1 AND (state = 'pending' OR $2 = 'sent')
"""
_TOLD = """message_id, position, referral_id, case_ref, desk_id, message, channel, state, language, hours, voicemail_ok,
    to_guardian, not_reached, reason, created_at, ended_at"""
_TASKS = f"""
SELECT {_TOLD} FROM person_message
WHERE is_task AND desk_id = ANY($1) AND state = $2 AND ($3::bigint IS NULL OR position < $3)
ORDER BY position DESC LIMIT $4
"""
_LOCK_TASK = f"""
SELECT {_TOLD} FROM person_message WHERE message_id = $1 AND is_task AND desk_id = ANY($2) FOR UPDATE
"""
_KEEP_ANSWER = """
INSERT INTO task_answer (credential_id, key, message_id, result) VALUES ($1, $2, $3, $4)
ON CONFLICT DO NOTHING RETURNING true
"""
_EARLIER_ANSWER = "SELECT message_id, result FROM task_answer WHERE credential_id = $1 AND key = $2"
_ANSWER = f"""
UPDATE person_message SET state = $2, reason = coalesce($3, reason),
    not_reached = not_reached + CASE WHEN $2 = 'pending' THEN 1 ELSE 0 END,
    ended_at = CASE WHEN $2 <> 'pending' THEN clock_timestamp() END
WHERE message_id = $1 AND state = 'pending'
RETURNING {_TOLD}
"""
