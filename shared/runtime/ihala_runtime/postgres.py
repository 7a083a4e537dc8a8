"""The database of one service: its pool and its transactions.

A ``Work`` is one transaction, or one statement, for each HTTP request or Kafka batch. Events recorded in it are
written with it, with their outbox rows, so that an event is stored exactly when the change it tells of is.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import Any, cast

import asyncpg
from pydantic_core import from_json, to_json

from ihala_runtime import failpoints, telemetry
from ihala_runtime.outbox import NewEvent, storing

ACQUIRE_TIMEOUT_SECONDS = 5.0
STATEMENT_TIMEOUT_MS = 30_000
NO_ANSWER_SECONDS = 40.0
"""Longer than any statement may take: the server is gone, or the way to it, without a word."""
FROZEN_SECONDS = 15
"""Who does nothing for so long within a transaction is frozen: the server undoes it, and its locks go."""
GONE_SOON = {"tcp_keepalives_idle": "10", "tcp_keepalives_interval": "5", "tcp_keepalives_count": "3"}
"""The server sees within half a minute that a machine is gone; by itself it would keep its locks for two hours."""
BY_KEY = {"enable_seqscan": "off"}
"""A service's statements find few rows by key. A plan made while a table is small, or not counted yet, would read all
of it, and be kept until the server counts it: for a minute after each start of a new system, or of a restored one."""
MAX_BIGINT = 2**63 - 1


class NeedsTransaction(telemetry.Detour):
    """What was begun as one statement turns out to lock, or to write, more: it is done again, in a transaction."""


class Work:
    """An open transaction. ``conn`` for plain SQL, ``record`` for events; the aggregate's row is locked before.

    ``reading``: for reads; what they lock is locked as long as there is a transaction.  ``writes``: statements that go
    together with the events, at the end or at ``flush``; nothing may read them before.  ``after_commit``: called, in
    order, once what was written is durable; never when it is undone.  ``at_once``: there is no transaction; all that
    is written goes as one statement at the end, and whoever asks for more gets NeedsTransaction.
    """

    def __init__(self, conn: asyncpg.Connection, *, at_once: bool = False) -> None:
        self.reading = conn
        self.at_once = at_once
        self.writes = Writes()
        self.events: list[NewEvent] = []
        self.after_commit: list[Callable[[], None]] = []
        self._stored = 0

    @property
    def conn(self) -> asyncpg.Connection:
        if self.at_once:
            raise NeedsTransaction
        return self.reading

    def record(self, event: NewEvent) -> None:
        self.events.append(event)

    async def flush(self) -> None:
        """Store what was gathered and recorded so far, in one round trip."""
        if self.at_once and (self.writes or len(self.events) > self._stored):
            raise NeedsTransaction
        await self.store()

    async def store(self) -> None:
        """The same at the end."""
        events, self._stored = self.events[self._stored :], len(self.events)
        for statement, arguments in storing(events):
            self.writes.add(statement, *arguments)
        writes, self.writes = self.writes, Writes()
        await writes.send(self.reading)

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        """When its block fails, all that was done in it is undone, events and what was to follow included."""
        await self.flush()
        events, acts = len(self.events), len(self.after_commit)
        try:
            async with self.conn.transaction():
                yield
                await self.flush()
        except BaseException:
            self._stored = events
            self.writes = Writes()
            del self.events[events:], self.after_commit[acts:]
            raise


class Database:
    """``committed`` is set after each commit that wrote events: the relay of this process need not wait."""

    def __init__(self, dsn: str, application_name: str, max_connections: int = 8) -> None:
        self._dsn = dsn
        self._application_name = application_name
        self._max_connections = max_connections
        self._pool: asyncpg.Pool | None = None
        self.committed = asyncio.Event()

    async def connect(self) -> None:
        """Open the pool. Raises what asyncpg raises when the server cannot be reached."""
        self._pool = await asyncpg.create_pool(
            self._dsn,
            min_size=1,
            max_size=self._max_connections,
            max_inactive_connection_lifetime=0,  # a new one asks the server for types and plans when it is needed most
            init=_prepare,
            reset=_nothing_to_reset,
            command_timeout=NO_ANSWER_SECONDS,
            server_settings={
                "application_name": self._application_name,
                "timezone": "UTC",
                "statement_timeout": str(STATEMENT_TIMEOUT_MS),
                "idle_in_transaction_session_timeout": f"{FROZEN_SECONDS}s",
                "jit": "off",
                **BY_KEY,
                **GONE_SOON,
            },
        )

    async def close(self) -> None:
        if self._pool is not None:
            await self._pool.close()

    @property
    def pool(self) -> asyncpg.Pool:
        if self._pool is None:
            raise RuntimeError("the database is not connected yet")
        return self._pool

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[asyncpg.Connection]:
        """A connection for reading, outside a transaction."""
        async with self.pool.acquire(timeout=ACQUIRE_TIMEOUT_SECONDS) as connection:
            yield cast("asyncpg.Connection", connection)  # a proxy that behaves as one

    @asynccontextmanager
    async def transaction(self, name: str | None = None) -> AsyncIterator[Work]:
        """name: whose steps a fault test may end (`failpoints`), if anybody's."""
        async with self.connection() as connection, connection.transaction():
            work = Work(connection)
            yield work
            await work.store()
            failpoints.reach(name, "committing")
        self._done(work, name)

    @asynccontextmanager
    async def at_once(self, name: str | None = None) -> AsyncIterator[Work]:
        """Reads, and one statement at the end, which needs no transaction around it. Raises NeedsTransaction."""
        async with self.connection() as connection:
            work = Work(connection, at_once=True)
            yield work
            failpoints.reach(name, "committing")
            await work.store()
        self._done(work, name)

    def _done(self, work: Work, name: str | None) -> None:
        failpoints.reach(name, "committed")
        if work.events:
            self.committed.set()
        for act in work.after_commit:
            act()

    async def dedicated(
        self, application_name: str | None = None, *, no_answer_seconds: float | None = None
    ) -> asyncpg.Connection:
        """A connection of its own, for a lock that lives as long as it does. The caller closes it."""
        name = application_name or self._application_name
        connection = await asyncpg.connect(
            self._dsn,
            timeout=ACQUIRE_TIMEOUT_SECONDS,
            command_timeout=no_answer_seconds,
            server_settings={"application_name": name, "timezone": "UTC", **GONE_SOON},
        )
        await _prepare(connection)
        return connection


class Writes:
    """Statements that go to the server together, as one: a round trip for all of them.

    They see the database as it was before any of them, so none may read, or touch a row, that another one writes.
    PostgreSQL runs them, as it is today, in the order they were added in: the last named first. Nothing relies on it,
    but who has to wait for a row does so before it has written that row's events.
    """

    def __init__(self) -> None:
        self._statements: list[str] = []
        self._arguments: list[Any] = []

    def __bool__(self) -> bool:
        return bool(self._statements)

    def add(self, statement: str, *arguments: Any) -> None:
        """statement: plain INSERT, UPDATE or DELETE, its parameters numbered from $1."""
        self._statements.append(_shifted(statement, len(self._arguments)))
        self._arguments += arguments

    async def send(self, connection: asyncpg.Connection) -> None:
        """As one statement, or not at all where there is none."""
        if not self._statements:
            return
        named = ", ".join(f"w{number} AS ({each})" for number, each in enumerate(reversed(self._statements)))
        await connection.execute(f"WITH {named} SELECT", *self._arguments)


def as_rows(rows: Iterable[Mapping[str, Any]]) -> str:
    """Rows as one argument, for ``json_to_recordset``: less than half the cost of an array for each column.

    asyncpg asks of each element of an array what kind of thing it is.
    """
    return to_json(list(rows)).decode()


@lru_cache(maxsize=500)
def _shifted(statement: str, by: int) -> str:
    return re.sub(r"\$(\d+)", lambda match: f"${int(match[1]) + by}", statement)


async def _nothing_to_reset(_connection: asyncpg.Connection) -> None:
    """Nobody changes a session's settings or takes a session's lock on a pooled connection: a round trip saved."""


def _as_json(value: Any) -> str:
    return to_json(value).decode()


async def _prepare(connection: asyncpg.Connection) -> None:
    await connection.set_type_codec("jsonb", schema="pg_catalog", encoder=_as_json, decoder=from_json)
