"""Pilot initiatives over HTTP: entered, used until they are full, taken away."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from support.referral_service import WOMEN, Running
from support.serving import move

PATH = "/v1/programmes/pilot"


def a_programme(**changes: Any) -> dict[str, Any]:
    """Two places for young women in Agadir, at the women's organisation."""
    names = {"fr": "Pilote (exemple)", "ar": "تجريبي (مثال)", "en": "Pilot (sample)"}
    record = {"programme_id": "pilot", "names": names, "partner_id": WOMEN, "need_codes": ["EDU-VOC"]}
    group = {"communes": ["AGD-AGADIR"], "age_bands": ["18-24", "25-59"], "sexes": ["F"]}
    return record | group | {"since": "2026-11-01", "until": "2026-12-31", "places": 2} | changes


@pytest_asyncio.fixture
async def pilot(referral: Running) -> AsyncIterator[Running]:
    status, shown, _ = await referral.operator.call("PUT", PATH, a_programme())
    assert (status, shown) == (200, a_programme() | {"free": 2})
    yield referral
    await referral.operator.call("DELETE", PATH)


async def sent(referral: Running) -> dict[str, Any]:
    (made,) = await referral.routed("EDU-VOC")
    return made


async def free(referral: Running) -> int:
    _, shown, _ = await referral.desk.call("GET", PATH)
    return int(shown["free"])


async def test_its_places_are_offered_until_none_is_left_and_come_back(pilot: Running) -> None:
    first, second, third = [await sent(pilot) for _ in range(3)]

    assert [each["partner_id"] for each in (first, second, third)] == [WOMEN, WOMEN, "voc-agd"]
    assert [each["attempts"][0]["programme_id"] for each in (first, third)] == ["pilot", None]
    head = first["explanation"]["partner_chain"][0]
    assert (head["partner_id"], head["why"], head["programme_id"]) == (WOMEN, "chosen", "pilot")
    assert third["explanation"]["partner_chain"][0]["why"] == "full"

    await move(pilot.women, first["referral_id"], "decline", {"reason_code": "NOT_ELIGIBLE"})

    assert (await pilot.seen(first["referral_id"]))["partner_id"] == "voc-agd"
    assert await free(pilot) == 1
    _, larger, _ = await pilot.operator.call("PUT", PATH, a_programme(places=5))
    assert larger["free"] == 4
    await move(pilot.women, second["referral_id"], "decline", {"reason_code": "NOT_ELIGIBLE"})
    assert await free(pilot) == 5


async def test_what_was_taken_away_is_offered_no_more(pilot: Running) -> None:
    assert (await pilot.operator.call("DELETE", PATH))[0] == 204

    assert (await sent(pilot))["partner_id"] == "voc-agd"
    assert (await pilot.desk.call("GET", PATH))[0] == 404
    assert (await pilot.operator.call("DELETE", PATH))[0] == 404
    _, page, _ = await pilot.desk.call("GET", "/v1/programmes")
    assert page == {"items": [], "next_cursor": None}


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"partner_id": "nobody"}, "/partner_id"),
        ({"partner_id": "coord"}, "/partner_id"),
        ({"need_codes": ["EDU-VOC", "SOC-CPR"]}, "/need_codes/1"),
        ({"need_codes": ["SOC-ASY"]}, "/need_codes/0"),
        ({"need_codes": ["EDU-XXX"]}, "/need_codes/0"),
        ({"communes": ["AGD-NOWHERE"]}, "/communes/0"),
        ({"age_bands": ["18-99"]}, "/age_bands/0"),
        ({"until": "2026-10-31"}, "/until"),
        ({"places": -1}, "/places"),
        ({"programme_id": "other"}, "/programme_id"),
    ],
)
async def test_a_programme_that_cannot_be_is_refused(referral: Running, changes: dict[str, Any], pointer: str) -> None:
    status, problem, _ = await referral.operator.call("PUT", PATH, a_programme(**changes))

    assert (status, [error["pointer"] for error in problem["errors"]]) == (422, [pointer])
    assert (await referral.operator.call("GET", PATH))[0] == 404
