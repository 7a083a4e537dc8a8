"""A release that brings another calendar or other zone data counts open working-time deadlines again, once."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import ihala_referral
import pytest_asyncio
from ihala_referral.adapters.first_start import remember_calendar
from ihala_referral.adapters.shipped_data import calendar_sha256, sha256_of
from ihala_referral.adapters.snapshots import Environment
from ihala_referral.domain.calendar import Calendar
from ihala_referral.entrypoints.clockwork import Clockwork
from ihala_referral.handlers.route_case import route_case
from ihala_runtime.clock import ManualClock
from ihala_runtime.migrate import RUNTIME_MIGRATIONS, migrate
from ihala_runtime.postgres import Database
from support.referral_service import Running
from support.referral_units import PostgresStore, a_profile, enter_sample_directory
from support.referral_world import at, calendar, rules

MIGRATIONS = Path(ihala_referral.__file__).parent / "migrations"


@pytest_asyncio.fixture
async def store(new_database: Callable[[], Awaitable[str]]) -> AsyncIterator[PostgresStore]:
    """One referral each that counts working time and calendar time, under the calendar of the first release."""
    database = Database(await new_database(), "test")
    connection = await database.dedicated()
    await migrate(connection, [RUNTIME_MIGRATIONS, MIGRATIONS])
    await connection.close()
    await database.connect()
    await enter_sample_directory(database)
    await remember_calendar(database, "first release")
    store = PostgresStore(database, ManualClock(at("2026-11-16 10:15")))
    profile = a_profile("EDU-ADL", "HEA-EMG")
    async with store.unit(case_ids=[profile.case_id]) as unit:
        route_case(profile, unit, held=False)
    yield store
    await database.close()


def with_feast_on_tuesday() -> Calendar:
    first = calendar()
    holidays = {**first.data.holidays, date(2026, 11, 17): "announced"}
    return Calendar(replace(first.data, holidays=holidays), first.zone)


async def started(store: PostgresStore, shipped: Calendar, sha256: str) -> int:
    """A release starts; how many referrals were looked at again."""
    await remember_calendar(store.database, sha256)
    return await Clockwork(store.database, Environment(store.clock, [rules()], shipped), 1.0).count_again()


async def moved(store: PostgresStore) -> list[dict[str, Any]]:
    async with store.database.connection() as connection:
        rows = await connection.fetch("SELECT payload FROM event WHERE type = 'ihala.referral.deadlines-changed.v1'")
    return [json.loads(row["payload"]) for row in rows]


async def test_another_calendar_moves_working_time_and_tells_the_old_deadlines(store: PostgresStore) -> None:
    looked_at = await started(store, with_feast_on_tuesday(), "second release")

    (told,) = await moved(store)
    # U4, three and ten open days after Mon 16; Tue 17 is a feast now, Wed 18 a holiday
    assert looked_at == 2
    assert (told["need_code"], told["reason_code"]) == ("EDU-ADL", "CALENDAR_CHANGED")
    assert (told["ack_due"], told["old_ack_due"]) == ("2026-11-23T16:30:00Z", "2026-11-20T16:30:00Z")
    assert (told["contact_due"], told["old_contact_due"]) == ("2026-12-02T16:30:00Z", "2026-12-01T16:30:00Z")


async def test_the_second_start_of_a_release_counts_nothing_again(store: PostgresStore) -> None:
    await started(store, with_feast_on_tuesday(), "second release")

    assert await started(store, with_feast_on_tuesday(), "second release") == 0
    assert len(await moved(store)) == 1


async def test_other_data_that_move_no_deadline_tell_nothing(store: PostgresStore) -> None:
    assert await started(store, calendar(), "second release") == 2
    assert await moved(store) == []


async def test_a_referral_that_cannot_be_counted_again_holds_up_no_other(store: PostgresStore) -> None:
    async with store.database.connection() as connection:
        await connection.execute(TAKE_NEXT_NUMBER)  # of the one whose deadlines move: it cannot tell of it

    assert await started(store, with_feast_on_tuesday(), "second release") == 1
    async with store.database.connection() as connection:
        versions = await connection.fetch("SELECT need_code, calendar_version FROM referral ORDER BY need_code")
    adult_learning, emergency = (row["calendar_version"] for row in versions)
    assert adult_learning < emergency


TAKE_NEXT_NUMBER = """
INSERT INTO event (event_id, aggregate_id, sequence, type, topic, key, headers, payload)
SELECT gen_random_uuid(), aggregate_id, max(event.sequence) + 1, 'taken', 'none', 'none', '{}', ''
FROM event JOIN referral ON referral_id = aggregate_id WHERE need_code = 'EDU-ADL' GROUP BY aggregate_id
"""


async def test_a_start_notes_which_calendar_and_zone_data_it_brought(referral: Running) -> None:
    async with referral.database.connection() as connection:
        noted = await connection.fetchval("SELECT shipped_sha256 FROM calendar_version")

    assert noted == calendar_sha256()


def test_another_line_in_the_calendar_and_another_zone_table_are_another_release() -> None:
    assert len({sha256_of("a", b"zone"), sha256_of("b", b"zone"), sha256_of("a", b"other")}) == 3
