"""A service of one consumer on real servers: what the runtime gives to every service, and nothing else."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from ihala_events.access import Role
from ihala_events.topics import FIXED_TOPICS
from ihala_runtime.consumer import Consumer
from ihala_runtime.kafka_address import KafkaAddress
from ihala_runtime.postgres import Database
from ihala_runtime.service import Parts
from ihala_runtime.settings import ServiceSettings
from ihala_runtime.topics import make_topics
from support.runtime import EFFECT_TABLE
from support.servers import NewDatabase
from support.serving import Client, a_key, served
from support.waiting import wait_until


@dataclass
class Tiny:
    """The service, its database, and a client for each role that the tests play."""

    database: Database
    operator: Client
    protection: Client
    desk: Client

    async def parked(self, query: str = "") -> list[dict[str, Any]]:
        _, page, _ = await self.operator.call("GET", f"/v1/parked{query}")
        items: list[dict[str, Any]] = page["items"]
        return items

    async def effects(self) -> list[str]:
        async with self.database.connection() as connection:
            return [row["event_id"] for row in await connection.fetch("SELECT event_id FROM effect ORDER BY at")]


@asynccontextmanager
async def tiny_service(
    new_database: NewDatabase, bootstrap: str, folder: Path, consumers: Sequence[Consumer[Any]] = ()
) -> AsyncIterator[Tiny]:
    await make_topics(KafkaAddress(bootstrap), FIXED_TOPICS)
    (folder / "migrations").mkdir(parents=True)
    (folder / "migrations" / "0001_effect.sql").write_text(EFFECT_TABLE, encoding="utf-8")
    settings = ServiceSettings(postgres_dsn=await new_database(), kafka_bootstrap=bootstrap)
    own, looking = Database(settings.postgres_dsn, "tiny"), Database(settings.postgres_dsn, "test")
    parts = Parts("tiny", "Tiny", settings, own, folder / "migrations", consumers=consumers)
    async with served(parts) as base, aiohttp.ClientSession() as session:
        await looking.connect()
        keys = [await a_key(looking, role) for role in (Role.OPERATOR, Role.PROTECTION, Role.DESK)]
        clients = [Client(session, base, key) for key in keys]
        for client in clients:
            await wait_until(client.knows_key)
        yield Tiny(looking, *clients)
        await looking.close()
