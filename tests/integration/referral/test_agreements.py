"""Data-sharing agreements over HTTP: who is asked by them, and which cannot be."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from support.referral_service import WOMEN, Running

# The centre of Drargua and its agreement, which came with its record.
DRARGUA = "essp-agd-drargua"
GENERAL = f"{DRARGUA}-general"


def an_agreement(**changes: Any) -> dict[str, Any]:
    terms = {"agreement_id": "drargua-2026", "parties": [DRARGUA], "purposes": ["HEA"], "since": "2026-01-01"}
    return terms | changes


@pytest_asyncio.fixture
async def unbound(referral: Running) -> AsyncIterator[Running]:
    """The centre without an agreement; as it was when the test ends."""
    _, general, _ = await referral.protection.call("GET", f"/v1/agreements/{GENERAL}")
    assert (await referral.protection.call("DELETE", f"/v1/agreements/{GENERAL}"))[0] == 204
    yield referral
    await referral.protection.call("DELETE", "/v1/agreements/drargua-2026")
    assert (await referral.protection.call("PUT", f"/v1/agreements/{GENERAL}", general))[0] == 200


async def asked(referral: Running, code: str) -> tuple[str, str]:
    """Who is asked for a person in Drargua, and what is said of its centre."""
    (made,) = await referral.routed(code, commune_code="AGD-DRARGUA")
    said = {each["partner_id"]: each["why"] for each in made["explanation"]["partner_chain"]}
    return made["partner_id"], said[DRARGUA]


async def test_only_what_an_agreement_covers_is_sent(unbound: Running) -> None:
    assert await asked(unbound, "HEA-MAT") == (WOMEN, "no_agreement")

    status, stored, _ = await unbound.protection.call(
        "PUT", "/v1/agreements/drargua-2026", an_agreement(purposes=["HEA-MAT"], fields=["names", "phone"])
    )

    assert status == 200
    assert stored == {
        "agreement_id": "drargua-2026",
        "parties": [DRARGUA],
        "purposes": ["HEA-MAT"],
        "fields": ["names", "phone"],
        "since": "2026-01-01",
        "until": None,
        "reference": "",
    }
    assert await asked(unbound, "HEA-MAT") == (DRARGUA, "chosen")
    assert (await asked(unbound, "HEA-PHC"))[1] == "no_agreement"


async def test_a_party_that_leaves_an_agreement_is_no_longer_asked_by_it(unbound: Running) -> None:
    path = "/v1/agreements/drargua-2026"
    await unbound.protection.call(
        "PUT",
        path,
        an_agreement(parties=[DRARGUA, "reh"], purposes=["HEA-MAT"]),
    )

    status, _, _ = await unbound.protection.call("PUT", path, an_agreement(parties=["reh"], purposes=["HEA-MAT"]))

    # the rehabilitation centre has a general agreement about the same need
    assert status == 409
    await unbound.protection.call("PUT", path, an_agreement())
    assert (await asked(unbound, "HEA-MAT"))[1] == "chosen"
    await unbound.protection.call("PUT", path, an_agreement(until="2026-11-15"))
    assert (await asked(unbound, "HEA-MAT"))[1] == "no_agreement"


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"parties": [DRARGUA, "nobody"]}, "/parties/1"),
        ({"parties": []}, "/parties"),
        ({"purposes": ["HEA-XXX"]}, "/purposes/0"),
        ({"purposes": []}, "/purposes"),
        ({"fields": ["country"]}, "/fields/0"),
        ({"until": "2025-12-31"}, "/until"),
        ({"agreement_id": "another"}, "/agreement_id"),
        ({"reference": "a\x00"}, "/reference"),
        ({"since": "yesterday"}, "/since"),
    ],
)
async def test_an_agreement_that_cannot_be_is_refused(referral: Running, changes: dict[str, Any], pointer: str) -> None:
    path = "/v1/agreements/drargua-2026"

    status, problem, _ = await referral.protection.call("PUT", path, an_agreement(**changes))

    assert (status, [error["pointer"] for error in problem["errors"]]) == (422, [pointer])
    assert (await referral.protection.call("GET", path))[0] == 404


async def test_two_agreements_of_one_party_never_rule_the_same_need_on_one_day(referral: Running) -> None:
    path = "/v1/agreements/drargua-2026"

    status, problem, _ = await referral.protection.call("PUT", path, an_agreement())
    before, _, _ = await referral.protection.call("PUT", path, an_agreement(since="2024-01-01", until="2024-12-31"))

    assert (status, problem["type"]) == (409, "urn:ihala:problem:overlapping-agreement")
    assert problem["agreement_id"] == GENERAL
    assert before == 200
    assert (await referral.protection.call("DELETE", path))[0] == 204
    assert (await referral.protection.call("DELETE", path))[0] == 404


async def test_a_record_that_is_put_again_keeps_its_agreements(referral: Running) -> None:
    _, record, _ = await referral.operator.call("GET", "/v1/partners/reh")

    status, again, _ = await referral.operator.call("PUT", "/v1/partners/reh", record | {"agreements": []})

    assert (status, again["agreements"]) == (200, record["agreements"])
    assert [each["agreement_id"] for each in record["agreements"]] == ["reh-general"]


async def test_agreements_are_listed_in_pages(referral: Running) -> None:
    _, first, _ = await referral.desk.call("GET", "/v1/agreements?limit=2")
    _, second, _ = await referral.desk.call("GET", f"/v1/agreements?limit=2&cursor={first['next_cursor']}")

    ids = [each["agreement_id"] for page in (first, second) for each in page["items"]]
    assert len(ids) == 4
    assert ids == sorted(ids)
