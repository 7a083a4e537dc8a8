"""The systems under load, all with one face: where to submit, where webhooks go, which processes serve.

Rule: each has servers of its own with the same settings, so that a comparison is one of programs.
"""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import aiohttp
import psutil
from ihala_local.checkout import CHECKOUT
from ihala_local.directory import import_directory
from ihala_local.postgres import PostgresServer
from ihala_local.processes import process_of
from ihala_local.provision import sample_partners
from ihala_local.state import State

UP_SECONDS = 240
A_TENTH_TRACED = {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.1"}


class System(Protocol):
    """What a load needs to know."""

    @property
    def name(self) -> str: ...

    @property
    def submit_url(self) -> str: ...

    @property
    def key(self) -> str: ...

    async def send_webhooks_to(self, base: str) -> None:
        """From now on they go to ``base``/hook/<agency>."""

    def processes(self) -> Mapping[str, int]:
        """Name → pid of everything that serves, servers included."""


@dataclass(frozen=True, slots=True)
class Ihala:
    """The product, as `ihala up` starts it."""

    state: State
    endpoints: Mapping[str, Any]
    name: str = "ihala"

    @property
    def submit_url(self) -> str:
        return f"{self.endpoints['intake']}/v1/intakes"

    @property
    def key(self) -> str:
        return str(self.endpoints["credentials"]["desk"])

    @property
    def superuser_dsn(self) -> str:
        password = self.state.secrets().postgres_superuser
        return PostgresServer(self.state.postgres, self.state.ports()["postgres"], password).dsn()

    async def send_webhooks_to(self, base: str) -> None:
        headers = {"Authorization": f"Bearer {self.endpoints['credentials']['admin']}"}
        async with aiohttp.ClientSession(headers=headers) as session:
            for partner_id in self.endpoints["credentials"]["partners"]:
                url = f"{self.endpoints['notification']}/v1/endpoints/{partner_id}"
                async with session.put(url, json={"url": f"{base}/hook/{partner_id}"}) as response:
                    response.raise_for_status()

    def processes(self) -> dict[str, int]:
        found = {each.stem: process_of(each) for each in self.state.folders.run.glob("*.pid")}
        return {name: process.pid for name, process in found.items() if process}


@asynccontextmanager
async def ihala(folder: Path, environment: Mapping[str, str] | None = None) -> AsyncIterator[Ihala]:
    """A system of its own, gone afterwards.  environment: further variables for all of its programs."""
    state = State(folder)
    told = {**A_TENTH_TRACED, **(environment or {})}
    try:
        await ihala_command("up", "--detach", "--ephemeral", "--state", str(folder), environment=told)
        system = Ihala(state, json.loads(state.endpoints_file.read_text()))
        await import_directory(system.endpoints, told_once(), [])
        yield system
    finally:
        if state.is_held():
            await ihala_command("down", "--state", str(folder))


def told_once() -> list[dict[str, Any]]:
    """The sample agencies, told by webhook alone as in the systems that ours is compared with, not on a topic too."""
    return [partner | {"channels": ["webhook"]} for partner in sample_partners()]


async def ihala_command(*words: str, environment: Mapping[str, str] | None = None) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "ihala_local",
        *words,
        cwd=CHECKOUT,
        env=os.environ | (environment or {}),
        stdout=asyncio.subprocess.DEVNULL,
        stdin=asyncio.subprocess.DEVNULL,
    )
    if await asyncio.wait_for(process.wait(), UP_SECONDS) != 0:
        raise RuntimeError(f"ihala {' '.join(words)} ended with {process.returncode}")


def cpu_seconds(processes: Mapping[str, int]) -> dict[str, float]:
    """User and system time of each, with its children, those that have ended among them."""
    return {name: sum(sum(each.cpu_times()[:4]) for each in tree_of(pid)) for name, pid in processes.items()}


def rss_mb(processes: Mapping[str, int]) -> dict[str, float]:
    """Resident memory of each, with its children; pages they share count in each."""
    return {name: sum(each.memory_info().rss for each in tree_of(pid)) / 2**20 for name, pid in processes.items()}


def tree_of(pid: int) -> list[psutil.Process]:
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []
