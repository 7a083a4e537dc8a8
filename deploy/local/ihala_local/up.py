"""`ihala up`: brings the whole system up in order, keeps it up, and takes it down in order.

Up: PostgreSQL and Kafka together, databases and topics, the services with the sandbox partner and the trace
receiver, the sample data the first time. Down: the reverse. Rule: `endpoints.json` exists only while
everything it names has answered.
"""

import asyncio
import os
import shutil
import signal
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp
from ihala_events.topics import FIXED_TOPICS
from ihala_runtime.topics import make_topics

from ihala_local import postgres, test_clock
from ihala_local.console import Console
from ihala_local.detached import UP_LOG
from ihala_local.ports import choose_ports
from ihala_local.processes import Program, end_leftover
from ihala_local.provision import Provisioning, write_first_admin, write_gateway_key
from ihala_local.servers import Servers
from ihala_local.stack import SANDBOX_PARTNER, TRACES, Options, Stack, port_names
from ihala_local.state import Phase, State, Supervision, write_private
from ihala_local.supervisor import Supervisor

READY_SECONDS = 120
CLOCK_POLL_SECONDS = 0.5
PROBE_TIMEOUT = aiohttp.ClientTimeout(total=3)


@dataclass(frozen=True, slots=True)
class Orders:
    """What the command line asked for. An ephemeral state is removed at the end."""

    state: State
    options: Options = field(default_factory=Options)
    start_of_clock: datetime | None = None
    ephemeral: bool = False


async def run(orders: Orders, console: Console) -> None:
    """Returns when a signal has asked it to stop; AlreadyRunning when another `up` holds the state."""
    state = orders.state
    state.make()
    with state.held():
        try:
            await until_signal(Up(orders, console).live())
        finally:
            state.endpoints_file.unlink(missing_ok=True)
            state.withdraw()
            if orders.ephemeral:
                for folder in folders_of(state):
                    shutil.rmtree(folder, ignore_errors=True)


def folders_of(state: State) -> list[Path]:
    """Everything an ephemeral system leaves on the disk; PostgreSQL's data may lie elsewhere."""
    return [postgres.data_home(state.postgres), state.folder]


async def until_signal(work: Coroutine[Any, Any, None]) -> None:
    """Runs the work until it ends; INT, TERM or HUP cancel it once and let it clean up."""
    task = asyncio.create_task(work)
    asked = asyncio.Event()

    def stop() -> None:
        if not asked.is_set():
            asked.set()
            task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    try:
        await task
    except asyncio.CancelledError:
        if not asked.is_set():
            raise


class Up:
    """One life of the system."""

    def __init__(self, orders: Orders, console: Console) -> None:
        self._state = orders.state
        self._options = orders.options
        self._start_of_clock = orders.start_of_clock
        self._ephemeral = orders.ephemeral
        self._console = console
        self._supervisor = Supervisor(orders.state.folders, console.note)
        self._kept = orders.state.secrets()

    async def live(self) -> None:
        try:
            stack = await self._bring_up()
            self._announce(Phase.READY)
            self._console.show_endpoints(self._state.folder, self._state.endpoints())
            await self._keep_up(stack)
        finally:
            await self._take_down()

    async def _bring_up(self) -> Stack:
        self._announce(Phase.STARTING, "looking for what an earlier start left")
        await asyncio.to_thread(self._clear_away)
        if self._ephemeral:
            self._supervisor.leave_nothing(folders_of(self._state))
        self._set_clock()
        write_first_admin(self._state, self._kept)
        write_gateway_key(self._state, self._kept)
        stack = await self._start_programs()
        await self._provision(stack)
        write_private(self._state.endpoints_file, self._endpoints(stack))
        return stack

    def _announce(self, phase: Phase, doing: str = "") -> None:
        supervision = Supervision(
            pid=os.getpid(),
            phase=phase,
            doing=doing,
            programs=self._supervisor.names,
            test_clock=self._options.test_clock,
        )
        self._state.announce(supervision)

    def _clear_away(self) -> None:
        """Ends what a killed `up` left, and keeps the logs of one earlier start."""
        for pid_file in self._state.folders.run.glob("*.pid"):
            end_leftover(pid_file)
        for log in self._state.folders.logs.glob("*.log"):
            if log.stem != UP_LOG:  # a detached `up` is writing it
                log.replace(log.with_suffix(".log.1"))

    def _set_clock(self) -> None:
        """A state that once ran on a test clock goes on with it: its deadlines lie on that clock."""
        if self._start_of_clock:
            test_clock.set_clock(self._state.clock_file, self._start_of_clock)
        self._options = replace(self._options, test_clock=self._state.clock_file.exists())

    async def _start_programs(self) -> Stack:
        """A system that has lived has its topics, so its services need not wait for Kafka to start."""
        self._announce(Phase.STARTING, "Kafka and PostgreSQL")
        ports = choose_ports(port_names(self._options.copies), self._state.ports())
        self._state.keep_ports(ports)
        servers = Servers(self._state, self._options, self._supervisor, self._console)
        async with asyncio.TaskGroup() as group:
            topics = group.create_task(self._kafka_with_topics(servers, ports))
            dsns = await servers.postgres(ports, self._kept)
            if not self._kept.directory_loaded:
                await topics
            stack = Stack(self._state, self._options, ports, servers.kafka_address(ports), dsns)
            await self._start_services(stack)
        return stack

    async def _kafka_with_topics(self, servers: Servers, ports: Mapping[str, int]) -> None:
        await servers.kafka(ports)
        with self._console.step("topics"):
            await make_topics(servers.kafka_address(ports), FIXED_TOPICS)

    async def _start_services(self, stack: Stack) -> None:
        with self._console.step("services"):
            for program in stack.programs():
                self._supervisor.start(program)
            self._announce(Phase.STARTING, "services")
            await self._all_ready(stack, stack.programs())

    async def _all_ready(self, stack: Stack, programs: list[Program]) -> None:
        async with aiohttp.ClientSession(timeout=PROBE_TIMEOUT) as session, asyncio.TaskGroup() as group:
            for program in programs:
                probe = Probe(session, f"{stack.url(program.name)}/ready")
                group.create_task(self._supervisor.until_ready(program.name, probe, READY_SECONDS))

    async def _provision(self, stack: Stack) -> None:
        self._announce(Phase.STARTING, "sample agencies and keys")
        provisioning = Provisioning(stack, self._kept)
        if provisioning.is_complete:
            return
        with self._console.step("sample agencies and keys"):
            await provisioning.run()

    def _endpoints(self, stack: Stack) -> dict[str, Any]:
        return {
            "intake": stack.service_url("intake"),
            "referral": stack.service_url("referral"),
            "notification": stack.service_url("notification"),
            "kafka": stack.kafka.bootstrap,
            "postgres": dict(stack.dsns),
            "otlp": stack.otlp_url(),
            "traces": stack.url(TRACES),
            "sandbox_partner": stack.url(SANDBOX_PARTNER),
            "credentials": self._kept.credentials.model_dump(),
        }

    async def _keep_up(self, stack: Stack) -> None:
        """Restarts what dies; the first `clock set` on a system in real time restarts the services with it."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._supervisor.watch())
            if not self._options.test_clock:
                group.create_task(self._begin_test_clock(stack))

    async def _begin_test_clock(self, stack: Stack) -> None:
        while not self._state.clock_file.exists():  # noqa: ASYNC110 (another process writes it)
            await asyncio.sleep(CLOCK_POLL_SECONDS)
        self._options = replace(self._options, test_clock=True)
        clocked = replace(stack, options=self._options)
        self._console.note("a test clock was set: the services start again with it")
        self._announce(Phase.STARTING, "services with a test clock")
        await self._supervisor.replace(clocked.services())
        await all_answer(clocked, clocked.services())
        self._announce(Phase.READY)

    async def _take_down(self) -> None:
        self._announce(Phase.STOPPING)
        servers = {"kafka", "postgres"}
        with self._console.step("stopped"):
            await self._supervisor.stop([name for name in self._supervisor.names if name not in {*servers, TRACES}])
            await self._supervisor.stop([TRACES])
            await self._supervisor.stop(servers)
        self._supervisor.abandon()


async def all_answer(stack: Stack, programs: list[Program]) -> None:
    """However long it takes: once the system was ready, a program that ends is started again, not given up."""
    async with aiohttp.ClientSession(timeout=PROBE_TIMEOUT) as session:
        for program in programs:
            probe = Probe(session, f"{stack.url(program.name)}/ready")
            while not await probe():  # noqa: ASYNC110 (another process becomes ready)
                await asyncio.sleep(CLOCK_POLL_SECONDS)


@dataclass(frozen=True, slots=True)
class Probe:
    """Whether an address answers 2xx."""

    session: aiohttp.ClientSession
    url: str

    async def __call__(self) -> bool:
        try:
            async with self.session.get(self.url) as answer:
                return answer.ok
        except (aiohttp.ClientError, TimeoutError):
            return False
