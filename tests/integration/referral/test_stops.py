"""An admin stops an agency: keys, routing, answers, what it holds, and the list for the incident."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from ihala_events.access import Role
from support.referral_service import CENTRE, WOMEN, Running, answers, refusal
from support.serving import Client, a_key, move
from support.waiting import wait_until

# The centre of Aourir stops; its neighbours are the tests' other agencies.
AOURIR = "essp-agd-aourir"
LEAKED = {"reason_code": "KEY_LEAKED"}


@pytest_asyncio.fixture
async def agency(referral: Running) -> AsyncIterator[Client]:
    """A key of the agency that is stopped in these tests; it is asked again when the test ends."""
    client = Client(referral.session, referral.base, await a_key(referral.database, Role.AGENCY, AOURIR))
    await wait_until(client.knows_key)
    yield client
    await referral.admin.call("POST", f"/v1/partners/{AOURIR}/resume", {})


async def of_aourir(referral: Running) -> dict[str, Any]:
    (made,) = await referral.routed("HEA-MAT", commune_code="AGD-AOURIR")
    return made


async def affected(referral: Running) -> dict[str, dict[str, Any]]:
    _, page, _ = await referral.protection.call("GET", f"/v1/partners/{AOURIR}/affected-referrals?limit=200")
    return {item["referral_id"]: item for item in page["items"]}


async def test_what_it_holds_goes_to_the_next_agency_and_it_is_asked_for_nothing_more(
    referral: Running, agency: Client
) -> None:
    held, closed = await of_aourir(referral), await of_aourir(referral)
    assert held["partner_id"] == AOURIR
    await move(referral.desk, closed["referral_id"], "close", {"outcome_code": "MOVED"})

    status, stopped, _ = await referral.admin.call("POST", f"/v1/partners/{AOURIR}/stop", LEAKED)

    assert (status, stopped["stopped"]["reason_code"]) == (200, "KEY_LEAKED")
    assert len(stopped["revoked_credentials"]) == 1
    await wait_until(lambda: _left(referral, held["referral_id"]))
    seen = await referral.seen(held["referral_id"])
    assert [(each["partner_id"], each["state"]) for each in seen["attempts"]] == [
        (AOURIR, "recalled"),
        (WOMEN, "offered"),
    ]
    later = await of_aourir(referral)
    assert later["partner_id"] == WOMEN
    assert later["explanation"]["partner_chain"][0]["why"] == "stopped"
    listed = await affected(referral)
    assert (listed[held["referral_id"]]["open"], listed[closed["referral_id"]]["open"]) == (True, False)
    assert listed[held["referral_id"]]["attempt_state"] == "recalled"
    assert later["referral_id"] not in listed


async def _left(referral: Running, referral_id: str) -> bool:
    return bool((await referral.seen(referral_id))["partner_id"] != AOURIR)


async def test_a_handover_to_it_ends_and_the_agency_that_proposed_it_goes_on(referral: Running, agency: Client) -> None:
    (made,) = await referral.routed("HEA-PHC", commune_code="AGD-AGADIR")
    await move(referral.centre, made["referral_id"], "accept")
    await move(referral.centre, made["referral_id"], "handover", {"partner_id": AOURIR})

    await referral.admin.call("POST", f"/v1/partners/{AOURIR}/stop", LEAKED)

    await wait_until(lambda: _has_no_handover(referral, made["referral_id"]))
    seen = await referral.seen(made["referral_id"])
    assert (seen["partner_id"], seen["state"]) == (CENTRE, "accepted")
    assert [each["state"] for each in seen["attempts"]] == ["accepted", "recalled"]


async def _has_no_handover(referral: Running, referral_id: str) -> bool:
    return (await referral.seen(referral_id))["handover"] is None


async def test_its_keys_open_nothing_and_stay_revoked_when_it_is_resumed(referral: Running, agency: Client) -> None:
    await referral.admin.call("POST", f"/v1/partners/{AOURIR}/stop", LEAKED)
    await wait_until(lambda: _is_unknown(agency))

    body = {"role": "agency", "party_id": AOURIR}
    refused, problem, _ = await referral.admin.call("POST", "/v1/credentials", body)
    assert (refused, problem["type"]) == (409, "urn:ihala:problem:partner-stopped")
    status, resumed, _ = await referral.admin.call("POST", f"/v1/partners/{AOURIR}/resume", {})

    assert (status, resumed["stopped"]) == (200, None)
    assert not await agency.knows_key()
    assert (await referral.admin.call("POST", "/v1/credentials", body))[0] == 201
    assert (await of_aourir(referral))["partner_id"] == AOURIR


async def _is_unknown(client: Client) -> bool:
    return not await client.knows_key()


async def test_its_answers_on_its_topic_are_refused(referral: Running, agency: Client) -> None:
    made = await of_aourir(referral)
    await referral.admin.call("POST", f"/v1/partners/{AOURIR}/stop", LEAKED)

    request_id = await answers(referral, AOURIR, {"referral_id": made["referral_id"], "response": "accept"})

    told = await wait_until(lambda: refusal(referral, AOURIR, request_id), within_seconds=30)
    assert (told["reason"], told["referral_id"]) == ("partner-stopped", None)


async def test_a_record_that_is_put_does_not_undo_a_stop(referral: Running, agency: Client) -> None:
    _, record, _ = await referral.operator.call("GET", f"/v1/partners/{AOURIR}")
    _, stopped, _ = await referral.admin.call("POST", f"/v1/partners/{AOURIR}/stop", LEAKED)

    _, put, _ = await referral.operator.call("PUT", f"/v1/partners/{AOURIR}", record)
    _, again, _ = await referral.admin.call("POST", f"/v1/partners/{AOURIR}/stop", {"reason_code": "OTHER"})

    assert put["stopped"] == again["stopped"] == stopped["stopped"]


async def test_whoever_waits_for_an_agency_whose_time_is_over_goes_to_the_next(referral: Running) -> None:
    made = await of_aourir(referral)
    _, record, _ = await referral.operator.call("GET", f"/v1/partners/{AOURIR}")
    try:
        await referral.operator.call("PUT", f"/v1/partners/{AOURIR}", record | {"active_until": "2026-11-15"})

        await wait_until(lambda: _left(referral, made["referral_id"]))
    finally:
        await referral.operator.call("PUT", f"/v1/partners/{AOURIR}", record)

    seen = await referral.seen(made["referral_id"])
    assert [(each["partner_id"], each["reason_code"]) for each in seen["attempts"]] == [
        (AOURIR, "AGENCY_LEFT"),
        (WOMEN, None),
    ]


async def test_the_list_comes_in_pages(referral: Running) -> None:
    for _ in range(2):
        await referral.routed("HEA-MAT")
    path = f"/v1/partners/{CENTRE}/affected-referrals?limit=1"

    _, first, _ = await referral.admin.call("GET", path)
    _, second, _ = await referral.admin.call("GET", f"{path}&cursor={first['next_cursor']}")

    assert len(first["items"]) == len(second["items"]) == 1
    assert first["items"][0]["referral_id"] < second["items"][0]["referral_id"]
    assert "need_code" not in first["items"][0]


@pytest.mark.parametrize(
    ("partner_id", "body", "status"),
    [
        (AOURIR, {"reason_code": "BECAUSE"}, 422),
        (AOURIR, {}, 422),
        ("no-such-agency", LEAKED, 404),
        ("coord", LEAKED, 409),
    ],
)
async def test_a_stop_that_cannot_be_is_refused(
    referral: Running, partner_id: str, body: dict[str, Any], status: int
) -> None:
    assert (await referral.admin.call("POST", f"/v1/partners/{partner_id}/stop", body))[0] == status
