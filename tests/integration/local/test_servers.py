"""Our own Kafka and PostgreSQL: durable, closed to strangers, and gone when we go."""

from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio
from ihala_local import postgres
from ihala_local.embedded import embedded_postgres
from ihala_local.postgres import dsn_of

PASSWORDS = {"intake": "first", "referral": "second"}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def superuser_dsn(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    folder: Path = tmp_path_factory.mktemp("own-postgres")
    async with embedded_postgres(folder) as dsn:
        await postgres.create_databases(dsn, PASSWORDS)
        await postgres.close_default_databases(dsn)
        yield dsn


async def value(dsn: str, query: str) -> object:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def test_a_role_works_in_its_own_database(superuser_dsn: str) -> None:
    own = dsn_of(superuser_dsn, "intake", "first")

    assert await value(own, "SELECT current_user || '@' || current_database()") == "intake@intake"


@pytest.mark.parametrize("database", ["referral", "postgres", "template1"])
async def test_a_role_enters_no_other_database(superuser_dsn: str, database: str) -> None:
    own = dsn_of(superuser_dsn, "intake", "first")

    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await value(own.rpartition("/")[0] + f"/{database}", "SELECT 1")


async def test_nobody_enters_with_a_wrong_password(superuser_dsn: str) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        await value(dsn_of(superuser_dsn, "intake", "guessed"), "SELECT 1")


async def test_databases_made_again_keep_their_content(superuser_dsn: str) -> None:
    own = dsn_of(superuser_dsn, "referral", "second")
    await value(own, "CREATE TABLE kept AS SELECT 7 AS number")

    await postgres.create_databases(superuser_dsn, PASSWORDS)

    assert await value(own, "SELECT number FROM kept") == 7


async def test_what_is_committed_survives_a_power_cut(superuser_dsn: str) -> None:
    assert await value(superuser_dsn, "SHOW fsync") == "on"
    assert await value(superuser_dsn, "SHOW synchronous_commit") == "on"


async def test_no_statement_and_no_value_reaches_the_log(superuser_dsn: str) -> None:
    assert await value(superuser_dsn, "SHOW log_statement") == "none"
    assert await value(superuser_dsn, "SHOW log_min_error_statement") == "panic"
    assert await value(superuser_dsn, "SHOW log_error_verbosity") == "terse"


async def test_the_statistics_of_statements_can_be_read(superuser_dsn: str) -> None:
    await value(superuser_dsn, "CREATE EXTENSION IF NOT EXISTS pg_stat_statements")

    assert isinstance(await value(superuser_dsn, "SELECT count(*) FROM pg_stat_statements"), int)
