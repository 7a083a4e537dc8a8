"""The outbox and inbox protocol under a process that dies at any await, searched by hypothesis for a bad order.

Real relay, consumer, offsets and PostgreSQL; the broker is a model of Kafka: logs by partition, and a producer that may
append what is never acknowledged. A dead process runs no clean-up: its coroutine is not resumed, its sockets close.
Held at every step: no second effect, no effect out of order, nothing published that was not committed. Held in the
end: everything committed has had its effect.
"""

import asyncio
from collections.abc import Coroutine, Generator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from aiokafka import TopicPartition
from hypothesis import HealthCheck, Phase, settings
from hypothesis import seed as seed_of_search
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from ihala_runtime.consumer import Consumer, ConsumerRunner
from ihala_runtime.failures import TemporaryFailure
from ihala_runtime.identifiers import uuid7
from ihala_runtime.kafka import Subscription
from ihala_runtime.migrate import RUNTIME_MIGRATIONS, migrate
from ihala_runtime.outbox_relay import OutboxRelay
from ihala_runtime.postgres import Database, Work
from ihala_runtime.received import RawRecord, Received
from ihala_runtime.retry_schedule import BackOff
from support.runtime import a_topic, an_event, an_event_kind
from support.servers import database_dsn

AGGREGATES = tuple(uuid7() for _ in range(4))
PARTITIONS = 2
TOPIC = a_topic(PARTITIONS)
GROUP = "model"
MOST_AWAITS = 60
Steps = Generator[Any, Any, Any]
Effects = list[tuple[str, str, int]]
EFFECTS = """
INSERT INTO effect (event_id, key, sequence)
SELECT event_id, key, sequence FROM unnest($1::text[], $2::text[], $3::bigint[])
    WITH ORDINALITY AS given (event_id, key, sequence, place) ORDER BY place
"""


class Died(Exception):
    """The process was killed before it got that far."""


class Fragile:
    """Drives a coroutine up to its n-th await, and not one step further.

    What is left of it goes to the dead: Python would run its clean-up as soon as nobody held it.
    """

    def __init__(self, work: Coroutine[Any, Any, Any], awaits: int, dead: list[Steps]) -> None:
        self._work = work
        self._awaits = awaits
        self._dead = dead

    def __await__(self) -> Steps:
        steps = self._work.__await__()
        broken: BaseException | None = None
        for number in range(10_000):
            try:
                waits_for = steps.send(None) if broken is None else steps.throw(broken)
            except StopIteration as done:
                return done.value
            if number >= self._awaits:
                self._dead.append(steps)
                raise Died
            try:
                yield waits_for
                broken = None
            except BaseException as error:
                broken = error
        raise AssertionError("it never ends")


def lay_to_rest(steps: Steps) -> None:
    """End a dead one where it stands, when all is judged; what its clean-up would wait for is ended likewise.

    Rule: a loop runs, because clean-ups ask for one, and nothing is awaited: the dead may wait for what never comes.
    """
    for _ in range(MOST_AWAITS):
        with suppress(Exception):  # RuntimeError: it waits for something else now
            steps.close()
            return


class Broker:
    """Logs by partition; what was sent is in them at once, whether the sender lives to see it or not."""

    def __init__(self) -> None:
        self.logs: list[list[RawRecord]] = [[] for _ in range(PARTITIONS)]
        self.committed = [0] * PARTITIONS
        self.client = SimpleNamespace(cluster=SimpleNamespace(partitions_for_topic=lambda _topic: {0, 1}))

    async def send(self, topic: str, value: bytes, key: bytes, headers: Any) -> "asyncio.Future[None]":
        partition = key[-1] % PARTITIONS
        log = self.logs[partition]
        log.append(RawRecord(topic, partition, len(log), key, value, tuple(headers)))
        acknowledged = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(acknowledged.set_result, None)
        return acknowledged

    async def stop(self) -> None:
        return

    def assignment(self) -> set[TopicPartition]:
        return {TopicPartition(TOPIC.name, number) for number in range(PARTITIONS)}

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        for partition, offset in offsets.items():
            self.committed[partition.partition] = offset

    def waiting(self) -> list[RawRecord]:
        return [record for log, at in zip(self.logs, self.committed, strict=True) for record in log[at:]]


class Protocol(RuleBasedStateMachine):
    """A service that publishes, a service that consumes, and rules by which each acts and dies."""

    dsn = ""
    names = ("", "")

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.loop.set_exception_handler(lambda _loop, _context: None)  # nobody hears what the dead still had to say
        self.broker = Broker()
        self.broken: set[UUID] = set()
        self.dead: list[Steps] = []
        self.do(self._begin())

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(asyncio.wait_for(work, 60))

    async def _begin(self) -> None:
        self.admin = await asyncpg.connect(self.dsn)
        for name in self.names:
            await emptied(database_dsn(self.dsn, name))
        self.source, self.sink = [await self._started(each) for each in self.names]

    async def _started(self, name: str) -> Database:
        database = Database(database_dsn(self.dsn, name), "model")
        await database.connect()
        return database

    # --- what the two services do, each perhaps for the last time

    @rule(aggregate=st.sampled_from(AGGREGATES), events=st.integers(1, 3), awaits=st.integers(0, MOST_AWAITS))
    def change(self, aggregate: UUID, events: int, awaits: int) -> None:
        self.do(self._source_acts(self._change(aggregate, events), awaits))

    @rule(awaits=st.integers(0, MOST_AWAITS))
    def relay(self, awaits: int) -> None:
        self.do(self._source_acts(self._relay(), awaits))

    @rule(awaits=st.integers(0, MOST_AWAITS), commits=st.booleans(), at_once=st.booleans())
    def consume(self, awaits: int, commits: bool, at_once: bool) -> None:
        """commits: the task beside it, which commits what is finished, had a turn at the end, be it before it died."""
        if records := self.broker.waiting():
            subscription = self._subscription(at_once)
            self.do(self._sink_acts(subscription._on_batch(records), awaits))
            if commits:
                self.do(subscription.commit())

    @rule(awaits=st.integers(0, MOST_AWAITS))
    def retry_parked(self, awaits: int) -> None:
        self.do(self._sink_acts(self._retry(), awaits))

    @rule(aggregate=st.sampled_from(AGGREGATES))
    def a_handler_breaks(self, aggregate: UUID) -> None:
        self.broken.add(aggregate)

    @rule()
    def handlers_are_mended(self) -> None:
        self.broken.clear()

    @rule()
    def the_group_starts_over(self) -> None:
        """Offsets are lost: everything comes again."""
        self.broker.committed = [0] * PARTITIONS

    # --- how

    async def _source_acts(self, work: Coroutine[Any, Any, None], awaits: int) -> None:
        try:
            await Fragile(work, awaits, self.dead)
        except Died:
            await self._bury(self.source, self.names[0])
            self.source = await self._started(self.names[0])

    async def _sink_acts(self, work: Coroutine[Any, Any, None], awaits: int) -> None:
        try:
            await Fragile(work, awaits, self.dead)
        except Died:
            await self._bury(self.sink, self.names[1])
            self.sink = await self._started(self.names[1])

    async def _bury(self, database: Database, name: str) -> None:
        """The server sees every socket of the dead process close."""
        database.pool.terminate()
        await self.admin.fetch("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = $1", name)

    async def _change(self, aggregate: UUID, events: int) -> None:
        async with self.source.transaction() as work:
            last = await work.conn.fetchval(
                "UPDATE aggregate SET sequence = sequence + $2 WHERE id = $1 RETURNING sequence", aggregate, events
            )
            for sequence in range(last - events + 1, last + 1):
                work.record(an_event(TOPIC, aggregate, sequence))

    async def _relay(self) -> None:
        relay = OutboxRelay(self.source, self._producer)
        await relay.stop()  # it publishes what is there, then ends; nothing, while a dead one still has the lock
        await relay._lead(BackOff(0.2, 5.0))

    async def _producer(self) -> Any:
        return self.broker

    def _runner(self, at_once: bool) -> ConsumerRunner:
        kind = an_event_kind(TOPIC)
        return ConsumerRunner(Consumer(GROUP, self._scope, {kind.type: self._handle}, at_once=at_once), self.sink)

    def _subscription(self, at_once: bool) -> Subscription:
        subscription = Subscription(self._runner(at_once))
        subscription._subscriber = SimpleNamespace(consumer=self.broker)
        return subscription

    @asynccontextmanager
    async def _scope(self, work: Work, _received: Sequence[Received]) -> Any:
        effects: Effects = []
        yield effects
        if effects:
            work.writes.add(EFFECTS, *(list(column) for column in zip(*effects, strict=True)))

    async def _handle(self, effects: Effects, received: Received) -> None:
        key = (received.key or b"").decode()
        if UUID(key) in self.broken:
            raise TemporaryFailure("broken", "for now")
        effects.append((received.envelope.id, key, received.envelope.sequence or 0))

    async def _retry(self) -> None:
        async with self.sink.connection() as connection:
            await connection.execute("UPDATE parked SET next_attempt_at = now(), attempts = 1 WHERE state = 'waiting'")
        await self._runner(at_once=False)._retry_due()

    # --- what holds

    @invariant()
    def nothing_acts_twice_or_out_of_order(self) -> None:
        for key, sequences in self.do(self._effects()).items():
            assert sequences == sorted(set(sequences)), f"{key} had the effects {sequences}"

    @invariant()
    def nothing_is_published_that_was_not_committed(self) -> None:
        published = {ce_id_of(record) for log in self.broker.logs for record in log}
        assert published <= self.do(self._stored()), "a ghost was published"

    async def _effects(self) -> dict[str, list[int]]:
        async with self.sink.connection() as connection:
            rows = await connection.fetch("SELECT key, sequence FROM effect ORDER BY at")
        effects: dict[str, list[int]] = {}
        for row in rows:
            effects.setdefault(row["key"], []).append(row["sequence"])
        return effects

    async def _stored(self) -> set[str]:
        async with self.source.connection() as connection:
            return {str(row["event_id"]) for row in await connection.fetch("SELECT event_id FROM event")}

    def teardown(self) -> None:
        try:
            self.do(self._heal())
            stored, done = self.do(self._stored()), self.do(self._effects())
            assert sum(map(len, done.values())) == len(stored), "something committed never had its effect"
            for key, sequences in done.items():
                assert sequences == list(range(1, len(sequences) + 1)), f"{key} had the effects {sequences}"
        finally:
            self.do(self._end())
            self.loop.close()

    async def _heal(self) -> None:
        """Nobody dies any more, and no handler is broken: the protocol must get there by itself."""
        self.broken.clear()
        for _ in range(200):
            await self._relay()
            if records := self.broker.waiting():
                subscription = self._subscription(at_once=True)
                await subscription._on_batch(records)
                await subscription.commit()
            await self._retry()
            if await self._is_quiet():
                return
        raise AssertionError("it never comes to rest")

    async def _is_quiet(self) -> bool:
        async with self.source.connection() as connection:
            unpublished = await connection.fetchval("SELECT count(*) FROM outbox")
        async with self.sink.connection() as connection:
            parked = await connection.fetchval("SELECT count(*) FROM parked WHERE state IN ('waiting', 'dead')")
        return not unpublished and not parked and not self.broker.waiting()

    async def _end(self) -> None:
        self.source.pool.terminate()
        self.sink.pool.terminate()
        for steps in self.dead:
            lay_to_rest(steps)
        await self.admin.close()


def ce_id_of(record: RawRecord) -> str:
    return (dict(record.headers)["ce_id"] or b"").decode()


async def made(dsn: str) -> tuple[str, str]:
    """A database for each of the two services; one pair for all lives that are tried."""
    names = tuple(f"model_{side}_{uuid4().hex[:12]}" for side in ("source", "sink"))
    for name in names:
        await statement(dsn, f'CREATE DATABASE "{name}"')
        connection = await asyncpg.connect(database_dsn(dsn, name))
        await migrate(connection, [RUNTIME_MIGRATIONS])
        await connection.execute("CREATE TABLE aggregate (id uuid PRIMARY KEY, sequence bigint NOT NULL)")
        await connection.execute("CREATE TABLE effect (event_id text, key text, sequence bigint, at bigserial)")
        await connection.close()
    return names[0], names[1]


async def emptied(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    await connection.execute("TRUNCATE event, outbox, outbox_refused, inbox, parked, effect, aggregate CASCADE")
    await connection.executemany("INSERT INTO aggregate VALUES ($1, 0)", [(each,) for each in AGGREGATES])
    await connection.close()


async def statement(dsn: str, text: str) -> None:
    connection = await asyncpg.connect(dsn)
    await connection.execute(text)
    await connection.close()


@pytest.fixture(scope="module")
def machine(postgres_dsn: str, seed: int) -> Iterator[type[Protocol]]:
    names = asyncio.run(made(postgres_dsn))
    yield seed_of_search(seed)(type("ProtocolOn", (Protocol,), {"dsn": postgres_dsn, "names": names}))
    for name in names:
        asyncio.run(statement(postgres_dsn, f'DROP DATABASE "{name}" WITH (FORCE)'))


def searched(examples: int) -> settings:
    """Without shrinking: a life cannot be lived again to the same await, and what was found is short enough."""
    return settings(
        max_examples=examples,
        stateful_step_count=25,
        deadline=None,
        print_blob=True,
        phases=(Phase.explicit, Phase.generate),
        suppress_health_check=list(HealthCheck),
    )


@pytest.mark.timeout(300)
def test_whatever_dies_wherever_everything_committed_acts_once_and_in_order(machine: type[Protocol]) -> None:
    run_state_machine_as_test(machine, settings=searched(8))


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_the_same_searched_for_long(machine: type[Protocol]) -> None:
    run_state_machine_as_test(machine, settings=searched(150))
