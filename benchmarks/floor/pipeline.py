"""The floor: the least that does the same job as durably. Three processes, each with a database of its own.

accept: aiohttp, one INSERT a batch, 201 after its commit · route: batch in, batch out · notify: batch in, webhooks.
An outbox between database and Kafka at each hop. No validation, rights, rules, tracing, retries or encryption: what
is slower than this pays for those. Rule: acknowledged means on disk, as in the product.

    python -m benchmarks.floor.pipeline accept|route|notify PORT    (KAFKA, DSN, HOOKS in the environment)
"""

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from uuid import uuid4

import aiohttp
import asyncpg
import uvloop
from aiohttp import web
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

KAFKA, DSN, HOOKS = (os.environ.get(name, "") for name in ("KAFKA", "DSN", "HOOKS"))
TABLES = """
    CREATE TABLE IF NOT EXISTS referral (id text PRIMARY KEY, body text NOT NULL);
    CREATE TABLE IF NOT EXISTS outbox (position bigserial PRIMARY KEY, id text NOT NULL, body text NOT NULL)
"""
# both tables in one statement: one round trip, one transaction, a record that comes again is no second effect
KEEP = """
    WITH given AS (SELECT * FROM unnest($1::text[], $2::text[]) AS given (id, body)),
    kept AS (INSERT INTO referral SELECT * FROM given ON CONFLICT DO NOTHING RETURNING id, body)
    INSERT INTO outbox (id, body) SELECT id, body FROM kept
"""
TAKE = "SELECT position, id, body FROM outbox ORDER BY position LIMIT 500"
Referral = tuple[str, str]


class Keeper:
    """Writes referrals down in batches and publishes them: whoever comes while one is written waits for the next."""

    def __init__(self, pool: asyncpg.Pool, producer: AIOKafkaProducer | None, topic: str) -> None:
        self._pool, self._producer, self._topic = pool, producer, topic
        self._waiting: list[tuple[Referral, asyncio.Future[None]]] = []
        self._more, self._written = asyncio.Event(), asyncio.Event()

    async def keep(self, referral: Referral) -> None:
        done = asyncio.get_running_loop().create_future()
        self._waiting.append((referral, done))
        self._more.set()
        await done

    async def keep_all(self, referrals: Sequence[Referral]) -> None:
        await self._pool.execute(KEEP, [each[0] for each in referrals], [each[1] for each in referrals])
        self._written.set()

    async def write(self) -> None:
        while await self._more.wait():
            self._more.clear()
            batch, self._waiting = self._waiting, []
            if batch:
                await self.keep_all([referral for referral, _ in batch])
            for _, done in batch:
                done.set_result(None)

    async def relay(self) -> None:
        assert self._producer is not None
        while await self._written.wait():
            self._written.clear()
            while rows := await self._pool.fetch(TAKE):
                sends = [await self._producer.send(self._topic, r["body"].encode(), r["id"].encode()) for r in rows]
                await asyncio.gather(*sends)
                await self._pool.execute("DELETE FROM outbox WHERE position = ANY($1)", [r["position"] for r in rows])


async def accept(port: int) -> None:
    keeper = Keeper(await a_pool(), await a_producer(), "accepted")

    async def submit(request: web.Request) -> web.Response:
        case_ref = uuid4().hex
        body = await request.json() | {"case_ref": case_ref}
        await keeper.keep((case_ref, json.dumps(body)))
        return web.json_response({"case_ref": case_ref}, status=201)

    app = web.Application()
    app.router.add_post("/v1/intakes", submit)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.gather(keeper.write(), keeper.relay())


async def route(_port: int) -> None:
    keeper = Keeper(await a_pool(), await a_producer(), "routed")

    async def handle(bodies: list[dict[str, str]]) -> None:
        routed = [(each["case_ref"], json.dumps(each | {"agency": each["commune_code"]})) for each in bodies]
        await keeper.keep_all(routed)

    await asyncio.gather(consume("accepted", "route", handle), keeper.relay())


async def notify(_port: int) -> None:
    pool = await a_pool()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=64)) as session:

        async def post(each: dict[str, str]) -> None:
            headers = {"webhook-id": each["case_ref"]}
            url = f"{Path(HOOKS).read_text()}/hook/{each['agency']}"  # the bench writes it anew for each load
            async with session.post(url, json={"data": each}, headers=headers) as answer:
                answer.raise_for_status()

        async def handle(bodies: list[dict[str, str]]) -> None:
            await asyncio.gather(*(post(each) for each in bodies))
            ids = [each["case_ref"] for each in bodies]
            await pool.execute("INSERT INTO referral SELECT id, '' FROM unnest($1::text[]) AS id", ids)

        await consume("routed", "notify", handle)


async def consume(topic: str, group: str, handle: Callable[[list[dict[str, str]]], Awaitable[None]]) -> None:
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=KAFKA, group_id=group, enable_auto_commit=False, auto_offset_reset="earliest"
    )
    await consumer.start()
    while True:
        taken = await consumer.getmany(timeout_ms=500, max_records=500)
        records = [record for of_partition in taken.values() for record in of_partition]
        if records:
            await handle([json.loads(record.value) for record in records])
            await consumer.commit()


async def a_pool() -> asyncpg.Pool:
    pool = await asyncpg.create_pool(DSN, min_size=2, max_size=4)
    await pool.execute(TABLES)
    return pool


async def a_producer() -> AIOKafkaProducer:
    producer = AIOKafkaProducer(bootstrap_servers=KAFKA, acks="all", enable_idempotence=True)
    await producer.start()
    return producer


if __name__ == "__main__":
    uvloop.run({"accept": accept, "route": route, "notify": notify}[sys.argv[1]](int(sys.argv[2])))
