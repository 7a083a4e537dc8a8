"""How many rows PostgreSQL reads for one referral when thousands are known that it has not counted yet.

Rule: plans are made while tables are small, as in a system that was just installed, and nothing has them made again:
a statement that reads a whole table then shows, however fast it still is.
"""

import asyncio
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import asyncpg

from benchmarks.costs import MOVES, QUIET_SECONDS, WARM_UP, Desk, a_desk, connections, until
from benchmarks.growth import copier_of
from benchmarks.systems import ihala

KNOWN = 6_000
MEASURED = 15
READ = """
SELECT pg_stat_force_next_flush(), relname AS name, seq_tup_read + coalesce(idx_tup_fetch, 0) AS rows
FROM pg_stat_user_tables
"""


async def rows_read(folder: Path) -> dict[str, float]:
    """{"database.table": rows read a referral, from its intake until its agency has closed it}"""
    async with (
        ihala(folder / "system") as system,
        a_desk(system) as desk,
        connections(system.superuser_dsn) as (server, databases),
    ):
        await keep_plans(server)
        for _ in range(WARM_UP):
            await whole_journey(desk)
        await asyncio.sleep(QUIET_SECONDS)  # receipts come late
        await (await copier_of(system)).copy(0, KNOWN)
        await summarise(databases)
        before = await read_until_now(databases)
        for _ in range(MEASURED):
            await whole_journey(desk)
        await asyncio.sleep(QUIET_SECONDS)
        after = await read_until_now(databases)
    return {table: (rows - before.get(table, 0)) / MEASURED for table, rows in after.items()}


async def keep_plans(server: asyncpg.Connection) -> None:
    """Of each statement the first one, for any arguments, as the server may choose to after five."""
    for setting in ("autovacuum = off", "plan_cache_mode = force_generic_plan"):
        await server.execute(f"ALTER SYSTEM SET {setting}")
    await server.execute("SELECT pg_reload_conf()")


async def summarise(databases: Mapping[str, asyncpg.Connection]) -> None:
    """What autovacuum does within a minute: the looks of every ten seconds read only what may be new."""
    for connection in databases.values():
        await connection.execute(
            "SELECT brin_summarize_new_values(indexrelid) FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid"
            " JOIN pg_am ON pg_am.oid = relam WHERE amname = 'brin'"
        )


async def whole_journey(desk: Desk) -> None:
    case_ref = await desk.hand_in()
    await until(partial(desk.has_heard_of, {case_ref}), "the webhook")
    for name in MOVES:
        await desk.move(case_ref, name)


async def read_until_now(databases: Mapping[str, asyncpg.Connection]) -> Mapping[str, int]:
    return {
        f"{name}.{row['name']}": row["rows"]
        for name, connection in databases.items()
        for row in await connection.fetch(READ)
    }
