"""Indicators from PostgreSQL and over HTTP: published once, in fixed cuts, for whole quarters."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from ihala_events.catalogue import INFORMATION_GIVEN
from ihala_events.intake import InformationGiven
from ihala_events.vocabulary import DeclineReason, Sex
from ihala_referral.adapters.indicator_rows import PostgresReports, count_information
from ihala_referral.domain.indicators import Cut
from ihala_referral.handlers.publish_indicators import NotReleasedYet, PublishIndicators
from ihala_referral.handlers.route_case import route_case
from ihala_runtime.identifiers import uuid7
from support.events import publish
from support.referral_service import CENTRE, Running
from support.referral_units import PostgresStore, a_profile
from support.referral_world import at, calendar
from support.waiting import wait_until

QUARTER = (date(2026, 10, 1), date(2027, 1, 1))
RELEASED = datetime(2027, 1, 31, 8, tzinfo=UTC)


def publishing(store: PostgresStore) -> PublishIndicators:
    return PublishIndicators(PostgresReports(store.database), timedelta(days=30))


async def route(store: PostgresStore, count: int, *codes: str, **changes: Any) -> list[Any]:
    """So many cases of their own."""
    made: list[Any] = []
    for _ in range(count):
        profile = a_profile(*codes, **changes)
        async with store.unit(case_ids=[profile.case_id]) as unit:
            made += route_case(profile, unit, held=False)
    return made


async def accept(store: PostgresStore, made: list[Any]) -> None:
    async with store.unit([each.referral_id for each in made]) as unit:
        for referral in unit.loaded():
            unit.record(referral, referral.accept(CENTRE, "partner:x", unit.scene))
            unit.record(referral, referral.contacted(CENTRE, "partner:x", unit.scene))


async def lines(store: PostgresStore, cut: Cut) -> list[dict[str, Any]]:
    (quarter,), _ = await publishing(store)(*QUARTER, cut, RELEASED, calendar())
    found: list[dict[str, Any]] = quarter["lines"]
    return found


def of(found: list[dict[str, Any]], **values: str) -> dict[str, Any]:
    return next(line for line in found if line["of"] == values)


async def test_what_is_stored_is_counted(store: PostgresStore) -> None:
    """30 women ask for maternal care: 15 are accepted two hours later, 5 declined, 10 wait for an answer."""
    made = await route(store, 30, "HEA-MAT")
    async with store.database.connection() as connection:
        for _ in range(6):
            await count_information(
                connection, InformationGiven(date=date(2026, 11, 16), desk_id="baom-agadir", sectors=["HEA"])
            )
    store.clock.set(at("2026-11-16 12:15"))
    await accept(store, made[:15])
    async with store.unit([each.referral_id for each in made[15:20]]) as unit:
        for referral in unit.loaded():
            unit.record(referral, referral.decline(CENTRE, DeclineReason.CAPACITY, "partner:x", unit.scene))

    (whole,) = await lines(store, Cut.WHOLE)

    assert whole["I01"] == {"intakes": 30, "information_only": 6, "referrals_per_intake": 1.0}
    assert whole["I02"] == {"sent": 30}
    assert whole["I03"] == {"rate": 0.67}
    assert (whole["I04"]["rate"], whole["I04"]["declined"]["CAPACITY"]) == (0.5, 5)
    assert whole["I09"]["reroutes_mean"] == 0.17
    assert of(await lines(store, Cut.SEX_AGE), sex="F", age="25-59")["I02"]["sent"] == 30
    assert of(await lines(store, Cut.COMMUNE), commune="AGD-AGADIR")["I02"]["sent"] == 30


async def test_a_release_stands_whatever_happens_afterwards(store: PostgresStore) -> None:
    await route(store, 20, "HEA-MAT")
    before = await lines(store, Cut.SEX_AGE)

    await route(store, 9, "HEA-MAT", sex=Sex.M)

    assert await lines(store, Cut.SEX_AGE) == before
    assert of(await lines(store, Cut.WHOLE))["I02"]["sent"] == 20


async def test_only_what_was_received_in_the_local_days_of_the_quarter_counts(store: PostgresStore) -> None:
    """30 September ends at 24:00 local time, which was 24:00 UTC since 20 September 2026."""
    await route(store, 5, "HEA-MAT", received_at=at("2026-09-30 23:59"))
    await route(store, 7, "HEA-MAT", received_at=at("2026-10-01 00:00"))

    assert of(await lines(store, Cut.WHOLE))["I02"]["sent"] == 7


async def test_a_period_is_released_thirty_days_after_its_end(store: PostgresStore) -> None:
    with pytest.raises(NotReleasedYet, match="2027-01-31"):
        await publishing(store)(*QUARTER, Cut.WHOLE, RELEASED - timedelta(days=1), calendar())


async def test_everything_due_is_published_without_being_asked_for(store: PostgresStore) -> None:
    await route(store, 1, "HEA-MAT")

    await publishing(store).publish_due(RELEASED, calendar())
    await publishing(store).publish_due(RELEASED, calendar())

    async with store.database.connection() as connection:
        rows = await connection.fetch("SELECT period FROM indicator_release ORDER BY period")
    assert [row["period"] for row in rows] == ["2026", "2026-Q1", "2026-Q2", "2026-Q3", "2026-Q4"]


async def test_restricted_needs_are_published_by_the_year(store: PostgresStore) -> None:
    await route(store, 12, "HEA-INF")
    year = (date(2026, 1, 1), date(2027, 1, 1))

    (*_, quarter), years = await publishing(store)(*year, Cut.NEED, RELEASED, calendar())

    assert of(quarter["lines"])["I02"]["sent"] == 0
    assert [each["period"] for each in years] == ["2026"]


async def test_the_calls_answer_and_refuse(referral: Running) -> None:
    path = "/v1/reports/indicators"
    status, answer, _ = await referral.operator.call("GET", f"{path}?from=2026-04-01&to=2026-10-01&by=age,sex")

    assert (status, answer["by"]) == (200, ["sex", "age"])
    assert [each["period"] for each in answer["releases"]] == ["2026-Q2", "2026-Q3"]

    early = await referral.operator.call("GET", f"{path}?from=2026-10-01&to=2027-01-01")
    assert (early[0], early[1]["type"]) == (409, "urn:ihala:problem:not-released-yet")
    assert early[1]["released_on"] == "2027-01-31"


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("from=2026-07-02&to=2026-10-01", "/query/from"),
        ("from=2026-07-01&to=2026-09-30", "/query/to"),
        ("from=2026-07-01&to=2026-10-01&by=sex", "/query/by"),
        ("from=2026-07-01&to=2026-10-01&by=sex,age,commune", "/query/by"),
        ("from=2026-07-01&to=2026-10-01&by=country", "/query/by"),
        ("from=9999-01-01&to=9999-10-01", "/query/from"),
    ],
)
async def test_no_other_period_and_no_other_cut_is_answered(referral: Running, query: str, pointer: str) -> None:
    status, problem, _ = await referral.operator.call("GET", f"/v1/reports/indicators?{query}")

    assert (status, [error["pointer"] for error in problem["errors"]]) == (422, [pointer])


async def test_who_was_only_informed_is_counted_from_the_topic(referral: Running) -> None:
    desk = f"desk-{uuid7().hex[-8:]}"
    given = InformationGiven(date=date(2026, 11, 16), desk_id=desk, sectors=["HEA", "SOC"])

    await publish(referral.producer, INFORMATION_GIVEN, given, key=desk, source="/ihala/intake")
    await publish(referral.producer, INFORMATION_GIVEN, given, key=desk, source="/ihala/intake")

    await wait_until(lambda: people_informed(referral, desk, 2))


async def people_informed(referral: Running, desk: str, people: int) -> bool:
    async with referral.database.connection() as connection:
        found = await connection.fetchval("SELECT people FROM information_given WHERE desk_id = $1", desk)
    return bool(found == people)
