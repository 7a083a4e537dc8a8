"""The floor and the peer as systems under load: their servers and processes, ended with the block.

Rule: Kafka and PostgreSQL are prepared by the very code that prepares them for the product.
"""

import asyncio
import os
import shutil
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
from ihala_events.topics import Topic
from ihala_local.checkout import CHECKOUT
from ihala_local.embedded import embedded_kafka, embedded_postgres
from ihala_local.ports import new_port
from ihala_local.postgres import create_databases, dsn_of
from ihala_runtime.kafka_address import KafkaAddress
from ihala_runtime.topics import make_topics

START_SECONDS = 60
PASSWORD = "of-the-bench-alone"
WORKER_PROCESSES = 4  # the tasks wait for I/O most of the time; two cores


class NoRedis(RuntimeError):
    """Debian and Ubuntu: apt-get install redis-server."""


@dataclass
class Rival:
    """A running floor or peer. Its webhooks go where the file ``hooks`` says."""

    name: str
    port: int
    hooks: Path
    folder: Path
    key: str = "none-needed"
    pids: dict[str, int] = field(default_factory=dict)

    @property
    def submit_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1/intakes"

    async def send_webhooks_to(self, base: str) -> None:
        self.hooks.write_text(base)

    def processes(self) -> Mapping[str, int]:
        servers = {each.stem: int(each.read_text()) for each in self.folder.glob("*/run/*.pid")}
        return self.pids | servers


@asynccontextmanager
async def floor(folder: Path) -> AsyncIterator[Rival]:
    async with a_rival("floor", folder) as (rival, run), embedded_kafka(folder / "kafka") as bootstrap:
        await make_topics(KafkaAddress(bootstrap), [Topic("accepted", "case_ref"), Topic("routed", "case_ref")])
        async with embedded_postgres(folder / "postgres") as superuser_dsn:
            databases = ("accept", "route", "notify")
            await create_databases(superuser_dsn, dict.fromkeys(databases, PASSWORD))
            async with AsyncExitStack() as started:
                for role in databases:
                    environment = {"KAFKA": bootstrap, "DSN": dsn_of(superuser_dsn, role, PASSWORD)}
                    command = (sys.executable, "-m", "benchmarks.floor.pipeline", role, str(rival.port))
                    await started.enter_async_context(run(role, command, environment))
                await until_it_accepts(rival)
                yield rival


@asynccontextmanager
async def peer(folder: Path) -> AsyncIterator[Rival]:
    redis = shutil.which("redis-server")
    if redis is None:
        raise NoRedis(NoRedis.__doc__)
    async with a_rival("peer", folder) as (rival, run), embedded_postgres(folder / "postgres") as superuser_dsn:
        await create_databases(superuser_dsn, {"peer": PASSWORD})
        port = new_port({rival.port})
        environment = {"REDIS": f"redis://127.0.0.1:{port}/0", "DSN": dsn_of(superuser_dsn, "peer", PASSWORD)}
        append_only = ("--appendonly", "yes", "--appendfsync", "everysec", "--save", "", "--dir", str(folder))
        worker = ("worker", "--pool", "prefork", "--concurrency", str(WORKER_PROCESSES), "--loglevel", "WARNING")
        web = ("--port", str(rival.port), "--no-access-log", "--log-level", "warning")
        async with (
            run("redis", (redis, "--port", str(port), "--bind", "127.0.0.1", *append_only), environment),
            run("web", (sys.executable, "-m", "uvicorn", "benchmarks.peer.app:app", *web), environment),
            run("worker", (sys.executable, "-m", "celery", "-A", "benchmarks.peer.app:tasks", *worker), environment),
        ):
            await until_it_accepts(rival)
            yield rival


class Runner:
    """Starts a rival's processes; each ends with its block."""

    def __init__(self, rival: Rival) -> None:
        self._rival = rival

    @asynccontextmanager
    async def __call__(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> AsyncIterator[None]:
        with (self._rival.folder / f"{name}.log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                *command,
                cwd=CHECKOUT,
                env={**os.environ, "HOOKS": str(self._rival.hooks), **environment},
                stdout=log,
                stderr=log,
            )
        self._rival.pids[name] = process.pid
        try:
            yield
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()


@asynccontextmanager
async def a_rival(name: str, folder: Path) -> AsyncIterator[tuple[Rival, Runner]]:
    folder.mkdir(parents=True, exist_ok=True)
    hooks = folder / "hooks"
    hooks.write_text("")
    rival = Rival(name, new_port(set()), hooks, folder)
    yield rival, Runner(rival)


async def until_it_accepts(rival: Rival) -> None:
    """Answers anything on HTTP."""
    async with asyncio.timeout(START_SECONDS), aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.get(rival.submit_url):
                    return
            except aiohttp.ClientError:
                await asyncio.sleep(0.1)
