"""Fixtures every test may ask for. A session starts a server only when a test needs it, and once."""

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable

import asyncpg
import pytest
import pytest_asyncio
from support.servers import database_dsn, kafka_for_tests, postgres_for_tests

NewDatabase = Callable[[], Awaitable[str]]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def kafka_bootstrap(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """host:port of a real Kafka, shared by the session: give topics and groups names of your own."""
    async with kafka_for_tests(tmp_path_factory) as bootstrap:
        yield bootstrap


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def postgres_dsn(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """A DSN that may create databases on a real PostgreSQL 18. Ask for `new_database` instead."""
    async with postgres_for_tests(tmp_path_factory) as dsn:
        yield dsn


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def new_database(postgres_dsn: str) -> AsyncIterator[NewDatabase]:
    """Makes a fresh, empty database with each call and answers its DSN; dropped at the end of the session."""
    made: list[str] = []

    async def make() -> str:
        name = f"test_{uuid.uuid4().hex[:12]}"
        await run_statement(postgres_dsn, f'CREATE DATABASE "{name}" TEMPLATE template0 ENCODING UTF8')
        made.append(name)
        return database_dsn(postgres_dsn, name)

    yield make
    for name in made:
        await run_statement(postgres_dsn, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


async def run_statement(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
