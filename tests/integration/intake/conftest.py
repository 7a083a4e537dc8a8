"""The intake service on real Kafka and PostgreSQL, once for these tests."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from ihala_events.access import Role
from ihala_events.topics import FIXED_TOPICS, party_in, party_out
from ihala_intake.bootstrap import bootstrap
from ihala_intake.settings import IntakeSettings
from ihala_runtime.kafka_address import KafkaAddress
from ihala_runtime.postgres import Database
from ihala_runtime.topics import make_topics
from support.cases import tell_directory
from support.intake_service import INTEGRATOR, Running
from support.runtime import raw_producer
from support.serving import Client, a_key, served
from support.waiting import wait_until

NO_KEY = "ihala_x_y"


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def intake(
    kafka_bootstrap: str, new_database: Callable[[], Awaitable[str]], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Running]:
    await make_topics(KafkaAddress(kafka_bootstrap), [*FIXED_TOPICS, party_in(INTEGRATOR), party_out(INTEGRATOR)])
    settings = a_setting(
        await new_database(), await new_database(), kafka_bootstrap, tmp_path_factory.mktemp("intake") / "kek"
    )
    database, keys = Database(settings.postgres_dsn, "test"), Database(settings.keys_dsn, "test")
    async with served(bootstrap(settings)) as base, aiohttp.ClientSession() as session:
        await database.connect()
        await keys.connect()
        desk = await a_key(database, Role.DESK, None, "baom-agadir")
        integrator = await a_key(database, Role.INTEGRATOR, INTEGRATOR, "baom-agadir")
        agency = await a_key(database, Role.AGENCY, "essp-one")
        other = await a_key(database, Role.AGENCY, "essp-two")
        protection = await a_key(database, Role.PROTECTION)
        other_desk = await a_key(database, Role.DESK, None, "ngo-tiznit")
        keys_of = (desk, integrator, agency, other, protection, other_desk, NO_KEY)
        clients = [Client(session, base, key) for key in keys_of]
        for client in clients[:-1]:
            await wait_until(client.knows_key)
        async with raw_producer(kafka_bootstrap) as producer:
            for partner_id in ("essp-one", "essp-two"):
                await tell_directory(producer, partner_id)
        yield Running(base, kafka_bootstrap, database, keys, *clients)
        await database.close()
        await keys.close()


def a_setting(dsn: str, keys_dsn: str, bootstrap: str, kek: Path) -> IntakeSettings:
    return IntakeSettings(postgres_dsn=dsn, keys_dsn=keys_dsn, kafka_bootstrap=bootstrap, kek_file=kek)
