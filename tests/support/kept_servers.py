"""Kafka and PostgreSQL of a test's own that are started again when they die, as `ihala up` does with its own."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from ihala_local import kafka, postgres
from ihala_local.embedded import START_SECONDS, prepared_node
from ihala_local.ports import new_port
from ihala_local.processes import Folders, Program
from ihala_local.supervisor import Supervisor
from ihala_runtime.kafka_address import KafkaAddress
from support.background import in_background

Changed = Callable[[Program], Program]


@dataclass(frozen=True)
class KeptServers:
    """Where they listen, and what was told about their ends."""

    bootstrap: str
    postgres_dsn: str
    told: list[str]

    @property
    def environment(self) -> dict[str, str]:
        return {"IHALA_KAFKA_BOOTSTRAP": self.bootstrap, "IHALA_POSTGRES_DSN": self.postgres_dsn}

    def deaths_of(self, name: str) -> int:
        return sum(each.startswith(f"{name} ended") for each in self.told)


@asynccontextmanager
async def kept_servers(folder: Path, changed: Changed) -> AsyncIterator[KeptServers]:
    """changed: what becomes of each program before it is started."""
    node = await asyncio.to_thread(prepared_node, folder / "kafka", new_port(set()))
    (folder / "postgres").mkdir()
    server = postgres.PostgresServer(
        folder / "postgres", new_port({node.port, node.controller_port}), secrets.token_urlsafe(24)
    )
    placement = await asyncio.to_thread(postgres.prepare, server)
    folders = Folders(folder / "logs", folder / "run")
    folders.make()
    servers = KeptServers(node.bootstrap, server.dsn(), [])
    supervisor = Supervisor(folders, servers.told.append)
    try:
        supervisor.start(changed(kafka.program(node)))
        supervisor.start(changed(postgres.program(server, placement)))
        await supervisor.until_ready("kafka", lambda: kafka.answers(KafkaAddress(node.bootstrap)), START_SECONDS)
        await supervisor.until_ready("postgres", lambda: postgres.answers(server.dsn()), START_SECONDS)
        async with in_background(supervisor.watch):
            yield servers
    finally:
        await supervisor.stop(supervisor.names)
        supervisor.abandon()
        await asyncio.to_thread(postgres.forget_data, server.folder)
