"""Connections to the database that are open and say nothing any more: as after the loss of a machine or of a route."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit, urlunsplit

import pytest
from ihala_runtime.failures import is_infrastructure
from ihala_runtime.identifiers import uuid7
from ihala_runtime.outbox import NewEvent
from ihala_runtime.postgres import Database
from support.runtime import a_topic, an_event, made, migrated_database, nothing_to_publish, read_all, relaying
from support.servers import NewDatabase, split_port
from support.waiting import wait_until


class Wire:
    """Forwards to a server; what was connected when it is silenced is heard no more, whoever connects later is."""

    def __init__(self, upstream: int) -> None:
        self._upstream = upstream
        self._lives: list[asyncio.Event] = []
        self.port = 0

    def silence(self) -> None:
        for life in self._lives:
            life.set()

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        silent = asyncio.Event()
        self._lives.append(silent)
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._upstream)
        await asyncio.gather(forward(reader, far_writer, silent), forward(far_reader, writer, silent))


async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, silent: asyncio.Event) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(65_536):
            if not silent.is_set():
                writer.write(data)
    if not silent.is_set():
        writer.close()


@asynccontextmanager
async def a_wire(dsn: str) -> AsyncIterator[tuple[Wire, str]]:
    """The wire, and the DSN by which the server is reached through it."""
    wire = Wire(split_port(dsn))
    server = await asyncio.start_server(wire.connected, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        parts = urlsplit(dsn)
        yield wire, urlunsplit(parts._replace(netloc=parts.netloc.replace(f":{parts.port}", f":{port}")))
    finally:
        server.close()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ihala_runtime.postgres.NO_ANSWER_SECONDS", 1.0)
    monkeypatch.setattr("ihala_runtime.outbox_relay.NO_ANSWER_SECONDS", 1.0)
    monkeypatch.setattr("ihala_runtime.outbox_relay.FROZEN_SECONDS", 2)


async def test_who_waits_for_an_answer_gives_up_and_gets_another_connection(new_database: NewDatabase) -> None:
    async with a_wire(await new_database()) as (wire, dsn):
        database = Database(dsn, "test", max_connections=1)
        await database.connect()
        assert await one(database) == 1
        wire.silence()

        with pytest.raises(TimeoutError) as given_up:
            await one(database)

        assert is_infrastructure(given_up.value)
        assert await one(database) == 1
        database.pool.terminate()


async def test_the_lock_of_a_silent_relay_is_free_soon_and_publishing_goes_on(
    kafka_bootstrap: str, new_database: NewDatabase
) -> None:
    topic, aggregate = await made(kafka_bootstrap, a_topic(1)), uuid7()
    async with (
        migrated_database(new_database) as database,
        a_wire(database._dsn) as (wire, dsn),
        relaying(Database(dsn, "test"), kafka_bootstrap),
    ):
        await publish(database, an_event(topic, aggregate, 1))
        await wait_until(lambda: nothing_to_publish(database))
        wire.silence()
        await publish(database, an_event(topic, aggregate, 2))

        records = await read_all(kafka_bootstrap, topic.name, 2, within_seconds=30)

    assert [int(dict(record.headers)["ce_sequence"]) for record in records] == [1, 2]


async def one(database: Database) -> int:
    async with asyncio.timeout(15), database.connection() as connection:
        return int(await connection.fetchval("SELECT 1"))


async def publish(database: Database, event: NewEvent) -> None:
    async with database.transaction() as work:
        work.record(event)
