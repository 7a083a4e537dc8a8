"""One transaction of a service: what is gathered is stored with the events, and undone with its savepoint."""

import asyncpg
import pytest
from ihala_runtime.failures import is_infrastructure
from ihala_runtime.identifiers import uuid7
from ihala_runtime.postgres import Database, Work
from support.runtime import INSERT_EFFECT, a_topic, an_event, migrated_database
from support.servers import NewDatabase


def write(work: Work, name: str) -> None:
    work.writes.add(INSERT_EFFECT, name, 1)
    work.record(an_event(a_topic(1), uuid7(), len(work.events) + 1))


async def fail(work: Work, done: list[str]) -> None:
    async with work.savepoint():
        write(work, "flushed and undone")
        await work.flush()
        write(work, "undone")
        work.after_commit.append(lambda: done.append("undone"))
        raise LookupError


async def be_refused(work: Work) -> None:
    async with work.savepoint():
        work.writes.add("INSERT INTO effect (sequence) SELECT 1 / $1::integer", 0)


async def stored(database: Database) -> tuple[list[str], int, int]:
    """(effects, events, rows of the outbox)"""
    async with database.connection() as connection:
        effects = [row["event_id"] for row in await connection.fetch("SELECT event_id FROM effect ORDER BY at")]
        events = await connection.fetchval("SELECT count(*) FROM event")
        return effects, events, await connection.fetchval("SELECT count(*) FROM outbox")


async def test_what_was_gathered_is_stored_with_its_events_at_the_end(new_database: NewDatabase) -> None:
    async with migrated_database(new_database) as database:
        async with database.transaction() as work:
            write(work, "a")
            assert await work.conn.fetchval("SELECT count(*) FROM effect") == 0

        assert await stored(database) == (["a"], 1, 1)


async def test_a_flush_stores_what_there_is_and_the_end_only_the_rest(new_database: NewDatabase) -> None:
    async with migrated_database(new_database) as database:
        async with database.transaction() as work:
            write(work, "a")
            await work.flush()
            assert await work.conn.fetchval("SELECT count(*) FROM effect") == 1
            write(work, "b")

        assert await stored(database) == (["a", "b"], 2, 2)


async def test_a_failed_savepoint_undoes_its_own_and_nothing_else(new_database: NewDatabase) -> None:
    async with migrated_database(new_database) as database:
        done: list[str] = []
        async with database.transaction() as work:
            write(work, "before")
            with pytest.raises(LookupError):
                await fail(work, done)
            async with work.savepoint():
                write(work, "after")

        assert await stored(database) == (["before", "after"], 2, 2)
        assert done == []


async def test_what_the_database_refuses_undoes_the_savepoint_it_was_gathered_in(new_database: NewDatabase) -> None:
    async with migrated_database(new_database) as database:
        async with database.transaction() as work:
            with pytest.raises(asyncpg.DivisionByZeroError):
                await be_refused(work)
            write(work, "after")

        assert await stored(database) == (["after"], 1, 1)


async def test_a_table_that_the_next_release_changes_is_waited_for_and_read_the_next_time(
    new_database: NewDatabase,
) -> None:
    async with migrated_database(new_database) as database:
        await everything(database)
        migration = await database.dedicated()
        await migration.execute("ALTER TABLE effect ADD COLUMN later text")
        await migration.close()

        with pytest.raises(asyncpg.InvalidCachedStatementError) as refused:
            await everything(database)

        assert is_infrastructure(refused.value)
        await everything(database)


async def everything(database: Database) -> None:
    async with database.transaction() as work:
        await work.conn.fetch("SELECT * FROM effect")
