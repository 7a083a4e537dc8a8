"""`/ready` is honest: a consumer that is stuck, stands still or has no place in its group makes its service unready."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiokafka.consumer.group_coordinator import GroupCoordinator
from ihala_runtime import background, kafka, standstill
from ihala_runtime import consumer as consumer_module
from ihala_runtime.consumer import Consumer
from ihala_runtime.failures import DependencyDown
from ihala_runtime.identifiers import uuid7
from ihala_runtime.postgres import Database, Work
from ihala_runtime.received import Received
from ihala_runtime.service import Parts
from ihala_runtime.settings import ServiceSettings
from support.runtime import a_topic, an_event, made, note_effect, plain_scope, raw_producer
from support.servers import NewDatabase
from support.serving import Client, served
from support.tiny_service import tiny_service
from support.waiting import wait_until

KIND = "ihala.ops.record-parked.v1"
NOBODY = "127.0.0.1:9"


async def readiness(client: Client) -> tuple[int, dict[str, bool]]:
    status, answer, _ = await client.call("GET", "/ready")
    return status, answer["checks"]


async def hangs(healed: asyncio.Event) -> None:
    await healed.wait()


async def meets_a_dependency_that_is_down(healed: asyncio.Event) -> None:
    if not healed.is_set():
        raise DependencyDown("down")


@pytest.mark.parametrize("trouble", [hangs, meets_a_dependency_that_is_down])
async def test_a_service_is_unready_while_a_consumer_is_stuck_and_ready_when_it_moves_again(
    kafka_bootstrap: str, new_database: NewDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trouble: Any
) -> None:
    monkeypatch.setattr(consumer_module, "STUCK_SECONDS", 2.0)
    topic, name, healed = await made(kafka_bootstrap, a_topic(1)), f"tiny.{uuid7().hex[-12:]}", asyncio.Event()

    async def handle(work: Work, received: Received) -> None:
        await trouble(healed)
        await note_effect(work, received)

    stuck = Consumer(name, plain_scope, {KIND: handle}, topics=(topic.name,))
    async with (
        tiny_service(new_database, kafka_bootstrap, tmp_path, [stuck]) as tiny,
        raw_producer(kafka_bootstrap) as producer,
    ):

        async def is_ready() -> bool:
            status, checks = await readiness(tiny.operator)
            assert (status == 200) == all(checks.values())
            return status == 200

        await wait_until(is_ready, 60)
        event = an_event(topic, uuid7(), 1)
        headers = [(header, value.encode()) for header, value in event.headers.items()]
        await producer.send_and_wait(topic.name, event.payload, event.key.encode(), headers=headers)

        async def is_unready() -> dict[str, bool] | None:
            status, checks = await readiness(tiny.operator)
            return checks if status == 503 else None

        checks = await wait_until(is_unready, 60)
        assert checks == {"database": True, "tasks": True, name: False, "tiny.credentials": True}

        healed.set()
        await wait_until(is_ready, 60)
        assert await tiny.effects() == [str(event.event_id)]


@pytest.fixture
def seconds_not_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumer_module, "STUCK_SECONDS", 2.0)
    for module in (kafka, standstill):
        monkeypatch.setattr(module, "LOOK_EVERY_SECONDS", 0.3)


@dataclass
class Breakable:
    """A method whose calls wait while it is broken; whose it was when it was called."""

    owner: type
    name: str
    whole: asyncio.Event = field(default_factory=asyncio.Event)
    callers: list[Any] = field(default_factory=list)

    def put_in(self, monkeypatch: pytest.MonkeyPatch) -> None:
        method = getattr(self.owner, self.name)
        self.whole.set()

        async def waits(caller: Any, *arguments: Any) -> Any:
            self.callers.append(caller)
            await self.whole.wait()
            return await method(caller, *arguments)

        monkeypatch.setattr(self.owner, self.name, waits)


@pytest.mark.usefixtures("seconds_not_minutes")
async def test_a_service_is_unready_when_a_consumer_takes_nothing_while_records_wait(
    kafka_bootstrap: str, new_database: NewDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading = Breakable(kafka.Subscription, "_next_batch")
    reading.put_in(monkeypatch)
    topic, name = await made(kafka_bootstrap, a_topic(1)), f"tiny.{uuid7().hex[-12:]}"
    consumer = Consumer(name, plain_scope, {KIND: note_effect}, topics=(topic.name,))
    async with (
        tiny_service(new_database, kafka_bootstrap, tmp_path, [consumer]) as tiny,
        raw_producer(kafka_bootstrap) as producer,
    ):
        await wait_until(lambda: consumer_is(tiny.operator, name, ready=True), 60)
        reading.whole.clear()
        await asyncio.sleep(4)  # longer than it may stand still, but nothing waits
        assert await consumer_is(tiny.operator, name, ready=True)

        event = an_event(topic, uuid7(), 1)
        headers = [(header, value.encode()) for header, value in event.headers.items()]
        await producer.send_and_wait(topic.name, event.payload, event.key.encode(), headers=headers)

        await wait_until(lambda: consumer_is(tiny.operator, name, ready=False), 60)
        reading.whole.set()
        await wait_until(lambda: consumer_is(tiny.operator, name, ready=True), 60)
        assert await tiny.effects() == [str(event.event_id)]


@pytest.mark.usefixtures("seconds_not_minutes")
async def test_a_service_is_unready_when_a_consumer_lost_its_place_in_the_group_and_does_not_get_it_back(
    kafka_bootstrap: str, new_database: NewDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rejoining = Breakable(GroupCoordinator, "_do_rejoin_group")
    rejoining.put_in(monkeypatch)
    topic, name = await made(kafka_bootstrap, a_topic(1)), f"tiny.{uuid7().hex[-12:]}"
    consumer = Consumer(name, plain_scope, {KIND: note_effect}, topics=(topic.name,))
    async with tiny_service(new_database, kafka_bootstrap, tmp_path, [consumer]) as tiny:
        await wait_until(lambda: consumer_is(tiny.operator, name, ready=True), 60)
        rejoining.whole.clear()
        next(each for each in rejoining.callers if each.group_id == name).request_rejoin()

        await wait_until(lambda: consumer_is(tiny.operator, name, ready=False), 60)
        rejoining.whole.set()
        await wait_until(lambda: consumer_is(tiny.operator, name, ready=True), 60)


async def consumer_is(client: Client, name: str, *, ready: bool) -> bool:
    _, checks = await readiness(client)
    return checks[name] is ready


async def test_a_service_that_no_broker_answers_is_unready_by_every_consumer(
    new_database: NewDatabase, tmp_path: Path
) -> None:
    settings = ServiceSettings(postgres_dsn=await new_database(), kafka_bootstrap=NOBODY)
    waiting = Consumer("tiny.waiting", plain_scope, {KIND: note_effect}, topics=("nobody.v1",))
    database = Database(settings.postgres_dsn, "tiny")
    parts = Parts("tiny", "Tiny", settings, database, tmp_path, consumers=[waiting])

    async with served(parts) as base, aiohttp.ClientSession() as session:
        status, checks = await readiness(Client(session, base, "none"))

    assert status == 503
    assert checks == {"database": True, "tasks": True, "tiny.waiting": False, "tiny.credentials": False}


async def test_a_service_is_unready_while_one_of_its_tasks_keeps_failing(
    new_database: NewDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background, "RESTART_SECONDS", 0.1)
    monkeypatch.setattr(background, "LATELY_SECONDS", 3.0)
    settings = ServiceSettings(postgres_dsn=await new_database(), kafka_bootstrap=NOBODY)
    database, healed = Database(settings.postgres_dsn, "tiny"), asyncio.Event()

    async def fails_until_healed() -> None:
        if not healed.is_set():
            raise LookupError

    parts = Parts("tiny", "Tiny", settings, database, tmp_path, tasks=[fails_until_healed])
    async with served(parts) as base, aiohttp.ClientSession() as session:
        client = Client(session, base, "none")

        async def tasks_run() -> bool:
            _, checks = await readiness(client)
            return checks["tasks"]

        async def tasks_fail() -> bool:
            return not await tasks_run()

        await wait_until(tasks_fail)
        healed.set()
        await wait_until(tasks_run)
