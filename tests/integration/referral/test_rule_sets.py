"""Rule sets are loaded beside each other, and one is put in force by an operator."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from ihala_referral.adapters.shipped_data import rule_texts
from support.referral_service import Running

SHIPPED_VERSION = "2026-11.1"
SHIPPED = rule_texts()[f"{SHIPPED_VERSION}.toml"]


def edited(version: str, *changes: tuple[str, str], valid_from: str = "2026-11-10") -> bytes:
    """The shipped text as another version, with these replacements."""
    text = SHIPPED.replace(
        f'version = "{SHIPPED_VERSION}"\nvalid_from = 2026-11-01', f'version = "{version}"\nvalid_from = {valid_from}'
    )
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    return text.encode()


WOMEN_FIRST = ('chain = ["PT-ESSP", "PT-NGO-WOM"]', 'chain = ["PT-NGO-WOM", "PT-ESSP"]')


@pytest_asyncio.fixture(autouse=True, loop_scope="session")
async def shipped_again(referral: Running) -> AsyncIterator[None]:
    """Other tests share the service: afterwards the shipped set is in force."""
    yield
    await referral.operator.call("POST", f"/v1/rules/{SHIPPED_VERSION}/activate")


async def states(referral: Running) -> dict[str, str]:
    _, page, _ = await referral.operator.call("GET", "/v1/rules")
    return {each["version"]: each["state"] for each in page["items"]}


async def test_a_loaded_set_routes_nobody_until_it_is_activated(referral: Running) -> None:
    status, loaded, _ = await referral.operator.call(
        "PUT", "/v1/rules/women-first", raw=edited("women-first", WOMEN_FIRST)
    )
    assert (status, loaded["state"], loaded["warnings"]) == (200, "loaded", [])
    (before,) = await referral.routed("HEA-MAT")

    status, active, _ = await referral.operator.call("POST", "/v1/rules/women-first/activate")
    (after,) = await referral.routed("HEA-MAT")

    assert (before["partner_id"], before["rule_set_version"]) == ("essp-agd-agadir", SHIPPED_VERSION)
    assert (after["partner_id"], after["rule_set_version"]) == ("ngo-wom", "women-first")
    assert (status, active["state"], active["activated_at"]) == (200, "active", "2026-11-16T10:15:00Z")
    assert active["by"].startswith("operator")
    assert (await referral.seen(before["referral_id"]))["rule_set_version"] == SHIPPED_VERSION
    assert (await states(referral))[SHIPPED_VERSION] == "shipped"


async def test_every_activation_is_kept(referral: Running) -> None:
    await referral.operator.call("PUT", "/v1/rules/kept", raw=edited("kept"))
    for version in ("kept", "kept", SHIPPED_VERSION, "kept"):
        status, _, _ = await referral.operator.call("POST", f"/v1/rules/{version}/activate")
        assert status == 200

    async with referral.database.connection() as connection:
        rows = await connection.fetch("SELECT version FROM rule_activation ORDER BY id DESC LIMIT 3")
    assert [row["version"] for row in rows] == ["kept", SHIPPED_VERSION, "kept"]


async def test_a_version_never_changes(referral: Running) -> None:
    first = await referral.operator.call("PUT", "/v1/rules/fixed", raw=edited("fixed"))
    again = await referral.operator.call("PUT", "/v1/rules/fixed", raw=edited("fixed"))
    other = await referral.operator.call("PUT", "/v1/rules/fixed", raw=edited("fixed", WOMEN_FIRST))
    shipped = await referral.operator.call("PUT", f"/v1/rules/{SHIPPED_VERSION}", raw=SHIPPED.encode() + b"\n")

    assert (first[0], again[0], again[1]) == (200, 200, first[1])
    assert [(each[0], each[1]["type"]) for each in (other, shipped)] == [(409, "urn:ihala:problem:version-exists")] * 2
    _, one, _ = await referral.desk.call("GET", "/v1/rules/fixed")
    assert one["content"] == edited("fixed").decode()


@pytest.mark.parametrize(
    ("raw", "errors"),
    [
        (b"[[row", [("/file", "not TOML")]),
        (b"\xff\xfe", [("/file", "not text in UTF-8")]),
        (edited("another"), [("/rule_set", "'version' must be the one")]),
        (
            edited("wrong", ('needs = ["HEA-MAT"]', "needs = []"), ('when = "self_harm_risk"', 'when = "harm"')),
            [("/R10", "'needs' names each need once"), ("/R15", "unknown word 'harm'")],
        ),
    ],
)
async def test_a_wrong_file_is_refused_row_by_row(referral: Running, raw: bytes, errors: list[tuple[str, str]]) -> None:
    status, problem, _ = await referral.operator.call("PUT", "/v1/rules/wrong", raw=raw)

    assert status == 422
    assert [each["pointer"] for each in problem["errors"]] == [pointer for pointer, _ in errors]
    assert all(text in each["message"] for each, (_, text) in zip(problem["errors"], errors, strict=True))
    assert (await referral.operator.call("GET", "/v1/rules/wrong"))[0] == 404


async def test_a_huge_file_is_refused(referral: Running) -> None:
    status, problem, _ = await referral.operator.call("PUT", "/v1/rules/huge", raw=b"#" * 70_000)

    assert (status, problem["type"]) == (413, "urn:ihala:problem:too-large")


async def test_a_set_cannot_be_in_force_before_its_first_day(referral: Running) -> None:
    await referral.operator.call("PUT", "/v1/rules/next-year", raw=edited("next-year", valid_from="2027-01-01"))

    status, problem, _ = await referral.operator.call("POST", "/v1/rules/next-year/activate")

    assert (status, problem["type"]) == (409, "urn:ihala:problem:not-yet-valid")
    assert (await states(referral))["next-year"] == "loaded"
    assert (await referral.operator.call("POST", "/v1/rules/unknown/activate"))[0] == 404


async def test_another_set_is_tried_on_past_cases_without_changing_anything(referral: Running) -> None:
    (made,) = await referral.routed("HEA-MAT")
    await referral.routed("HEA-SRV")
    to_women = edited("try", WOMEN_FIRST, ('chain = ["PT-HOS", "PT-NGO-WOM"]', 'chain = ["PT-NGO-WOM", "PT-HOS"]'))
    await referral.operator.call("PUT", "/v1/rules/try", raw=to_women)

    status, answer, _ = await referral.operator.call(
        "POST", "/v1/rules/compare", {"old": SHIPPED_VERSION, "new": "try"}
    )

    assert (status, answer["old"], answer["new"], answer["skipped"]) == (200, SHIPPED_VERSION, "try", 0)
    assert {(each["need_code"], each["change"]) for each in answer["by"]} == {
        ("HEA-MAT", "agency"),
        ("RESTRICTED", "agency"),
    }
    assert answer["changed"] == sum(each["count"] for each in answer["by"])
    assert {each["need_code"] for each in answer["examples"]} == {"HEA-MAT"}
    example = next(each for each in answer["examples"] if each["referral_id"] == made["referral_id"])
    assert (example["old"]["partner_id"], example["new"]["partner_id"]) == ("essp-agd-agadir", "ngo-wom")
    assert (await referral.seen(made["referral_id"]))["partner_id"] == "essp-agd-agadir"
    assert (await states(referral))["try"] == "loaded"


async def test_a_version_that_is_not_here_is_compared_with_nothing(referral: Running) -> None:
    status, problem, _ = await referral.operator.call(
        "POST", "/v1/rules/compare", {"old": SHIPPED_VERSION, "new": "../none"}
    )

    assert (status, problem["errors"][0]["pointer"]) == (422, "/new")
