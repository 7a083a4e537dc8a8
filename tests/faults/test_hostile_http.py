"""Hostile HTTP at rate, while desks hand in: each is refused or cut, nothing of it is stored, memory stays bounded."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from urllib.parse import urlsplit

import psutil
import pytest
from support.databases import asked
from support.fault_checker import judge
from support.fault_load import Load
from support.hostile_http import Pieces, Target, quick_cases, slow_cases
from support.memory import watched
from support.system import System

RATE = 5.0
HALF_OPEN, HALF_OPEN_OF_A_LONG_RUN = 1_000, 5_000
SECONDS, SECONDS_OF_A_LONG_RUN = 25.0, 120.0
AT_ONCE = 8
MAX_RSS = 250 * 1024 * 1024


@pytest.mark.timeout(420)
async def test_hostile_requests_are_refused_while_good_ones_are_answered(
    breakable: System, load: Load, request: pytest.FixtureRequest
) -> None:
    is_long = request.config.getoption("--long")
    endpoints = breakable.endpoints
    target = Target(endpoints["intake"], "/v1/intakes", endpoints["credentials"]["desk"])
    intake = psutil.Process(breakable.pid_of("intake-1"))
    seconds = SECONDS_OF_A_LONG_RUN if is_long else SECONDS
    async with half_open(target, HALF_OPEN_OF_A_LONG_RUN if is_long else HALF_OPEN), watched(intake) as rss:
        loaded = asyncio.create_task(load.run(RATE, seconds))
        slow = asyncio.create_task(wrong_answers(target, slow_cases(target)))
        wrong, rounds, started = [], 0, time.monotonic()
        while rounds == 0 or time.monotonic() - started < seconds:
            wrong += await wrong_answers(target, quick_cases(target))
            rounds += 1
        wrong += await slow
        await loaded

    verdict = await judge(breakable, load, repeats_at_most=0)

    print(f"\n{rounds} rounds of {len(quick_cases(target))}, at most {max(rss) >> 20} MB")  # noqa: T201
    assert wrong == []
    assert not verdict.findings, str(verdict)
    assert await asked(breakable, "intake", "SELECT key FROM request WHERE key LIKE 'hostile%'") == []
    assert max(rss) < MAX_RSS
    assert intake.is_running()


async def wrong_answers(target: Target, cases: dict[str, tuple[Pieces, set[int]]]) -> list[str]:
    at_once = asyncio.Semaphore(AT_ONCE)

    async def ask(name: str, pieces: Pieces, allowed: set[int]) -> str | None:
        async with at_once:
            answer = await target.ask(pieces)
        is_right = answer.status in allowed and answer.kind == "application/problem+json"
        return None if is_right else f"{name}: {answer}"

    answers = await asyncio.gather(*(ask(name, *case) for name, case in cases.items()))
    return [answer for answer in answers if answer is not None]


@asynccontextmanager
async def half_open(target: Target, count: int) -> AsyncIterator[None]:
    """So many connections that began to ask."""
    parts = urlsplit(target.base)
    async with AsyncExitStack() as open_ones:
        for _ in range(count):
            _, writer = await asyncio.open_connection(parts.hostname, parts.port)
            writer.write(b"POST /v1/intakes HTTP/1.1\r\nHost: ")
            open_ones.callback(writer.close)
        yield
