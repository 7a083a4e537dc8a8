"""Records set aside, as operators meet them: seen, tried again without acting twice, edited, given up, written down."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer
from ihala_events.ops import RecordParked
from ihala_events.topics import Topic
from ihala_runtime import set_aside
from ihala_runtime.consumer import Consumer
from ihala_runtime.failures import TemporaryFailure
from ihala_runtime.identifiers import uuid7
from ihala_runtime.postgres import Work
from ihala_runtime.received import Received
from support.runtime import (
    a_topic,
    an_event,
    made,
    note_effect,
    plain_scope,
    raw_producer,
    read_all,
    refused_are_due,
)
from support.servers import NewDatabase
from support.serving import Client
from support.tiny_service import Tiny, tiny_service
from support.waiting import wait_until

KIND = "ihala.ops.record-parked.v1"
BROKEN = b'{"consumer": "no more of it"}'


@dataclass
class Fault:
    """While it lasts, the records of these keys fail."""

    keys: set[bytes] = field(default_factory=set)

    async def handle(self, work: Work, received: Received) -> None:
        if received.key in self.keys:
            raise TemporaryFailure("not-yet-known", "what it needs has not arrived")
        received.payload(RecordParked)
        await note_effect(work, received)


@dataclass
class Scene:
    tiny: Tiny
    topic: Topic
    producer: AIOKafkaProducer
    fault: Fault
    consumer: str

    async def send(self, key: str, value: bytes | None = None, **headers: bytes) -> str:
        event = an_event(self.topic, uuid7(), 1)
        texts = {**{name: text.encode() for name, text in event.headers.items()}, **headers}
        await self.producer.send_and_wait(
            self.topic.name, event.payload if value is None else value, key.encode(), headers=list(texts.items())
        )
        return str(event.event_id)

    async def set_aside(self, count: int, query: str = "") -> list[dict[str, Any]]:
        async def there() -> list[dict[str, Any]]:
            items = await self.tiny.parked(query)
            return items if len(items) == count else []

        return await wait_until(there, 30) or []

    async def handled(self, *event_ids: str) -> None:
        async def all_there() -> bool:
            return set(event_ids) <= set(await self.tiny.effects())

        await wait_until(all_there, 30)

    async def shown(self, record_id: str) -> dict[str, Any]:
        _, record, _ = await self.tiny.operator.call("GET", f"/v1/parked/{record_id}")
        return record


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def running(
    kafka_bootstrap: str, new_database: NewDatabase, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Scene]:
    topic, fault = await made(kafka_bootstrap, a_topic(1)), Fault()
    name = f"tiny.{uuid7().hex[-12:]}"
    consumer: Consumer[Work] = Consumer(name, plain_scope, {KIND: fault.handle}, topics=(topic.name,))
    async with (
        tiny_service(new_database, kafka_bootstrap, tmp_path_factory.mktemp("tiny"), [consumer]) as tiny,
        raw_producer(kafka_bootstrap) as producer,
    ):
        yield Scene(tiny, topic, producer, fault, name)


@pytest_asyncio.fixture
async def scene(running: Scene) -> AsyncIterator[Scene]:
    """The one service, with nothing set aside."""
    yield running
    running.fault.keys = set()
    async with running.tiny.database.connection() as connection:
        await connection.execute("DELETE FROM parked; DELETE FROM effect; DELETE FROM outbox_refused")


async def post(client: Client, path: str, body: Any = None) -> tuple[int, dict[str, Any]]:
    status, answer, _ = await client.call("POST", path, body)
    return status, answer


async def test_a_record_set_aside_is_shown_with_its_reason_and_without_its_payload(scene: Scene) -> None:
    scene.fault.keys = {b"bad"}
    event_id = await scene.send("bad")

    (item,) = await scene.set_aside(1)
    record = await scene.shown(item["record_id"])

    assert (item["consumer"], item["error_class"], item["state"]) == (scene.consumer, "not-yet-known", "waiting")
    assert (item["event_id"], item["key"]) == (event_id, "bad")
    assert "payload" not in record
    assert (record["behind"], record["history"]) == (None, [])
    _, groups, _ = await scene.tiny.operator.call("GET", "/v1/parked/groups")
    assert [(group["consumer"], group["error_class"], group["records"]) for group in groups["items"]] == [
        (scene.consumer, "not-yet-known", 1)
    ]


async def test_only_a_payloads_reader_sees_it_and_the_reading_is_written_down(scene: Scene) -> None:
    await scene.send("a", BROKEN)
    (item,) = await scene.set_aside(1, "?state=dead")
    path = f"/v1/parked/{item['record_id']}"

    refused, _, _ = await scene.tiny.operator.call("GET", f"{path}/payload")
    status, answer, _ = await scene.tiny.protection.call("GET", f"{path}/payload")

    assert (refused, status) == (403, 200)
    assert answer == {"payload": json.loads(BROKEN), "original": None}
    assert [act["action"] for act in (await scene.shown(item["record_id"]))["history"]] == ["read"]


@pytest.mark.parametrize("payload", [b'{"a": NaN}', b'{"a": 1e999}', b'"\\ud800"', b"[" * 5_000, b"9" * 5_000, b"\xff"])
async def test_a_payload_that_no_answer_could_hold_is_shown_as_text(scene: Scene, payload: bytes) -> None:
    await scene.send("a", payload)
    (item,) = await scene.set_aside(1, "?state=dead")

    status, answer, _ = await scene.tiny.protection.call("GET", f"/v1/parked/{item['record_id']}/payload")

    assert (status, answer["payload"]) == (200, payload.decode("utf-8", "replace"))


@pytest.mark.parametrize("path", ["", "/groups", "/1"])
async def test_a_desk_may_not_look(scene: Scene, path: str) -> None:
    assert (await scene.tiny.desk.call("GET", f"/v1/parked{path}"))[0] == 403


async def test_a_key_goes_in_order_when_its_first_is_freed_and_a_later_one_alone_is_refused(scene: Scene) -> None:
    scene.fault.keys = {b"bad"}
    sent = [await scene.send("bad"), await scene.send("bad")]
    first, later = await scene.set_aside(2)

    status, problem = await post(scene.tiny.operator, f"/v1/parked/{later['record_id']}/retry")
    scene.fault.keys = set()
    freed, _ = await post(scene.tiny.operator, f"/v1/parked/{first['record_id']}/retry")
    await scene.handled(*sent)

    assert (status, problem["type"], problem["first"]) == (
        409,
        "urn:ihala:problem:behind-another",
        first["record_id"],
    )
    assert freed == 200
    assert await scene.tiny.effects() == sent


async def test_a_record_waits_for_none_of_its_key_that_its_sender_counts_after_it(scene: Scene) -> None:
    """As a withdrawal that came before its case, or whose case was lost and is published again."""
    scene.fault.keys = {b"bad"}
    second = await scene.send("bad", ce_sequence=b"0000000002")
    await scene.set_aside(1)
    first = await scene.send("bad", ce_sequence=b"0000000001")
    records = {record["event_id"]: record["record_id"] for record in await scene.set_aside(2)}

    shown = await scene.shown(records[second])
    await delay(scene, records[second])
    scene.fault.keys = set()
    freed, _ = await post(scene.tiny.operator, f"/v1/parked/{records[first]}/retry")
    await scene.handled(first, second)

    assert shown["behind"] == records[first]
    assert freed == 200
    assert await scene.tiny.effects() == [first, second]


async def delay(scene: Scene, record_id: str) -> None:
    """It failed often, and is not due for an hour."""
    async with scene.tiny.database.connection() as connection:
        await connection.execute(
            "UPDATE parked SET next_attempt_at = clock_timestamp() + interval '1 hour' WHERE id = $1", int(record_id)
        )


async def test_discarding_the_first_frees_the_later_ones_and_needs_a_reason(scene: Scene) -> None:
    scene.fault.keys = {b"bad"}
    _, later = await scene.send("bad"), await scene.send("bad")
    first, _ = await scene.set_aside(2)
    path = f"/v1/parked/{first['record_id']}/discard"

    without, _ = await post(scene.tiny.operator, path, {})
    status, _ = await post(scene.tiny.operator, path, {"reason": "asked the sender to send it anew"})
    scene.fault.keys = set()
    await scene.handled(later)

    assert (without, status) == (422, 200)
    assert await scene.tiny.effects() == [later]
    record = await scene.shown(first["record_id"])
    assert record["state"] == "discarded"
    (act,) = record["history"]
    assert (act["action"], act["reason"]) == ("discard", "asked the sender to send it anew")
    assert act["actor"].startswith("operator:")


async def test_a_retry_acts_once_whoever_asks_however_often(scene: Scene) -> None:
    scene.fault.keys = {b"bad"}
    event_id = await scene.send("bad")
    (item,) = await scene.set_aside(1)
    scene.fault.keys = set()
    path = f"/v1/parked/{item['record_id']}/retry"

    answers = await asyncio.gather(*(post(scene.tiny.operator, path) for _ in range(8)))
    await scene.handled(event_id)
    await scene.set_aside(1, "?state=done")
    again, problem = await post(scene.tiny.operator, path)

    assert {status for status, _ in answers} <= {200, 409}
    assert (again, problem["type"]) == (409, "urn:ihala:problem:settled")
    assert await scene.tiny.effects() == [event_id]


async def test_a_retry_waits_for_the_schedules_own_try_and_changes_nothing_after_it(scene: Scene) -> None:
    """The schedule holds the record's row while it tries; an operator who asks meanwhile is told how it ended."""
    scene.fault.keys = {b"bad"}
    event_id = await scene.send("bad")
    (item,) = await scene.set_aside(1)
    async with scene.tiny.database.connection() as trying, trying.transaction():
        await trying.execute("SELECT FROM parked WHERE id = $1 FOR UPDATE", int(item["record_id"]))
        asked = asyncio.create_task(post(scene.tiny.operator, f"/v1/parked/{item['record_id']}/retry"))
        await asyncio.sleep(0.3)
        assert not asked.done()
        await trying.execute("INSERT INTO effect (event_id) VALUES ($1)", event_id)
        await trying.execute("UPDATE parked SET state = 'done', payload = NULL")
    status, problem = await asked

    assert (status, problem["type"]) == (409, "urn:ihala:problem:settled")
    assert await scene.tiny.effects() == [event_id]


async def test_a_dead_record_that_came_again_and_was_handled_has_no_second_effect(scene: Scene) -> None:
    scene.fault.keys = {b"bad"}
    event_id = await scene.send("bad")
    (item,) = await scene.set_aside(1)
    async with scene.tiny.database.connection() as connection:
        await connection.execute("UPDATE parked SET state = 'dead', next_attempt_at = NULL, attempts = 6")
    scene.fault.keys = set()
    await scene.send("bad", ce_id=event_id.encode())
    await scene.handled(event_id)

    status, _ = await post(scene.tiny.operator, f"/v1/parked/{item['record_id']}/retry")
    await scene.set_aside(1, "?state=done")

    assert status == 200
    assert await scene.tiny.effects() == [event_id]


async def test_a_dead_record_is_edited_to_what_can_be_read_and_tried(scene: Scene) -> None:
    event_id = await scene.send("a", BROKEN)
    (item,) = await scene.set_aside(1, "?state=dead")
    path = f"/v1/parked/{item['record_id']}"
    right = json.loads(an_event(scene.topic, uuid7(), 1).payload)

    wrong, problem, _ = await scene.tiny.protection.call("PUT", path, {"payload": {}, "reason": "a try"})
    refused, _, _ = await scene.tiny.operator.call("PUT", path, {"payload": right, "reason": "not mine"})
    status, edited, _ = await scene.tiny.protection.call("PUT", path, {"payload": right, "reason": "was cut off"})
    await post(scene.tiny.operator, f"{path}/retry")
    await scene.handled(event_id)

    assert (wrong, refused, status) == (422, 403, 200)
    assert "/payload/consumer" in {error["pointer"] for error in problem["errors"]}
    assert (edited["edited"], edited["state"]) == (True, "dead")
    _, content, _ = await scene.tiny.protection.call("GET", f"{path}/payload")
    assert content["original"] == json.loads(BROKEN)
    acts = (await scene.shown(item["record_id"]))["history"]
    assert [act["action"] for act in acts] == ["edit", "retry", "read"]


async def test_a_dead_record_that_fails_again_is_dead_again_as_often_as_one_likes(scene: Scene) -> None:
    await scene.send("a", BROKEN)
    (item,) = await scene.set_aside(1, "?state=dead")

    for tries in (2, 3):
        await post(scene.tiny.operator, f"/v1/parked/{item['record_id']}/retry")

        async def dead_again(tries: int = tries) -> bool:
            record = await scene.shown(item["record_id"])
            return bool(record["state"] == "dead" and record["attempts"] == tries)

        await wait_until(dead_again, 20)


async def test_a_group_is_tried_or_given_up_at_once(scene: Scene) -> None:
    scene.fault.keys = {b"one", b"two"}
    sent = [await scene.send("one"), await scene.send("two")]
    await scene.send("three", BROKEN)
    await scene.set_aside(3)
    scene.fault.keys = set()

    group = {"consumer": scene.consumer, "error_class": "not-yet-known"}
    _, tried = await post(scene.tiny.operator, "/v1/parked/groups/retry", group)
    lost = {"consumer": scene.consumer, "error_class": "schema-error", "reason": "sent by mistake"}
    _, given_up = await post(scene.tiny.operator, "/v1/parked/groups/discard", lost)
    await scene.handled(*sent)

    assert (tried, given_up) == ({"records": 2}, {"records": 1})
    (discarded,) = await scene.set_aside(1, "?state=discarded")
    assert [act["reason"] for act in (await scene.shown(discarded["record_id"]))["history"]] == ["sent by mistake"]


async def test_events_that_kafka_refuses_are_shown_tried_and_given_up_the_same_way(
    scene: Scene, kafka_bootstrap: str
) -> None:
    missing = a_topic(1)
    aggregate = uuid7()
    async with scene.tiny.database.transaction() as work:
        for sequence in (1, 2, 3):
            work.record(an_event(missing, aggregate, sequence))
    first, second, _ = await scene.set_aside(3, "?consumer=tiny.outbox")

    assert first["error_class"] == "UnknownTopicOrPartitionError"
    behind, problem = await post(scene.tiny.operator, f"/v1/parked/{second['record_id']}/retry")
    assert (behind, problem["type"]) == (409, "urn:ihala:problem:behind-another")
    status = 409
    while status == 409:  # while the relay tries it, it is not set aside
        status, _ = await post(scene.tiny.operator, f"/v1/parked/{first['record_id']}/discard", {"reason": "obsolete"})
    await made(kafka_bootstrap, missing)
    assert status == 200
    await refused_are_due(scene.tiny.database)

    records = await read_all(kafka_bootstrap, missing.name, 2, within_seconds=40)
    assert [int(dict(record.headers)["ce_sequence"]) for record in records] == [2, 3]


async def test_what_operators_did_cannot_be_rewritten(scene: Scene) -> None:
    await scene.send("a", BROKEN)
    (item,) = await scene.set_aside(1)
    await post(scene.tiny.operator, f"/v1/parked/{item['record_id']}/discard", {"reason": "of no use"})

    async with scene.tiny.database.connection() as connection:
        for statement in ("UPDATE operator_log SET actor = 'x'", "DELETE FROM operator_log", "TRUNCATE operator_log"):
            with pytest.raises(asyncpg.RaiseError):
                await connection.execute(statement)


async def test_settled_records_are_forgotten_and_unsettled_ones_never(scene: Scene) -> None:
    await scene.send("a", BROKEN)
    await scene.send("b", BROKEN)
    gone, kept = await scene.set_aside(2)
    await post(scene.tiny.operator, f"/v1/parked/{gone['record_id']}/discard", {"reason": "of no use"})
    async with scene.tiny.database.connection() as connection:
        await connection.execute("UPDATE parked SET parked_at = now() - interval '31 days'")

        await set_aside.clean(connection)

        assert await connection.fetchval("SELECT array_agg(id::text) FROM parked") == [kept["record_id"]]


@pytest.mark.parametrize("record_id", ["0", "-1", "17", "out-17", "x", "9999999999999999999", "%00"])
async def test_what_is_not_there_is_missing(scene: Scene, record_id: str) -> None:
    status, _, _ = await scene.tiny.operator.call("GET", f"/v1/parked/{record_id}")

    assert status == (400 if record_id == "%00" else 404)
