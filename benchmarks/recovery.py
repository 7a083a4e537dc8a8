"""How soon it serves: from the start to ready, from a kill -9 to flowing again; and what it takes up idle."""

import asyncio
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from benchmarks.load import Load, Step, loading
from benchmarks.systems import Ihala, rss_mb

SERVICES = ("intake-1", "referral-1", "notification-1")
RATE = 20.0
AFTER_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Recovery:
    """Seconds after a kill -9: until the new process was ready, until nothing older waited for its webhook."""

    service: str
    ready: float
    flowing: float
    void: str


async def recovery(system: Ihala, folder: Path) -> list[Recovery]:
    return [await killed(system, name, folder / name) for name in SERVICES]


async def killed(system: Ihala, name: str, folder: Path) -> Recovery:
    """Under a steady load; a request that was under way may fail, what was accepted may not be lost."""
    steps = [Step("before", RATE, 3), Step("after", RATE, AFTER_SECONDS)]
    async with loading(system, Load(steps), folder) as load:
        while load.now.sent < RATE * 3:
            await asyncio.sleep(0.05)
        os.kill(system.processes()[name], signal.SIGKILL)
        began, accepted = time.monotonic(), load.now.accepted
        ready = asyncio.create_task(seconds_until_ready(system, name, began))
        while load.now.accepted <= accepted or load.now.in_hand > RATE / 2:
            await asyncio.sleep(0.05)
        flowing = time.monotonic() - began
        result = await load.result()
    lost = sum(each.lost for each in result.steps)
    return Recovery(name, await ready, flowing, f"{lost} lost" if lost else "")


async def seconds_until_ready(system: Ihala, name: str, began: float) -> float:
    url = f"{system.endpoints[name.removesuffix('-1')]}/ready"
    async with aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.get(url) as answer:
                    if answer.ok:
                        return time.monotonic() - began
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.05)


def memory(system: Ihala) -> float:
    """MB of the three services together."""
    pids = system.processes()
    return sum(rss_mb({name: pids[name] for name in SERVICES}).values())
