"""What one referral costs in things that noise does not move: statements, transactions, WAL, requests, calls.

A fixed set of referrals goes through a system of its own: some one by one, each until everything it causes has been
done, then a backlog that is handled in batches, then what agencies do with the first ones.  Rule: what the system does
while nobody asks is measured first and left out, by statement, by function, and by the first statement of a
transaction; how long the machine takes for a referral must not show. The counted run has no checkpoint, no autovacuum
and no full-page images in it.
"""

import asyncio
import json
import os
import re
import signal
import time
import tomllib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence, Set
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from itertools import pairwise, product
from pathlib import Path
from statistics import median
from uuid import uuid4

import aiohttp
import asyncpg
from aiohttp import web
from ihala_local.embedded import embedded_kafka, embedded_postgres
from ihala_local.ports import new_port

from benchmarks.intakes import an_intake
from benchmarks.kafka_requests import KafkaRequests, counting_link
from benchmarks.systems import Ihala, ihala

WRITTEN_DOWN = Path(__file__).with_name("costs.toml")
COUNTER = Path(__file__).with_name("counting")
SERVICES = ("intake", "referral", "notification")
ROLES = (*SERVICES, "intake_keys")
WARM_UP, ONE_BY_ONE, BACKLOG = 6, 15, 200
IDLE_SECONDS = 10.0
WAIT_SECONDS = 120.0
QUIET_SECONDS = 1.5
MOVES = {"acknowledge": {}, "accept": {}, "contacted": {}, "close": {"outcome_code": "RECEIVED"}}
"""What an agency does with a referral in the end, one call each."""
POLLED_RUNS = 3  # what an idle system runs so often is its own: looks for work, renewed leases, metrics

STILL_AND_TOLD = {
    "full_page_writes": "off",
    "autovacuum": "off",
    "checkpoint_timeout": "1d",
    "log_statement": "all",
    "log_line_prefix": "@%u %v@ ",
}
STATEMENT = re.compile(r"^@(\w+) (\S+)@ LOG:  (?:statement|execute [^:]*): (.*(?:\n\t.*)*)", re.MULTILINE)
"""(role, virtual transaction, text) of each line in the server's log."""
WAL = """
    SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint AS wal_bytes,
        (SELECT sum(fsyncs)::bigint FROM pg_stat_io WHERE object = 'wal') AS wal_fsyncs
"""
SETTLED = {
    "intake": "SELECT count(*) FROM outbox",
    "referral": "SELECT (SELECT count(*) FROM outbox) + (SELECT count(*) FROM attempt WHERE receipt_at IS NULL)",
    "notification": "SELECT (SELECT count(*) FROM outbox) + (SELECT count(*) FROM delivery WHERE state = 'pending')",
}

Costs = dict[str, float]


@dataclass(frozen=True, slots=True)
class Step:
    """A statement, a transaction by its first statement, or a function that is run, by whom."""

    owner: str
    kind: str
    text: str

    @property
    def cost(self) -> str:
        return f"{self.owner}.{self.kind}"


@dataclass(frozen=True, slots=True)
class Counts:
    """Totals since the servers started, at one instant."""

    at: float
    steps: Mapping[Step, int]
    totals: Mapping[str, float]


@dataclass(frozen=True)
class Meter:
    """Reads all counters of one system."""

    system: Ihala
    requests: KafkaRequests
    calls_folder: Path
    log: Path
    server: asyncpg.Connection
    databases: Mapping[str, asyncpg.Connection]

    async def read(self) -> Counts:
        await self.server.execute("SELECT pg_stat_force_next_flush()")
        (wal,) = await self.server.fetch(WAL)
        kafka = {f"kafka.{kind}_requests": float(count) for kind, count in self.requests.requests.items()}
        kafka["kafka.produced_bytes"] = float(self.requests.bytes_sent["produce"])
        totals = {name: float(value) for name, value in wal.items()} | kafka
        return Counts(time.monotonic(), run_by_services(self.log.read_text()) | await self._calls(), totals)

    async def _calls(self) -> dict[Step, int]:
        files = {
            service: self.calls_folder / f"{self.system.processes()[f'{service}-1']}.calls" for service in SERVICES
        }
        asks = [file.with_suffix(".ask") for file in files.values()]
        for ask in asks:
            ask.touch()
        while any(ask.exists() for ask in asks):
            await asyncio.sleep(0.02)
        return {
            Step(service, "calls", function): calls
            for service, file in files.items()
            for function, calls in json.loads(file.read_text()).items()
        }

    async def settled(self, service: str) -> bool:
        return not await self.databases[service].fetchval(SETTLED[service])

    async def all_settled(self) -> bool:
        return all([await self.settled(service) for service in SERVICES])


def run_by_services(log: str) -> dict[Step, int]:
    """How often each statement, and each transaction, was run until now."""
    runs: Counter[Step] = Counter()
    begun: set[str] = set()
    for role, transaction, text in STATEMENT.findall(log):
        if role not in ROLES or text == "COMMIT;":
            continue
        if text == "BEGIN;":
            begun.add(transaction)
            continue
        if transaction in begun:
            begun.remove(transaction)
            runs[Step(role, "transactions", text)] += 1
        runs[Step(role, "statements", text)] += 1
    return runs


@dataclass(frozen=True, slots=True)
class Desk:
    """Hands in, hears of each webhook, and answers for its agency.  told: agency and referral, by case."""

    session: aiohttp.ClientSession
    system: Ihala
    told: dict[str, tuple[str, str]]

    async def hand_in(self) -> str:
        headers = {"Authorization": f"Bearer {self.system.key}", "Idempotency-Key": str(uuid4())}
        async with self.session.post(self.system.submit_url, json=an_intake(), headers=headers) as answer:
            answer.raise_for_status()
            return str((await answer.json())["case_ref"])

    async def has_heard_of(self, cases: Set[str]) -> bool:
        return cases <= self.told.keys()

    async def move(self, case_ref: str, name: str) -> None:
        partner_id, referral_id = self.told[case_ref]
        key = self.system.endpoints["credentials"]["partners"][partner_id]
        headers = {"Authorization": f"Bearer {key}", "Idempotency-Key": str(uuid4())}
        url = f"{self.system.endpoints['referral']}/v1/referrals/{referral_id}/{name}"
        async with self.session.post(url, json=MOVES[name], headers=headers) as answer:
            answer.raise_for_status()


async def measured(folder: Path) -> dict[str, Costs]:
    """{"serial": {cost: per referral}, "backlog": …, "moves": …} of a system made for it."""
    async with metered(folder) as meter, a_desk(meter.system) as desk:
        await one_by_one(desk, meter, WARM_UP)
        await until_quiet(meter)
        before = await meter.read()
        await asyncio.sleep(IDLE_SECONDS)
        idle = await meter.read()
        readings = [idle]
        for _ in range(ONE_BY_ONE):
            await one_by_one(desk, meter, 1)
            readings.append(await meter.read())
        first = list(desk.told)[-ONE_BY_ONE:]
        await backlog(desk, meter, BACKLOG)
        told = await meter.read()
        await answered(desk, meter, first)
        after = await meter.read()
    spans, resting = [Span(start, end) for start, end in pairwise(readings)], Span(before, idle)
    serial, late, moves = Span(idle, readings[-1]), Span(readings[-1], told), Span(told, after)
    return {
        "serial": totals(serial, resting, ONE_BY_ONE) | with_round_trips(usual(spans, resting)),
        "backlog": totals(late, resting, BACKLOG) | with_round_trips(step_costs(late, resting, BACKLOG)),
        "moves": totals(moves, resting, ONE_BY_ONE) | with_round_trips(step_costs(moves, resting, ONE_BY_ONE)),
    }


@asynccontextmanager
async def metered(folder: Path) -> AsyncIterator[Meter]:
    """A running system whose every client of Kafka goes through the counter."""
    upstream = new_port(set())
    port = new_port({upstream})
    calls_folder = folder / "calls"
    calls_folder.mkdir(parents=True)
    async with (
        counting_link(port, upstream) as requests,
        embedded_kafka(folder / "kafka", upstream, advertised_port=port),
        embedded_postgres(folder / "postgres", STILL_AND_TOLD) as dsn,
        ihala(folder / "system", counted(port, dsn, calls_folder)) as system,
        connections(dsn) as (server, databases),
    ):
        log = folder / "postgres" / "logs" / "postgres.log"
        yield Meter(system, requests, calls_folder, log, server, databases)


def counted(kafka_port: int, postgres_dsn: str, calls_folder: Path) -> dict[str, str]:
    return {
        "IHALA_KAFKA_BOOTSTRAP": f"127.0.0.1:{kafka_port}",
        "IHALA_POSTGRES_DSN": postgres_dsn,
        "IHALA_COUNT_FOLDER": str(calls_folder),
        "PYTHONPATH": str(COUNTER),
        "PYTHONHASHSEED": "0",
    }


@asynccontextmanager
async def connections(dsn: str) -> AsyncIterator[tuple[asyncpg.Connection, dict[str, asyncpg.Connection]]]:
    """The superuser's: what it does is counted for nobody."""
    server = await asyncpg.connect(dsn)
    databases = {role: await asyncpg.connect(dsn, database=role) for role in ROLES}
    try:
        yield server, databases
    finally:
        for connection in (server, *databases.values()):
            await connection.close()


@asynccontextmanager
async def a_desk(system: Ihala) -> AsyncIterator[Desk]:
    told: dict[str, tuple[str, str]] = {}

    async def hook(request: web.Request) -> web.Response:
        data = (await request.json())["data"]
        told[data["case_ref"]] = request.match_info["partner"], data["referral_id"]
        return web.Response(status=204)

    app = web.Application()
    app.router.add_post("/hook/{partner}", hook)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    await system.send_webhooks_to(f"http://127.0.0.1:{runner.addresses[0][1]}")
    try:
        each_its_own = aiohttp.TCPConnector(force_close=True)  # a kept one may end, and be used, at the same moment
        async with aiohttp.ClientSession(connector=each_its_own) as session:
            yield Desk(session, system, told)
    finally:
        await runner.cleanup()


async def one_by_one(desk: Desk, meter: Meter, count: int) -> None:
    for _ in range(count):
        case_ref = await desk.hand_in()
        await until(partial(desk.has_heard_of, {case_ref}), "the webhook")
        await until(meter.all_settled, "everything it causes")


async def backlog(desk: Desk, meter: Meter, count: int) -> None:
    """All are accepted before the next service may look at them."""
    pids = meter.system.processes()
    later = [pids["referral-1"], pids["notification-1"]]
    for pid in later:
        os.kill(pid, signal.SIGSTOP)
    cases = {await desk.hand_in() for _ in range(count)}
    await until(lambda: meter.settled("intake"), "intake's events published")
    os.kill(later[0], signal.SIGCONT)
    await until(lambda: _routed(meter, count), "the backlog routed")
    os.kill(later[1], signal.SIGCONT)
    await until(partial(desk.has_heard_of, cases), "the backlog told")
    await until_quiet(meter)


async def answered(desk: Desk, meter: Meter, cases: Sequence[str]) -> None:
    """Each agency's moves, one after the other, each until its events are out."""
    for case_ref in cases:
        for name in MOVES:
            await desk.move(case_ref, name)
            await until(meter.all_settled, "everything it causes")
    await until_quiet(meter)


async def _routed(meter: Meter, count: int) -> bool:
    known = await meter.databases["referral"].fetchval("SELECT count(*) FROM referral")
    return bool(known == WARM_UP + ONE_BY_ONE + count) and not await meter.databases["referral"].fetchval(
        "SELECT count(*) FROM outbox"
    )


async def until_quiet(meter: Meter) -> None:
    await until(meter.all_settled, "everything done")
    await asyncio.sleep(QUIET_SECONDS)


async def until(ready: Callable[[], Awaitable[bool]], what: str) -> None:
    """Raises TimeoutError with what did not come."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not await ready():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not come within {WAIT_SECONDS:g} s")
        await asyncio.sleep(0.01)


@dataclass(frozen=True, slots=True)
class Span:
    """Two readings."""

    start: Counts
    end: Counts

    @property
    def seconds(self) -> float:
        return self.end.at - self.start.at

    def total(self, name: str) -> float:
        return self.end.totals.get(name, 0) - self.start.totals.get(name, 0)

    def runs(self, step: Step) -> int:
        return self.end.steps.get(step, 0) - self.start.steps.get(step, 0)


def totals(run: Span, idle: Span, count: int) -> Costs:
    """What was counted in the run, less what an idle system does in that time, by referral."""
    share = run.seconds / idle.seconds
    return {name: (run.total(name) - idle.total(name) * share) / count for name in run.end.totals}


def step_costs(run: Span, idle: Span, count: int) -> Costs:
    """By owner and kind, less what an idle system runs in that time."""
    share = run.seconds / idle.seconds
    costs: Costs = {}
    for step in asked_for(run, idle):
        costs[step.cost] = costs.get(step.cost, 0.0) + (run.runs(step) - idle.runs(step) * share) / count
    return costs


def usual(referrals: Sequence[Span], idle: Span) -> Costs:
    """By owner and kind what most referrals run, whatever else came in between; of calls the least of all referrals."""
    costs: Costs = {}
    for step in asked_for(Span(referrals[0].start, referrals[-1].end), idle):
        most = min if step.kind == "calls" else median
        costs[step.cost] = costs.get(step.cost, 0.0) + most(each.runs(step) for each in referrals)
    return costs


def with_round_trips(costs: Costs) -> Costs:
    """To PostgreSQL: one for each statement, and two more for a transaction, its BEGIN and its COMMIT."""
    trips = {
        f"{role}.round_trips": costs.get(f"{role}.statements", 0.0) + 2 * costs.get(f"{role}.transactions", 0.0)
        for role in ROLES
    }
    return costs | trips


def asked_for(run: Span, idle: Span) -> list[Step]:
    """Without the statements and functions that an idle system runs too, not just once."""
    return [step for step in run.end.steps if idle.runs(step) < POLLED_RUNS]


WAYS = {"serial": "one by one", "backlog": "200 in batches"}
BY_ROLE = {"statements": "SQL statements", "transactions": "explicit transactions", "calls": "Python calls"}
OF_ALL = {
    "wal_bytes": ("WAL, kB", 1000),
    "wal_fsyncs": ("fsyncs of the WAL", 1),
    "kafka.produce_requests": ("Kafka: produce requests", 1),
    "kafka.fetch_requests": ("Kafka: fetch requests", 1),
    "kafka.offset_commit_requests": ("Kafka: offset commits", 1),
    "kafka.other_requests": ("Kafka: other requests", 1),
    "kafka.produced_bytes": ("Kafka: kB produced", 1000),
}
"""Name in a table and the unit."""


def rows_of(found: Mapping[str, Costs]) -> list[list[str]]:
    """A row for each cost and way: of each role, and of all together."""
    rows = []
    for (kind, name), (way, handled) in product(BY_ROLE.items(), WAYS.items()):
        counted = [found[way].get(f"{role}.{kind}", 0.0) for role in ROLES]
        rows.append([name, handled, *(f"{each:.2f}" for each in counted), f"{sum(counted):.2f}"])
    for (cost, (name, unit)), (way, handled) in product(OF_ALL.items(), WAYS.items()):
        rows.append([name, handled, *("" for _ in ROLES), f"{found[way].get(cost, 0.0) / unit:.2f}"])
    return rows


def written_down() -> dict[str, dict[str, dict[str, float]]]:
    """{"serial": {cost: {"value": per referral, "tolerance": …}}, "backlog": …, "moves": …}"""
    return tomllib.loads(WRITTEN_DOWN.read_text())


def grown(found: Mapping[str, Costs]) -> list[str]:
    """A sentence for each cost that is higher than written down, beyond its tolerance."""
    return [str(each) for each in compared(found) if each.share > each.tolerance]


def fallen(found: Mapping[str, Costs]) -> list[str]:
    """The same for each that is lower: what is saved, and not written down, may be lost again unseen."""
    return [f"{each}: write the saving down" for each in compared(found) if each.share < -each.may_fall]


@dataclass(frozen=True, slots=True)
class Compared:
    """A cost beside what is written down, and the shares by which it may be higher and lower."""

    name: str
    found: float
    value: float
    tolerance: float
    may_fall: float

    @property
    def share(self) -> float:
        """Of less than one a referral, as much as it is."""
        return (self.found - self.value) / max(self.value, 1.0)

    def __str__(self) -> str:
        return f"{self.name}: {self.found:.2f} a referral, written down {self.value:g} (±{self.tolerance:.0%})"


def compared(found: Mapping[str, Costs]) -> list[Compared]:
    return [
        Compared(f"{way} {name}", found[way][name], known["value"], known["tolerance"], fall_of(known))
        for way, costs in written_down().items()
        for name, known in costs.items()
    ]


def fall_of(known: Mapping[str, float]) -> float:
    return known.get("may_fall", known["tolerance"])


def write_down(found: Mapping[str, Costs]) -> None:
    """The values anew; which costs are kept, their tolerances and the comments stay, and what may fall as it likes."""
    way, lines = "", []
    for line in WRITTEN_DOWN.read_text().splitlines():
        if line.startswith("["):
            way = line.strip("[]")
        name = line.partition(" = ")[0].strip('"')
        if way and name in found[way] and "may_fall" not in line:
            line = re.sub(r"value = [^,]+", f"value = {found[way][name]:.4g}", line)
        lines.append(line)
    WRITTEN_DOWN.write_text("\n".join(lines) + "\n")
