"""Hostile HTTP at rate at each service, while desks hand in: each is refused or cut, nothing of it is stored, memory
stays bounded.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from urllib.parse import urlsplit

import psutil
import pytest
from support.databases import asked
from support.fault_checker import judge
from support.fault_load import Load
from support.hostile_http import GO_ON_SENDING, Answer, Pieces, Target, quick_cases, slow_cases
from support.memory import watched
from support.system import System

RATE = 5.0
HALF_OPEN, HALF_OPEN_OF_A_LONG_RUN = 1_000, 5_000
SECONDS, SECONDS_OF_A_LONG_RUN = 25.0, 120.0
AT_ONCE = 8
MAX_RSS = 250 * 1024 * 1024


AGENCY = "essp-agd-agadir"
TRACES = {  # rows that nobody but these requests could change
    "intake": "SELECT key FROM request WHERE key LIKE 'hostile%'",
    "referral": "SELECT key FROM idempotent_request WHERE key LIKE 'hostile%'",
    "notification": f"SELECT url FROM endpoint WHERE partner_id = '{AGENCY}'",
}


def target_of(system: System, service: str) -> Target:
    """A call that takes a body, by somebody who may make it."""
    base, keys = system.endpoints[service], system.endpoints["credentials"]
    if service == "intake":
        return Target(base, "/v1/intakes", keys["desk"])
    if service == "referral":
        return Target(base, "/v1/routing/explain", keys["desk"])
    return Target(base, f"/v1/endpoints/{AGENCY}", keys["partners"][AGENCY], "PUT", posted="/v1/deliveries/replay")


@pytest.mark.timeout(420)
@pytest.mark.parametrize("service", TRACES)
async def test_hostile_requests_are_refused_while_good_ones_are_answered(
    breakable: System, load: Load, service: str, request: pytest.FixtureRequest
) -> None:
    is_long = request.config.getoption("--long")
    target = target_of(breakable, service)
    process = psutil.Process(breakable.pid_of(f"{service}-1"))
    seconds = SECONDS_OF_A_LONG_RUN if is_long else SECONDS
    before = await asked(breakable, service, TRACES[service])
    async with half_open(target, HALF_OPEN_OF_A_LONG_RUN if is_long else HALF_OPEN), watched(process) as rss:
        loaded = asyncio.create_task(load.run(RATE, seconds))
        slow = asyncio.create_task(wrong_answers(target, slow_cases(target)))
        wrong, rounds, started = [], 0, time.monotonic()
        while rounds == 0 or time.monotonic() - started < seconds:
            wrong += await wrong_answers(target, quick_cases(target))
            rounds += 1
        wrong += await slow
        await loaded

    verdict = await judge(breakable, load)

    print(f"\n{service}: {rounds} rounds of {len(quick_cases(target))}, at most {max(rss) >> 20} MB")  # noqa: T201
    assert not_excused(wrong, rounds) == []
    assert not verdict.findings, str(verdict)
    assert await asked(breakable, service, TRACES[service]) == before
    assert max(rss) < MAX_RSS
    assert process.is_running()


async def wrong_answers(target: Target, cases: dict[str, tuple[Pieces, set[int]]]) -> list[tuple[str, Answer]]:
    at_once = asyncio.Semaphore(AT_ONCE)

    async def ask(name: str, pieces: Pieces, allowed: set[int]) -> tuple[str, Answer] | None:
        async with at_once:
            answer = await target.ask(pieces)
        is_right = answer.status in allowed and answer.kind == "application/problem+json"
        return None if is_right else (name, answer)

    answers = await asyncio.gather(*(ask(name, *case) for name, case in cases.items()))
    return [answer for answer in answers if answer is not None]


def not_excused(wrong: list[tuple[str, Answer]], rounds: int) -> list[tuple[str, Answer]]:
    """Without the connections that were cut while somebody went on sending, if most of that kind were answered."""
    cut = Counter(name for name, answer in wrong if answer.status is None and name in GO_ON_SENDING)
    return [(name, answer) for name, answer in wrong if answer.status is not None or not 0 < cut[name] <= rounds / 2]


@asynccontextmanager
async def half_open(target: Target, count: int) -> AsyncIterator[None]:
    """So many connections that began to ask."""
    parts = urlsplit(target.base)
    async with AsyncExitStack() as open_ones:
        for _ in range(count):
            _, writer = await asyncio.open_connection(parts.hostname, parts.port)
            writer.write(f"{target.method} {target.path} HTTP/1.1\r\nHost: ".encode())
            open_ones.callback(writer.close)
        yield
