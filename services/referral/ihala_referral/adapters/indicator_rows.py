"""What indicators are counted from, and the releases that were published of them.

A period is read in one snapshot, some hundred referrals at a time; a release that stands is never replaced.
"""

from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

import asyncpg
from ihala_events.intake import InformationGiven
from ihala_events.vocabulary import PartnerType, ReferralState, Urgency
from ihala_runtime.postgres import Database

from ihala_referral.domain.calendar import Calendar
from ihala_referral.domain.indicators import READ_EVENTS, AskedAgency, Counted, Event, Period
from ihala_referral.domain.routing import ReferralFlag

READ_AT_ONCE = 500

_REFERRALS = """
SELECT referral_id, referral.case_id, need_code, urgency, sex, age_band, commune_code, received_at, contact_due,
    contacted_at, outcome_code, state, details->'flags' ? $4 AS language_gap
FROM referral JOIN case_profile USING (case_id)
WHERE received_at >= $1 AND received_at < $2 AND referral_id > $3
ORDER BY referral_id LIMIT $5
"""

_ATTEMPTS = """
SELECT referral_id, partner_type, sent_at, ack_due, answered_at,
    CASE state WHEN 'declined' THEN reason_code END AS reason
FROM attempt WHERE referral_id = ANY($1::uuid[]) ORDER BY referral_id, attempt_no
"""

_EVENTS = """
SELECT aggregate_id, type, (headers->>'ce_time')::timestamptz AS at, (told->>'attempt_no')::integer AS attempt_no,
    told->>'reason_code' AS reason
FROM event, LATERAL (SELECT convert_from(payload, 'UTF8')::jsonb AS told) AS opened
WHERE aggregate_id = ANY($1::uuid[]) AND type = ANY($2::text[]) ORDER BY aggregate_id, sequence
"""


async def count_information(connection: asyncpg.Connection, given: InformationGiven) -> None:
    """One more person was informed and gave no consent."""
    await connection.execute(
        "INSERT INTO information_given (day, desk_id, people) VALUES ($1, $2, 1)"
        " ON CONFLICT (day, desk_id) DO UPDATE SET people = information_given.people + 1",
        given.date,
        given.desk_id,
    )


@dataclass(frozen=True, slots=True)
class PostgresReports:
    """Implements handlers.publish_indicators.Reports."""

    database: Database

    async def released(self, period: Period) -> dict[str, Any] | None:
        async with self.database.connection() as connection:
            return await _released(connection, period)

    async def release(self, period: Period, at: datetime, content: dict[str, Any]) -> dict[str, Any]:
        """As it is published: what another copy of the service released meanwhile stands."""
        async with self.database.connection() as connection:
            await connection.execute(
                "INSERT INTO indicator_release (period, released_at, content) VALUES ($1, $2, $3)"
                " ON CONFLICT DO NOTHING",
                period.label,
                at,
                content,
            )
            standing = await _released(connection, period)
        assert standing is not None, "just stored, and never deleted"  # noqa: S101
        return standing

    @asynccontextmanager
    async def reading(self) -> AsyncIterator["Reading"]:
        async with (
            self.database.connection() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            yield Reading(connection)


async def _released(connection: asyncpg.Connection, period: Period) -> dict[str, Any] | None:
    content: dict[str, Any] | None = await connection.fetchval(
        "SELECT content FROM indicator_release WHERE period = $1", period.label
    )
    return content


@dataclass(frozen=True, slots=True)
class Reading:
    """One snapshot."""

    connection: asyncpg.Connection

    async def referrals(self, period: Period, calendar: Calendar) -> AsyncIterator[Sequence[Counted]]:
        """Those received in the period's local days, some hundred at a time."""
        begins, ends = calendar.midnight(period.first), calendar.midnight(period.end)
        last = UUID(int=0)
        while True:
            rows = await self.connection.fetch(_REFERRALS, begins, ends, last, ReferralFlag.LANGUAGE_GAP, READ_AT_ONCE)
            if not rows:
                return
            last = rows[-1]["referral_id"]
            yield await self._counted(rows)

    async def people_informed(self, period: Period) -> int:
        found: int = await self.connection.fetchval(
            "SELECT coalesce(sum(people), 0)::integer FROM information_given WHERE day >= $1 AND day < $2",
            period.first,
            period.end,
        )
        return found

    async def first_day(self, calendar: Calendar) -> date | None:
        """The local day on which the first referral was received."""
        first: datetime | None = await self.connection.fetchval("SELECT min(received_at) FROM referral")
        return None if first is None else calendar.local_date(first)

    async def _counted(self, rows: Sequence[asyncpg.Record]) -> list[Counted]:
        referral_ids = [row["referral_id"] for row in rows]
        asked: dict[UUID, list[AskedAgency]] = defaultdict(list)
        for row in await self.connection.fetch(_ATTEMPTS, referral_ids):
            asked[row["referral_id"]].append(_asked(row))
        events: dict[UUID, list[Event]] = defaultdict(list)
        for row in await self.connection.fetch(_EVENTS, referral_ids, [kind.type for kind in READ_EVENTS]):
            events[row["aggregate_id"]].append(Event(row["type"], row["at"], row["attempt_no"] or 0, row["reason"]))
        return [_referral(row, asked[row["referral_id"]], events[row["referral_id"]]) for row in rows]


def _asked(row: asyncpg.Record) -> AskedAgency:
    return AskedAgency(
        PartnerType(row["partner_type"]), row["sent_at"], row["ack_due"], row["answered_at"], row["reason"]
    )


def _referral(row: asyncpg.Record, asked: Sequence[AskedAgency], events: Sequence[Event]) -> Counted:
    return Counted(
        case_id=row["case_id"],
        need_code=row["need_code"],
        urgency=Urgency(row["urgency"]),
        sex=row["sex"],
        age_band=row["age_band"],
        commune_code=row["commune_code"],
        received_at=row["received_at"],
        contact_due=row["contact_due"],
        contacted_at=row["contacted_at"],
        outcome_code=row["outcome_code"],
        waiting=row["state"] == ReferralState.WAITLISTED,
        language_gap=row["language_gap"],
        asked=asked,
        events=events,
    )
