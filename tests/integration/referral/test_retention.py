"""Retention (P14): two years after a case's last referral ended nothing is left of it but what was published."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from ihala_events.catalogue import CASE_ERASED
from ihala_events.intake import RoutingProfile, SubjectErased
from ihala_events.vocabulary import Outcome
from ihala_referral.adapters.erasures import Erasures
from ihala_referral.adapters.indicator_rows import PostgresReports
from ihala_referral.adapters.retention import Retention
from ihala_referral.domain.indicators import quarters
from ihala_referral.handlers.route_case import route_case
from ihala_referral.settings import ReferralSettings
from ihala_runtime.clock import ManualClock
from pydantic import ValidationError
from support.events import publish
from support.referral_service import Running
from support.referral_units import PostgresStore, a_profile
from support.referral_world import at
from support.waiting import wait_until

ENDED = datetime(2026, 11, 23, 10, tzinfo=UTC)
TWO_YEARS = timedelta(days=730)
MINUTE = timedelta(minutes=1)
BY_CASE = ("case_profile", "referral")
BY_REFERRAL = {"attempt": "referral_id", "timer": "aggregate_id", "event": "aggregate_id"}


async def a_case(store: PostgresStore, *codes: str) -> tuple[RoutingProfile, list[UUID]]:
    """Routed; its events are with Kafka."""
    profile = a_profile(*codes)
    async with store.unit(case_ids=[profile.case_id]) as unit:
        made = route_case(profile, unit, held=False)
    await nothing_to_publish(store)
    return profile, [each.referral_id for each in made]


async def nothing_to_publish(store: PostgresStore) -> None:
    async with store.database.connection() as connection:
        await connection.execute("DELETE FROM outbox")


async def close(store: PostgresStore, referral_id: UUID, when: datetime = ENDED) -> None:
    store.clock.set(when)
    async with store.unit([referral_id]) as unit:
        referral = unit.referral(referral_id)
        assert referral is not None
        unit.record(referral, referral.close_by_desk(Outcome.MOVED, "desk:x", unit.scene))


async def retained_at(store: PostgresStore, now: datetime) -> None:
    await Retention(store.database, ManualClock(now), TWO_YEARS).apply()


async def left(store: PostgresStore, profile: RoutingProfile, referral_ids: list[UUID]) -> dict[str, int]:
    async with store.database.connection() as connection:
        found = {
            table: await connection.fetchval(f"SELECT count(*) FROM {table} WHERE case_id = $1", profile.case_id)
            for table in BY_CASE
        }
        for table, column in BY_REFERRAL.items():
            found[table] = await connection.fetchval(
                f"SELECT count(*) FROM {table} WHERE {column} = ANY($1)", referral_ids
            )
    return found


async def test_two_years_after_the_last_referral_nothing_is_left_and_not_a_minute_before(store: PostgresStore) -> None:
    profile, referral_ids = await a_case(store, "HEA-MAT", "EDU-ADL")
    await close(store, referral_ids[0], ENDED - timedelta(days=7))
    await close(store, referral_ids[1])
    await nothing_to_publish(store)

    await retained_at(store, ENDED + TWO_YEARS - MINUTE)
    assert (await left(store, profile, referral_ids))["referral"] == 2
    await retained_at(store, ENDED + TWO_YEARS)

    assert set((await left(store, profile, referral_ids)).values()) == {0}


async def test_a_case_with_an_open_referral_stays_whole(store: PostgresStore) -> None:
    profile, referral_ids = await a_case(store, "HEA-MAT", "EDU-ADL")
    await close(store, referral_ids[0])
    await nothing_to_publish(store)

    await retained_at(store, ENDED + 3 * TWO_YEARS)

    assert (await left(store, profile, referral_ids))["referral"] == 2


async def test_what_kafka_has_not_taken_stays(store: PostgresStore) -> None:
    profile, referral_ids = await a_case(store, "HEA-MAT")
    await close(store, referral_ids[0])

    await retained_at(store, ENDED + TWO_YEARS)

    assert (await left(store, profile, referral_ids))["referral"] == 1


async def test_answers_and_parked_records_about_it_go_too_and_anothers_stay(store: PostgresStore) -> None:
    profile, referral_ids = await a_case(store, "HEA-MAT")
    other, other_ids = await a_case(store, "HEA-MAT")
    await close(store, referral_ids[0])
    await nothing_to_publish(store)
    async with store.database.connection() as connection:
        for case, (referral_id, *_) in ((profile, referral_ids), (other, other_ids)):
            await connection.execute(
                "INSERT INTO idempotent_request VALUES ('c', $1, 'f', 200, $2)",
                str(referral_id),
                {"referral_id": str(referral_id)},
            )
            await connection.execute(
                'INSERT INTO parked (consumer, topic, partition, "offset", key, error_class, error, headers, state)'
                " VALUES ('c', 't', 0, $1, $2, 'e', 'e', '{}', 'dead')",
                case.case_id.int % 2**31,
                str(case.case_id).encode(),
            )

    await retained_at(store, ENDED + TWO_YEARS)

    async with store.database.connection() as connection:
        answers = await connection.fetch("SELECT key FROM idempotent_request")
        parked = await connection.fetch("SELECT key FROM parked")
    assert [row["key"] for row in answers] == [str(other_ids[0])]
    assert [row["key"] for row in parked] == [str(other.case_id).encode()]


async def test_what_was_published_stays(store: PostgresStore) -> None:
    (quarter,) = quarters(datetime(2026, 10, 1, tzinfo=UTC).date(), datetime(2027, 1, 1, tzinfo=UTC).date())
    reports = PostgresReports(store.database)
    await reports.release(quarter, ENDED, {"cuts": {}})

    await retained_at(store, ENDED + 3 * TWO_YEARS)

    assert await reports.released(quarter) == {"cuts": {}}


async def test_what_a_restored_dump_brings_back_is_erased_again(store: PostgresStore) -> None:
    profile, _ = await a_case(store, "HEA-MAT")
    erased = SubjectErased(case_id=profile.case_id, case_ref=profile.case_ref, erased_at=ENDED)
    erasures = Erasures(store.database, store.environment)

    first, again = await erasures.apply_again([erased]), await erasures.apply_again([erased])

    assert (first, again) == (1, 0)
    async with store.database.connection() as connection:
        row = await connection.fetchrow("SELECT sex, age_band, commune_code FROM case_profile")
    assert tuple(row or ()) == (None, None, "AGD")


async def test_the_running_service_follows_the_ledger(referral: Running) -> None:
    (made,) = await referral.routed("HEA-MAT")
    case_id = UUID(made["case_id"])
    erased = SubjectErased(case_id=case_id, case_ref=made["case_ref"], erased_at=at("2026-11-16 10:15"))

    await publish(referral.producer, CASE_ERASED, erased, key=str(case_id), source="/ihala/intake")

    await wait_until(lambda: is_withdrawn(referral, made), within_seconds=30)


async def is_withdrawn(referral: Running, made: dict[str, Any]) -> bool:
    return bool((await referral.seen(made["referral_id"]))["state"] == "withdrawn")


def test_what_is_not_counted_yet_may_not_be_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IHALA_DELETE_AFTER", "P300D")

    with pytest.raises(ValidationError, match="IHALA_RELEASE_AFTER"):
        ReferralSettings(postgres_dsn="p", kafka_bootstrap="b")
