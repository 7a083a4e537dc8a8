"""The server's clock goes back by an hour: here its last mark and what was written by it are moved ahead by as much."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import asyncpg
from ihala_runtime.clock_set_back import Waiting, follow
from ihala_runtime.identifiers import uuid7
from ihala_runtime.postgres import Database
from ihala_runtime.reconciliation import Expectation, Reconciler, Span
from support.runtime import a_topic, an_event, migrated_database
from support.servers import NewDatabase

HOUR = timedelta(hours=1)
RETRY = Waiting("retry", "at", "pending")


async def test_what_waits_is_moved_with_the_clock_once_for_all_copies(new_database: NewDatabase) -> None:
    async with migrated_database(new_database) as database:
        await prepare(database)
        await clock_was_set_back(database)

        await asyncio.gather(*(follow(database, [RETRY]) for _ in range(4)))
        await follow(database, [RETRY])

        assert await seconds_until(database, "due") == -3600
        assert await seconds_until(database, "soon") == 30
        assert await seconds_until(database, "ended") == 3630
        async with database.connection() as connection:
            asked_in = await connection.fetchval("SELECT ask_at - clock_timestamp() FROM unanswered")
        assert timedelta(seconds=25) < asked_in <= timedelta(seconds=60)


async def test_a_clock_that_goes_on_moves_nothing(new_database: NewDatabase) -> None:
    async with migrated_database(new_database) as database:
        await prepare(database)

        await follow(database, [RETRY])
        await follow(database, [RETRY])

        assert await seconds_until(database, "soon") == 3630


async def test_an_unanswered_event_of_before_is_still_found_within_a_look(new_database: NewDatabase) -> None:
    lost, topic = uuid7(), a_topic()

    async def unanswered(connection: asyncpg.Connection, span: Span, known: Sequence[UUID]) -> list[UUID]:
        rows = await connection.fetch(
            "SELECT event_id FROM event WHERE created_at > $1 AND created_at <= $2 OR event_id = ANY($3)",
            span.since,
            span.until,
            list(known),
        )
        return [row["event_id"] for row in rows]

    async with migrated_database(new_database) as database:
        async with database.transaction() as work:
            work.record(an_event(topic, lost, 1))
        async with database.connection() as connection:
            await connection.execute("DELETE FROM outbox")
        expected = Expectation("answer", unanswered)
        reconciler = Reconciler(database, [expected])
        assert await reconciler.look(expected) == 0  # too young
        async with database.connection() as connection:
            await connection.execute("UPDATE event SET created_at = created_at + $1::interval", HOUR)
            await connection.execute("UPDATE reconciled SET until = until + $1::interval", HOUR)

        assert await reconciler.look(expected) == 1
        assert await reconciler.look(expected) == 0  # asked, and given time


async def prepare(database: Database) -> None:
    async with database.connection() as connection:
        await connection.execute("CREATE TABLE retry (name text PRIMARY KEY, at timestamptz, pending boolean)")
        await connection.execute(
            "INSERT INTO retry SELECT name, clock_timestamp() + make_interval(secs => seconds), pending"
            " FROM (VALUES ('due', -3600, true), ('soon', 3630, true), ('ended', 3630, false))"
            " AS given (name, seconds, pending)"
        )
        await connection.execute(
            "INSERT INTO unanswered (expectation, event_id, since, ask_at)"
            " VALUES ('answer', $1, clock_timestamp(), clock_timestamp() + interval '1 hour 60 s')",
            uuid7(),
        )


async def clock_was_set_back(database: Database) -> None:
    async with database.connection() as connection:
        await connection.execute("UPDATE clock_mark SET at = clock_timestamp() + $1::interval", HOUR)


async def seconds_until(database: Database, name: str) -> int:
    """To ten seconds."""
    async with database.connection() as connection:
        waits: timedelta = await connection.fetchval("SELECT at - clock_timestamp() FROM retry WHERE name = $1", name)
    return round(waits.total_seconds() / 10) * 10
