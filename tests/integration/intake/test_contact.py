"""How a person may be told something: to a service alone, written down, and nothing where it could harm (P18, P19)."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from ihala_events.access import Role
from ihala_runtime.identifiers import uuid7
from support.cases import a_case, tell
from support.intake_service import Running
from support.intakes import a_person
from support.serving import Client, a_key
from support.waiting import wait_until

SMS = {"channel": "SMS", "language": "fr"}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def service(intake: Running) -> AsyncIterator[Client]:
    key = await a_key(intake.database, Role.SERVICE)
    async with aiohttp.ClientSession() as session:
        client = Client(session, intake.base, key)
        await wait_until(client.knows_key)
        yield client


async def contact(service: Client, case: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    status, answer, _ = await service.call("GET", f"/v1/cases/{case['case_ref']}/contact")
    return status, answer


async def test_a_service_reads_the_safe_way_and_the_reading_is_written_down(intake: Running, service: Client) -> None:
    person = a_person()
    case = await a_case(intake, **person, safe_contact=SMS | {"hours": "18-20"})

    answer = await contact(service, case)

    expected = {"channel": "SMS", "phone": person["phone"], "hours": "18-20", "language": "fr", "voicemail_ok": False}
    assert answer == (200, expected | {"to_guardian": False})
    assert await readings(intake, case) == ["contact"]


async def readings(intake: Running, case: dict[str, Any]) -> list[str]:
    async with intake.database.connection() as connection:
        rows = await connection.fetch("SELECT action FROM audit WHERE case_id = $1 ORDER BY id", case["case_id"])
    return [row["action"] for row in rows]


async def test_a_relay_has_no_telephone_and_the_language_of_the_consent(intake: Running, service: Client) -> None:
    case = await a_case(intake, **a_person(), safe_contact={"channel": "RELAY"})

    status, answer = await contact(service, case)

    assert (status, answer["channel"], answer["phone"], answer["language"]) == (200, "RELAY", None, "fr")


def consent_to(code: str, basis: str = "CONSENT") -> dict[str, Any]:
    scope = [{"need_code": code, "partner_types": ["PT-ESSP", "PT-NGO-WOM"]}]
    return {"text_version": "2026-11", "lang": "fr", "mode": "oral", "basis": basis, "scope": scope}


@pytest.mark.parametrize(
    "changes",
    [
        {"safe_contact": {"channel": "NONE"}},
        {"safe_contact": SMS | {"phone_shared": True}},
        {"vulnerabilities": ["V-GBV"]},
        {"vulnerabilities": ["V-VOT"]},
        {"needs": [{"need_code": "HEA-INF"}], "consent": consent_to("HEA-INF")},
        {"consent": consent_to("HEA-MAT", "VITAL_INTEREST")},
        {"phone": None},
    ],
)
async def test_where_it_could_harm_nothing_is_told(intake: Running, service: Client, changes: dict[str, Any]) -> None:
    case = await a_case(intake, **(a_person() | changes))
    missing = await service.call("GET", "/v1/cases/AG-0000-0000/contact")

    assert await contact(service, case) == missing[:2]
    assert missing[0] == 404


async def test_a_restricted_need_that_the_rules_added_counts_too(intake: Running, service: Client) -> None:
    case = await a_case(intake, **a_person())
    await tell(intake, case, uuid7(), need_code="SOC-GBV", partner_id="emf", partner_type="PT-EMF")

    await wait_until(lambda: is_silent(service, case))


async def is_silent(service: Client, case: dict[str, Any]) -> bool:
    return (await contact(service, case))[0] == 404


async def test_a_withdrawn_consent_and_an_erasure_end_it(intake: Running, service: Client) -> None:
    withdrawn, erased = await a_case(intake, **a_person()), await a_case(intake, **a_person())
    await intake.desk.call(
        "POST", f"/v1/cases/{withdrawn['case_ref']}/consent-withdrawal", {"need_codes": ["HEA-MAT"], "staff": "o-7"}
    )
    await intake.protection.call("POST", f"/v1/cases/{erased['case_ref']}/erasure")

    assert [(await contact(service, case))[0] for case in (withdrawn, erased)] == [404, 404]
