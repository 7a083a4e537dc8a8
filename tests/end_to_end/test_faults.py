"""Faults on the whole system: what was accepted arrives once, and what is down heals by itself."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import pytest
from support.people import People, intake_of, people_of
from support.runtime import raw_producer
from support.system import System
from support.waiting import wait_until

INTAKES_A_SECOND = 8
HEAL_SECONDS = 60.0


@pytest.fixture(scope="module")
def breakable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    folder: Path = tmp_path_factory.mktemp("breakable")
    system = System(folder)
    system.up()
    yield system
    system.end()


async def hand_in_steadily(people: People, seconds: float) -> list[str]:
    """Intakes at a steady pace; each is sent again under its key until it is accepted. Their case references."""
    tasks = []
    for _ in range(int(seconds * INTAKES_A_SECOND)):
        tasks.append(asyncio.create_task(accepted(people)))
        await asyncio.sleep(1 / INTAKES_A_SECOND)
    return list(await asyncio.gather(*tasks))


async def accepted(people: People) -> str:
    """What a well-behaved client does: the same key again after a 503 or a broken connection."""
    key, intake = str(uuid4()), intake_of("HEA-PHC", "PT-ESSP")
    desk = people.as_role("desk", "intake")
    async with asyncio.timeout(HEAL_SECONDS):
        while True:
            try:
                status, answer, headers = await desk.call("POST", "/v1/intakes", intake, Idempotency_Key=key)
            except aiohttp.ClientError:
                status, answer, headers = 599, {}, {}
            if status == 201:
                return str(answer["case_ref"])
            assert status in (503, 599), answer
            assert status == 599 or headers["Retry-After"]
            await asyncio.sleep(0.5)


async def each_told_once(people: People, case_refs: list[str]) -> None:
    """Every accepted intake: one referral, and one message told to one agency (repetitions have the same id)."""
    assert len(set(case_refs)) == len(case_refs)
    for case_ref in case_refs:
        (referral,) = await people.routed(case_ref, within_seconds=HEAL_SECONDS)
        received = await people.told(referral["referral_id"], within_seconds=HEAL_SECONDS)
        assert len({webhook["webhook_id"] for webhook in received}) == 1
        assert all(webhook["verified"] for webhook in received)
        assert referral["attempt_no"] == 1


@pytest.mark.timeout(240)
@pytest.mark.parametrize("name", ["intake-1", "referral-1", "notification-1"])
async def test_a_service_killed_in_the_middle_loses_nothing_and_tells_nobody_twice(
    breakable: System, name: str
) -> None:
    async with people_of(breakable) as people:
        steady = asyncio.create_task(hand_in_steadily(people, 6))
        await asyncio.sleep(2)
        breakable.kill(name)
        await asyncio.sleep(2.5)
        case_refs = await steady

        await each_told_once(people, case_refs)


@pytest.mark.timeout(240)
async def test_while_kafka_is_down_intakes_are_accepted_and_arrive_later(breakable: System) -> None:
    async with people_of(breakable) as people:
        breakable.kill("kafka")
        case_refs = [await accepted(people) for _ in range(10)]

        await each_told_once(people, case_refs)


@pytest.mark.timeout(240)
async def test_while_postgres_is_down_nothing_is_promised_and_all_heals(breakable: System) -> None:
    async with people_of(breakable) as people:
        breakable.kill("postgres")
        case_refs = list(await asyncio.gather(*(accepted(people) for _ in range(10))))

        await each_told_once(people, case_refs)


@pytest.mark.timeout(120)
async def test_an_agency_that_is_down_delays_nobody_else(breakable: System) -> None:
    async with people_of(breakable) as people:
        await people.behave("essp-agd-agadir", "down")
        down = [await people.hand_in(intake_of("HEA-PHC", "PT-ESSP")) for _ in range(5)]
        up = await people.hand_in(intake_of("HEA-PHC", "PT-ESSP", commune="INE-INEZGANE"))

        (referral,) = await people.routed(up["case_ref"])
        await people.told(referral["referral_id"], within_seconds=10)
        (waiting,) = await people.routed(down[0]["case_ref"])
        assert await people.webhooks(waiting["referral_id"]) == []
        assert await failed_deliveries(people, waiting["referral_id"])
        await people.behave("essp-agd-agadir", "ok")

        await people.told(waiting["referral_id"], within_seconds=30)


async def failed_deliveries(people: People, referral_id: str) -> list[dict[str, Any]]:
    async def found() -> list[dict[str, Any]]:
        _, answer, _ = await people.as_role("operator", "notification").call(
            "GET", f"/v1/deliveries?referral_id={referral_id}"
        )
        items: list[dict[str, Any]] = answer["items"]
        return [item for item in items if item["attempts"]]

    return await wait_until(found, within_seconds=20)


@pytest.mark.timeout(120)
async def test_what_cannot_be_read_is_set_aside_and_the_partition_goes_on(breakable: System) -> None:
    async with people_of(breakable) as people:
        before = breakable.status()["parked"]
        async with raw_producer(people.endpoints["kafka"]) as producer:
            for partition in range(8):
                await producer.send_and_wait("intake.case.v1", b"\xff\x00 no event", partition=partition)
        case = await people.hand_in(intake_of("HEA-PHC", "PT-ESSP", commune="AGD-DRARGUA"))

        (referral,) = await people.routed(case["case_ref"])
        await people.told(referral["referral_id"])

        async def all_set_aside() -> bool:
            return bool(breakable.status()["parked"] == before + 8)

        await wait_until(all_set_aside, within_seconds=15)
