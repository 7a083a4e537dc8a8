"""A service put together: database, migrations, relay, consumers, parking, access, HTTP, and a graceful end.

Starting waits for PostgreSQL; it does not wait for Kafka. Stopping takes no more work, finishes what is in hand,
publishes what is in the outbox and leaves, within ten seconds.
"""

import asyncio
import gc
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from socket import socket
from types import FrameType
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi_offline import FastAPIOffline
from ihala_events.asyncapi import asyncapi_document
from ihala_events.vocabulary import TIME_ZONE
from uvicorn.config import Config
from uvicorn.server import Server

from ihala_runtime import clock_set_back, failpoints, heap, inbox, logs, parking, set_aside, telemetry
from ihala_runtime.access import LOOK_AGAIN_SECONDS, Credentials, credential_consumer
from ihala_runtime.background import Background, Task, ended, every
from ihala_runtime.clock import check_time_zone_data
from ihala_runtime.clock_set_back import Waiting
from ihala_runtime.consumer import Consumer, ConsumerRunner
from ihala_runtime.failures import is_infrastructure
from ihala_runtime.health import Health
from ihala_runtime.http import Limits, Observed, StraightRoute, add_common_routes
from ihala_runtime.http_connections import SWEEP_EVERY_SECONDS, PatientProtocol
from ihala_runtime.http_parked import SetAside
from ihala_runtime.http_parked import router as parked_router
from ihala_runtime.http_reconciliation import Accounts, Books, no_accounts
from ihala_runtime.http_reconciliation import router as reconciliation_router
from ihala_runtime.http_replay import History
from ihala_runtime.http_replay import router as replay_router
from ihala_runtime.kafka import Consumers
from ihala_runtime.migrate import RUNTIME_MIGRATIONS, migrate
from ihala_runtime.outbox_relay import OutboxRelay, kafka_producer
from ihala_runtime.postgres import Database
from ihala_runtime.reconciliation import COUNT_EVERY_SECONDS, Census, Expectation, Reconciler
from ihala_runtime.retry_schedule import BackOff
from ihala_runtime.settings import ServiceSettings

MEASURE_EVERY_SECONDS = 2.0
CLEAN_EVERY_SECONDS = 60.0
HOURLY_SECONDS = 3600.0
# The stages of a stop, one after another. What takes longer comes again: with the same id, and no second effect.
REQUESTS_SECONDS = 2
IN_HAND_SECONDS = 6.5
PUBLISH_SECONDS = 1.0
STOP_SECONDS = 10.0  # who manages containers kills after twenty or thirty
KEPT_SECONDS = (
    65  # idle connections: longer than the clients and proxies before us keep theirs, so that none is reset in use
)
THREAD_SWITCH_SECONDS = 0.001  # the thread that exports spans may not keep requests waiting for 5 ms at a time
GC_ALLOCATIONS = 20_000  # the default of 700 collects several times a request
# FastAPI would record paths, which hold case references, beside our own spans.
NO_SPANS_OF_ITS_OWN = {"tracing": False, "metrics": False, "logs": False, "operation_spans": False}

_log = logs.logger(__name__)


@dataclass
class Parts:
    """What a service's ``bootstrap`` gives.

    straight: routes that are called all the time, looked at first.
    prepare: once the database is migrated, before anything runs.  tasks: run until cancelled.  hourly: clean-ups.
    drain: take no more and wait for what is under way, while the consumers do the same; cut when it takes too long.
    finish: after that, before the relay stops.
    published_apart_seconds: between two looks at what is to be published, at least, where nobody waits for it.
    expectations: which of its events others answer.  accounts: what it accounts for, by id.  census: in numbers.
    waiting: which of its rows wait for an instant.
    state: for the routes, as ``app.state``.
    """

    name: str
    title: str
    settings: ServiceSettings
    database: Database
    migrations: Path
    routers: Sequence[APIRouter] = ()
    straight: Sequence[StraightRoute] = ()
    consumers: Sequence[Consumer[Any]] = ()
    tasks: Sequence[Task] = ()
    prepare: Sequence[Task] = ()
    hourly: Sequence[Task] = ()
    drain: Sequence[Task] = ()
    finish: Sequence[Task] = ()
    published_apart_seconds: float = 0.0
    expectations: Sequence[Expectation] = ()
    accounts: Accounts = no_accounts
    census: Census | None = None
    waiting: Sequence[Waiting] = ()
    state: dict[str, Any] = field(default_factory=dict)


def build_app(parts: Parts) -> FastAPI:
    """The ASGI application; its lifespan starts and stops everything."""
    credentials, background = Credentials(parts.database), Background()
    wanted = [*parts.consumers, credential_consumer(parts.name)]
    runners = [ConsumerRunner(consumer, parts.database) for consumer in wanted]
    consumers = Consumers(parts.settings.kafka(), f"ihala-{parts.name}", runners, parts.settings.instance)
    relay = OutboxRelay(
        parts.database,
        lambda: kafka_producer(parts.settings.kafka(), f"ihala-{parts.name}-relay"),
        name=f"{parts.name}.relay",
        apart_seconds=parts.published_apart_seconds,
    )

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        await until_reachable(parts.database, [RUNTIME_MIGRATIONS, parts.migrations])
        await credentials.refresh()
        for step in parts.prepare:
            await step()
        repeated = [
            every(credentials.refresh, LOOK_AGAIN_SECONDS),
            every(_on(parts.database, parking.measure), MEASURE_EVERY_SECONDS),
            every(_on(parts.database, inbox.clean), CLEAN_EVERY_SECONDS),
            every(_on(parts.database, set_aside.clean), CLEAN_EVERY_SECONDS),
            every(heap.give_back, CLEAN_EVERY_SECONDS),
            every(partial(clock_set_back.follow, parts.database, parts.waiting), clock_set_back.LOOK_EVERY_SECONDS),
            *(every(_on(parts.database, each.count), COUNT_EVERY_SECONDS) for each in [parts.census] if each),
            *(every(step, HOURLY_SECONDS) for step in parts.hourly),
        ]
        retries = [runner.retry_parked for runner in runners]
        reconciler = Reconciler(parts.database, parts.expectations)
        running = background.start(
            [relay.run, consumers.run, consumers.watch, reconciler.run, *repeated, *retries, *parts.tasks]
        )
        _spare_what_stays()
        _log.info("started", action="start", mode=parts.settings.mode)
        yield
        await _stop(parts, consumers, relay, running)

    app = FastAPIOffline(
        redoc_url=None,
        telemetry=NO_SPANS_OF_ITS_OWN,
        title=parts.title,
        version="1",
        lifespan=lifespan,
        summary="Synthetic mode: invented data only." if parts.settings.mode == "synthetic" else None,
    )
    app.state.credentials = credentials
    app.state.consumers = consumers
    app.state.books = Books(parts.database, parts.accounts)
    app.state.history = History(parts.database, parts.settings.kafka(), tuple(wanted))
    app.state.set_aside = SetAside(parts.name, parts.database)
    for name, value in parts.state.items():
        setattr(app.state, name, value)
    app.router.routes[:0] = parts.straight
    for router in (*parts.routers, parked_router, replay_router, reconciliation_router):
        app.include_router(router)
    health = Health(parts.database, [background, *consumers.subscriptions])
    add_common_routes(app, health, partial(asyncapi_document, parts.name))
    app.add_middleware(Limits)
    app.add_middleware(Observed)
    return app


def run(parts: Parts) -> None:
    """Serve until SIGTERM or SIGINT. Ends the process with a message when time-zone data are stale."""
    logs.set_up(parts.name, parts.settings.log_level)
    failpoints.prepare()
    check_time_zone_data(TIME_ZONE)
    sys.setswitchinterval(THREAD_SWITCH_SECONDS)
    provider = telemetry.set_up(f"ihala-{parts.name}")
    config = Config(
        build_app(parts),
        host=parts.settings.http_host,
        port=parts.settings.http_port,
        loop="uvloop",
        access_log=False,
        log_config=None,
        http=PatientProtocol,
        ws="none",
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=REQUESTS_SECONDS,
        timeout_keep_alive=KEPT_SECONDS,
    )
    server = _Server(config)
    config.callback_notify, config.timeout_notify = _sweep(server), SWEEP_EVERY_SECONDS
    gc.enable()
    try:
        server.run()
    finally:
        provider.shutdown()


def _sweep(server: Server) -> Task:
    async def sweep() -> None:
        PatientProtocol.sweep(server.server_state.connections, asyncio.get_running_loop().time())

    return sweep


class _Server(Server):
    """Ends when it is told to, whatever it waits for: what is in hand then comes again, without a second effect.

    While it still starts, at once: it may wait for its database for hours, with nothing in hand.
    """

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        if not self.started:
            _log.info("stopped before it had started", action="stop")
            os._exit(128 + sig)

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        late = asyncio.get_running_loop().call_later(STOP_SECONDS, _end_now)
        await super().shutdown(sockets)
        late.cancel()


def _end_now() -> None:
    waiting = sorted(getattr(task.get_coro(), "__qualname__", "?") for task in asyncio.all_tasks())
    _log.error("not stopped in time", action="stop", waiting=waiting)
    os._exit(1)


async def until_reachable(database: Database, migrations: Sequence[Path]) -> None:
    """Wait for PostgreSQL, migrate, open the pool."""
    back_off = BackOff(0.2, 5.0)
    while True:
        try:
            connection = await database.dedicated()
            try:
                applied = await migrate(connection, migrations)
            finally:
                await connection.close()
            await database.connect()
        except Exception as error:
            if not is_infrastructure(error):
                raise
            _log.warning("database not reachable", action="start", error_class=type(error).__name__)
            await asyncio.sleep(back_off.pause())
        else:
            if applied:
                _log.info("migrated", action="start", migrations=applied)
            return


def _spare_what_stays() -> None:
    """What was made at the start lives until the end: the garbage collector need not look at it again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_ALLOCATIONS, 20, 50)


async def _stop(
    parts: Parts, consumers: Consumers, relay: OutboxRelay, running: Sequence["asyncio.Task[None]"]
) -> None:
    await _beside_each_other([consumers.finish, *parts.drain], IN_HAND_SECONDS)
    for step in parts.finish:
        await step()
    await relay.stop()
    await asyncio.wait([running[0]], timeout=PUBLISH_SECONDS)
    await ended(running)
    await parts.database.close()
    _log.info("stopped", action="stop")


async def _beside_each_other(steps: Sequence[Task], within_seconds: float) -> None:
    tasks = Background().start(steps)
    _, late = await asyncio.wait(tasks, timeout=within_seconds)
    for task in late:
        task.cancel()
    if late:
        _log.warning("not finished in time", action="stop", count=len(late))


def _on(database: Database, work: Callable[[Any], Awaitable[object]]) -> Task:
    async def step() -> None:
        async with database.connection() as connection:
            await work(connection)

    return step
