"""The service as a process, on real Kafka and PostgreSQL, against agencies that check signatures like strangers."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any
from uuid import uuid4

import aiohttp
import pytest
import pytest_asyncio
from aiohttp.test_utils import TestServer
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from ihala_events.access import CredentialChanged, Role
from ihala_events.catalogue import CREDENTIAL_CHANGED
from ihala_events.topics import FIXED_TOPICS
from ihala_local.sandbox_partner import SandboxPartner, Secrets
from ihala_runtime.access import key_hash, new_key
from ihala_runtime.kafka_address import KafkaAddress
from ihala_runtime.outbox import NewEvent, new_event
from ihala_runtime.topics import make_topics
from support.notification import ReferralStory, a_partner, partner_changed
from support.servers import NewDatabase
from support.waiting import wait_until

STOPPED_WITHIN_SECONDS = 10.5  # ten, and the end of the process
TRACE_ID = "0af7651916cd43dd8448eb211c80319c"


def a_free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@dataclass
class RunningService:
    """The process, the keys it knows, and the sandbox agencies that listen."""

    url: str
    process: asyncio.subprocess.Process
    producer: AIOKafkaProducer
    http: aiohttp.ClientSession
    sandbox: SandboxPartner
    sandbox_url: str
    secrets_file: Path
    log_file: Path
    settings: dict[str, str]

    async def restart(self) -> None:
        """Killed, not asked; ready again when this returns."""
        self.process.kill()
        await self.process.wait()
        await self.start_again()

    async def stop(self) -> float:
        """Asked to; the seconds it took."""
        began = perf_counter()
        self.process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(self.process.wait(), 30)
        return perf_counter() - began

    async def start_again(self) -> None:
        self.process = await started(self.settings, self.log_file)
        await wait_until(lambda: is_ready(self), within_seconds=40, what="the service is ready again")

    async def publish(self, *events: NewEvent) -> None:
        for event in events:
            headers = [(name, text.encode()) for name, text in event.headers.items()]
            await self.producer.send_and_wait(event.topic, event.payload, event.key.encode(), headers=headers)

    async def a_key(self, role: Role, party_id: str | None = None) -> dict[str, str]:
        """Request headers of a new key that the service knows."""
        credential_id, key = new_key()
        record = CredentialChanged(
            credential_id=credential_id,
            sha256=key_hash(key),
            role=role,
            party_id=party_id,
            created_at=datetime.now(UTC),
        )
        await self.publish(
            new_event(
                CREDENTIAL_CHANGED,
                record,
                source="/ihala/referral",
                aggregate_id=uuid4(),
                sequence=1,
                key=credential_id,
                time=datetime.now(UTC),
            )
        )
        headers = {"Authorization": f"Bearer {key}"}

        async def known() -> bool:
            async with self.http.get(f"{self.url}/v1/whoami", headers=headers) as answer:
                return answer.status == 200

        await wait_until(lambda: known(), within_seconds=15)
        return headers

    async def call(self, method: str, path: str, key: dict[str, str], body: Any = None) -> tuple[int, Any]:
        async with self.http.request(method, f"{self.url}{path}", headers=key, json=body) as answer:
            return answer.status, await answer.json()

    async def an_agency(self, key: dict[str, str]) -> str:
        """A new agency in the directory, with an endpoint at the sandbox; its id."""
        partner_id = f"agency-{uuid4().hex[:8]}"
        await self.publish(partner_changed(a_partner(partner_id)))
        status, endpoint = await self.call(
            "PUT", f"/v1/endpoints/{partner_id}", key, {"url": f"{self.sandbox_url}/hook/{partner_id}"}
        )
        assert (status, endpoint["state"]) == (200, "enabled")
        known = json.loads(self.secrets_file.read_text()) | {partner_id: endpoint["secret"]}
        self.secrets_file.write_text(json.dumps(known))
        return partner_id


async def started(settings: dict[str, str], log_file: Path) -> asyncio.subprocess.Process:
    with log_file.open("a") as log:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "ihala_notification", env=settings, stderr=log
        )


async def pass_over_what_other_tests_left(bootstrap: str) -> None:
    """The topics and groups of the service are shared by the session; its database is not."""
    for topic, group in (
        ("referral.lifecycle.v1", "notification.dispatch"),
        ("directory.partner.v1", "notification.partners"),
    ):
        consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=group, enable_auto_commit=False)
        await consumer.start()
        try:
            partitions = [TopicPartition(topic, number) for number in range(8)]
            consumer.assign(partitions)
            await consumer.commit(await consumer.end_offsets(partitions))
        finally:
            await consumer.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def service(
    new_database: NewDatabase, kafka_bootstrap: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[RunningService]:
    await make_topics(KafkaAddress(kafka_bootstrap), FIXED_TOPICS)
    await pass_over_what_other_tests_left(kafka_bootstrap)
    folder = tmp_path_factory.mktemp("notification")
    port, log_file, secrets_file = a_free_port(), folder / "log", folder / "secrets.json"
    secrets_file.write_text("{}")
    settings = os.environ | {
        "IHALA_POSTGRES_DSN": await new_database(),
        "IHALA_KAFKA_BOOTSTRAP": kafka_bootstrap,
        "IHALA_HTTP_PORT": str(port),
        "IHALA_KEK_FILE": str(folder / "kek"),
        "IHALA_INSTANCE": "notification-1",  # as it is run: a killed one takes its place back at once
        "IHALA_WEBHOOK_PRIVATE_NETWORKS": "127.0.0.0/8",
        "IHALA_WEBHOOK_RETRY_SECONDS": "0,0.2,0.2,0.2,60",
    }
    process = await started(settings, log_file)
    sandbox = SandboxPartner(Secrets(secrets_file))
    producer = AIOKafkaProducer(bootstrap_servers=kafka_bootstrap)
    await producer.start()
    try:
        async with TestServer(sandbox.app()) as server, aiohttp.ClientSession() as http:
            url, sandbox_url = f"http://127.0.0.1:{port}", str(server.make_url("")).rstrip("/")
            running = RunningService(
                url, process, producer, http, sandbox, sandbox_url, secrets_file, log_file, settings
            )
            await wait_until(lambda: is_ready(running), within_seconds=40, what="the service is ready")
            yield running
    finally:
        await producer.stop()
        if running.process.returncode is None:
            running.process.terminate()
            await asyncio.wait_for(running.process.wait(), 15)


async def is_ready(service: RunningService) -> bool:
    assert service.process.returncode is None, service.log_file.read_text()[-2_000:]
    with contextlib.suppress(aiohttp.ClientError):
        async with service.http.get(f"{service.url}/ready") as answer:
            return answer.status == 200
    return False


async def first_of_key(bootstrap: str, topic: str, key: str) -> "ConsumerRecord[bytes, bytes]":
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        async with asyncio.timeout(15):
            async for record in consumer:
                if record.key == key.encode():
                    return record
    finally:
        await consumer.stop()
    raise AssertionError("the topic ended")


async def test_a_referral_arrives_verified_in_its_trace_and_is_receipted(
    service: RunningService, kafka_bootstrap: str
) -> None:
    partner_id = await service.an_agency(await service.a_key(Role.ADMIN))
    story = ReferralStory()
    event = story.event("sent", partner_id=partner_id)
    began = f"00-{TRACE_ID}-b7ad6b7169203331-01"
    event.headers.update({"ce_traceparent": began, "traceparent": f"00-{TRACE_ID}-00f067aa0ba902b7-01"})

    await service.publish(event)
    receipts = service.sandbox.receipts
    await wait_until(lambda: receipts.of_referral(str(story.referral_id)), within_seconds=15)

    (receipt,) = receipts.of_referral(str(story.referral_id))
    assert (receipt.partner_id, receipt.type, receipt.verified) == (partner_id, "ihala.referral.sent.v1", True)
    assert receipt.traceparent is not None
    assert receipt.traceparent.split("-")[1] == TRACE_ID
    delivered = await first_of_key(kafka_bootstrap, "notification.delivery.v1", str(story.referral_id))
    headers = dict(delivered.headers)
    assert headers["ce_type"] == b"ihala.notification.delivered.v1"
    assert headers["ce_traceparent"].decode() == began
    assert headers["traceparent"].decode().split("-")[1] == TRACE_ID
    assert json.loads(delivered.value)["event_id"] == str(event.event_id)


async def test_an_agency_that_is_down_for_a_moment_gets_it_later(service: RunningService) -> None:
    partner_id = await service.an_agency(await service.a_key(Role.ADMIN))
    await service.http.put(f"{service.sandbox_url}/behaviour/{partner_id}", json={"mode": "down", "seconds": 0.5})
    story = ReferralStory()

    await service.publish(story.event("sent", partner_id=partner_id))
    receipts = service.sandbox.receipts
    await wait_until(lambda: receipts.of_referral(str(story.referral_id)), within_seconds=15)

    assert [r.verified for r in receipts.of_referral(str(story.referral_id))] == [True]


async def test_a_rotated_secret_and_the_old_one_both_verify(service: RunningService) -> None:
    admin = await service.a_key(Role.ADMIN)
    partner_id = await service.an_agency(admin)

    status, rotated = await service.call("POST", f"/v1/endpoints/{partner_id}/rotate-secret", admin)
    _, with_the_old = await service.call("POST", f"/v1/endpoints/{partner_id}/test", admin)
    service.secrets_file.write_text(json.dumps({partner_id: rotated["secret"]}))
    _, with_the_new = await service.call("POST", f"/v1/endpoints/{partner_id}/test", admin)

    assert (status, rotated["live_secrets"]) == (200, 2)
    assert (with_the_old["delivered"], with_the_new["delivered"]) == (True, True)


async def test_secrets_do_not_pile_up_until_no_server_takes_the_signatures(service: RunningService) -> None:
    admin = await service.a_key(Role.ADMIN)
    partner_id = await service.an_agency(admin)

    answers = [await service.call("POST", f"/v1/endpoints/{partner_id}/rotate-secret", admin) for _ in range(9)]

    assert [status for status, _ in answers] == [200] * 7 + [409] * 2
    assert answers[-1][1]["type"].endswith("too-many-secrets")


async def test_an_endpoint_is_told_its_secret_once(service: RunningService) -> None:
    admin = await service.a_key(Role.ADMIN)
    partner_id = await service.an_agency(admin)
    path, body = f"/v1/endpoints/{partner_id}", {"url": f"{service.sandbox_url}/hook/{partner_id}"}

    answers = [await service.call("PUT", path, admin, body), await service.call("GET", path, admin)]
    changed = await service.call("PUT", path, admin, body | {"signature": "v1a"})

    assert all(status == 200 and "secret" not in answer for status, answer in answers)
    assert changed[1]["secret"].startswith("whpk_")


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        ({"url": "https://10.0.0.1/"}, "/url", "address-address"),
        ({"url": "ftp://agency.example/"}, "/url", "address-scheme"),
        ({"url": "https://u:p@agency.example/"}, "/url", "address-userinfo"),
        ({"url": ""}, "/url", "too-short"),
        ({}, "/url", "required"),
        ({"url": "https://agency.example/", "signature": "none"}, "/signature", "unknown-code"),
        ({"url": "https://agency.example/", "secret": "mine"}, "/secret", "unknown-field"),
    ],
)
async def test_a_wrong_endpoint_is_refused_without_repeating_it(
    service: RunningService, body: dict[str, str], pointer: str, code: str
) -> None:
    admin = await service.a_key(Role.ADMIN)

    status, problem = await service.call("PUT", "/v1/endpoints/agency-x", admin, body)

    assert status == 422
    assert [(each["pointer"], each["code"]) for each in problem["errors"]] == [(pointer, code)]
    assert "10.0.0.1" not in json.dumps(problem)


async def test_each_role_may_do_what_the_contract_lists(service: RunningService) -> None:
    admin = await service.a_key(Role.ADMIN)
    partner_id = await service.an_agency(admin)
    keys = {role: await service.a_key(role, None) for role in Role if role not in (Role.AGENCY, Role.ADMIN)}
    mine, strange = await service.a_key(Role.AGENCY, partner_id), await service.a_key(Role.AGENCY, "stranger")

    async def status(key: dict[str, str], method: str, path: str, body: Any = None) -> int:
        return (await service.call(method, path, key, body))[0]

    endpoint = f"/v1/endpoints/{partner_id}"
    body = {"url": f"{service.sandbox_url}/hook/{partner_id}"}
    for method, path, sent in (("PUT", endpoint, body), ("GET", endpoint, None), ("POST", f"{endpoint}/test", None)):
        assert await status(mine, method, path, sent) == 200
        assert await status(admin, method, path, sent) == 200
        assert await status(strange, method, path, sent) == 404
        assert {await status(key, method, path, sent) for key in keys.values()} == {403}
    for method, path, sent in (
        ("GET", "/v1/deliveries", None),
        ("POST", "/v1/deliveries/replay", {"partner_id": partner_id}),
    ):
        assert await status(mine, method, path, sent) == 200
        assert await status(keys[Role.OPERATOR], method, path, sent) == 200
        assert await status(admin, method, path, sent) == 403
        others = {await status(key, method, path, sent) for role, key in keys.items() if role is not Role.OPERATOR}
        assert others == {403}
    assert await status(strange, "GET", f"/v1/deliveries?partner_id={partner_id}") == 404
    assert await status({}, "GET", "/v1/deliveries") == 401


async def test_an_agency_sees_its_own_deliveries_and_operators_the_answers(service: RunningService) -> None:
    partner_id = await service.an_agency(await service.a_key(Role.ADMIN))
    mine, strange = await service.a_key(Role.AGENCY, partner_id), await service.a_key(Role.AGENCY, "stranger")
    operator = await service.a_key(Role.OPERATOR)
    story = ReferralStory()
    await service.publish(story.event("sent", partner_id=partner_id))
    path = f"/v1/deliveries?referral_id={story.referral_id}"

    async def logged() -> Any:
        _, page = await service.call("GET", path, operator)
        return page["items"] and page["items"][0]["attempts"]

    await wait_until(lambda: logged(), within_seconds=15)
    (for_operator,) = (await service.call("GET", path, operator))[1]["items"]
    (for_agency,) = (await service.call("GET", path, mine))[1]["items"]
    for_stranger = (await service.call("GET", path, strange))[1]["items"]

    assert (for_operator["state"], for_operator["attempts"][0]["status"]) == ("delivered", 200)
    assert "answer" in for_operator["attempts"][0]
    assert "answer" not in for_agency["attempts"][0]
    assert for_stranger == []


async def test_a_sent_referral_reaches_an_idle_service_within_milliseconds(service: RunningService) -> None:
    partner_id = await service.an_agency(await service.a_key(Role.ADMIN))
    receipts, waits = service.sandbox.receipts, []
    for _ in range(20):
        story = ReferralStory()
        started = perf_counter()
        await service.publish(story.event("sent", partner_id=partner_id))
        while not receipts.of_referral(str(story.referral_id)):  # noqa: ASYNC110  finer than wait_until
            await asyncio.sleep(0.001)
        waits.append(perf_counter() - started)

    assert sorted(waits)[10] < 0.25  # a busy test machine; the benchmark measures it properly


async def test_a_killed_service_loses_nothing_and_repeats_only_what_was_under_way(service: RunningService) -> None:
    partner_id = await service.an_agency(await service.a_key(Role.ADMIN))
    stories = [ReferralStory() for _ in range(200)]
    receipts = service.sandbox.receipts

    publishing = asyncio.create_task(service.publish(*(s.event("sent", partner_id=partner_id) for s in stories)))
    await wait_until(lambda: receipts.of_referral(str(stories[20].referral_id)), within_seconds=30)
    await service.restart()
    await publishing
    await wait_until(lambda: all(receipts.of_referral(str(story.referral_id)) for story in stories), within_seconds=60)

    received = [receipt for story in stories for receipt in receipts.of_referral(str(story.referral_id))]
    assert len({receipt.webhook_id for receipt in received}) == len(stories)
    assert all(receipt.verified for receipt in received)
    under_way_at_the_kill = 40  # a lane's four tries, and results that were not written down yet
    assert len(received) <= len(stories) + under_way_at_the_kill


async def test_an_agency_that_answers_after_six_seconds_is_told_once_when_the_service_stops_meanwhile(
    service: RunningService,
) -> None:
    partner_id = await service.an_agency(await service.a_key(Role.ADMIN))
    operator, story = await service.a_key(Role.OPERATOR), ReferralStory()
    await service.http.put(f"{service.sandbox_url}/behaviour/{partner_id}", json={"mode": "slow", "seconds": 6})
    await service.publish(story.event("sent", partner_id=partner_id))
    receipts = service.sandbox.receipts
    await wait_until(lambda: receipts.of_referral(str(story.referral_id)), within_seconds=15)

    took = await service.stop()
    await service.start_again()

    async def is_delivered() -> bool:
        _, page = await service.call("GET", f"/v1/deliveries?referral_id={story.referral_id}", operator)
        return [each["state"] for each in page["items"]] == ["delivered"]

    await wait_until(is_delivered, within_seconds=60)
    assert len(receipts.of_referral(str(story.referral_id))) == 1
    assert took < STOPPED_WITHIN_SECONDS


async def test_no_secret_and_no_message_stands_in_the_log(service: RunningService) -> None:
    log = service.log_file.read_text()

    assert "whsec_" not in log
    assert "AG-7K3F-9QXY" not in log
    assert all(json.loads(line) for line in log.splitlines())


async def test_it_stops_in_time_when_asked(service: RunningService) -> None:
    took = await service.stop()

    actions = [json.loads(line).get("action") for line in service.log_file.read_text().splitlines()]
    assert "stop" in actions
    assert took < STOPPED_WITHIN_SECONDS
