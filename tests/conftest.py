"""Fixtures every test may ask for. A session starts a server only when a test needs it, and once."""

import os
import uuid
from collections.abc import AsyncIterator

import asyncpg
import pytest
import pytest_asyncio
from support.servers import POSTGRES_VARIABLE, NewDatabase, database_dsn, kafka_for_tests, postgres_for_tests


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="also the fault tests that take minutes")
    parser.addoption("--kills", type=int, default=6, help="how many processes are killed at drawn times")
    parser.addoption("--seed", type=int, default=None, help="repeat the fault run of this seed")
    parser.addoption("--older", default=None, help="checkout of an older release, for the rolling upgrade")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "long: takes minutes; run with --long")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--long"):
        return
    config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker("long")])
    items[:] = [item for item in items if not item.get_closest_marker("long")]


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
    """Makes a fresh, empty database with each call and answers its DSN; a server that stays is left without them."""
    made: list[str] = []

    async def make() -> str:
        name = f"test_{uuid.uuid4().hex[:12]}"
        await run_statement(postgres_dsn, f'CREATE DATABASE "{name}" TEMPLATE template0 ENCODING UTF8')
        made.append(name)
        return database_dsn(postgres_dsn, name)

    yield make
    for name in made if POSTGRES_VARIABLE in os.environ else ():
        await run_statement(postgres_dsn, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


async def run_statement(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
