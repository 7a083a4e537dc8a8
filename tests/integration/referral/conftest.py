"""The referral service on real Kafka and PostgreSQL, with the sample directory and a clock that stands still."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from ihala_events.access import Role
from ihala_events.directory import PartnerRecord
from ihala_events.topics import FIXED_TOPICS
from ihala_referral.adapters.shipped_data import load_sample_directory
from ihala_referral.bootstrap import bootstrap
from ihala_referral.settings import ReferralSettings
from ihala_runtime.access import new_key
from ihala_runtime.kafka_address import KafkaAddress
from ihala_runtime.postgres import Database
from ihala_runtime.topics import make_topics
from support.referral_service import CENTRE, NOW, WOMEN, Running
from support.referral_units import PostgresStore, a_postgres_store
from support.runtime import raw_producer
from support.serving import Client, a_key, served
from support.waiting import wait_until

NO_KEY = "ihala_x_y"


@pytest_asyncio.fixture
async def store(new_database: Callable[[], Awaitable[str]]) -> AsyncIterator[PostgresStore]:
    """The tables alone, each test its own; the service does not run."""
    async with a_postgres_store(await new_database()) as store:
        yield store


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def referral(
    kafka_bootstrap: str, new_database: Callable[[], Awaitable[str]], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Running]:
    await make_topics(KafkaAddress(kafka_bootstrap), FIXED_TOPICS)
    folder = tmp_path_factory.mktemp("referral")
    clock_file, (admin_file, admin_key) = folder / "clock.json", first_admin(folder)
    clock_file.write_text(json.dumps({"now": NOW}), encoding="utf-8")
    settings = ReferralSettings(
        postgres_dsn=await new_database(),
        kafka_bootstrap=kafka_bootstrap,
        clock_file=clock_file,
        first_admin_file=admin_file,
    )
    database = Database(settings.postgres_dsn, "test")
    async with (
        served(bootstrap(settings)) as base,
        aiohttp.ClientSession() as session,
        raw_producer(kafka_bootstrap) as producer,
    ):
        await database.connect()
        keys = [admin_key, *await some_keys(database), NO_KEY]
        clients = [Client(session, base, key) for key in keys]
        for client in clients[:-1]:
            await wait_until(client.knows_key)
        running = Running(session, base, kafka_bootstrap, database, clock_file, producer, *clients)
        await enter_sample(running)
        yield running
        await database.close()


def first_admin(folder: Path) -> tuple[Path, str]:
    credential_id, key = new_key()
    file = folder / "admin.json"
    hashed = {"credential_id": credential_id, "sha256": hashlib.sha256(key.encode()).hexdigest()}
    file.write_text(json.dumps(hashed), encoding="utf-8")
    return file, key


async def some_keys(database: Database) -> list[str]:
    """In the order of Running's clients."""
    return [
        await a_key(database, Role.DESK, None, "baom-agadir"),
        await a_key(database, Role.DESK, None, "baom-inezgane"),
        await a_key(database, Role.OPERATOR),
        await a_key(database, Role.PROTECTION),
        await a_key(database, Role.INTEGRATOR, "integrator-test", "baom-agadir"),
        await a_key(database, Role.AGENCY, CENTRE),
        await a_key(database, Role.AGENCY, WOMEN),
    ]


async def enter_sample(running: Running) -> None:
    """Some at a time: the service has eight connections."""
    free = asyncio.Semaphore(4)

    async def enter(record: PartnerRecord) -> int:
        async with free:
            path = f"/v1/partners/{record.partner_id}"
            status, _, _ = await running.operator.call("PUT", path, record.model_dump(mode="json"))
            return status

    assert set(await asyncio.gather(*(enter(record) for record in load_sample_directory()))) == {200}
