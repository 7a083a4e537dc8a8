"""Slow, thin, silent and cut links between the services and Kafka or PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
from ihala_local.embedded import embedded_kafka, embedded_postgres
from ihala_local.ports import new_port
from ihala_runtime.postgres import NO_ANSWER_SECONDS  # what was swallowed is waited for as long
from support.fault_checker import HEAL_SECONDS, judge
from support.fault_load import Load, load_on
from support.links import Links, links
from support.servers import split_port
from support.system import System, running

RATE = 6.0
SICK_SECONDS = 20.0
SICKNESSES = {
    "slow": ("latency", {"latency": 300, "jitter": 200}),
    "thin": ("bandwidth", {"rate": 30}),
    "silent": ("timeout", {"timeout": 0}),
    "slow-close": ("slow_close", {"delay": 5_000}),
    "reset": ("reset_peer", {"timeout": 500}),
    "in-slices": ("slicer", {"average_size": 64, "size_variation": 32, "delay": 500}),
}

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
async def proxies(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Links]:
    async with links(tmp_path_factory.mktemp("toxiproxy")) as given:
        yield given


@pytest.fixture(scope="module")
async def linked(proxies: Links, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    """A system whose services reach both servers through the links `kafka` and `postgres`."""
    broker_port = new_port(set())
    kafka_port = new_port({broker_port})
    postgres_port = new_port({broker_port, kafka_port})
    await proxies.add("kafka", kafka_port, broker_port)
    async with (
        embedded_kafka(tmp_path_factory.mktemp("kafka"), broker_port, kafka_port),
        embedded_postgres(tmp_path_factory.mktemp("postgres")) as dsn,
    ):
        await proxies.add("postgres", postgres_port, split_port(dsn))
        environment = {
            "IHALA_KAFKA_BOOTSTRAP": f"127.0.0.1:{kafka_port}",
            "IHALA_POSTGRES_DSN": dsn.replace(f":{split_port(dsn)}", f":{postgres_port}"),
        }
        with running(tmp_path_factory.mktemp("linked"), environment=environment) as system:
            yield system


@pytest.fixture(scope="module")
async def linked_load(linked: System, seed: int) -> AsyncIterator[Load]:
    async with load_on(linked, seed) as given:
        yield given


@pytest.mark.parametrize("name", ["kafka", "postgres"])
@pytest.mark.parametrize("sickness", list(SICKNESSES))
async def test_a_sick_link(linked: System, linked_load: Load, proxies: Links, name: str, sickness: str) -> None:
    toxic, attributes = SICKNESSES[sickness]
    await suffered(linked, linked_load, name, proxies.poisoned(name, toxic, attributes))


@pytest.mark.parametrize("name", ["kafka", "postgres"])
async def test_a_cut_link(linked: System, linked_load: Load, proxies: Links, name: str) -> None:
    @asynccontextmanager
    async def cut() -> AsyncIterator[None]:
        await proxies.cut(name)
        try:
            yield
        finally:
            await proxies.mend(name)

    await suffered(linked, linked_load, name, cut())


async def suffered(system: System, load: Load, name: str, sick: AbstractAsyncContextManager[None]) -> None:
    loaded = asyncio.create_task(load.run(RATE, SICK_SECONDS + 6))
    await asyncio.sleep(3)
    with load.history.fault(of_database=name == "postgres"):
        async with sick:
            await asyncio.sleep(SICK_SECONDS)
    await loaded

    verdict = await judge(system, load, within_seconds=HEAL_SECONDS + NO_ANSWER_SECONDS)

    assert not verdict.findings, str(verdict)
