"""Who may call what: every role against every call of the service, from the list of the contract."""

import aiohttp
import pytest
from ihala_events.access import Role
from support.intake_service import Running
from support.serving import Client, a_key
from support.waiting import wait_until

CASE = "/v1/cases/AG-0000-0000"
NOBODYS_REFERRAL = "01a20900-0000-7000-8000-000000000001"
# Role by role as the contract lists them; whoever is not named is refused with 403.
ALLOWED = {
    ("POST", "/v1/intakes"): {Role.DESK, Role.INTEGRATOR},
    ("POST", "/v1/intakes:validate"): {Role.DESK, Role.INTEGRATOR},
    ("GET", CASE): {Role.DESK, Role.PROTECTION, Role.INTEGRATOR},
    ("POST", f"{CASE}/consents"): {Role.DESK, Role.PROTECTION},
    ("POST", f"{CASE}/consent-withdrawal"): {Role.DESK, Role.PROTECTION},
    ("POST", f"{CASE}/corrections"): {Role.DESK, Role.PROTECTION},
    ("POST", f"{CASE}/duplicate-decision"): {Role.DESK, Role.PROTECTION},
    ("POST", f"{CASE}/erasure"): {Role.PROTECTION},
    ("GET", f"{CASE}/export"): {Role.PROTECTION},
    ("GET", f"{CASE}/disclosure?referral_id={NOBODYS_REFERRAL}"): {Role.AGENCY},
    ("GET", f"{CASE}/contact"): {Role.SERVICE},
    ("GET", "/v1/audit/verify"): {Role.PROTECTION},
}
PARTY = {Role.AGENCY: "essp-one", Role.INTEGRATOR: "integrator-roles"}


@pytest.mark.parametrize("role", list(Role))
async def test_a_role_may_call_what_is_its_own_and_nothing_else(intake: Running, role: Role) -> None:
    key = await a_key(intake.database, role, PARTY.get(role), "baom-agadir")
    async with aiohttp.ClientSession() as session:
        client = Client(session, intake.base, key)
        await wait_until(client.knows_key)

        refused = {call for call in ALLOWED if (await client.call(*call))[0] == 403}

    assert refused == {call for call, roles in ALLOWED.items() if role not in roles}


@pytest.mark.parametrize(("method", "path"), list(ALLOWED))
async def test_without_a_key_nothing_is_answered(intake: Running, method: str, path: str) -> None:
    status, _, _ = await intake.nobody.call(method, path)

    assert status == 401


async def test_no_call_of_the_service_is_missing_here(intake: Running) -> None:
    async with aiohttp.ClientSession() as session, session.get(f"{intake.base}/openapi.json") as answer:
        paths = (await answer.json())["paths"]
    offered = {
        (method.upper(), path.replace("{case_ref}", "AG-0000-0000"))
        for path, methods in paths.items()
        for method in methods
        if path.startswith(("/v1/intakes", "/v1/cases", "/v1/audit"))
    }

    assert offered == {(method, path.split("?")[0]) for method, path in ALLOWED}
