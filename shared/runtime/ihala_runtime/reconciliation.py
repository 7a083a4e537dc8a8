"""What was published and should have been answered by another service: found within a minute, published again, counted.

Only events say what another service did. An event that nobody answered goes out again marked ``unanswered``: who
never saw it handles it now; who handled it answers again (``Consumer.answer_again``). Neither acts twice.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg

from ihala_runtime import metric_names as metrics
from ihala_runtime.consumer import UNANSWERED
from ihala_runtime.failures import is_infrastructure
from ihala_runtime.logs import logger
from ihala_runtime.postgres import Database

PATIENCE = timedelta(seconds=40)
LOOK_EVERY_SECONDS = 10.0
COUNT_EVERY_SECONDS = 30.0
LATELY = timedelta(minutes=5)  # what is older and still without its answer is among the unanswered
ON_ITS_WAY = timedelta(seconds=60)  # without an answer for longer it is stuck
OVERLAP = timedelta(minutes=2)  # an event is seen when its transaction commits, which may be after a later one
FAR = datetime.max.replace(tzinfo=UTC)
FIRST_LOOK = timedelta(days=7)  # as long as Kafka keeps case data
ASK_AGAIN_SECONDS, ASK_AGAIN_AT_MOST_SECONDS = 60, 3600
ASKED_AT_ONCE = 500
ONE_AT_A_TIME = 4_191_031  # advisory lock: one copy of the service looks at a time

_log = logger(__name__)


@dataclass(frozen=True, slots=True)
class Span:
    """Published after ``since`` and up to ``until``, in the time of the machines, not of the deadlines."""

    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Expectation:
    """``unanswered``: ids of the events of that span, and of those known, that still lack their answer."""

    name: str
    unanswered: Callable[[asyncpg.Connection, Span, Sequence[UUID]], Awaitable[list[UUID]]]


@dataclass(frozen=True, slots=True)
class Census:
    """``by_place``: how many of what came in that span are where now. Its cost is the span's, not the table's."""

    what: str
    by_place: Callable[[asyncpg.Connection, Span], Awaitable[Mapping[str, int]]]

    async def count(self, connection: asyncpg.Connection) -> None:
        now: datetime = await connection.fetchval("SELECT clock_timestamp()")
        found = await self.by_place(connection, Span(now - LATELY, now))
        metrics.ACCOUNTED.clear()
        for place, count in found.items():
            metrics.ACCOUNTED.labels(self.what, place).set(count)


class Reconciler:
    def __init__(self, database: Database, expectations: Sequence[Expectation]) -> None:
        self._database = database
        self._expectations = expectations

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            for expectation in self._expectations:
                try:
                    await self.look(expectation)
                except Exception as error:
                    if not is_infrastructure(error):
                        raise
            await asyncio.sleep(LOOK_EVERY_SECONDS)

    async def look(self, expectation: Expectation) -> int:
        """How many events were published again; it should be none."""
        async with self._database.transaction() as work:
            if not await work.conn.fetchval("SELECT pg_try_advisory_xact_lock($1)", ONE_AT_A_TIME):
                return 0
            await _find(work.conn, expectation)
            asked: int = await work.conn.fetchval(
                _ASK, expectation.name, ASK_AGAIN_SECONDS, ASK_AGAIN_AT_MOST_SECONDS, ASKED_AT_ONCE, UNANSWERED
            )
            metrics.UNRECONCILED.labels(expectation.name).set(await work.conn.fetchval(_COUNT, expectation.name))
        if asked:
            metrics.RECONCILED.labels(expectation.name).inc(asked)
            self._database.committed.set()
            _log.warning("published again without an answer", action="reconcile", what=expectation.name, count=asked)
        return asked


async def _find(connection: asyncpg.Connection, expectation: Expectation) -> None:
    now: datetime = await connection.fetchval("SELECT clock_timestamp()")
    seen: datetime | None = await connection.fetchval(
        "SELECT until FROM reconciled WHERE expectation = $1", expectation.name
    )
    span = _span(seen, now)
    known = await connection.fetch("SELECT event_id FROM unanswered WHERE expectation = $1", expectation.name)
    found = await expectation.unanswered(connection, span, [row["event_id"] for row in known])
    await connection.execute(
        "DELETE FROM unanswered WHERE expectation = $1 AND NOT event_id = ANY($2)", expectation.name, found
    )
    await connection.execute(
        "INSERT INTO unanswered (expectation, event_id, since, ask_at)"
        " SELECT $1, event_id, created_at, clock_timestamp() FROM event WHERE event_id = ANY($2)"
        " ON CONFLICT DO NOTHING",
        expectation.name,
        found,
    )
    await connection.execute(
        "INSERT INTO reconciled (expectation, until) VALUES ($1, $2)"
        " ON CONFLICT (expectation) DO UPDATE SET until = EXCLUDED.until",
        expectation.name,
        now - PATIENCE,
    )


def _span(seen: datetime | None, now: datetime) -> Span:
    """From where the last look ended; when the clock was set back since, everything later: no age can be told then."""
    if seen is not None and seen > now:
        return Span(seen - OVERLAP, FAR)
    return Span(seen - OVERLAP if seen else now - FIRST_LOOK, now - PATIENCE)


async def unanswered(connection: asyncpg.Connection) -> list[dict[str, Any]]:
    """What lacks its answer now, oldest first."""
    rows = await connection.fetch(
        "SELECT expectation, event_id, event.type, event.key, since, asked,"
        " EXISTS (SELECT FROM outbox WHERE outbox.event_id = unanswered.event_id) AS in_outbox"
        " FROM unanswered JOIN event USING (event_id) ORDER BY since LIMIT 1000"
    )
    return [dict(row) for row in rows]


# What Kafka has not taken yet needs no second sending.
_ASK = """
WITH due AS (
    SELECT event_id FROM unanswered WHERE expectation = $1 AND ask_at <= clock_timestamp()
        AND NOT EXISTS (SELECT FROM outbox WHERE outbox.event_id = unanswered.event_id)
        AND NOT EXISTS (SELECT FROM outbox_refused WHERE outbox_refused.event_id = unanswered.event_id)
    ORDER BY since LIMIT $4
), noted AS (
    UPDATE unanswered SET asked = asked + 1,
        ask_at = clock_timestamp() + make_interval(secs => least($2 * power(2, least(asked, 10)), $3))
    FROM due WHERE unanswered.expectation = $1 AND unanswered.event_id = due.event_id
), out AS (
    INSERT INTO outbox (event_id, again)
    SELECT event_id, $5 FROM event JOIN due USING (event_id) ORDER BY created_at, sequence
)
SELECT count(*) FROM due
"""
_COUNT = """
SELECT count(*) FROM unanswered WHERE expectation = $1
    AND (asked > 0 OR NOT EXISTS (SELECT FROM outbox WHERE outbox.event_id = unanswered.event_id))
"""
