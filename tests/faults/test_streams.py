"""What a broker or a stranger may put on a topic: repetitions, old versions, another order. No second effect."""

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from ihala_events.topics import INTAKE_CASE, REFERRAL_LIFECYCLE
from ihala_runtime.kafka import SESSION_MS
from ihala_runtime.outbox_relay import LOCK, RELAY
from support.databases import asked, dsn_of
from support.fault_checker import judge
from support.fault_kills import kill
from support.fault_load import Load
from support.fault_stored import everything
from support.runtime import raw_producer
from support.system import System
from support.waiting import wait_until

RATE = 6.0
SERVICES = ("intake-1", "referral-1", "notification-1")
GROUPS = {"referral.router": INTAKE_CASE.name, "notification.dispatch": REFERRAL_LIFECYCLE.name}


@pytest.mark.timeout(240)
async def test_everything_comes_again_from_the_beginning_under_load(breakable: System, load: Load) -> None:
    """Each record once more, behind newer ones of its key: as after a reset offset, and as an old version."""
    await load.run(RATE, 6.0)
    loaded = asyncio.create_task(load.run(RATE, 6.0))
    async with raw_producer(breakable.endpoints["kafka"]) as producer:
        for record in await everything(breakable.endpoints["kafka"]):
            await send_again(producer, record)
    await loaded

    verdict = await judge(breakable, load)

    assert not verdict.findings, str(verdict)


@pytest.mark.long
@pytest.mark.timeout(300)
async def test_every_group_loses_its_offsets(breakable: System, load: Load) -> None:
    """All services are down; when they are back each reads its topics from the first record on."""
    await load.run(RATE, 6.0)
    breakable.signal("up", signal.SIGSTOP)
    try:
        for name in SERVICES:
            kill(breakable, load.history, name)
        for group in await groups_of(breakable.endpoints["kafka"]):
            await begin_again(breakable.endpoints["kafka"], group)
    finally:
        breakable.signal("up", signal.SIGCONT)
    load.history.fault_over_at = time.time()
    await load.run(RATE, 6.0)

    verdict = await judge(breakable, load)

    assert not verdict.findings, str(verdict)


async def groups_of(bootstrap: str) -> list[str]:
    async with administering(bootstrap) as admin:
        return [name for name, _ in await admin.list_consumer_groups()]


async def begin_again(bootstrap: str, group: str) -> None:
    """Kafka takes offsets from a stranger as soon as the group has no member."""
    async with administering(bootstrap) as admin:
        committed = await admin.list_consumer_group_offsets(group)
    if not committed:
        return
    stranger = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=group, enable_auto_commit=False)
    await stranger.start()

    async def reset() -> bool:
        with suppress(KafkaError):
            await stranger.commit(dict.fromkeys(committed, 0))
            return True
        return False

    try:
        stranger.assign(list(committed))
        await wait_until(reset, SESSION_MS / 1000 + 20, f"{group} begins again")
    finally:
        await stranger.stop()


@asynccontextmanager
async def administering(bootstrap: str) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


@pytest.mark.long
@pytest.mark.timeout(240)
@pytest.mark.parametrize("service", ["intake", "referral", "notification"])
async def test_what_a_service_publishes_comes_in_the_wrong_order(breakable: System, load: Load, service: str) -> None:
    """The youngest event of each key first, the oldest last; then all of them once more as they should have come."""
    async with relay_held(breakable, service), raw_producer(breakable.endpoints["kafka"]) as producer:
        loaded = asyncio.create_task(load.run(RATE, 8.0))
        await asyncio.sleep(12)
        for row in await asked(breakable, service, _UNPUBLISHED_BACKWARDS):
            headers = [(name, value.encode()) for name, value in json.loads(row["headers"]).items()]
            await producer.send(row["topic"], row["payload"], key=row["key"].encode(), headers=headers)
        await producer.flush()
        await asyncio.sleep(3)
    await loaded

    verdict = await judge(breakable, load)

    assert not verdict.findings, str(verdict)


_UNPUBLISHED_BACKWARDS = """
SELECT topic, key, headers - 'traceparent' AS headers, payload FROM outbox JOIN event USING (event_id)
WHERE topic NOT LIKE 'party.%'  -- nobody of ours reads these
ORDER BY outbox.id DESC
"""


@asynccontextmanager
async def relay_held(system: System, service: str) -> AsyncIterator[None]:
    """We hold the lock of its relay: nothing is published meanwhile."""
    holder = await asyncpg.connect(dsn_of(system, service))
    try:
        waiting = asyncio.create_task(holder.execute("SELECT pg_advisory_lock($1)", LOCK))
        while not waiting.done():
            await asked(system, service, _RELAY_OUT, RELAY)
            await asyncio.sleep(0.1)
        yield
    finally:
        await holder.close()


_RELAY_OUT = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name = $1
"""


async def send_again(producer: AIOKafkaProducer, record: ConsumerRecord) -> None:
    if record.key is None and record.value is None:  # of a batch that nobody could read
        return
    await producer.send(
        record.topic, record.value, key=record.key, partition=record.partition, headers=list(record.headers)
    )


@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.parametrize("group", list(GROUPS))
async def test_a_storm_of_rebalances(breakable: System, load: Load, group: str) -> None:
    """A stranger joins the group and leaves it again and again: partitions change hands with batches under way."""
    loaded = asyncio.create_task(load.run(RATE, 24.0))
    for _ in range(6):
        await join_and_leave(breakable.endpoints["kafka"], group)
    await loaded

    verdict = await judge(breakable, load)

    assert not verdict.findings, str(verdict)


async def join_and_leave(bootstrap: str, group: str) -> None:
    stranger = AIOKafkaConsumer(
        GROUPS[group], bootstrap_servers=bootstrap, group_id=group, enable_auto_commit=False, session_timeout_ms=20_000
    )
    await stranger.start()
    try:
        await wait_until(stranger.assignment, 20, f"a stranger is a member of {group}")
        await asyncio.sleep(1.5)
    finally:
        await stranger.stop()
    await asyncio.sleep(1.5)
