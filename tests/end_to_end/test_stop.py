"""One command stops an agency on the running system: nothing is delivered to it, and it can read nothing."""

import csv
from typing import Any

from support.people import People, intake_of, people_of
from support.system import System
from support.waiting import wait_until

LQLIAA = "essp-ine-lqliaa"
WITHIN_SECONDS = 60


async def test_a_stopped_agency_gets_no_delivery_and_reads_nothing_within_a_minute(system: System) -> None:
    async with people_of(system) as people:
        await people.behave(LQLIAA, "down")
        held = await _sent(people)
        assert held["partner_id"] == LQLIAA
        await wait_until(lambda: _in_log(people, held, "pending"), within_seconds=30)

        listed = list(csv.DictReader(system.ihala("access", "stop", LQLIAA, "--reason", "KEY_LEAKED").splitlines()))
        await people.behave(LQLIAA, "ok")

        assert {row["referral_id"]: row["open"] for row in listed}[held["referral_id"]] == "True"
        await wait_until(lambda: _reads_nothing(people, held), WITHIN_SECONDS, "its key opens nothing")
        await wait_until(lambda: _left(people, held), WITHIN_SECONDS, "the next agency is asked")
        await wait_until(lambda: _in_log(people, held, "suppressed"), WITHIN_SECONDS, "what waited is suppressed")
        later = await _sent(people)
        await people.told(later["referral_id"])
        assert later["partner_id"] != LQLIAA
        told = [*await people.told(held["referral_id"]), *await people.webhooks(later["referral_id"])]
        assert LQLIAA not in {each["partner_id"] for each in told}

        system.ihala("access", "resume", LQLIAA)


async def _sent(people: People) -> dict[str, Any]:
    case = await people.hand_in(intake_of("HEA-PHC", "PT-ESSP", "PT-NGO-HEA", commune="INE-LQLIAA"))
    (referral,) = await people.routed(case["case_ref"])
    return referral


async def _in_log(people: People, referral: dict[str, Any], state: str) -> bool:
    path = f"/v1/deliveries?referral_id={referral['referral_id']}&partner_id={LQLIAA}"
    _, page, _ = await people.as_role("operator", "notification").call("GET", path)
    states = {each["state"] for each in page["items"] if each["channel"] == "webhook"}
    return states == {state}


async def _reads_nothing(people: People, referral: dict[str, Any]) -> bool:
    disclosure = f"/v1/cases/{referral['case_ref']}/disclosure?referral_id={referral['referral_id']}"
    calls = {"intake": disclosure, "referral": "/v1/referrals", "notification": "/v1/deliveries"}
    return {(await people.agency(LQLIAA, name).call("GET", path))[0] for name, path in calls.items()} == {401}


async def _left(people: People, referral: dict[str, Any]) -> bool:
    seen = await people.referral(referral["referral_id"])
    return bool(seen["partner_id"] != LQLIAA and seen["state"] == "sent")
