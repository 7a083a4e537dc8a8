"""Kafka and PostgreSQL of this machine as context managers: prepared, started, waited for, stopped.

Used by the tests, which need the two servers without a supervisor. `ihala up` starts the same programs
under its own.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType

from ihala_runtime.kafka_address import KafkaAddress

from ihala_local import jars, kafka, postgres
from ihala_local.failures import LocalFailure
from ihala_local.ports import new_port
from ihala_local.processes import Folders, Lifeline, Program, last_lines, start

START_SECONDS = 90
POLL_SECONDS = 0.1


class DidNotStart(LocalFailure):
    """A server ended or stayed silent; the message ends with the last lines of its log."""


@asynccontextmanager
async def embedded_kafka(
    folder: Path, port: int | None = None, advertised_port: int | None = None
) -> AsyncIterator[str]:
    """The address of a broker of our own, with its data below the folder.  advertised_port: of a proxy before it."""
    node = await asyncio.to_thread(prepared_node, folder, port or new_port(set()), advertised_port)
    async with running(kafka.program(node), folder, lambda: kafka.answers(KafkaAddress(node.bootstrap))):
        yield node.bootstrap


def prepared_node(folder: Path, port: int, advertised_port: int | None = None) -> kafka.KafkaNode:
    """A broker that can be started."""
    node = new_node(folder, port, advertised_port)
    kafka.prepare(node)
    return node


def new_node(folder: Path, port: int, advertised_port: int | None = None) -> kafka.KafkaNode:
    """Its jars are there, its folder is not."""
    lock = jars.read_lock()
    cache = jars.folder_of(lock)
    jars.fetch_missing(lock, cache, lambda _bytes: None)
    return kafka.KafkaNode(folder, port, new_port({port}), lock, cache, advertised_port)


@asynccontextmanager
async def embedded_postgres(folder: Path, settings: Mapping[str, str] = MappingProxyType({})) -> AsyncIterator[str]:
    """The superuser's DSN of a server of our own; its data are removed at the end.  settings: beside the usual."""
    server = postgres.PostgresServer(folder, new_port(set()), secrets.token_urlsafe(24))
    placement = await asyncio.to_thread(postgres.prepare, server)
    try:
        program = postgres.program(server, placement, settings)
        async with running(program, folder, lambda: postgres.answers(server.dsn())):
            yield server.dsn()
    finally:
        await asyncio.to_thread(postgres.forget_data, folder)


@asynccontextmanager
async def running(program: Program, folder: Path, ready: Callable[[], Awaitable[bool]]) -> AsyncIterator[None]:
    folders = Folders(folder / "logs", folder / "run")
    folders.make()
    lifeline = Lifeline()
    process = start(program, folders, lifeline)
    try:
        async with asyncio.timeout(START_SECONDS):
            while not await ready():
                if process.exit_code() is not None:
                    raise DidNotStart(ended_message(program, folders))
                await asyncio.sleep(POLL_SECONDS)
        yield
    finally:
        process.ask_to_stop()
        await asyncio.to_thread(process.wait)
        lifeline.cut()


def ended_message(program: Program, folders: Folders) -> str:
    lines = "\n  ".join(last_lines(folders.log_of(program.name)))
    return f"{program.name} ended while it started. The last lines of its log:\n  {lines}"
