"""Somebody else's Kafka, which asks for TLS and a password and gives no right that docs/deploying.md does not name."""

import json
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio
from aiokafka.errors import KafkaError, TopicAuthorizationFailedError
from ihala_events.topics import FIXED_TOPICS, Topic
from ihala_local import kafka
from ihala_local.checkout import CHECKOUT
from ihala_runtime.kafka_address import KafkaAddress
from ihala_runtime.topics import make_topics
from support.databases import all_handled
from support.intakes import a_person
from support.people import intake_of, people_of
from support.secured_kafka import Right, secured_kafka
from support.system import System
from support.tls import self_signed
from support.waiting import wait_until

PAGE = (CHECKOUT / "docs" / "deploying.md").read_text()


def rights_of_the_page() -> list[Right]:
    section = PAGE.split("\n## Servers on another machine\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (topics|groups) \| (.+) \| (.+) \|$", section, re.MULTILINE)
    return [
        (resource, prefix, operation)
        for resource, prefixes, operations in rows
        for prefix in re.findall("`(.+?)`", prefixes)
        for operation in operations.split(", ")
    ]


@pytest_asyncio.fixture(scope="module")
async def secured(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[KafkaAddress]:
    async with secured_kafka(tmp_path_factory.mktemp("secured"), rights_of_the_page()) as address:
        yield address


@pytest.fixture
def system(secured: KafkaAddress, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[System]:
    """Told of Kafka by the environment, as a deployer tells the services, and so are the commands that ask it."""
    told = {
        "IHALA_KAFKA_BOOTSTRAP": secured.bootstrap,
        "IHALA_KAFKA_CA_FILE": str(secured.ca_file),
        "IHALA_KAFKA_USER": str(secured.user),
        "IHALA_KAFKA_PASSWORD_FILE": str(secured.password_file),
    }
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    own = System(tmp_path / "system")
    try:
        own.up()
        yield own
    finally:
        own.end()


async def test_a_referral_goes_from_the_desk_to_its_outcome(system: System, tmp_path: Path) -> None:
    async with people_of(system) as people:
        case = await people.hand_in(intake_of("HEA-PHC", "PT-ESSP", **a_person()))
        (referral,) = await people.routed(case["case_ref"], within_seconds=60)
        await people.told(referral["referral_id"], within_seconds=60)
        await people.move(referral["partner_id"], referral["referral_id"], "accept")
        status, _, _ = await people.as_role("protection", "intake").call(
            "POST", f"/v1/cases/{case['case_ref']}/erasure"
        )
        assert status == 200
        await wait_until(lambda: all_handled(system), 60)

    ledger = tmp_path / "ledger"
    system.ihala("ledger", "export", str(ledger))
    assert [json.loads(line)["key"] for line in ledger.read_text().splitlines()] == [case["case_id"]]
    assert json.loads(system.ihala("replay", "--rebuild", "intake.directory", "--check", "--json"))["equal"]
    assert {name for name, lag in system.status()["lag"].items() if lag == 0} >= {
        "referral.router",
        "notification.dispatch",
    }


@pytest.mark.parametrize("wrong", ["password", "certificate", "no TLS"])
async def test_who_proves_nothing_is_not_served(secured: KafkaAddress, tmp_path: Path, wrong: str) -> None:
    (tmp_path / "password").write_text("another")
    strangers = {
        "password": replace(secured, password_file=tmp_path / "password"),
        "certificate": replace(secured, ca_file=self_signed(tmp_path, "127.0.0.1")[0]),
        "no TLS": KafkaAddress(secured.bootstrap),
    }

    assert await kafka.answers(secured)
    assert not await kafka.answers(strangers[wrong])
    with pytest.raises(KafkaError):
        await make_topics(strangers[wrong], FIXED_TOPICS)


async def test_what_the_page_does_not_name_may_not_be_done(secured: KafkaAddress) -> None:
    with pytest.raises(TopicAuthorizationFailedError):
        await make_topics(secured, [Topic("payroll.v1", "any")])
