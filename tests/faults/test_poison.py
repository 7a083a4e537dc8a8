"""Floods of nonsense on every topic of ours: dead at once, in bounded memory, and what is good flows on."""

import gzip
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime

import aiohttp
import psutil
import pytest
from aiokafka import AIOKafkaProducer
from ihala_events.catalogue import (
    CASE_ERASED,
    CASE_SUBMITTED,
    CREDENTIAL_CHANGED,
    DELIVERED,
    PARTNER_CHANGED,
    PARTNER_RESPONDED,
    RECORD_PARKED,
    SENT,
    EventType,
)
from ihala_events.intake import SubjectErased
from ihala_events.topics import INTAKE_CASE, Topic, party_in
from ihala_runtime.identifiers import uuid7
from support.databases import asked
from support.events import publish
from support.fault_checker import judge
from support.fault_load import CANARY, Load
from support.memory import watched
from support.raw_batches import GZIP, ZSTD, BadName, a_batch, packed, send_raw, zstd_unpacked
from support.runtime import raw_producer
from support.system import System
from support.waiting import wait_until

RATE = 6.0
OURS: Mapping[Topic, EventType] = {
    kind.topic: kind for kind in (CASE_SUBMITTED, SENT, DELIVERED, PARTNER_CHANGED, CREDENTIAL_CHANGED)
}
AGENCYS = party_in("essp-agd-agadir")  # a claim of a known type is refused in an answer, and not set aside
NOBODYS: Mapping[Topic, EventType] = {kind.topic: kind for kind in (CASE_ERASED, RECORD_PARKED)}
"""Topics of which no consumer keeps what it cannot read: the ledger passes over it, and people read the other one."""
FLOOD = 2_000  # on each
IN_A_ROW, GOAL_SECONDS = 10_000, 10
SERVICES = ("intake", "referral", "notification")
MAX_RSS = 300 * 1024 * 1024

Headers = list[tuple[str, bytes | None]]
EVENT: Headers = [("ce_id", b"1"), ("ce_source", b"/nobody"), ("ce_time", b"2026-11-16T10:15:00Z")]


Place = tuple[str, int, int]


@pytest.mark.timeout(300)
async def test_floods_of_poison_pass_and_what_is_good_flows_on(breakable: System, load: Load) -> None:
    sent: dict[Place, bool] = {}
    passed_over: dict[Place, bool] = {}
    async with raw_producer(breakable.endpoints["kafka"]) as producer, all_watched(breakable) as rss:
        for topic, kind in OURS.items():
            await send_unreadable(producer, topic)
            sent |= await send_poison(producer, topic, kind)
        await send_unreadable(producer, AGENCYS)
        claims = await send_poison(producer, AGENCYS, PARTNER_RESPONDED)
        for topic, kind in NOBODYS.items():
            await send_unreadable(producer, topic)
            passed_over |= await send_poison(producer, topic, kind)
        started = time.monotonic()
        await load.run(RATE, 3.0)
        verdict = await judge(breakable, load)
        seconds = time.monotonic() - started
        await tell_of_an_erasure(breakable, producer)

    count = len(sent) + len(claims) + len(passed_over)
    print(f"\n{count} records in {seconds:.0f} s, at most {[max(each) >> 20 for each in rss.values()]} MB")  # noqa: T201
    assert not verdict.findings, str(verdict)
    found = await dead(breakable)
    assert sent.keys() <= found
    assert {place for place, is_claim in claims.items() if not is_claim} <= found
    assert not passed_over.keys() & found
    assert await reasons_that_tell_somebody(breakable) == []
    assert max(max(each) for each in rss.values()) < MAX_RSS
    assert rss.keys() == {breakable.pid_of(f"{service}-1") for service in SERVICES}
    assert [await is_ready(breakable, service) for service in SERVICES] == [True, True, True]
    assert seconds < 90


@pytest.mark.timeout(180)
async def test_ten_thousand_in_a_row_pass(breakable: System, load: Load) -> None:
    """The goal is ten seconds on a quiet machine; what it took is printed."""
    async with raw_producer(breakable.endpoints["kafka"]) as producer, all_watched(breakable) as rss:
        records = [await producer.send(INTAKE_CASE.name, b"no event", partition=0) for _ in range(IN_A_ROW)]
        last = max([(await each).offset for each in records])
        started = time.monotonic()
        await wait_until(lambda: is_dead(breakable, (INTAKE_CASE.name, 0, last)), 120)
        seconds = time.monotonic() - started
        await load.run(RATE, 2.0)
        verdict = await judge(breakable, load)

    print(f"\n{IN_A_ROW} in a row in {seconds:.1f} s, the goal is {GOAL_SECONDS}")  # noqa: T201
    assert not verdict.findings, str(verdict)
    assert {(INTAKE_CASE.name, 0, offset) for offset in range(last - IN_A_ROW + 1, last + 1)} <= await dead(breakable)
    assert max(max(each) for each in rss.values()) < MAX_RSS


@asynccontextmanager
async def all_watched(system: System) -> AsyncIterator[dict[int, list[int]]]:
    """The memory of each service, by its process."""
    pids = [system.pid_of(f"{service}-1") for service in SERVICES]
    async with AsyncExitStack() as stack:
        yield {pid: await stack.enter_async_context(watched(psutil.Process(pid))) for pid in pids}


async def tell_of_an_erasure(system: System, producer: AIOKafkaProducer) -> None:
    """Of a case that there never was; notification remembers each that the ledger told it of."""
    erased = SubjectErased(case_id=uuid7(), case_ref="AG-0000-0000", erased_at=datetime.now(UTC))
    await publish(producer, CASE_ERASED, erased, key=str(erased.case_id), source="/ihala/intake")
    known = "SELECT FROM erased_case WHERE case_id = $1"
    await wait_until(lambda: asked(system, "notification", known, erased.case_id), 30, "the ledger is read on")


async def is_dead(system: System, place: Place) -> bool:
    query = "SELECT FROM parked WHERE state = 'dead' AND (topic, partition, \"offset\") = ($1, $2, $3)"
    return bool(await asked(system, "referral", query, *place))


async def is_ready(system: System, service: str) -> bool:
    async with aiohttp.ClientSession() as session, session.get(f"{system.endpoints[service]}/ready") as answer:
        return answer.ok


async def send_poison(producer: AIOKafkaProducer, topic: Topic, kind: EventType) -> dict[Place, bool]:
    """Where each record came to lie, and whether it says that it is of that kind."""
    sent = []
    for number, (value, headers) in enumerate(poison(kind)):
        partition = number % topic.partitions
        says = ("ce_type", kind.type.encode()) in headers
        sent.append((await producer.send(topic.name, value, b"poison", partition, headers=headers), says))
    return {(topic.name, (await each).partition, (await each).offset): says for each, says in sent}


def poison(kind: EventType) -> Iterator[tuple[bytes, Headers]]:
    """Records that nobody can read, in many ways; the large ones only a few times."""
    known: Headers = [*EVENT, ("ce_type", kind.type.encode())]
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


async def dead(system: System) -> set[Place]:
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
