"""A copy of every database brought into servers whose Kafka is empty: work goes on, what was erased since is erased."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from aiokafka import ConsumerRecord
from ihala_events.topics import INTAKE_ERASURE
from ihala_local import postgres
from support.databases import all_handled, asked
from support.intakes import a_person
from support.people import People, intake_of, people_of
from support.runtime import raw_producer, read_all
from support.system import StartSystem, System
from support.waiting import wait_until


def copied(source: Path, target: Path) -> None:
    """With owners and times, as PostgreSQL wants them."""
    subprocess.run(["cp", "-a", str(source), str(target)], check=True)


async def a_told_case(people: People) -> tuple[dict[str, Any], dict[str, Any]]:
    """The case and its referral, whose webhook was received."""
    case = await people.hand_in(intake_of("HEA-PHC", "PT-ESSP", **a_person()))
    (referral,) = await people.routed(case["case_ref"], within_seconds=60)
    await people.told(referral["referral_id"], within_seconds=60)
    return case, referral


async def is_erased(system: System, case_id: str) -> bool:
    (file,) = await asked(system, "intake", "SELECT erased_at, sealed FROM case_file WHERE case_id = $1", case_id)
    keys = await asked(system, "intake_keys", "SELECT FROM case_key WHERE case_id = $1", case_id)
    return file["erased_at"] is not None and file["sealed"] == b"" and not keys


@pytest.mark.timeout(300)
async def test_after_a_restore_work_goes_on_and_what_was_erased_since_is_erased_again(
    start_system: StartSystem, tmp_path: Path
) -> None:
    system = start_system()
    async with people_of(system) as people:
        (erased, gone), (kept, open_) = await a_told_case(people), await a_told_case(people)
        await wait_until(lambda: all_handled(system), 60)
    system.down()
    data = postgres.data_home(system.folder / "postgres")
    copied(data, tmp_path / "backup")

    system.up()
    async with people_of(system) as people:
        protection = people.as_role("protection", "intake")
        status, _, _ = await protection.call("POST", f"/v1/cases/{erased['case_ref']}/erasure")
        assert status == 200
        ledger = await read_all(people.endpoints["kafka"], INTAKE_ERASURE.name, 1)
    system.down()
    shutil.rmtree(data)
    copied(tmp_path / "backup", data)
    shutil.rmtree(system.folder / "kafka")

    system.up()
    assert not await is_erased(system, erased["case_id"])
    async with people_of(system) as people:
        await told_of_the_ledger(people, ledger)
        await wait_until(lambda: is_erased(system, erased["case_id"]), 60)

        async def withdrawn() -> bool:
            return bool((await people.referral(gone["referral_id"]))["state"] == "withdrawn")

        await wait_until(withdrawn, 60)
        assert not await is_erased(system, kept["case_id"])
        await people.move(open_["partner_id"], open_["referral_id"], "accept")
        await a_told_case(people)


async def told_of_the_ledger(people: People, ledger: "list[ConsumerRecord]") -> None:
    """What of Kafka is worth keeping: the compacted topic of erasures."""
    async with raw_producer(people.endpoints["kafka"]) as producer:
        for record in ledger:
            await producer.send_and_wait(record.topic, record.value, record.key, headers=list(record.headers))
