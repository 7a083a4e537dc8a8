"""A machine that does what it should not: a disk that refuses fsync, a wall clock that jumps by an hour."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from types import MappingProxyType

import aiohttp
import pytest
from ihala_local.processes import Program
from support.bad_machine import bad_machine
from support.fault_checker import judge
from support.fault_load import AGENCIES, load_on
from support.kept_servers import Changed, KeptServers, kept_servers
from support.system import System, running
from support.waiting import wait_until

RATE = 4.0
BROKEN_SECONDS = 10.0
HOUR_SECONDS = 3600

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]


@pytest.mark.parametrize("name", ["kafka", "postgres"])
async def test_a_disk_that_refuses_fsync(tmp_path_factory: pytest.TempPathFactory, seed: int, name: str) -> None:
    """PostgreSQL and Kafka end themselves then, and do not start before the disk is well."""
    with bad_machine() as machine:

        def on_it(program: Program) -> Program:
            return machine.runs(program) if program.name == name else program

        async with system_on(tmp_path_factory, on_it) as (system, servers), load_on(system, seed) as load:
            loaded = asyncio.create_task(load.run(RATE, BROKEN_SECONDS + 14))
            await asyncio.sleep(4)
            with load.history.fault(of_database=name == "postgres"), machine.refusing_fsync():
                await asyncio.sleep(BROKEN_SECONDS)
            await loaded

            verdict = await judge(system, load)

    assert servers.deaths_of(name) > 0
    assert not verdict.findings, str(verdict)


@pytest.mark.parametrize("hours", [1, -1])
async def test_the_wall_clock_jumps(tmp_path_factory: pytest.TempPathFactory, seed: int, hours: int) -> None:
    """Of the services and of both servers, under load; what is then revoked is refused."""
    with bad_machine() as machine:
        async with (
            system_on(tmp_path_factory, machine.runs, machine.environment) as (system, _),
            load_on(system, seed) as load,
        ):
            made = json.loads(
                await asyncio.to_thread(
                    system.ihala, "access", "create", "desk", "--desk", "baom-agadir", "--label", "test"
                )
            )
            await wait_until(lambda: answer_to(system, made["key"], 200), 30, "the new key works")
            load.clock_is_off_by = timedelta(hours=min(0, hours))  # the desks' is never ahead: it would be refused
            loaded = asyncio.create_task(load.run(RATE, 20.0))
            await asyncio.sleep(3)
            load.down = {*AGENCIES}  # so that some messages wait for another try when the clock jumps
            await asyncio.sleep(3)
            machine.set_clock(hours * HOUR_SECONDS)
            load.down = set()
            await loaded
            await asyncio.to_thread(system.ihala, "access", "revoke", made["credential_id"])
            await wait_until(lambda: answer_to(system, made["key"], 401), 30, "the revoked key is refused")

            verdict = await judge(system, load)

    assert not verdict.findings, str(verdict)


async def answer_to(system: System, key: str, status: int) -> bool:
    """Of intake, which learns of keys by an event."""
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}) as session,
        session.get(f"{system.endpoints['intake']}/v1/whoami") as answer,
    ):
        return answer.status == status


@asynccontextmanager
async def system_on(
    folders: pytest.TempPathFactory,
    changed: Changed,
    environment: Mapping[str, str] = MappingProxyType({}),
) -> AsyncIterator[tuple[System, KeptServers]]:
    """changed: what becomes of each server's program.  environment: of the services."""
    async with kept_servers(folders.mktemp("servers"), changed) as servers:
        with running(folders.mktemp("system"), environment={**environment, **servers.environment}) as system:
            yield system, servers
