"""The vignettes of the specification on the whole system under a test clock: rule, agency, deadlines to the minute.

Every expected value is the specification's, none was read off the program.
"""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from support.people import People, intake_of, people_of
from support.system import System
from support.waiting import wait_until


@pytest.fixture(scope="module")
def clocked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A system whose clock stands where the first vignette begins; the vignettes come in the order of time."""
    folder: Path = tmp_path_factory.mktemp("clocked")
    system = System(folder)
    system.up("--test-clock", "2026-11-05T15:00:00Z")
    yield system
    system.end()


@pytest_asyncio.fixture
async def people(clocked: System) -> AsyncIterator[People]:
    async with people_of(clocked) as people:
        yield people


def deadlines(referral: dict[str, Any]) -> tuple[str, str]:
    return referral["ack_due"], referral["contact_due"]


async def test_v03_mother_and_daughter_are_two_linked_cases_each_with_its_own_clock(people: People) -> None:
    received_at = "2026-11-05T15:00:00Z"
    mother = await people.hand_in(
        intake_of("EDU-ADL", "PT-NGO-SOC", "PT-COM", commune="INE-DCHEIRA", received_at=received_at, sex="F")
    )
    guardian = {
        "text_version": "2026-11",
        "lang": "fr",
        "mode": "oral",
        "basis": "GUARDIAN",
        "scope": [{"need_code": "EDU-ENR", "partner_types": ["PT-EDU-DP", "PT-NGO-CHI"]}],
    }
    daughter = await people.hand_in(
        intake_of(
            "EDU-ENR",
            commune="INE-DCHEIRA",
            received_at=received_at,
            age_band="6-11",
            consent=guardian,
            docs_seen=["DOC-NONE"],
            household=[{"case_ref": mother["case_ref"], "relation": "PARENT"}],
        )
    )

    (schooling,) = await people.routed(daughter["case_ref"])
    (language,) = await people.routed(mother["case_ref"])

    assert (schooling["rule_id"], schooling["partner_type"], schooling["urgency"]) == ("R19", "PT-EDU-DP", "U3")
    assert schooling["partner_id"].startswith("edu-dp-ine")
    assert deadlines(schooling) == ("2026-11-10T16:30:00Z", "2026-11-13T16:30:00Z")
    assert (language["rule_id"], language["urgency"]) == ("R24", "U4")
    assert "siblings_split" not in schooling["flags"] + language["flags"]
    _, of_mother, _ = await people.as_role("desk").call("GET", f"/v1/referrals?case_ref={mother['case_ref']}")
    _, of_daughter, _ = await people.as_role("desk").call("GET", f"/v1/referrals?case_ref={daughter['case_ref']}")
    assert (of_mother["household"], of_daughter["household"]) == ([daughter["case_ref"]], [mother["case_ref"]])
    await people.move(language["partner_id"], language["referral_id"], "decline", {"reason_code": "CAPACITY"})
    unmoved = await people.referral(schooling["referral_id"])
    assert (unmoved["state"], unmoved["partner_id"]) == (schooling["state"], schooling["partner_id"])


async def test_v01_maternal_care_goes_to_the_health_centre(clocked: System, people: People) -> None:
    clocked.ihala("clock", "set", "2026-11-16T10:15:00Z")
    case = await people.hand_in(
        intake_of(
            "HEA-MAT",
            "PT-ESSP",
            "PT-NGO-WOM",
            received_at="2026-11-16T10:15:00Z",
            facts={"pregnancy_weeks": 30, "danger_sign": False},
            sex="F",
            birth_year=1999,
            vulnerabilities=["V-PRG"],
            languages=[{"tag": "wo", "level": "native"}, {"tag": "fr", "level": "basic"}],
        )
    )

    (referral,) = await people.routed(case["case_ref"])

    assert (referral["rule_id"], referral["partner_type"], referral["urgency"]) == ("R11", "PT-ESSP", "U2")
    assert deadlines(referral) == ("2026-11-17T10:15:00Z", "2026-11-19T10:15:00Z")
    (webhook,) = await people.told(referral["referral_id"])
    assert webhook["verified"] is True


async def test_v06_silence_reroutes_at_ack_due_and_contact_due_stays(clocked: System, people: People) -> None:
    clocked.ihala("clock", "set", "2026-12-07T09:00:00Z")
    await people.behave("essp-ine-inezgane", "down")
    case = await people.hand_in(
        intake_of(
            "HEA-MED",
            "PT-ESSP",
            "PT-NGO-HEA",
            "PT-HOS",
            commune="INE-INEZGANE",
            received_at="2026-12-07T09:00:00Z",
            facts={"treatment_interrupted": True},
            sex="M",
        )
    )
    (first,) = await people.routed(case["case_ref"])
    assert (first["rule_id"], first["urgency"], first["partner_type"]) == ("R13", "U2", "PT-ESSP")
    assert deadlines(first) == ("2026-12-08T09:00:00Z", "2026-12-10T09:00:00Z")

    async def tried() -> bool:
        """The referral service knows that the agency's endpoint was tried: else our outage is no silence of its."""
        connection = await asyncpg.connect(people.endpoints["postgres"]["referral"])
        try:
            return bool(
                await connection.fetchval("SELECT tried FROM attempt WHERE referral_id = $1", first["referral_id"])
            )
        finally:
            await connection.close()

    await wait_until(tried, within_seconds=30)
    clocked.ihala("clock", "set", "2026-12-08T09:00:00Z")

    async def second_attempt() -> dict[str, Any] | None:
        found = await people.referral(first["referral_id"])
        return found if found["attempt_no"] == 2 else None

    second = await wait_until(second_attempt, within_seconds=30) or {}
    assert second["partner_type"] == "PT-NGO-HEA"
    assert second["contact_due"] == "2026-12-10T09:00:00Z"
    assert [each["state"] for each in second["attempts"]] == ["silent", "offered"]
    _, timeline, _ = await people.as_role("desk").call("GET", f"/v1/referrals/{first['referral_id']}/timeline")
    types = [item["type"].removeprefix("ihala.referral.").removesuffix(".v1") for item in timeline["items"]]
    assert types[-4:] == ["deadline-missed", "escalated", "rerouted", "sent"]
    await people.told(first["referral_id"])


async def test_v13_a_birth_is_registered_where_the_child_was_born(clocked: System, people: People) -> None:
    clocked.ihala("clock", "set", "2026-12-28T14:00:00Z")
    guardian = {
        "text_version": "2026-11",
        "lang": "fr",
        "mode": "oral",
        "basis": "GUARDIAN",
        "scope": [{"need_code": "SOC-CIV", "partner_types": ["PT-CIV", "PT-CRDH"]}],
    }
    case = await people.hand_in(
        intake_of(
            "SOC-CIV",
            commune="INE-LQLIAA",
            received_at="2026-12-28T14:00:00Z",
            age_band="0-4",
            consent=guardian,
            facts={"birth_date": "2026-12-19", "birth_commune_code": "AGD-AGADIR"},
            safe_contact={"channel": "CALL", "language": "fr"},
        )
    )

    (referral,) = await people.routed(case["case_ref"])

    assert (referral["rule_id"], referral["partner_type"], referral["urgency"]) == ("R32", "PT-CIV", "U2")
    assert referral["partner_id"].startswith("civ-agd-agadir")
    assert deadlines(referral) == ("2026-12-29T14:00:00Z", "2026-12-31T14:00:00Z")
    assert referral["hard_deadline"] == "2027-01-19"
