"""The database dies and comes back at another address behind the name that the services know it by."""

import asyncio
import secrets
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from ihala_local import postgres
from ihala_local.embedded import running
from ihala_local.ports import new_port
from ihala_local.postgres import PostgresServer
from support.fault_checker import judge
from support.fault_load import load_on
from support.links import links
from support.system import System

RATE = 6.0
GONE_SECONDS = 20


@pytest.mark.long
@pytest.mark.timeout(400)
async def test_the_database_moves(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    name = new_port(set())
    first = PostgresServer(tmp_path_factory.mktemp("moving"), new_port({name}), secrets.token_urlsafe(24))
    second = replace(first, port=new_port({name, first.port}))
    named = replace(first, port=name)
    system = System(tmp_path_factory.mktemp("moved"), {"IHALA_POSTGRES_DSN": named.dsn()})
    try:
        async with links(tmp_path_factory.mktemp("toxiproxy")) as proxies:
            await proxies.add("postgres", name, first.port)
            async with serving(first):
                await asyncio.to_thread(system.up)
                async with load_on(system, seed) as load:
                    loaded = asyncio.create_task(load.run(RATE, 20.0))
                    await asyncio.sleep(5)
                    load.history.died("postgres", time.time())
                    await asyncio.to_thread(die, first.folder)
                    async with serving(second):
                        await proxies.lead_to("postgres", second.port)
                        load.history.fault_over_at = time.time()
                        await loaded

                        verdict = await judge(system, load)
                        await asyncio.to_thread(system.end)
    finally:
        await asyncio.to_thread(system.end)
        await asyncio.to_thread(postgres.forget_data, first.folder)

    assert not verdict.findings, str(verdict)


@asynccontextmanager
async def serving(server: PostgresServer) -> AsyncIterator[None]:
    placement = await asyncio.to_thread(postgres.prepare, server)
    async with running(postgres.program(server, placement), server.folder, lambda: postgres.answers(server.dsn())):
        yield


def die(folder: Path) -> None:
    """At once, as `pg_ctl -m immediate` would have it; returns when it is gone, with its lock on the data."""
    server = psutil.Process(int((folder / "run" / "postgres.pid").read_text()))
    server.send_signal(signal.SIGQUIT)
    server.wait(GONE_SECONDS)
