"""The person's rights through the whole system: corrected, erased, never twice at an agency's door (V08, P13, P15)."""

from collections.abc import AsyncIterator
from typing import Any

import pytest_asyncio
from support.intakes import a_person
from support.people import People, intake_of, people_of
from support.system import System
from support.waiting import wait_until


@pytest_asyncio.fixture
async def people(system: System) -> AsyncIterator[People]:
    async with people_of(system) as found:
        yield found


def an_intake_of(person: dict[str, Any]) -> dict[str, Any]:
    return intake_of("HEA-MAT", "PT-ESSP", "PT-NGO-WOM", sex="F", facts={"pregnancy_weeks": 30}, **person)


async def test_v08_the_second_intake_of_one_person_waits_and_the_agency_hears_of_one(people: People) -> None:
    person = a_person()
    first = await people.hand_in(an_intake_of({**person, "birth_year": 1998}))
    (sent,) = await people.routed(first["case_ref"])
    second = await people.hand_in(an_intake_of({**person, "birth_year": 1997}))
    (held,) = await people.routed(second["case_ref"])

    decision = {"decision": "same_person", "other_case_ref": first["case_ref"], "staff": "officer-9"}
    path = f"/v1/cases/{second['case_ref']}/duplicate-decision"
    status, _, _ = await people.as_role("desk", "intake").call("POST", path, decision)

    assert status == 200
    assert (sent["state"], second["state"]) == ("sent", "held")
    assert (held["state"], held["hold_reason"]) == ("proposed", "duplicate")

    async def is_withdrawn() -> bool:
        return bool((await people.referral(held["referral_id"]))["state"] == "withdrawn")

    await wait_until(is_withdrawn, 30)
    await people.told(sent["referral_id"])
    assert await people.webhooks(held["referral_id"]) == []


async def test_a_correction_reaches_the_agency_and_an_erasure_ends_all_of_it(people: People) -> None:
    case = await people.hand_in(an_intake_of(a_person()))
    (referral,) = await people.routed(case["case_ref"])
    referral_id, agency = referral["referral_id"], referral["partner_id"]
    disclosure = f"/v1/cases/{case['case_ref']}/disclosure?referral_id={referral_id}"
    protection = people.as_role("protection", "intake")

    corrections = f"/v1/cases/{case['case_ref']}/corrections"
    corrected, _, _ = await people.as_role("desk", "intake").call("POST", corrections, {"phone": "0600000011"})
    assert corrected == 200
    await people.told(referral_id, "correction-requested")
    _, read, _ = await people.agency(agency, "intake").call("GET", disclosure)
    erased, _, _ = await protection.call("POST", f"/v1/cases/{case['case_ref']}/erasure")
    assert erased == 200
    await people.told(referral_id, "deletion-requested")
    gone, _, _ = await people.agency(agency, "intake").call("GET", disclosure)

    assert read["phone"] == "+212600000011"
    assert gone == 404
    assert (await people.referral(referral_id))["state"] == "withdrawn"
    assert (await protection.call("GET", "/v1/audit/verify"))[1]["holds"] is True
