"""Floods of nonsense on every topic of ours: dead at once, in bounded memory, and what is good flows on."""

import gzip
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack

import psutil
import pytest
from aiokafka import AIOKafkaProducer
from ihala_events.catalogue import EVENT_TYPES
from ihala_events.topics import (
    ACCESS_CREDENTIAL,
    DIRECTORY_PARTNER,
    INTAKE_CASE,
    NOTIFICATION_DELIVERY,
    REFERRAL_LIFECYCLE,
    Topic,
)
from support.databases import asked
from support.fault_checker import judge
from support.fault_load import CANARY, Load
from support.memory import watched
from support.raw_batches import GZIP, ZSTD, BadName, a_batch, packed, send_raw, zstd_unpacked
from support.runtime import raw_producer
from support.system import System

RATE = 6.0
TOPICS = (INTAKE_CASE, REFERRAL_LIFECYCLE, NOTIFICATION_DELIVERY, DIRECTORY_PARTNER, ACCESS_CREDENTIAL)
FLOOD = 2_000  # on each
SERVICES = ("intake", "referral", "notification")
MAX_RSS = 300 * 1024 * 1024

Headers = list[tuple[str, bytes | None]]
EVENT: Headers = [("ce_id", b"1"), ("ce_source", b"/nobody"), ("ce_time", b"2026-11-16T10:15:00Z")]


@pytest.mark.timeout(300)
async def test_floods_of_poison_pass_and_what_is_good_flows_on(breakable: System, load: Load) -> None:
    places: set[tuple[str, int, int]] = set()
    async with AsyncExitStack() as stack:
        producer = await stack.enter_async_context(raw_producer(breakable.endpoints["kafka"]))
        pids = [breakable.pid_of(f"{service}-1") for service in SERVICES]
        rss = [await stack.enter_async_context(watched(psutil.Process(pid))) for pid in pids]
        for topic in TOPICS:
            await send_unreadable(producer, topic)
            places |= await send_poison(producer, topic)
        started = time.monotonic()
        await load.run(RATE, 3.0)
        verdict = await judge(breakable, load, repeats_at_most=0)
        seconds = time.monotonic() - started

    print(f"\n{len(places)} records in {seconds:.0f} s, at most {[max(each) >> 20 for each in rss]} MB")  # noqa: T201
    assert not verdict.findings, str(verdict)
    assert places <= await dead(breakable)
    assert await reasons_that_tell_somebody(breakable) == []
    assert max(max(each) for each in rss) < MAX_RSS
    assert pids == [breakable.pid_of(f"{service}-1") for service in SERVICES]
    assert seconds < 90


async def send_poison(producer: AIOKafkaProducer, topic: Topic) -> set[tuple[str, int, int]]:
    """Where each record came to lie."""
    sent = []
    for number, (value, headers) in enumerate(poison(topic)):
        partition = number % topic.partitions
        sent.append(await producer.send(topic.name, value, key=b"poison", partition=partition, headers=headers))
    return {(topic.name, done.partition, done.offset) for done in [await each for each in sent]}


def poison(topic: Topic) -> Iterator[tuple[bytes, Headers]]:
    """Records that nobody can read, in many ways; the large ones only a few times."""
    kind = next(name for name, each in EVENT_TYPES.items() if each.topic is topic)
    known: Headers = [*EVENT, ("ce_type", kind.encode())]
    kinds: list[tuple[bytes, Headers]] = [
        (b"\xff\x00 no event", []),
        (b"{}", [*EVENT, ("ce_type", b"\xff\xfe")]),
        (b"{}", [*EVENT, ("ce_type", f"{CANARY} Example".encode())]),
        (b"{}", [("ce_id", None), *known[1:]]),
        (b"{}", [*known, ("ce_sequence", b"9" * 5_000)]),
        (b"{}", [*known[:2], ("ce_time", b"0001-01-01T00:00:00+23:59"), known[3]]),
        (b"{}", [("a\0b", b""), *EVENT]),
        (b"{", known),
        (b"null", known),
        (f'{{"{CANARY}": "{CANARY} Example"}}'.encode(), known),
        (b'{"at": ' + b"9" * 4_000 + b"}", known),
        (b"{}", [*EVENT, ("ce_type", b"ihala.poison.v9")]),
    ]
    large: list[tuple[bytes, Headers]] = [(b"[" * 500_000, known), (bytes(1_000_000), known), (b"x" * 1_000_000, [])]
    yield from large
    for number in range(FLOOD - len(large)):
        yield kinds[number % len(kinds)]


async def send_unreadable(producer: AIOKafkaProducer, topic: Topic) -> None:
    """Batches that no client of ours can even take apart."""
    bomb = a_batch(b"k", bytes(64 * 1024 * 1024), [])
    for batch in (
        a_batch(b"k", b"{}", [(BadName("x"), b"1")]),
        packed(a_batch(b"k", b"{}", []), ZSTD, zstd_unpacked),
        packed(bomb, GZIP, gzip.compress),
    ):
        await send_raw(producer, topic.name, 0, batch)


async def dead(system: System) -> set[tuple[str, int, int]]:
    query = "SELECT topic, partition, \"offset\" FROM parked WHERE state = 'dead'"
    return {tuple(row) for service in SERVICES for row in await asked(system, service, query)}


async def reasons_that_tell_somebody(system: System) -> list[str]:
    told = f"concat_ws(' ', error_class, error, event_type) LIKE '%{CANARY}%'"
    notices = f"topic = 'ops.parked.v1' AND convert_from(payload, 'UTF8') LIKE '%{CANARY}%'"
    return [
        str(dict(row))
        for service in SERVICES
        for query in (f"SELECT error FROM parked WHERE {told}", f"SELECT event_id FROM event WHERE {notices}")
        for row in await asked(system, service, query)
    ]
