"""Real Kafka and PostgreSQL for the tests, from the first of three places that has them:

1. addresses given by the environment: IHALA_TEST_KAFKA_BOOTSTRAP, IHALA_TEST_POSTGRES_DSN (may create databases);
2. containers, where a Docker engine answers and has or can pull the images (`support.containers`);
3. the embedded ones of `ihala_local`, which need nothing installed.

Rule: a test that needs a server fails when none can be had. It is never skipped.
"""

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from urllib.parse import urlsplit, urlunsplit

import pytest
from ihala_local.embedded import embedded_kafka, embedded_postgres
from support.containers import KAFKA_IMAGE, POSTGRES_IMAGE, can_run, kafka_container, postgres_container

KAFKA_VARIABLE = "IHALA_TEST_KAFKA_BOOTSTRAP"
POSTGRES_VARIABLE = "IHALA_TEST_POSTGRES_DSN"
NewDatabase = Callable[[], Awaitable[str]]
"""Makes a fresh, empty database with each call and answers its DSN: the fixture `new_database`."""
POSTGRES_SETTINGS = {"fsync": "off"}  # hundreds of databases are made, and none outlives the machine


@asynccontextmanager
async def kafka_for_tests(folders: pytest.TempPathFactory) -> AsyncIterator[str]:
    """host:port of the session's Kafka."""
    if given := os.environ.get(KAFKA_VARIABLE):
        yield given
    elif can_run(KAFKA_IMAGE):
        with kafka_container() as bootstrap:
            yield bootstrap
    else:
        async with embedded_kafka(folders.mktemp("kafka")) as bootstrap:
            yield bootstrap


@asynccontextmanager
async def postgres_for_tests(folders: pytest.TempPathFactory) -> AsyncIterator[str]:
    """The DSN of the session's PostgreSQL, of a role that may create databases."""
    if given := os.environ.get(POSTGRES_VARIABLE):
        yield given
    elif can_run(POSTGRES_IMAGE):
        with postgres_container() as dsn:
            yield dsn
    else:
        async with embedded_postgres(folders.mktemp("postgres"), POSTGRES_SETTINGS) as dsn:
            yield dsn


def split_port(dsn: str) -> int:
    """The port of a DSN that names one."""
    port = urlsplit(dsn).port
    assert port is not None
    return port


def database_dsn(server_dsn: str, database: str) -> str:
    """The same server and role, another database."""
    return urlunsplit(urlsplit(server_dsn)._replace(path=f"/{database}"))
